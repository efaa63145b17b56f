# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rotary positions: relative, and equal in metres across modalities."""

import pytest
import torch

from mmskysense.models.layers import RotaryPosition2D, rotate


def test_attention_depends_on_relative_position_only() -> None:
    rotary = RotaryPosition2D(16)
    like = torch.zeros((), dtype=torch.float64)
    cosine, sine = rotary(8, 8, 1.0, 0, like)
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def logit(place_q: tuple[int, int], place_k: tuple[int, int]) -> float:
        q, k = (place[0] * 8 + place[1] for place in (place_q, place_k))
        rotated_query = rotate(query, cosine[q:q + 1], sine[q:q + 1])
        rotated_key = rotate(key, cosine[k:k + 1], sine[k:k + 1])
        return (rotated_query * rotated_key).sum().item()

    assert logit((0, 0), (2, 3)) == pytest.approx(
        logit((4, 3), (6, 6)), rel=1e-5)
    assert logit((0, 0), (2, 3)) != pytest.approx(
        logit((0, 0), (3, 2)), rel=1e-3)


def test_norm_is_kept_and_prompts_stand_still() -> None:
    rotary = RotaryPosition2D(16)
    x = torch.randn(2, 4, 3 + 20, 16)
    turned = rotate(x, *rotary(4, 5, 1.0, 3, x))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, :3], x[:, :, :3])
    assert not torch.allclose(turned[:, :, 4:], x[:, :, 4:])


def test_spacing_makes_the_same_ground_distance_the_same_angle() -> None:
    rotary = RotaryPosition2D(16)
    coarse = rotary.angles(3, 3, 4.0, torch.device('cpu'))
    fine = rotary.angles(12, 12, 1.0, torch.device('cpu'))
    torch.testing.assert_close(coarse.view(3, 3, -1),
                               fine.view(12, 12, -1)[::4, ::4])


def test_cache_is_bounded() -> None:
    rotary = RotaryPosition2D(8)
    for size in range(1, 60):
        rotary(size, 2, 1.0, 0, torch.zeros(()))
    assert len(rotary._cache) <= 16


def test_odd_head_dims_are_refused() -> None:
    with pytest.raises(ValueError, match='head_dims=6'):
        RotaryPosition2D(6)
