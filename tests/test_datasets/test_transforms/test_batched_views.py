# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Views cut in a batch are those that are cut one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.datasets import collate_views
from mmskysense.datasets.transforms import (
    BatchedMultiCropViews,
    BatchedRadiometricJitter,
    MultiCropViews,
    PackPretrainInputs,
    RadiometricJitter,
)
from mmskysense.datasets.transforms.batched_resample import (
    batched_weights,
    resample_boxes,
)
from mmskysense.datasets.transforms.exact_resample import (
    resample_box,
    resampling_weights,
)
from mmskysense.models import MultiSensorDataPreprocessor
from mmskysense.structures import ViewBatch

SIZES = dict(hr_rgb=(16, 8), s1_grd=(8, 4))


def tile(seed=0, dates=2, nodata=0.0, sensors=SIZES):
    random = np.random.default_rng(seed)
    results = dict(images={}, valid={}, dates={}, tile_id=str(seed),
                   location=np.array([7.0, 47.0], np.float32))
    for name in sensors:
        bands, side = (3, 24) if name == 'hr_rgb' else (2, 12)
        valid = random.random((dates, side, side)) >= nodata
        results['images'][name] = (random.random(
            (dates, bands, side, side)) * 255 * valid[:, None]).astype(
                np.float32)
        results['valid'][name] = valid
        results['dates'][name] = np.arange(dates) + 100
    return results


def batch(number=3, **options):
    packed = [PackPretrainInputs(whole_tile=True)(tile(n, **options))
              for n in range(number)]
    return collate_views(packed)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 40), start=st.floats(0, 0.9),
       side=st.floats(0.05, 1), size=st.integers(1, 24))
def test_weights_are_those_of_one_box(length, start, side, size):
    stop = min(start + side, 1.0)
    wanted, first = resampling_weights(length, start * length,
                                       stop * length, size)
    found = batched_weights(
        length, torch.tensor([start * length], dtype=torch.float64),
        torch.tensor([stop * length], dtype=torch.float64), size)[0].numpy()
    whole = np.zeros((size, length))
    whole[:, first:first + wanted.shape[1]] = wanted
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize('nodata', [0.0, 0.1])
def test_pixels_and_masks_are_those_of_one_box(nodata):
    torch.manual_seed(0)
    tiles = batch(nodata=nodata)['inputs']['tile']
    cut = BatchedMultiCropViews(SIZES)
    boxes = cut.random_boxes((2, 3), (0.05, 1.0))
    flips = torch.rand(2, 3, 2) < 0.5
    for name in SIZES:
        images, valid = tiles.images[name][0], tiles.valid[name][0]
        found, seen = resample_boxes(images, valid, boxes, 9, flips)
        for v in range(2):
            for n in range(3):
                pixels, mask = resample_box(
                    images[n].numpy(), valid[n].numpy(),
                    tuple(boxes[v, n].tolist()), 9,
                    tuple(flips[v, n].tolist()))
                np.testing.assert_array_equal(seen[v, n].numpy(), mask)
                np.testing.assert_allclose(found[v, n].numpy(), pixels,
                                           atol=2e-3)  # of 255


def test_boxes_are_drawn_like_those_of_one_tile():
    torch.manual_seed(0)
    np.random.seed(0)
    options = dict(global_scale=(0.3, 1.0), aspect_ratio=(0.5, 2.0))
    one = MultiCropViews(SIZES, **options)
    boxes = BatchedMultiCropViews(SIZES, **options).random_boxes(
        (4000, ), (0.3, 1.0)).numpy()
    wanted = np.array([one.random_box((0.3, 1.0)) for _ in range(4000)])
    assert boxes.min() >= 0 and boxes.max() <= 1
    np.testing.assert_allclose(boxes.mean(0), wanted.mean(0), atol=0.02)
    np.testing.assert_allclose(boxes.std(0), wanted.std(0), atol=0.02)


