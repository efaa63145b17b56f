# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The encoder: sizes, shapes, drop-in behaviour, failure paths."""

import pytest
import torch

from mmskysense import SkySenseV2
from mmskysense.models.backbones import ARCHITECTURES
from mmskysense.registry import MODELS
from mmskysense.sensors import get_sensor

ALL = ('hr_rgb', 's2_l2a', 's1_grd')
SMALLEST = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)


def _count(model: torch.nn.Module, *without: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters()
               if not any(word in name for word in without))


def _on_meta(*args, **kwargs) -> SkySenseV2:
    with torch.device('meta'):
        return SkySenseV2(*args, **kwargs)


@pytest.fixture(scope='module')
def tiny() -> SkySenseV2:
    torch.manual_seed(0)
    model = SkySenseV2('tiny', sensors=ALL, moe=dict(num_experts=4, blocks=3))
    model.init_weights()
    return model


def test_huge_is_the_papers_size() -> None:
    dense = _on_meta('huge', sensors=ALL)
    per_sensor = ('tokenizers', 'prompts')
    # Spec section 1: 654.70M; LayerScale (ours) may add 0.06M.
    assert round(_count(dense, *per_sensor, '.scale') / 1e6, 1) == 654.7
    assert _count(dense) - _count(dense, '.scale') == 61952
    tokenizers = _count(dense) - _count(dense, 'tokenizers')
    assert round(tokenizers / 1e6, 2) == 0.09
    mixture = _on_meta(
        'huge', sensors=ALL, moe=dict(num_experts=8, top_k=1, blocks=6))
    assert _count(mixture) - _count(dense) == 1_332_700_160


@pytest.mark.parametrize('name,millions', [
    ('tiny', (4.5, 5.5)), ('small', (25, 30)), ('base', (80, 92)),
    ('large', (185, 200)), ('huge', (654, 656))])
def test_sizes(name: str, millions: tuple[float, float]) -> None:
    model = _on_meta(name)
    assert millions[0] * 1e6 < _count(model) < millions[1] * 1e6
    assert model.out_channels == ARCHITECTURES[name].widths


