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


def make_views(sensors, kind, batch=2, views=2):
    """Random views; kind 0 is global, 1 local."""
    images, valid, dates = {}, {}, {}
    for sensor in sensors:
        side, count = SIZES[sensor][kind], DATES[sensor]
        images[sensor] = torch.randn(views, batch, count, CHANNELS[sensor],
                                     side, side)
        valid[sensor] = torch.ones(
            views, batch, count, side, side, dtype=torch.bool)
        dates[sensor] = torch.randint(1, 367, (views, batch, count))
    return ViewBatch(images, valid, dates, torch.rand(views, batch, 4),
                     torch.zeros(views, batch, 2, dtype=torch.bool))


def make_inputs(sensors, batch=2, local_views=3):
    """What the data preprocessor gives."""
    return {
        'global': make_views(sensors, 0, batch),
        'local': make_views(sensors, 1, batch, local_views)
    }


def model_config(sensors, **backbone):
    """Config of a tiny pre-trainer."""
    head = dict(num_prototypes=32, hidden_channels=24, bottleneck_channels=8)
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


@pytest.fixture
def parts():
    """What tests build their models and inputs with."""

    class Parts:
        arch = ARCH
        config = staticmethod(model_config)
        inputs = staticmethod(make_inputs)
        views = staticmethod(make_views)

    return Parts
