# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Real runs of mmengine's Runner on the sample world."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.models import SkySenseV2
from mmskysense.registry import MODELS
from mmskysense.utils.encoder_checkpoint import package_backbone

CONFIGS = Path(__file__).resolve().parents[3] / 'configs/skysense_v2'
SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')


def config(parts, sample_world, work_dir, accumulate=1):
    """The real config with a narrower model, smaller views and few steps."""
    cfg = Config.fromfile(
        CONFIGS / 'skysense_v2_tiny-ita_1xb8-2k_sample-world.py')
    cfg.model = parts.config(SENSORS, moe=dict(num_experts=2, blocks=1))
    crop = next(step for step in cfg.train_pipeline
                if step.type.endswith('MultiCropViews'))
    crop.update(
        sizes=dict(hr_rgb=(64, 32), s2_l2a=(8, 4), s1_grd=(8, 4)),
        local_views=2, num_dates=dict(s2_l2a=2, s1_grd=1))
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.dataset.update(
        data_root=str(sample_world), pipeline=cfg.train_pipeline)
    cfg.train_cfg.max_iters = 6
    cfg.param_scheduler = []
    cfg.optim_wrapper.accumulative_counts = accumulate
    # A pace at which six iterations of the teacher are visible.
    cfg.custom_hooks[0].update(
        momentum=(0.5, 1.0), interval=2, warn_after=3,
        freeze_prototypes_iters=0, teacher_temperature_iters=4)
    cfg.default_hooks.checkpoint.update(interval=3, max_keep_ckpts=-1)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(work_dir)
    return cfg


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_run_save_resume_and_package(parts, sample_world, tmp_path):
    Runner.from_cfg(config(parts, sample_world, tmp_path / 'run')).train()
    last = weights(tmp_path / 'run/iter_6.pth')
    middle = weights(tmp_path / 'run/iter_3.pth')
    for branch in ('student', 'teacher'):
        moved = [k for k in last if k.startswith(f'{branch}.')
                 and last[k].is_floating_point()
                 and not torch.equal(last[k], middle[k])]
        assert moved, branch

    log = next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text()
    for name in ('loss_qsacl', 'loss_image', 'teacher_temperature',
                 'teacher_momentum', 'usage_entropy', 'moe_max_load'):
        assert f'"{name}"' in log, name

    # Resumed from the middle, the schedules go on where they were.
    cfg = config(parts, sample_world, tmp_path / 'resumed')
    cfg.load_from, cfg.resume = str(tmp_path / 'run/iter_3.pth'), True
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 6
    assert runner.model.teacher_temperature == pytest.approx(0.05)

    packaged = tmp_path / 'backbone.pth'
    meta = package_backbone(tmp_path / 'run/iter_6.pth', packaged)
    assert meta['iter'] == 6 and set(meta['sensors']) == set(SENSORS)
    content = torch.load(packaged, weights_only=False)
    assert all(torch.equal(value, last[f'teacher.backbone.{key}'])
               for key, value in content['state_dict'].items())
    encoder = SkySenseV2(
        parts.arch, sensors=SENSORS, moe=dict(num_experts=2, blocks=1),
        init_cfg=dict(type='Pretrained', checkpoint=str(packaged)))
    encoder.init_weights()
    assert torch.equal(encoder.state_dict()['norms.3.weight'],
                       last['teacher.backbone.norms.3.weight'])
    assert not list(tmp_path.glob('*.part'))


def test_teacher_moves_every_second_iteration_with_accumulation(
        parts, sample_world, tmp_path, monkeypatch):
    from mmskysense.models import SkySenseV2Pretrainer
    steps = []
    real = SkySenseV2Pretrainer.update_teacher

    def count(self, momentum):
        before = [p.clone() for p in self.teacher.parameters()]
        real(self, momentum)
        steps.append(momentum)
        for old, own, new in zip(before, self.teacher.parameters(),
                                 self.student.parameters(), strict=True):
            torch.testing.assert_close(
                own, momentum * old + (1 - momentum) * new)

    monkeypatch.setattr(SkySenseV2Pretrainer, 'update_teacher', count)
    Runner.from_cfg(config(parts, sample_world, tmp_path, 2)).train()
    assert len(steps) == 3


def test_a_loss_that_blows_up_stops_the_run(parts, sample_world, tmp_path,
                                            monkeypatch):
    """Stops, names the tiles of that batch, keeps the last good weights."""
    from mmskysense.models import SkySenseV2Pretrainer
    batches = []
    real, real_step = SkySenseV2Pretrainer.loss, \
        SkySenseV2Pretrainer.train_step

    def loss(self, inputs):
        losses = real(self, inputs)
        if len(batches) == 5:
            losses['loss_qsacl'] = losses['loss_qsacl'] * float('nan')
        return losses

    def step(self, data, optim_wrapper):
        batches.append([sample.tile_id for sample in data['data_samples']])
        return real_step(self, data, optim_wrapper)

    monkeypatch.setattr(SkySenseV2Pretrainer, 'loss', loss)
    monkeypatch.setattr(SkySenseV2Pretrainer, 'train_step', step)
    cfg = config(parts, sample_world, tmp_path)
    cfg.train_cfg.max_iters = 20
    with pytest.raises(FloatingPointError) as error:
        Runner.from_cfg(cfg).train()
    message = str(error.value)
    assert 'iteration 5 ' in message and ', '.join(batches[4]) in message
    # Its gradient was not stepped: iteration 5 was the last.
    assert len(batches) == 5
    assert [p.name for p in tmp_path.glob('*.pth')] == ['iter_3.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_3.pth')
    assert all(torch.isfinite(value).all()
               for value in weights(tmp_path / 'iter_3.pth').values())


def test_the_whole_method_runs_and_warms_its_terms_up(
        parts, sample_world, tmp_path):
    cfg = config(parts, sample_world, tmp_path)
    cfg.model = parts.whole(SENSORS, moe=dict(num_experts=2, blocks=1))
    cfg.model['text_head'].update(num_classes=10)
    cfg.custom_hooks[0].loss_warmup = dict(pixel=4, object=4)
    cfg.experiment_name = 'whole-method'
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    losses = {term: list(scalars[f'train/loss_{term}'].data[0])
              for term in ('qsacl', 'image', 'pixel', 'object', 'text',
                           'koleo')}
    assert all(len(values) == 6 for values in losses.values())
    # A quarter of the weight at first, all of it from the fourth on.
    assert losses['pixel'][0] < 0.5 * losses['pixel'][4]
    assert losses['object'][0] < 0.5 * losses['object'][4]


def test_the_optimiser_does_not_know_the_teacher(parts):
    from mmengine.optim import build_optim_wrapper
    cfg = Config.fromfile(
        CONFIGS / 'skysense_v2_tiny_1xb8-2k_sample-world.py')
    model = MODELS.build(parts.config(SENSORS))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = wrapper.optimizer.param_groups
    known = {id(p) for group in groups for p in group['params']}
    assert known == {id(p) for p in model.student.parameters()}
    queries = model.student['qsacl_head'].decoder.queries
    decay = [group['weight_decay'] for group in groups
             if any(p is queries for p in group['params'])]
    assert decay == [0.0]