def test_a_box_is_chosen_for_its_measured_ground():
    torch.manual_seed(0)
    tiles = batch()['inputs']['tile']
    for name in SIZES:
        side = tiles.valid[name].shape[-1]
        tiles.valid[name][..., side // 2:] = False  # right half is nodata
    views = BatchedMultiCropViews(SIZES, local_views=8)(tiles)
    local = views['local']
    x0, x1 = local.boxes[..., 0], local.boxes[..., 2]
    measured = ((0.5 - x0) / (x1 - x0)).clamp(0, 1)
    # To whole pixels of 1/24; unselected boxes would be at 0 half the time.
    assert measured.min() > 0.3
    assert not local.images['hr_rgb'][
        ~local.valid['hr_rgb'][:, :, :, None].expand_as(
            local.images['hr_rgb'])].any()


def test_preprocessor_gives_normalised_views_with_their_geometry():
    torch.manual_seed(0)
    preprocessor = MultiSensorDataPreprocessor(
        sensors=tuple(SIZES),
        views=dict(type='mmskysense.BatchedMultiCropViews', sizes=SIZES,
                   local_views=3, jitter=dict()))
    inputs = preprocessor(batch())['inputs']
    for kind, number, side in (('global', 2, 16), ('local', 3, 8)):
        views = inputs[kind]
        assert isinstance(views, ViewBatch)
        assert views.images['hr_rgb'].shape == (number, 3, 2, 3, side, side)
        assert views.images['hr_rgb'].abs().max() < 5
        assert views.dates['s1_grd'].tolist()[0] == [[100, 101]] * 3
        assert views.locations.shape == (3, 2)
        assert not torch.equal(views.boxes[0], views.boxes[1])


def test_the_same_seed_gives_the_same_views():
    cut = BatchedMultiCropViews(SIZES, jitter=dict())
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(cut(batch()['inputs']['tile'])['global'])
    assert torch.equal(found[0].images['hr_rgb'], found[1].images['hr_rgb'])
    assert torch.equal(found[0].boxes, found[1].boxes)


def test_a_sensor_that_no_tile_has_stays_absent():
    packed = []
    for n in range(2):
        absent = tile(n)
        absent['images']['s1_grd'] = np.zeros((0, 2, 1, 1), np.float32)
        absent['valid']['s1_grd'] = np.zeros((0, 1, 1), bool)
        absent['dates']['s1_grd'] = np.zeros(0, np.int64)
        packed.append(PackPretrainInputs(whole_tile=True)(absent))
    views = BatchedMultiCropViews(SIZES)(
        collate_views(packed)['inputs']['tile'])
    assert views['global'].images['s1_grd'].shape == (2, 2, 0, 2, 8, 8)
    assert views['global'].valid['hr_rgb'].all()


@pytest.mark.parametrize('option,where', [
    ('brightness', 'mean'), ('contrast', 'std'), ('gamma', 'mean'),
    ('band_gain', 'mean')])
def test_jitter_varies_as_much_as_that_of_one_view(option, where):
    torch.manual_seed(0)
    np.random.seed(0)
    off = dict(brightness=0.0, contrast=0.0, gamma=0.0, grayscale_prob=0.0,
               band_gain=0.0, blur_prob=0.0)
    options = dict(hr_rgb={**off, option: 0.2})
    image = np.full((3, 8, 8), 100, np.float32)
    image[:, ::2] = 140
    views = torch.from_numpy(image).expand(600, 1, 3, 8, 8)
    found = BatchedRadiometricJitter(1.0, options)(
        'hr_rgb', views, torch.ones(600, 1, 8, 8, dtype=torch.bool))
    one = RadiometricJitter(1.0, options)
    wanted = []
    for _ in range(600):
        view = dict(images=dict(hr_rgb=image[None].copy()),
                    valid=dict(hr_rgb=np.ones((1, 8, 8), bool)))
        one.transform(dict(global_views=[view]))
        wanted.append(view['images']['hr_rgb'][0])
    measure = getattr(np, where)
    ours = measure(found[:, 0].numpy(), axis=(1, 2, 3))
    theirs = measure(np.stack(wanted), axis=(1, 2, 3))
    np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=0.02)
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.1)
    assert ours.std() > 0
    # Only a gain for each band changes the balance of colours.
    balance = found[:, 0].mean((2, 3)).std(1)
    assert (balance > 1).any() == (option == 'band_gain')


@pytest.mark.parametrize('name,bands', [
    ('hr_rgb', 3), ('s2_l2a', 10), ('s1_grd', 2)])
def test_jitter_leaves_unmeasured_pixels_alone(name, bands):
    torch.manual_seed(0)
    images = torch.rand(4, 2, bands, 12, 12) * 200 + 20
    valid = torch.rand(4, 2, 12, 12) > 0.2
    images = images * valid[:, :, None]
    strong = {} if name == 's1_grd' else {name: dict(blur_prob=1.0)}
    found = BatchedRadiometricJitter(1.0, strong)(name, images, valid)
    assert not found[~valid[:, :, None].expand_as(found)].any()
    changed = (found != images)[valid[:, :, None].expand_as(found)]
    assert changed.float().mean() > 0.99
    assert torch.isfinite(found).all()
    off = BatchedRadiometricJitter(1.0, {name: None})(name, images, valid)
    assert torch.equal(off, images)


def test_blur_keeps_a_constant_constant():
    torch.manual_seed(0)
    off = dict(brightness=0.0, contrast=0.0, gamma=0.0, grayscale_prob=0.0)
    jitter = BatchedRadiometricJitter(
        1.0, dict(hr_rgb=dict(off, blur_prob=1.0)))
    images = torch.full((2, 1, 3, 9, 9), 80.0)
    valid = torch.rand(2, 1, 9, 9) > 0.3
    found = jitter('hr_rgb', images * valid[:, :, None], valid)
    kept = found[valid[:, :, None].expand_as(found)]
    torch.testing.assert_close(kept, torch.full_like(kept, 80.0), atol=1e-3,
                               rtol=0)


