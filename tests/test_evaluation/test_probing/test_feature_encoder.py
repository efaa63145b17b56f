# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmskysense.evaluation.probing import build_encoder, extract_features
from mmskysense.models import MultiModalTemporalFusion, SkySenseV2

ARCH = dict(embed_dims=16, depths=(1, 2, 1, 1), head_dims=8, window_size=4)
SENSORS = ('hr_rgb', 's2_l2a')
BACKBONE = dict(type='mmskysense.SkySenseV2', arch=ARCH, sensors=SENSORS,
                sensor='hr_rgb', out_indices=(3, ), drop_path_rate=0.5)
FUSION = dict(type='mmskysense.MultiModalTemporalFusion', in_channels=128,
              embed_dims=24, depth=1, num_heads=2, sensors=SENSORS)
CONFIGS = dict(
    pretraining=Config(dict(model=dict(
        type='mmskysense.SkySenseV2Pretrainer', backbone=BACKBONE,
        fusion=FUSION))),
    downstream=Config(dict(default_scope='mmskysense', model=dict(
        type='Anything', backbone=BACKBONE))),
    backbone=Config(dict(backbone=BACKBONE)),
    model=Config(dict(model=BACKBONE)))


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32)


def random_weights(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module.eval()


@pytest.fixture
def branches(tmp_path):
    """Two branches with other weights, and their checkpoint."""
    parts, state = {}, {}
    for branch in ('student', 'teacher'):
        parts[branch] = dict(
            backbone=random_weights(SkySenseV2(
                ARCH, sensors=SENSORS, sensor='hr_rgb', out_indices=(3, ))),
            fusion=random_weights(MultiModalTemporalFusion(
                **{k: v for k, v in FUSION.items() if k != 'type'})))
        for name, part in parts[branch].items():
            state.update({f'{branch}.{name}.{key}': value
                          for key, value in part.state_dict().items()})
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(state_dict=state), path)
    return parts, path


@pytest.mark.parametrize('kind', CONFIGS)
def test_any_config_gives_the_same_features(kind, images, branches):
    parts, path = branches
    encoder, preprocessor = build_encoder(CONFIGS[kind], path)
    expected = parts['teacher']['backbone'](images)[-1].mean((2, 3))
    torch.testing.assert_close(encoder(images)['last'], expected)
    assert preprocessor.sensor.name == 'hr_rgb'
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize('branch', ['student', 'teacher'])
def test_branches_and_fused_features(branch, images, branches):
    parts, path = branches
    own = parts[branch]
    encoder, _ = build_encoder(CONFIGS['pretraining'], path, branch, 'fused')
    level = own['backbone'](images)[-1]
    expected = own['fusion']({'hr_rgb': level[:, None]})
    torch.testing.assert_close(encoder(images)['fused'],
                               expected.mean((2, 3)))
    encoder, _ = build_encoder(CONFIGS['pretraining'], path, branch)
    torch.testing.assert_close(encoder(images)['last'], level.mean((2, 3)))


def test_blocks_and_stages(images, branches):
    parts, path = branches
    backbone = parts['teacher']['backbone']
    blocks, _ = build_encoder(CONFIGS['backbone'], path, features='blocks',
                              blocks=(0, -1))
    found = blocks(images)
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        'block 0': (3, 16), 'block 4': (3, 128)}
    # Written out: tokenizer, the only block of stage 1, layer norm, mean.
    tokens = backbone.stages[0](backbone.tokenizers['hr_rgb'](images),
                                'hr_rgb', 1.0)
    tokens = (tokens - tokens.mean(-1, keepdim=True)) / torch.sqrt(
        tokens.var(-1, unbiased=False, keepdim=True) + 1e-5)
    torch.testing.assert_close(found['block 0'], tokens.mean((1, 2)))
    stages, _ = build_encoder(CONFIGS['backbone'], path, features='stages')
    by_stage = stages(images)
    assert list(by_stage) == [f'stage {i}' for i in range(4)]
    # Prompts are not part of a block's mean, and not of its stage's.
    torch.testing.assert_close(by_stage['stage 3'], found['block 4'])
    everything, _ = build_encoder(CONFIGS['backbone'], path,
                                  features='blocks')
    assert len(everything(images)) == 5
    assert stages.dense(images).shape == (3, 16 + 32 + 64 + 128, 8, 8)
    with pytest.raises(ValueError, match='no map'):
        blocks.dense(images)