@pytest.mark.parametrize('arch', list(ARCHITECTURES))
@pytest.mark.parametrize('size', [(64, 64), (70, 33), (4, 4), (1, 3)])
def test_shapes_of_every_size(arch: str, size: tuple[int, int]) -> None:
    model = _on_meta(arch, sensors=ALL, moe=None)
    for sensor in ALL:
        image = torch.empty(1, 2, get_sensor(sensor).num_bands, *size,
                            device='meta')
        maps = model({sensor: image})[sensor]
        for index, level in enumerate(maps):
            stride = model.stride(index, sensor)
            assert stride == (4 * 2**index if sensor == 'hr_rgb' else 4)
            expected = [-(-side // stride) for side in size]
            assert list(level.shape) == [
                1, 2, model.out_channels[index], *expected]


def test_series_equals_single_images(tiny: SkySenseV2) -> None:
    tiny.eval()
    series = torch.randn(2, 3, 3, 40, 36)
    with torch.no_grad():
        together = tiny({'hr_rgb': series})['hr_rgb']
        for n in range(2):
            for t in range(3):
                alone = tiny(series[n, t][None])
                for level, expected in zip(together, alone, strict=True):
                    torch.testing.assert_close(level[n, t], expected[0],
                                               atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('merge,strides', [
    (None, (4, 8, 16, 32)), ((2, 3, 4), (4, 8, 16, 32)),
    ((2, 3), (4, 8, 16, 16)), ((2, ), (4, 8, 8, 8)), ((), (4, 4, 4, 4)),
    ({'hr_rgb': (4, )}, (4, 4, 4, 8))])
def test_merging_transitions_are_a_choice(merge, strides) -> None:
    model = SkySenseV2(SMALLEST, merge=merge).eval()
    sides = [level.shape[-1] for level in model(torch.randn(1, 3, 64, 64))]
    assert sides == [64 // stride for stride in strides]


def test_all_modalities_share_all_block_weights(tiny: SkySenseV2) -> None:
    own = {name for name, _ in tiny.named_parameters()
           if tiny.sensor_of_parameter(name)}
    assert own and all(
        name.startswith('tokenizers') or '.prompts.' in name for name in own)
    tiny.train()
    tiny.zero_grad()
    maps = tiny(torch.randn(1, 3, 32, 32))
    sum(level.square().sum() for level in maps).backward()
    for name, parameter in tiny.named_parameters():
        owner = tiny.sensor_of_parameter(name)
        assert parameter.grad is not None, name
        if owner not in (None, 'hr_rgb'):
            assert parameter.grad.abs().sum() == 0, name


@pytest.mark.parametrize('sensors', [('s2_l2a', ), ('s1_grd', 'hr_rgb'), ALL])
@pytest.mark.parametrize('out_indices', [(0, 1, 2, 3), (1, 2), (3, )])
def test_no_unused_parameters(sensors, out_indices) -> None:
    model = SkySenseV2(SMALLEST, sensors=ALL, out_indices=out_indices,
                       moe=dict(num_experts=2, blocks=2)
                       if 3 in out_indices else None)
    maps = model({
        sensor: torch.randn(1, 1, get_sensor(sensor).num_bands, 16, 16)
        for sensor in sensors
    })
    sum(level.sum() for levels in maps.values() for level in levels).backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert not unused


def test_absent_sensor_is_left_out(tiny: SkySenseV2) -> None:
    maps = tiny({'hr_rgb': torch.randn(1, 1, 3, 8, 8),
                 's1_grd': torch.randn(1, 0, 2, 8, 8)})
    assert set(maps) == {'hr_rgb'}


def test_prompts_matter_and_can_be_off() -> None:
    torch.manual_seed(0)
    model = SkySenseV2(SMALLEST, layer_scale=1.0).eval()
    x = torch.randn(1, 3, 32, 32)
    before = model(x)[3]
    with torch.no_grad():
        model.stages[3].prompts.tokens['hr_rgb'].add_(1.0)
    assert not torch.allclose(before, model(x)[3])
    off = SkySenseV2(SMALLEST, num_prompts=0)
    assert not [n for n, _ in off.named_parameters() if 'prompts' in n]
    assert off(x)[3].shape == before.shape


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = SkySenseV2(SMALLEST, with_cp=with_cp,
                           moe=dict(num_experts=2, blocks=2))
        model.train()
        model(torch.ones(1, 3, 40, 40))[-1].square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 3, 4])
def test_frozen_stages(frozen: int) -> None:
    model = SkySenseV2(SMALLEST, frozen_stages=frozen, drop_path_rate=0.5)
    model.train()
    for index, stage in enumerate(model.stages):
        expected = index + 1 > frozen
        assert stage.training == expected
        assert all(p.requires_grad == expected for p in stage.parameters())
    for index, merging in enumerate(model.mergings):
        assert merging.reduction.weight.requires_grad == (index + 2 > frozen)
    assert all(p.requires_grad == (frozen < 0)
               for p in model.tokenizers.parameters())


@pytest.mark.parametrize('position', ['rotary', 'rotary_metres', 'none'])
def test_positions(position: str) -> None:
    torch.manual_seed(0)
    model = SkySenseV2(SMALLEST, sensors=ALL, position=position,
                       layer_scale=1.0).eval()
    maps = model({'hr_rgb': torch.randn(1, 1, 3, 64, 64),
                  's1_grd': torch.randn(1, 1, 2, 16, 16)})
    assert all(level.isfinite().all()
               for levels in maps.values() for level in levels)


def test_positions_in_metres_follow_merging_and_sensor() -> None:
    """The same ground distance is the same angle whatever the stride."""
    model = SkySenseV2(SMALLEST, sensors=ALL, position='rotary_metres',
                       merge={'hr_rgb': (2, 3), 's2_l2a': (4, )})
    seen: dict[tuple[int, str], float] = {}
    for index in (2, 3):
        stage = model.stages[index]

        def spy(x, sensor, spacing, index=index, stage=stage):
            seen[index, sensor] = spacing
            return type(stage).forward(stage, x, sensor, spacing)

        stage.forward = spy
    model({'hr_rgb': torch.randn(1, 1, 3, 64, 64),
           's2_l2a': torch.randn(1, 1, 10, 16, 16)})
    for (index, sensor), spacing in seen.items():
        metres = (model.stride(index, sensor) *
                  get_sensor(sensor).ground_sample_distance)
        assert spacing == pytest.approx(metres / 10.0), (index, sensor)
    assert len(seen) == 4


def test_out_indices_are_sorted() -> None:
    model = SkySenseV2('tiny', out_indices=(3, 0))
    maps = model(torch.randn(1, 3, 32, 32))
    assert model.out_channels == (48, 384)
    assert tuple(level.shape[1] for level in maps) == (48, 384)


def test_ema_swap_changes_the_output() -> None:
    """mmengine's EMAHook writes through .data, past autograd's versions."""
    model = SkySenseV2(SMALLEST).eval()
    for norm in (model.stages[0].blocks[0].norm1, ):
        torch.nn.init.ones_(norm.weight)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)[0]
        bias = model.stages[0].blocks[0].attn.cpb_mlp
        bias[2].weight.data.copy_(10 * torch.randn_like(bias[2].weight))
        model.eval()  # as mmengine's loops do after the swap
        assert not torch.allclose(before, model(x)[0])


def test_drop_path_grows_with_depth() -> None:
    model = SkySenseV2('tiny', drop_path_rate=0.7)
    rates = [block.drop_path.drop_prob
             for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])


