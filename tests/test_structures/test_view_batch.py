# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import dataclasses

import pytest
import torch

from mmskysense.structures import ViewBatch


def view(dates=2, size=4, sensors=('hr_rgb', 's1_grd'), value=1.0):
    return dict(
        images={s: torch.full((dates, 3, size, size), value)
                for s in sensors},
        valid={s: torch.ones(dates, size, size, dtype=torch.bool)
               for s in sensors},
        dates={s: torch.arange(1, dates + 1) for s in sensors},
        box=torch.tensor([0.0, 0.0, value / 10, 1.0]),
        flip=torch.tensor([True, False]))


def test_batches_and_pads_dates():
    batch = ViewBatch.from_views([
        [view(1, value=1.0), view(2, value=2.0)],
        [view(3, value=3.0), view(0, value=4.0)],
    ])
    assert batch.num_views == 2 and batch.batch_size == 2
    assert batch.sensors == ('hr_rgb', 's1_grd')
    assert batch.images['hr_rgb'].shape == (2, 2, 3, 3, 4, 4)
    # [view, tile, date]
    assert (batch.images['hr_rgb'][1, 0, :2] == 2).all()
    assert (batch.images['hr_rgb'][0, 1] == 3).all()
    assert not batch.valid['s1_grd'][1, 1].any()
    assert batch.dates['s1_grd'].tolist() == [[[1, 0, 0], [1, 2, 3]],
                                              [[1, 2, 0], [0, 0, 0]]]
    assert batch.images['hr_rgb'][0, 0, 1:].abs().sum() == 0
    torch.testing.assert_close(batch.boxes[:, :, 2],
                               torch.tensor([[0.1, 0.3], [0.2, 0.4]]))
    assert batch.flips.dtype == torch.bool and batch.flips[..., 0].all()


def test_moves_and_cannot_be_changed():
    batch = ViewBatch.from_views([[view()]])
    moved = batch.to('meta')
    assert moved.images['hr_rgb'].is_meta and moved.flips.is_meta
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.boxes = None


@pytest.mark.parametrize('samples, words', [
    ([], 'at least one tile'),
    ([[]], 'at least one tile'),
    ([[view()], [view(), view()]], 'tile 1 has 2'),
    ([[view()], [view(sensors=('hr_rgb', ))]], 'T = 0'),
    ([[view(), view(size=5)]], 'differ in size'),
])
def test_refuses_unequal_tiles(samples, words):
    with pytest.raises(ValueError, match=words):
        ViewBatch.from_views(samples)


@pytest.mark.parametrize('field, value, words', [
    ('boxes', torch.zeros(1, 1, 3), 'boxes'),
    ('flips', torch.zeros(2, 1, 2), 'flips'),
    ('dates', {'hr_rgb': torch.zeros(1, 1, 2)}, 'same sensors'),
    ('images', {'hr_rgb': torch.zeros(1, 1, 3, 4, 4),
                's1_grd': torch.zeros(1, 1, 3, 4, 4)}, 'T, C, H, W'),
    ('valid', {'hr_rgb': torch.zeros(1, 1, 2, 4, 5),
               's1_grd': torch.zeros(1, 1, 2, 4, 4)}, 'valid'),
    ('images', {}, 'at least one sensor'),
])
def test_refuses_wrong_shapes(field, value, words):
    batch = ViewBatch.from_views([[view()]])
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(batch, **{field: value})


def labelled(value, place=(5.0, 47.0), size=3):
    return dict(view(), labels=torch.full((size, size), value,
                                          dtype=torch.uint8),
                location=torch.tensor(place))


def test_carries_labels_and_locations():
    batch = ViewBatch.from_views([
        [labelled(1), labelled(2)],
        [labelled(3, (float('nan'), ) * 2), labelled(255, (0.0, 0.0))]])
    assert batch.labels.shape == (2, 2, 3, 3)
    assert batch.labels.dtype == torch.int64
    # [view, tile]
    assert batch.labels[:, :, 0, 0].tolist() == [[1, 3], [2, 255]]
    assert batch.locations.shape == (2, 2)
    assert batch.locations.dtype == torch.float32
    assert batch.locations[0].tolist() == [5, 47]
    assert batch.locations[1].isnan().all()
    moved = batch.to('meta')
    assert moved.labels.is_meta and moved.locations.is_meta
    plain = ViewBatch.from_views([[view()]])
    assert plain.labels is None and plain.locations is None
    assert plain.to('cpu').labels is None


@pytest.mark.parametrize('samples, words', [
    ([[labelled(1)], [view()]], "1 of 2 views have 'labels'"),
    ([[labelled(1), labelled(1, size=4)]], "'labels' differs in size"),
])
def test_refuses_labels_of_some(samples, words):
    with pytest.raises(ValueError, match=words):
        ViewBatch.from_views(samples)


@pytest.mark.parametrize('field, value, words', [
    ('labels', torch.zeros(1, 1, 3), 'labels must be int64'),
    ('labels', torch.zeros(1, 1, 3, 3), 'torch.float32'),
    ('labels', torch.zeros(2, 1, 3, 3).long(), 'labels must be'),
    ('locations', torch.zeros(2, 2), 'locations'),
    ('locations', torch.zeros(1, 2).double(), 'float32'),
])
def test_refuses_wrong_labels(field, value, words):
    batch = ViewBatch.from_views([[labelled(1)]])
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(batch, **{field: value})