@pytest.mark.parametrize('features', ['last', 'fused', 'stages', 'blocks'])
def test_deviation_beside_the_mean(features, images, branches):
    _, path = branches
    plain, both = (
        build_encoder(CONFIGS['pretraining'], path, features=features,
                      pooling=pooling)[0]
        for pooling in ('mean', 'mean_deviation'))
    # 64 px: more than one place in the last map.
    images = torch.nn.functional.interpolate(images, (64, 64))
    means, found = plain(images), both(images)
    assert list(found) == list(means)
    for name, mean in means.items():
        torch.testing.assert_close(found[name][:, :mean.shape[1]], mean)
    if features in ('last', 'fused'):
        level = both.dense(images).detach().flatten(2).double().numpy()
        np.testing.assert_allclose(
            found[features][:, level.shape[1]:].numpy(), level.std(2),
            rtol=1e-4, atol=1e-5)
    # An even image varies nowhere in the first, local, blocks.
    if features == 'blocks':
        even = both(torch.ones(1, 3, 64, 64))['block 0']
        assert even[:, 16:].max() < 1e-3 < found['block 0'][:, 16:].min()
    single = both(images[..., :16, :16])
    assert all(torch.isfinite(value).all() for value in single.values())


def test_dense_maps_of_several_sensors(images, branches):
    _, path = branches
    encoder, _ = build_encoder(CONFIGS['pretraining'], path)
    series = dict(hr_rgb=images[:, None], s2_l2a=torch.randn(3, 2, 10, 8, 8))
    # 32 px at 32 px a token, 8 px of 10 m at 4 px a token: 1x1 and 2x2.
    assert encoder.dense(series).shape == (3, 256, 2, 2)


def test_random_weights_by_seed(images):
    first, again, other = (
        build_encoder(CONFIGS['backbone'], seed=seed)[0](images)['last']
        for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_encoder(CONFIGS['backbone'], seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_another_sensor_and_own_statistics():
    config = Config(dict(model=dict(
        backbone=BACKBONE, data_preprocessor=dict(
            type='mmskysense.MultiSensorDataPreprocessor',
            mean=[1., 2., 3.], std=[1., 1., 1.]))))
    _, preprocessor = build_encoder(config)
    pixels = preprocessor.normalize(torch.full((3, 2, 2), 3.0),
                                    preprocessor.sensor)
    assert pixels[:, 0, 0].tolist() == [2, 1, 0]
    encoder, preprocessor = build_encoder(CONFIGS['backbone'],
                                          sensor='s2_l2a')
    assert preprocessor.sensor.name == 's2_l2a'
    assert encoder(torch.randn(2, 10, 16, 16))['last'].shape == (2, 128)


def test_extraction_keeps_order_and_type(images, branches):
    _, path = branches
    encoder, _ = build_encoder(CONFIGS['backbone'], path)
    whole = encoder(images)['last']
    found = extract_features(encoder, images.split(2))['last']
    torch.testing.assert_close(found, whole)
    half = extract_features(encoder, images.split(2), bfloat16=True)['last']
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half, whole).min() > 0.99
    with pytest.raises(ValueError, match='no image'):
        extract_features(encoder, [])


def test_refusals(tmp_path, branches):
    _, path = branches
    small = Config(dict(backbone={**BACKBONE, 'arch': {**ARCH,
                                                       'embed_dims': 8}}))
    plain = tmp_path / 'plain.pth'
    torch.save({k: v for k, v in SkySenseV2(
        ARCH, sensors=SENSORS, sensor='hr_rgb', out_indices=(3, )
    ).state_dict().items()}, plain)
    config = CONFIGS['pretraining']
    for arguments, message in (
        (dict(config=Config(dict(model=dict(type='x')))), 'model.backbone'),
        (dict(config=config, branch='ema'), "branch='ema'"),
        (dict(config=config, sensor='s1_grd'), "sensor 's1_grd'"),
        (dict(config=config, features='first'), "features='first'"),
        (dict(config=config, pooling='max'), "pooling='max'"),
        (dict(config=CONFIGS['backbone'], features='fused'), 'model.fusion'),
        (dict(config=config, features='blocks', blocks=(9, )), 'block 9'),
        (dict(config=small, checkpoint=path), 'another size'),
        (dict(config=config, checkpoint=plain, branch='student'),
         'student.backbone'),
        (dict(config=config, checkpoint=plain, features='fused'),
         'teacher.fusion'),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            build_encoder(**arguments)
        assert '\n' not in str(caught.value)