def test_layers_for_learning_rate_decay(tiny: SkySenseV2) -> None:
    depths = {name: tiny.get_layer_depth('backbone.' + name, 'backbone.')
              for name, _ in tiny.named_parameters()}
    assert {total for _, total in depths.values()} == {10}
    assert depths['tokenizers.s1_grd.norm.bias'][0] == 0
    assert depths['stages.0.blocks.1.mlp.fc1.weight'][0] == 2
    assert depths['mergings.0.reduction.weight'][0] == 3
    assert depths['stages.2.prompts.tokens.hr_rgb'][0] == 5
    assert depths['stages.3.blocks.1.mlp.router.gate.weight'][0] == 8
    assert depths['norms.3.weight'][0] == 8
    assert tiny.get_layer_depth('decode_head.x', 'backbone.') == (9, 10)


def test_registered_under_its_scope() -> None:
    import mmengine
    model = mmengine.registry.MODELS.build(
        dict(type='mmskysense.SkySenseV2', arch='tiny'))
    assert isinstance(model, SkySenseV2)
    assert MODELS.get('SkySenseV2') is SkySenseV2


@pytest.mark.parametrize('sensor', ALL)
def test_patches_without_data_do_not_blow_the_gradient_up(sensor) -> None:
    """Invalid pixels are zero after normalisation, whole patches of them."""
    norms = {}
    for empty in (False, True):
        torch.manual_seed(0)
        model = SkySenseV2('tiny', sensor=sensor)
        model.init_weights()
        image = torch.randn(2, get_sensor(sensor).num_bands, 32, 32)
        if empty:
            image[:, :, :24] = 0
            image[1] = 0
        maps = model(image)
        weight = torch.randn_like(maps[3])
        (maps[3] * weight).sum().backward()
        norms[empty] = torch.stack([
            p.grad.norm() for p in model.parameters() if p.grad is not None
        ]).norm().item()
    assert norms[True] < 20 * norms[False]


def test_bfloat16_autocast_is_close(tiny: SkySenseV2) -> None:
    tiny.eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        exact = tiny(x)[3]
        with torch.autocast('cpu', torch.bfloat16):
            rounded = tiny(x)[3]
    error = (exact - rounded.float()).norm() / exact.norm()
    assert error < 0.05


