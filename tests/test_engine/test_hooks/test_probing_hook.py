# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""ProbingHook in mmengine's own Runner."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import nn

from mmskysense.engine.hooks import ProbingHook
from mmskysense.models import SkySenseV2
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.registry import MODELS

ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)


class TwoBranches(BaseModel):
    """The least that has a student and a teacher; dropout draws numbers."""

    def __init__(self, sensors=('hr_rgb', )):
        super().__init__(MultiSensorDataPreprocessor(sensors=sensors))
        self.student, self.teacher = (
            nn.ModuleDict(dict(backbone=SkySenseV2(
                ARCH, sensors=sensors, sensor=sensors[0],
                out_indices=(3, ), drop_path_rate=0.5))) for _ in range(2))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)

    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, inputs, data_samples=None, mode='loss'):
        level = self.student['backbone'](inputs)[-1]
        return dict(loss=level.square().mean())


class OneBackbone(BaseModel):

    def __init__(self):
        super().__init__(MultiSensorDataPreprocessor())
        self.backbone = SkySenseV2(ARCH, out_indices=(3, ))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.backbone(inputs)[-1].square().mean())


@pytest.fixture
def scenes(tmp_path):
    """Dark and bright images, in lists of 8 and of 4."""
    random = np.random.default_rng(0)
    lists = dict(train=[], test=[])
    for name, level in (('Bright', 210), ('Dark', 40)):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = random.normal(level, 20, (16, 16, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / name / f'{number}.png')
            lists['train' if number < 4 else 'test'].append(
                f'{name}/{number}.png')
    for part, lines in lists.items():
        (tmp_path / f'{part}.txt').write_text('\n'.join(lines))
    return dict(data_root=str(tmp_path),
                train_list=str(tmp_path / 'train.txt'),
                test_list=str(tmp_path / 'test.txt'))


def train(work_dir, hooks, model=None, iterations=5):
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(False)
    data = [dict(inputs=torch.rand(3, 16, 16) * 255) for _ in range(8)]
    runner = Runner(
        model or TwoBranches(), str(work_dir),
        train_dataloader=dict(
            batch_size=2, num_workers=0, dataset=data,
            sampler=dict(type='InfiniteSampler', shuffle=True, seed=0),
            collate_fn=dict(type='pseudo_collate')),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=hooks, default_scope='mmskysense',
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=0),
        # Runs of one name in one second would share their history.
        experiment_name=f'{work_dir.parent.name}-{work_dir.name}')
    runner.train()
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text()
    return runner, [json.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize('branch', ['teacher', 'student'])
def test_probes_at_start_at_interval_and_at_the_end(tmp_path, scenes,
                                                    branch):
    hook = dict(type='mmskysense.ProbingHook', interval=2, branch=branch,
                k=3, **scenes)
    runner, lines = train(tmp_path / 'run', [hook])
    found = {line['step']: line['probe/knn_top1'] for line in lines
             if 'probe/knn_top1' in line}
    assert list(found) == [0, 2, 4, 5]
    # Dark and bright are told apart by any encoder.
    assert set(found.values()) == {1.0}
    history = runner.message_hub.get_scalar('probe/knn_top1').data[0]
    assert list(history) == list(found.values())


def test_training_is_the_same_with_and_without(tmp_path, scenes):
    hook = ProbingHook(interval=1, branch='student', **scenes)
    probed, with_hook = train(tmp_path / 'with', [hook])
    plain, without = train(tmp_path / 'without', [])
    losses = [[line['loss'] for line in lines if 'loss' in line]
              for lines in (with_hook, without)]
    assert len(losses[0]) == 5 and losses[0] == losses[1]
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, probed.model.state_dict()[name]), name
    assert probed.model.student.training
    assert all(p.requires_grad for p in probed.model.student.parameters())


def test_data_set_configs_a_plain_model_and_a_limit(tmp_path, scenes):
    def dataset(split):
        return dict(type='mmskysense.SceneDataset',
                    ann_file=scenes[f'{split}_list'],
                    data_prefix=scenes['data_root'],
                    metainfo=dict(classes=('Bright', 'Dark')))

    hook = ProbingHook(train=dataset('train'), test=dataset('test'),
                       at_start=False, max_images=2, k=1, features='stages')
    _, lines = train(tmp_path / 'run', [hook], OneBackbone(), 2)
    steps = [line['step'] for line in lines if 'probe/knn_top1' in line]
    assert steps == [2]
    assert [len(part) for part in hook._images.values()] == [2, 2]


