# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Resampled maps are area means on any grid, and holes stay out of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.models.fusion.masked_resize import area_mean, masked_resize


def _by_replication(maps, size):
    """Repeat every place until both grids fit, then plain means."""
    height, width = maps.shape[-2:]
    rows, columns = math.lcm(height, size[0]), math.lcm(width, size[1])
    fine = maps.repeat(rows // height, axis=-2).repeat(columns // width,
                                                       axis=-1)
    shape = (*maps.shape[:-2], size[0], rows // size[0], size[1],
             columns // size[1])
    return fine.reshape(shape).mean((-3, -1))


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 13), width=st.integers(1, 13),
       rows=st.integers(1, 13), columns=st.integers(1, 13))
def test_area_mean_is_exact_for_every_ratio(height, width, rows, columns):
    maps = np.random.default_rng(0).normal(size=(2, 3, height, width))
    found = area_mean(torch.from_numpy(maps), (rows, columns))
    np.testing.assert_allclose(found.numpy(),
                               _by_replication(maps, (rows, columns)),
                               atol=1e-12)


@pytest.mark.parametrize('size', [(8, 8), (6, 7), (5, 12)])
def test_holes_leave_no_trace(size):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 12, 12, generator=generator)
    valid = torch.rand(2, 12, 12, generator=generator) > 0.4
    spoilt = torch.where(valid[:, None], maps, torch.tensor(1e6))
    found, seen = masked_resize(maps, valid, size)
    other, _ = masked_resize(spoilt, valid, size)
    kept = seen[:, None].expand_as(found)
    torch.testing.assert_close(found[kept], other[kept])
    # A mean of measured places lies between them.
    assert found[kept].abs().max() <= maps.abs().max() + 1e-5


def test_a_coarser_ramp_is_not_shifted():
    ramp = torch.arange(24.0).add(0.5)[None, None, None].expand(1, 1, 24, 24)
    found, _ = masked_resize(ramp, None, (16, 16))
    centres = (torch.arange(16.0) + 0.5) * 1.5
    # Places are flat, so their mean is off a ramp's by up to a twelfth.
    assert (found[0, 0, 0] - centres).abs().max() <= 1 / 12 + 1e-5
