# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the fine-tuning page promises: merges, flips, averaged weights."""

import math
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
from downstream import CONFIGS, shrink, write_flood_chips

from mmskysense import SkySenseV2
from mmskysense.engine import use_test_time_augmentation

UPERNET = 'configs/segmentation/skysense_v2_tiny_upernet_1xb4-2k_' \
    'sample-world-256x256.py'
CLASSIFIER = 'configs/classification/skysense_v2_tiny_finetune_1xb32-2k_' \
    'sample-world-64x64.py'
EMA = UPERNET.replace('upernet', 'upernet-ema')
HOSTS = dict(
    segmentation='mmseg', classification='mmpretrain', detection='mmdet')
# The smallest encoder of the tiny one's widths.
SHALLOW = dict(embed_dims=48, depths=(1, 1, 1, 1), head_dims=16)


@pytest.fixture
def small(request, sample_world, tmp_path):
    """A function that makes a config small, on data that it can read."""

    def make(name, iterations=2):
        pytest.importorskip(HOSTS[name.split('/')[1]])
        if 'lora' in name:
            pytest.importorskip('peft')
        root = write_flood_chips(tmp_path / 'flood') if 'flood' in name \
            else sample_world
        cfg = shrink(name, root, tmp_path / 'work', iterations)
        cfg.model.backbone.arch = SHALLOW
        return cfg

    return make


@pytest.mark.parametrize('merge,strides', [
    ((2, 3, 4), (4, 8, 16, 32)), ((2, 3), (4, 8, 16, 16)),
    ((2, ), (4, 8, 8, 8)), ((), (4, 4, 4, 4))])
def test_upernet_trains_and_validates_with_each_merge(small, merge, strides):
    cfg = small(UPERNET)
    cfg.model.backbone['merge'] = merge
    runner = Runner.from_cfg(cfg)
    backbone = runner.model.backbone
    assert tuple(backbone.stride(i) for i in range(4)) == strides
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    assert math.isfinite(runner.message_hub.get_scalar('val/mIoU').current())


# mmdet merges boxes, not masks: refused, a test of the engine.
@pytest.mark.parametrize('name', [c for c in CONFIGS if 'mask-rcnn' not in c])
def test_every_config_tests_with_flips(name, small):
    cfg = small(name)
    use_test_time_augmentation(cfg)
    runner = Runner.from_cfg(cfg)
    scores = runner.test()
    assert scores and all(math.isfinite(s) for s in scores.values())
    batch = next(iter(runner.test_dataloader))
    assert [len(samples) for samples in batch['data_samples']] == \
        [len(batch['data_samples'][0])] * 3


def test_probabilities_of_the_views_are_averaged(small):
    cfg = small(UPERNET)
    use_test_time_augmentation(cfg)
    runner = Runner.from_cfg(cfg)
    batch = next(iter(runner.test_dataloader))
    runner.model.eval()
    merged, = runner.model.test_step(batch)
    plain = runner.model.module
    image = plain.data_preprocessor(
        dict(inputs=batch['inputs'][0], data_samples=None))['inputs']
    ways = {None: image, 'horizontal': image.flip(3),
            'vertical': image.flip(2)}
    total = 0
    with torch.no_grad():
        for (way, pixels), shown in zip(ways.items(), batch['inputs'],
                                        strict=True):
            # The pipeline's views are those flips.
            seen = plain.data_preprocessor(
                dict(inputs=shown, data_samples=None))['inputs']
            torch.testing.assert_close(seen, pixels)
            logits = plain(pixels, mode='tensor')
            logits = torch.nn.functional.interpolate(
                logits, pixels.shape[2:], mode='bilinear')
            chances = logits.softmax(1)[0]
            axis = dict(horizontal=2, vertical=1).get(way)
            total += chances if axis is None else chances.flip(axis)
    expected, found = total.argmax(0), merged.pred_sem_seg.data
    assert (expected == found).float().mean() > 0.999
    # The truth is that of the image as it is.
    torch.testing.assert_close(
        merged.gt_sem_seg.data, batch['data_samples'][0][0].gt_sem_seg.data)


class Recorder(Hook):
    """Keeps the trained weights after each step."""

    def __init__(self):
        self.trained = []

    def after_train_iter(self, runner, *args, **kwargs):
        self.trained.append({
            name: value.detach().clone()
            for name, value in runner.model.state_dict().items()})