def test_a_sensor_other_than_the_encoders_own(tmp_path, scenes):
    class Series(TwoBranches):
        def forward(self, inputs, data_samples=None, mode='loss'):
            inputs = torch.rand(2, 1, 10, 8, 8)
            maps = self.student['backbone'](dict(s2_l2a=inputs))
            return dict(loss=maps['s2_l2a'][-1].square().mean())

    # The images are RGB, the encoder's plain sensor is Sentinel-2.
    hook = ProbingHook(sensor='hr_rgb', **scenes)
    model = Series(('s2_l2a', 'hr_rgb'))
    model.data_preprocessor.forward = lambda data, training: dict(
        inputs=data['inputs'])
    _, lines = train(tmp_path / 'run', [hook], model, 1)
    assert [line['probe/knn_top1'] for line in lines
            if 'probe/knn_top1' in line] == [1.0, 1.0]


def test_the_pretrainers_fused_features():
    sensors = ('s2_l2a', 'hr_rgb')
    model = MODELS.build(dict(
        type='mmskysense.SkySenseV2Pretrainer',
        backbone=dict(type='mmskysense.SkySenseV2', arch=ARCH,
                      sensors=sensors, sensor='s2_l2a', out_indices=(3, )),
        fusion=dict(type='mmskysense.MultiModalTemporalFusion',
                    in_channels=128, embed_dims=24, depth=1, num_heads=2,
                    sensors=sensors),
        qsacl_head=dict(type='mmskysense.QSACLHead', in_channels=24,
                        num_queries=2, num_heads=2, num_prototypes=8,
                        hidden_channels=8, bottleneck_channels=4),
        data_preprocessor=dict(type='mmskysense.MultiSensorDataPreprocessor',
                               sensors=sensors)))
    model.init_weights()
    hook = ProbingHook('root', 'train.txt', 'test.txt', features='fused',
                       sensor='hr_rgb')
    encoder, _ = hook._encoder(SimpleNamespace(model=model))
    images = torch.randn(2, 3, 32, 32)
    expected = model.eval()(dict(hr_rgb=images[:, None]), mode='tensor')
    torch.testing.assert_close(encoder(images)['fused'],
                               expected['fused'].mean((2, 3)))
    hook = ProbingHook('root', 'train.txt', 'test.txt', features='fused',
                       sensor='hr_rgb', pooling='mean_deviation',
                       standardise=True)
    encoder, _ = hook._encoder(SimpleNamespace(model=model))
    torch.testing.assert_close(
        encoder(images)['fused'],
        torch.cat([expected['fused'].mean((2, 3)),
                   expected['fused'].flatten(2).std(2, correction=0)], 1))
    assert hook.options.standardise


def test_features_that_are_not_finite_stop_the_run(tmp_path, scenes):
    model = TwoBranches()
    with torch.no_grad():
        model.teacher['backbone'].norms['3'].weight.fill_(float('nan'))
    with pytest.raises(FloatingPointError, match='iteration 0.*not finite'):
        train(tmp_path / 'run', [ProbingHook(**scenes)], model, 1)


def test_refusals(tmp_path, scenes):
    for arguments, message in (
        (dict(), 'expected either'),
        (dict(scenes, train=dict(), test=dict()), 'expected either'),
        (dict(data_root='x', train=dict(), test=None), 'expected either'),
        (dict(scenes, interval=0), 'at least 1'),
        (dict(scenes, branch='ema'), "branch='ema'"),
    ):
        with pytest.raises(ValueError, match=message):
            ProbingHook(**arguments)
    with pytest.raises(ValueError, match='training and in the'):
        train(tmp_path / 'overlap', [ProbingHook(
            **{**scenes, 'test_list': scenes['train_list']})], None, 1)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        train(tmp_path / 'missing', [ProbingHook(
            **{**scenes, 'train_list': 'nowhere.txt'})], None, 1)
    for options, error in ((dict(sensor='sentinel9'), KeyError),
                           (dict(features='stagez'), ValueError),
                           (dict(pooling='max'), ValueError)):
        name, = options.values()
        # Before the first iteration, not at the first probe.
        with pytest.raises(error, match=name):
            train(tmp_path / name, [ProbingHook(
                **scenes, interval=100, at_start=False, **options)], None, 1)
