# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""ITA and the file of class names."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmskysense.models.pretrain import (
    ImageTextAlignment,
    one_hot_table,
    read_class_table,
    write_class_table,
)
from mmskysense.models.pretrain.encoded_views import SourceMaps

NAMES = ('water', 'forest', 'road', 'building')


@pytest.fixture
def table(tmp_path):
    path = tmp_path / 'names.npz'
    write_class_table(path, NAMES, np.random.randn(4, 6), 'some-encoder')
    return path


def source(maps, measured=None, extent=(1.0, 1.0)):
    """Fused maps (B, D, h, w) as one view of B tiles."""
    if measured is None:
        measured = torch.ones(len(maps), *maps.shape[2:], dtype=torch.bool)
    return SourceMaps(maps[None, :, None], measured[None, :, None],
                      torch.zeros(1, len(maps), 1), extent)


def test_against_numpy_on_the_maps_own_grid(table):
    head = ImageTextAlignment(3, table, temperature=0.2)
    maps = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 4, (2, 4, 5))
    labels[0, :2] = 255
    found = head.loss([(source(maps), labels[None])])
    vectors = read_class_table(table).embeddings
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    weight, bias = (p.detach().numpy() for p in head.projection.parameters())
    losses = []
    for n, row, column in np.ndindex(2, 4, 5):
        label = int(labels[n, row, column])
        if label == 255:
            continue
        x = weight @ maps[n, :, row, column].numpy() + bias
        logits = vectors @ x / np.linalg.norm(x) / 0.2
        losses.append(np.log(np.exp(logits).sum()) - logits[label])
    assert float(found.detach()) == pytest.approx(np.mean(losses), rel=1e-4)
    assert head.encoder == 'some-encoder' and head.num_classes == 4


def test_views_of_both_kinds_are_one_mean(table):
    head = ImageTextAlignment(3, table)
    few = (source(torch.randn(1, 3, 2, 2)), torch.zeros(1, 1, 2, 2).long())
    many = (source(torch.randn(2, 3, 2, 2)), torch.ones(1, 2, 2, 2).long())
    losses = [float(head.loss(views).detach())
              for views in ([few], [many], [few, many])]
    assert losses[2] == pytest.approx((losses[0] + 2 * losses[1]) / 3)


def test_labels_on_a_finer_grid_see_interpolated_cosines():
    head = ImageTextAlignment(3, num_classes=4)
    maps, labels = torch.randn(1, 3, 2, 3), torch.randint(0, 4, (1, 1, 8, 9))
    logits = F.interpolate(head(maps), (8, 9), mode='bilinear',
                           align_corners=False) / 0.07
    torch.testing.assert_close(head.loss([(source(maps), labels)]),
                               F.cross_entropy(logits, labels[0]))


def test_padding_beyond_the_view_is_not_seen():
    # A map of 2 places a side, of which the second is three quarters pad.
    head = ImageTextAlignment(3, num_classes=4)
    maps, extent = torch.randn(1, 3, 2, 2), (8 / 5, 8 / 5)
    labels = torch.randint(0, 4, (1, 1, 5, 5))
    logits = F.interpolate(head(maps), (8, 8), mode='bilinear',
                           align_corners=False)[..., :5, :5] / 0.07
    torch.testing.assert_close(
        head.loss([(source(maps, extent=extent), labels)]),
        F.cross_entropy(logits, labels[0]))


def test_unmeasured_pixels_are_ignored():
    head = ImageTextAlignment(3, num_classes=4)
    maps = torch.randn(1, 3, 2, 2)
    labels = torch.randint(0, 4, (1, 1, 4, 4))
    measured = torch.tensor([[[True, False], [True, True]]])
    found = head.loss([(source(maps, measured), labels)])
    hidden = labels.clone()
    hidden[..., :2, 2:] = 255
    torch.testing.assert_close(
        found, head.loss([(source(maps), hidden)]))
    assert not torch.isclose(found, head.loss([(source(maps), labels)]))


@pytest.mark.parametrize('learnable', [False, True])
def test_without_a_label_the_loss_is_zero_in_the_graph(learnable):
    head = ImageTextAlignment(3, num_classes=4, learnable=learnable)
    maps = torch.randn(2, 3, 2, 2, requires_grad=True)
    loss = head.loss([(source(maps), torch.full((1, 2, 4, 4), 255))])
    loss.backward()
    assert float(loss.detach()) == 0 and not maps.grad.any()
    for parameter in head.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