@pytest.mark.parametrize('arguments,message', [
    (dict(arch='giant'), "arch='giant'"),
    (dict(arch=dict(embed_dims=48)), 'depths'),
    (dict(arch=dict(embed_dims=50, depths=(1, 1, 1, 1))), 'embed_dims=50'),
    (dict(arch='tiny', sensor='s2_l2a', sensors=('hr_rgb', )), 'add it'),
    (dict(arch='tiny', merge=(1, )), r'merge=\(1,\)'),
    (dict(arch='tiny', merge={'hr_rbg': (2, )}), "merge names .'hr_rbg'."),
    (dict(arch='tiny', position='learned'), 'position'),
    (dict(arch='tiny', out_indices=(4, )), 'out_indices'),
    (dict(arch='tiny', frozen_stages=7), 'frozen_stages=7'),
    (dict(arch='tiny', moe=dict(blocks=6)), 'moe.blocks=6'),
    (dict(arch='tiny', linear_init='xavier'), "linear_init='xavier'"),
    (dict(arch='tiny', post_norm_scale=-1.0), 'post_norm_scale=-1.0'),
])
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SkySenseV2(**arguments)


def test_unknown_sensor_is_named() -> None:
    with pytest.raises(KeyError, match='hr_rgb, s2_l2a, s1_grd'):
        SkySenseV2('tiny', sensor='quickbird')


@pytest.mark.parametrize('inputs,message', [
    (torch.zeros(1, 10, 8, 8), 'C = 3 bands'),
    (torch.zeros(3, 8, 8), r'\(N, C, H, W\)'),
    (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 'normalised'),
    (torch.zeros(1, 3, 0, 8), 'shape'),
    ({'s2_l2a': torch.zeros(1, 10, 8, 8)}, r'\(N, T, C, H, W\)'),
    ({'dem': torch.zeros(1, 1, 1, 8, 8)}, "sensor 'dem'"),
    ({'hr_rgb': torch.zeros(1, 0, 3, 8, 8)}, 'every sensor is absent'),
])
def test_bad_inputs_are_named(tiny: SkySenseV2, inputs, message) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(inputs)


def test_trains_after_inference_mode():
    """What is cached under inference mode must not reach autograd."""
    model = SkySenseV2('tiny')
    image = torch.randn(1, 3, 72, 72)  # padded and shifted windows
    with torch.inference_mode():
        model.eval()(image)
    model.train()
    sum(level.sum() for level in model(image)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_checkpoint_without_a_type_is_loaded(tmp_path):
    """As --cfg-options model.backbone.init_cfg.checkpoint=FILE gives it."""
    source = SkySenseV2('tiny')
    source.init_weights()
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'encoder.pth')
    model = SkySenseV2(
        'tiny', init_cfg=dict(checkpoint=str(tmp_path / 'encoder.pth')))
    model.init_weights()
    for name, value in source.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value)


@pytest.mark.parametrize('init_cfg', [
    dict(type='Pretraned', checkpoint='encoder.pth'),
    dict(type='TruncNormal', std=0.02), dict(type='Pretrained'), {},
    [dict(type='Pretrained', checkpoint='encoder.pth')]])
def test_another_initialisation_is_refused(init_cfg):
    with pytest.raises(ValueError, match='init_cfg: expected dict'):
        SkySenseV2('tiny', init_cfg=init_cfg)


def test_encoders_start_as_swin_v2_or_by_fan() -> None:
    torch.manual_seed(0)
    usual, other = (SkySenseV2('tiny', **options) for options in (
        {}, dict(linear_init='glorot', post_norm_scale=0.5)))
    for model in usual, other:
        model.init_weights()
    image = torch.randn(1, 3, 64, 64)
    first = usual.tokenizers['hr_rgb'](image)
    assert torch.equal(usual.stages[0](first, 'hr_rgb', 1.0), first)
    first = other.tokenizers['hr_rgb'](image)
    assert not torch.allclose(
        other.stages[0](first, 'hr_rgb', 1.0), first, atol=0.1)
    # Uniform in +-sqrt(6 / (fan_in + fan_out)), deviation sqrt(2 / ...).
    for model, deviation in (usual, 0.02), (other, (2 / (48 + 192))**0.5):
        weight = model.stages[0].blocks[0].mlp.fc1.weight
        assert weight.std().item() == pytest.approx(deviation, rel=0.15)
    for stage in other.stages[2:]:
        assert (stage.blocks[0].norm1.weight == 1).all()
    assert (other.stages[1].blocks[1].norm2.weight == 0.5).all()
