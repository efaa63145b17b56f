# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmskysense import SkySenseV2
from mmskysense.visualization.comparison import (
    colour_classes,
    error_map,
    overlay,
)
from mmskysense.visualization.expert_maps import expert_maps
from mmskysense.visualization.feature_colours import (
    principal_colours,
    resize_nearest,
)
from mmskysense.visualization.query_maps import (
    favourite_query,
    paint_attention,
    relative_to_uniform,
)


def test_experts_of_every_token_without_prompts():
    model = SkySenseV2('tiny', moe=dict(num_experts=4, blocks=2)).eval()
    maps = expert_maps(model, torch.rand(2, 3, 70, 96))
    assert [m.block for m in maps] == ['stages.3.blocks.0',
                                       'stages.3.blocks.1']
    for found in maps:
        assert found.choice.shape == (2, 3, 3)
        assert sum(found.shares()) == pytest.approx(1)
    recorded = [m for m in model.modules() if hasattr(m, 'record_assignment')]
    assert recorded
    assert not any(m.record_assignment for m in recorded)


def test_expert_map_follows_the_router():
    model = SkySenseV2('tiny', moe=dict(num_experts=3, blocks=1)).eval()
    mixture = model.stages[3].blocks[1].mlp
    seen = []
    mixture.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].clone()))
    found = expert_maps(model, torch.rand(1, 3, 64, 64))[0]
    expected = (seen[0] @ mixture.router.gate.weight.T).argmax(-1)
    # Four prompt tokens come first.
    torch.testing.assert_close(found.choice.flatten(), expected[0, 4:])


def test_dense_encoder_has_no_expert_map():
    with pytest.raises(ValueError, match='no mixture'):
        expert_maps(SkySenseV2('tiny').eval(), torch.rand(1, 3, 32, 32))


def test_even_attention_is_one_everywhere():
    even = torch.full((1, 2, 3, 5), 1 / 15)
    torch.testing.assert_close(relative_to_uniform(even),
                               torch.ones(1, 2, 3, 5))


def test_light_falls_where_the_query_looks():
    attention = np.zeros((4, 4))
    attention[0, 3] = 1.0
    painted = paint_attention(np.full((32, 32, 3), 100, np.uint8), attention)
    assert painted[2, 29, 0] > painted[29, 2, 0] + 100


def test_favourite_is_relative_to_each_query():
    attention = torch.tensor([[[.9, .1]], [[.6, .4]]])
    np.testing.assert_array_equal(favourite_query(attention, (2, 4)),
                                  [[0, 0, 1, 1]] * 2)


def test_equal_features_get_equal_colours():
    features = torch.randn(1, 8, 4, 4)
    features[..., 0, 0] = features[..., 3, 3]
    colours = principal_colours(features)
    np.testing.assert_array_equal(colours[0, 0, 0], colours[0, 3, 3])
    assert colours.std() > 20
    with pytest.raises(ValueError, match='at least 3'):
        principal_colours(features[:, :2])


def test_resize_repeats_pixels():
    np.testing.assert_array_equal(
        resize_nearest(np.array([[1, 2]]), (2, 4)), [[1, 1, 2, 2]] * 2)


def test_errors_are_red_and_ignored_pixels_are_not():
    image = np.full((1, 3, 3), 100, np.uint8)
    shown = error_map(image, np.array([[0, 1, 255]]), np.array([[0, 0, 0]]))
    assert (shown[0, 1] == (214, 40, 57)).all()
    assert (shown[0, 0] == shown[0, 2]).all()
    with pytest.raises(ValueError, match='must be equal'):
        error_map(image, np.zeros((2, 3)), np.zeros((1, 3)))


def test_class_colours_and_overlay():
    colours = colour_classes(np.array([[1, 255]]), [(1, 2, 3), (4, 5, 6)])
    np.testing.assert_array_equal(colours[0], [(4, 5, 6), (235, 235, 235)])
    half = overlay(np.full((1, 2, 3), 100, np.uint8),
                   np.full((1, 2, 3), 200, np.uint8), 0.5)
    assert (half == 150).all()