def test_pixels_of_a_class_move_toward_its_name(table):
    head = ImageTextAlignment(3, table)
    maps = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.full((1, 1, 2, 2), 2)
    optimiser = torch.optim.Adam([maps], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        head.loss([(source(maps), labels)]).backward()
        optimiser.step()
    assert (head(maps).argmax(1) == 2).all()


def test_fallbacks_are_named():
    plain = ImageTextAlignment(3, num_classes=4)
    assert plain.encoder == 'one-hot'
    assert torch.equal(plain.embeddings, torch.eye(4))
    assert len(list(plain.parameters())) == 2
    learned = ImageTextAlignment(3, num_classes=4, learnable=True,
                                 embed_dims=7)
    assert learned.encoder == 'learnable'
    assert learned.embeddings.shape == (4, 7)
    assert learned.embeddings.requires_grad
    table = one_hot_table(NAMES)
    assert table.encoder == 'one-hot' and table.names == NAMES


def test_refusals(table):
    with pytest.raises(ValueError, match='num_classes=None'):
        ImageTextAlignment(3)
    with pytest.raises(ValueError, match='num_classes=256'):
        ImageTextAlignment(3, num_classes=256)
    with pytest.raises(ValueError, match='num_classes=3.*names.npz has 4'):
        ImageTextAlignment(3, table, num_classes=3)
    with pytest.raises(ValueError, match='temperature'):
        ImageTextAlignment(3, num_classes=3, temperature=0)
    head = ImageTextAlignment(3, num_classes=4)
    with pytest.raises(ValueError, match='class 7, expected 0 to 3 or 255'):
        head.loss([(source(torch.randn(1, 3, 2, 2)),
                    torch.full((1, 1, 2, 2), 7))])


def test_table_there_and_back(table):
    found = read_class_table(table)
    assert found.names == NAMES and found.encoder == 'some-encoder'
    assert found.embeddings.shape == (4, 6)
    assert found.embeddings.dtype == np.float32
    assert [p.name for p in table.parent.iterdir()] == ['names.npz']


@pytest.mark.parametrize('change, message', [
    (dict(names=NAMES[:3]), 'name for each of the 4'),
    (dict(names=('a', 'b', 'a', 'c')), r"\['a'\] occur more than once"),
    (dict(embeddings=np.full((4, 6), np.nan)), 'NaN'),
    (dict(embeddings=np.zeros((4, 6))), "class 'water'"),
    (dict(embeddings=np.zeros(4)), r'expected \(K, D\)'),
    (dict(encoder=''), 'encoder')])
def test_tables_that_do_not_fit(change, message, tmp_path):
    fields = dict(names=NAMES, embeddings=np.ones((4, 6)), encoder='x')
    fields.update(change)
    path = tmp_path / 'names.npz'
    with pytest.raises(ValueError, match=message):
        write_class_table(path, **fields)
    assert not list(tmp_path.iterdir())
    np.savez(path, **{k: np.asarray(v) for k, v in fields.items()})
    with pytest.raises(ValueError, match=f'names.npz: .*{message}'):
        read_class_table(path)


def test_files_that_are_no_tables(tmp_path):
    path = tmp_path / 'names.npz'
    with pytest.raises(FileNotFoundError, match='names.npz: no such table'):
        read_class_table(path)
    for content in (b'', b'water, forest', b'PK\x03\x04 broken'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='names.npz: expected a .npz'):
            read_class_table(path)
    with path.open('wb') as file:
        np.save(file, np.eye(3))
    with pytest.raises(ValueError, match='names.npz: expected a .npz'):
        read_class_table(path)
    np.savez(path, embeddings=np.eye(4), names=NAMES)
    with pytest.raises(ValueError, match='expected the keys'):
        read_class_table(path)
    np.savez(path, embeddings=np.array(list('abcd'))[:, None], names=NAMES,
             encoder='x')
    with pytest.raises(ValueError, match='real numbers'):
        read_class_table(path)
    with pytest.raises(ValueError, match='ends in .npz'):
        write_class_table(tmp_path / 'names.csv', NAMES, np.eye(4), 'x')


def test_more_classes_than_a_label_raster_can_hold_are_refused(tmp_path):
    path = tmp_path / 'many.npz'
    write_class_table(path, [str(n) for n in range(256)], np.eye(256), 'x')
    with pytest.raises(ValueError, match='many.npz has 256 classes'):
        ImageTextAlignment(8, table=path)