def test_averaged_weights_are_validated_kept_and_tested(small):
    cfg = small(EMA, iterations=3)
    cfg.custom_hooks[0].momentum = 0.25
    cfg.optim_wrapper.optimizer.lr = 1e-2
    # Validation on the data of the test, to compare both.
    cfg.val_dataloader = cfg.test_dataloader
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    # After the optimiser, before the average is taken.
    runner.register_hook(recorder, priority='VERY_HIGH')
    runner.train()
    first, second, last = recorder.trained
    checkpoint = torch.load(Path(cfg.work_dir) / 'iter_3.pth',
                            weights_only=False)
    moved = 0
    for name, value in checkpoint['state_dict'].items():
        if not value.is_floating_point():
            continue
        expected = 0.75 * (0.75 * first[name] + 0.25 * second[name]) \
            + 0.25 * last[name]
        torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(
            checkpoint['ema_state_dict'][f'module.{name}'], last[name])
        moved += not torch.allclose(expected, last[name])
    assert moved > 50
    validated = runner.message_hub.get_scalar('val/mIoU').current()
    # A fresh model has no position bias left over from the other weights.
    fresh = small_again(cfg)
    fresh.load_from = str(Path(cfg.work_dir) / 'iter_3.pth')
    assert Runner.from_cfg(fresh).test()['mIoU'] == pytest.approx(validated)


def small_again(cfg):
    """The same config for a second run in this process."""
    again = cfg.copy()
    again.custom_hooks = []
    again.visualizer.name = again.experiment_name = 'again'
    return again


@pytest.mark.parametrize('name', [
    UPERNET, 'configs/segmentation/skysense_v2_tiny_upernet_1xb4-1k_'
    'flood-s1s2-256x256.py', CLASSIFIER])
def test_rare_classes_are_drawn_more_often(small, name):
    cfg = small(name)
    cfg.train_dataloader.sampler.type = 'mmskysense.RareClassSampler'
    runner = Runner.from_cfg(cfg)
    runner.train()
    sampler = runner.train_dataloader.sampler
    assert type(sampler).__name__ == 'RareClassSampler'
    assert sampler.probabilities.sum() == pytest.approx(1)
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and all(map(math.isfinite, losses))


def test_a_few_images_are_a_training_set(small):
    cfg = small(UPERNET)
    cfg.train_dataloader.dataset.indices = 2
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert len(runner.train_dataloader.dataset) == 2


@pytest.mark.parametrize('name', [
    UPERNET, CLASSIFIER, 'configs/detection/skysense_v2_tiny_faster-rcnn_'
    'fpn_1xb4-2k_sample-world-320x320.py'])
def test_adapters_in_every_host_with_averaged_weights(small, name, tmp_path):
    pytest.importorskip('peft')
    encoder = SkySenseV2(SHALLOW)
    encoder.init_weights()
    torch.save(encoder.state_dict(), tmp_path / 'encoder.pth')
    cfg = small(name)
    cfg.model.backbone.update(
        type='mmskysense.LoRASkySenseV2', lora=dict(save='adapters'),
        init_cfg=dict(checkpoint=str(tmp_path / 'encoder.pth')))
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    runner = Runner.from_cfg(cfg)
    runner.train()
    path = str(Path(cfg.work_dir) / 'iter_2.pth')
    saved = torch.load(path, weights_only=False)
    for key in ('state_dict', 'ema_state_dict'):
        inside = {name for name in saved[key] if 'backbone.' in name}
        assert any('.lora_B.' in name for name in inside)
        assert not [name for name in inside if 'tokenizers' in name]
    again = small_again(cfg)
    again.custom_hooks = cfg.custom_hooks
    again.resume, again.load_from = True, path
    again.train_cfg.max_iters = again.train_cfg.val_interval = 3
    resumed = Runner.from_cfg(again)
    resumed.train()
    assert resumed.iter == 3
    own = dict(resumed.model.backbone.named_parameters())
    frozen = {name: value for name, value in encoder.state_dict().items()
              if name in own and not own[name].requires_grad}
    assert len(frozen) > 20
    for name, value in frozen.items():
        torch.testing.assert_close(own[name], value, rtol=0, atol=0)


def test_the_pages_class_balanced_data_set(small, tmp_path):
    """The snippet of the page, in a config of its own."""
    page = (Path(__file__).parents[2] /
            'docs/user_guides/finetuning.md').read_text()
    snippet, = (block for block in page.split('```python\n')
                if 'ClassBalancedDataset' in block.split('```')[0])
    base = small(CLASSIFIER)
    base.dump(str(tmp_path / 'base.py'))
    config = tmp_path / 'balanced.py'
    config.write_text("_base_ = ['base.py']\n" + snippet.split('```')[0])
    cfg = Config.fromfile(str(config))
    runner = Runner.from_cfg(cfg)
    runner.train()
    dataset = runner.train_dataloader.dataset
    assert type(dataset).__name__ == 'ClassBalancedDataset'
    assert len(dataset) >= len(dataset.dataset) > 0