def test_refusals():
    tiles = batch()['inputs']['tile']
    with pytest.raises(ValueError, match="names \\['s2_l2a'\\]"):
        BatchedMultiCropViews(dict(s2_l2a=(8, 4)))(tiles)
    with pytest.raises(ValueError, match='patch size'):
        BatchedMultiCropViews(dict(hr_rgb=(8, 2)))
    with pytest.raises(ValueError, match='option'):
        BatchedMultiCropViews(
            SIZES, jitter=dict(options=dict(hr_rgb=dict(speckle=1.0))))
    plain = MultiSensorDataPreprocessor(sensors=tuple(SIZES))
    with pytest.raises(ValueError, match='need each other: found whole'):
        plain(batch())
    with_views = MultiSensorDataPreprocessor(
        sensors=tuple(SIZES),
        views=dict(type='mmskysense.BatchedMultiCropViews', sizes=SIZES))
    views = dict(inputs=BatchedMultiCropViews(SIZES)(tiles),
                 data_samples=None)
    with pytest.raises(ValueError, match='need each other: found views'):
        with_views(views)


def test_the_first_box_with_enough_ground_is_taken_not_the_fullest():
    tiles = batch()['inputs']['tile']
    for name in SIZES:
        side = tiles.valid[name].shape[-1]
        tiles.valid[name][..., side // 2:] = False
    # Half measured, nothing, 60 % and all of it.
    boxes = torch.tensor([[0.25, 0.0, 0.75, 1.0], [0.5, 0.0, 1.0, 1.0],
                          [0.2, 0.0, 0.7, 1.0], [0.0, 0.0, 0.5, 1.0]])
    count = tiles.batch_size
    given = boxes[:, None, None].expand(-1, 1, count, -1)
    for least, wanted in ((0.5, 0), (0.55, 2), (0.9, 3)):
        chosen = BatchedMultiCropViews(SIZES, min_valid=least)._choose(
            tiles, given)
        assert torch.equal(chosen, boxes[wanted].expand(1, count, -1))
    none = BatchedMultiCropViews(SIZES, min_valid=0.9)._choose(
        tiles, given[:3])
    assert torch.equal(none, boxes[2].expand(1, count, -1))


@pytest.mark.parametrize('tile_ratio', [3.0, 0.25])
def test_shapes_are_those_on_the_ground_of_a_long_tile(tile_ratio):
    torch.manual_seed(0)
    np.random.seed(0)
    scale, ratios = (0.02, 0.1), (0.75, 4 / 3)
    boxes = BatchedMultiCropViews(SIZES, aspect_ratio=ratios).random_boxes(
        (500, ), scale, tile_ratio=tile_ratio).numpy()
    one = MultiCropViews(SIZES, aspect_ratio=ratios)
    drawn = np.array([one.random_box(scale, tile_ratio)
                      for _ in range(500)])
    for found in (boxes, drawn):
        width, height = (found[:, 2:] - found[:, :2]).T
        ground = width / height * tile_ratio
        assert ground.min() > 0.749 and ground.max() < 1.334
        assert (width * height).min() > 0.0199


def test_views_of_a_long_tile_are_not_squeezed():
    np.random.seed(0)
    torch.manual_seed(0)
    options = dict(sizes=dict(hr_rgb=(16, 8)), global_scale=(0.05, 0.1),
                   local_scale=(0.05, 0.1), aspect_ratio=(1.0, 1.0))
    images = np.zeros((1, 3, 20, 60), np.float32)
    results = dict(images=dict(hr_rgb=images),
                   valid=dict(hr_rgb=np.ones((1, 20, 60), bool)),
                   dates=dict(hr_rgb=np.zeros(1, np.int64)))
    boxes = [view['box'] for view in MultiCropViews(**options).transform(
        results)['local_views']]
    whole = ViewBatch(
        dict(hr_rgb=torch.from_numpy(images)[None, None]),
        dict(hr_rgb=torch.ones(1, 1, 1, 20, 60, dtype=torch.bool)),
        dict(hr_rgb=torch.zeros(1, 1, 1, dtype=torch.int64)),
        torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]),
        torch.zeros(1, 1, 2, dtype=torch.bool))
    boxes += list(BatchedMultiCropViews(**options)(whole)['local'].boxes[
        :, 0].numpy())
    for x0, y0, x1, y1 in boxes:
        assert 60 * (x1 - x0) == pytest.approx(20 * (y1 - y0), rel=1e-4)
