# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A tiny pre-trainer and random views."""

import pytest
import torch

from mmskysense.structures import ViewBatch

CHANNELS = dict(hr_rgb=3, s2_l2a=10, s1_grd=2)
DATES = dict(hr_rgb=1, s2_l2a=2, s1_grd=1)
SIZES = dict(hr_rgb=(64, 32), s2_l2a=(8, 4), s1_grd=(8, 4))
# 130 thousand parameters: a real encoder, only narrow.
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)


NUM_CLASSES = 5


def make_views(sensors, kind, batch=2, views=2):
    """Random views; kind 0 is global, 1 local."""
    images, valid, dates = {}, {}, {}
    for sensor in sensors:
        side, count = SIZES[sensor][kind], DATES[sensor]
        images[sensor] = torch.randn(views, batch, count, CHANNELS[sensor],
                                     side, side)
        valid[sensor] = torch.ones(
            views, batch, count, side, side, dtype=torch.bool)
        # The dates of a tile, of which every view has all.
        days = torch.rand(batch, 366).topk(count).indices.sort().values + 1
        dates[sensor] = days.expand(views, -1, -1).clone()
    low, high = (0.6, 1.0) if kind == 0 else (0.3, 0.5)
    size = low + (high - low) * torch.rand(views, batch, 2)
    first = (1 - size) * torch.rand(views, batch, 2)
    labels = torch.randint(0, NUM_CLASSES, (views, batch, 8, 8))
    labels[torch.rand(labels.shape) < 0.3] = 255
    return ViewBatch(
        images, valid, dates, torch.cat((first, first + size), -1),
        torch.rand(views, batch, 2) < 0.5, labels,
        torch.tensor([[8.5, 47.4], [-70.0, -33.0], [float('nan')] * 2,
                      [8.6, 47.3]])[:batch])


def make_inputs(sensors, batch=2, local_views=3):
    """What the data preprocessor gives."""
    return {
        'global': make_views(sensors, 0, batch),
        'local': make_views(sensors, 1, batch, local_views)
    }


def part_of(views, tiles):
    """Some of the tiles of a batch."""

    def cut(x):
        return {s: value[:, tiles] for s, value in x.items()}

    return ViewBatch(
        cut(views.images), cut(views.valid), cut(views.dates),
        views.boxes[:, tiles], views.flips[:, tiles],
        views.labels[:, tiles], views.locations[tiles])


def model_config(sensors, batch_norm=False, **backbone):
    """Config of a tiny pre-trainer: queries and the image level."""
    head = dict(num_prototypes=32, hidden_channels=24, bottleneck_channels=8,
                batch_norm=batch_norm)
    return dict(
        type='mmskysense.SkySenseV2Pretrainer',
        backbone=dict(
            type='mmskysense.SkySenseV2', arch=ARCH, sensors=sensors,
            sensor=sensors[0], out_indices=(3, ), **backbone),
        fusion=dict(
            type='mmskysense.MultiModalTemporalFusion', in_channels=128,
            embed_dims=16, depth=2, num_heads=2, sensors=sensors),
        qsacl_head=dict(
            type='mmskysense.QSACLHead', in_channels=16, num_queries=4,
            num_heads=2, **head),
        image_head=dict(
            type='mmskysense.ImageContrast',
            sources=dict(fused=16, **dict.fromkeys(sensors, 128)), **head))


def whole_config(sensors, batch_norm=False, **backbone):
    """Config of a tiny pre-trainer with everything that there is."""
    config = model_config(sensors, batch_norm, **backbone)
    shared = {k: v for k, v in config['image_head'].items() if k != 'type'}
    return dict(
        config,
        pixel_head=dict(type='mmskysense.PixelContrast', **shared),
        object_head=dict(type='mmskysense.ObjectContrast', num_clusters=3,
                         **shared),
        text_head=dict(type='mmskysense.ImageTextAlignment', in_channels=16,
                       num_classes=NUM_CLASSES),
        geo_context=dict(
            type='mmskysense.GeoContextPrototypes', embed_dims=16,
            regions=(4, 8), num_prototypes=6, num_heads=2, momentum=0.5))


@pytest.fixture
def parts():
    """What tests build their models and inputs with."""

    class Parts:
        arch = ARCH
        config = staticmethod(model_config)
        whole = staticmethod(whole_config)
        inputs = staticmethod(make_inputs)
        views = staticmethod(make_views)
        part_of = staticmethod(part_of)

    return Parts
