# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""tools/probe.py, the baselines' and the few-shot list's command lines."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmskysense.models import SkySenseV2

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = '''
backbone = dict(type='mmskysense.SkySenseV2', sensor='hr_rgb', arch=dict(
    embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4))
'''


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem,
                                                  ROOT / 'tools' / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def call(tmp_path):
    """Call a command, with the lists, and give what it wrote."""

    def call(path, *arguments, lists=True):
        out = tmp_path / 'out.json'
        out.unlink(missing_ok=True)
        given = [*arguments, '--json', out, '--quiet']
        if lists:
            given += ['--data-root', tmp_path, '--train-list',
                      tmp_path / 'train.txt', '--test-list',
                      tmp_path / 'test.txt']
        load(path)([str(a) for a in given])
        return json.loads(out.read_text())

    random = np.random.default_rng(0)
    lists = dict(train=[], test=[])
    for name, level in (('Bright', 210), ('Dark', 40)):
        (tmp_path / name).mkdir()
        for number in range(9):
            pixels = random.normal(level, 20, (16, 16, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / name / f'{number}.png')
            lists['train' if number < 6 else 'test'].append(
                f'{name}/{number}.png')
    for part, lines in lists.items():
        (tmp_path / f'{part}.txt').write_text('\n'.join(lines))
    (tmp_path / 'config.py').write_text(BACKBONE)
    return call


@pytest.mark.parametrize('arguments', [
    ('--method', 'knn', '--k', '3'), ('--method', 'linear'),
    ('--blocks', '0', '-1', '--each', '--k', '3', '--plain'),
    ('--features', 'stages', '--fraction', '0.5', '--seeds', '2', '--k', '1',
     '--bfloat16', '--image-size', '32', '--device', 'cpu'),
    ('--features', 'stages', '--pooling', 'mean_deviation', '--standardise',
     '--k', '3')])
def test_probe_writes_what_others_read(call, tmp_path, arguments):
    result = call('probe.py', tmp_path / 'config.py', 'none', *arguments)
    assert 0.8 < result['top1'] <= 1 and len(result['ci95']) == 2
    assert result['n_test'] == 6
    assert result['n_train'] == (6 if '--fraction' in arguments else 12)
    for key in ('method', 'features', 'config', 'checkpoint', 'seed',
                'seconds', 'versions', 'per_seed'):
        assert key in result, key
    assert len(result['per_seed']) == (2 if '--seeds' in arguments else 1)
    assert ('each' in result) == ('--each' in arguments)
    assert result['standardise'] == ('--standardise' in arguments
                                     or 'linear' in arguments)
    if '--pooling' in arguments:
        assert result['pooling'] == 'mean_deviation'
        assert result['feature_dims'] == 2 * (16 + 32 + 64 + 128)


def test_a_checkpoint_changes_the_figure_a_wrong_one_is_refused(
        call, tmp_path, capsys):
    encoder = SkySenseV2(dict(embed_dims=16, depths=(1, 1, 1, 1),
                              head_dims=8, window_size=4))
    for parameter in encoder.parameters():
        torch.nn.init.zeros_(parameter)
    path = tmp_path / 'zeros.pth'
    torch.save(encoder.state_dict(), path)
    config = tmp_path / 'config.py'
    # Of weights that are all zero nothing is told apart.
    assert call('probe.py', config, path)['top1'] == 0.5
    torch.save(dict(a=torch.zeros(1)), path)
    for checkpoint, word in ((path, 'no SkySenseV2 encoder'),
                             (tmp_path / 'gone.pth', 'expected a file')):
        with pytest.raises(SystemExit) as end:
            call('probe.py', config, checkpoint)
        assert word in end.value.code and '\n' not in end.value.code
    assert not (tmp_path / 'out.json').exists()


@pytest.mark.parametrize('arguments, word', [
    ((), '--data-root is missing'),
    (('--dataset', 'config', '--train-list', 'x'), 'leave --train-list'),
    (('--dataset', 'nothing'), '_base_/datasets'),
    (('--dataset', 'config'), 'no train_dataloader'),
    (('--seeds', '0'), '--seeds 0'),
    (('--image-size', '0'), '--image-size 0'),
    (('--blocks', '--maps', 'm.png'), '--maps'),
    (('--device', 'cuda:99'), '--device'),
])
def test_refusals_are_one_line(call, tmp_path, arguments, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as end:
        call('probe.py', tmp_path / 'config.py', 'none', *arguments,
             lists=False)
    assert word in end.value.code and '\n' not in end.value.code


def test_a_segmentation_set(sample_world, tmp_path, call):
    pytest.importorskip('mmseg')
    data = ROOT / 'configs/_base_/datasets/sample_world_segmentation.py'
    arguments = (tmp_path / 'config.py', 'none', '--dataset', data,
                 '--data-root', sample_world, '--pixels', '1000')
    result = call('probe.py', *arguments, '--method', 'linear', lists=False)
    assert 0 < result['miou'] < 1 and 0 < result['top1'] < 1
    assert (result['n_train'], result['n_test']) == (6, 2)
    assert len(result['classes']) == 7
    with pytest.raises(SystemExit) as end:
        call('probe.py', *arguments, lists=False)
    assert '--method linear' in end.value.code


@pytest.mark.parametrize('baseline', ['colour_forest', 'random_vit'])
def test_baselines_write_the_same_keys(call, baseline):
    result = call('analysis_tools/probe_baselines.py', baseline)
    assert result['top1'] > 0.8 and result['baseline'] == baseline
    assert (result['n_train'], result['n_test']) == (12, 6)
    assert len(result['ci95']) == 2 and 'versions' in result


@pytest.mark.filterwarnings('ignore:.*weight_norm:FutureWarning')
def test_dino_saves_and_loads(call, tmp_path, capsys):
    pytest.importorskip('lightly')
    tool, weights = 'analysis_tools/probe_baselines.py', tmp_path / 'w.pth'
    train = (tool, 'lightly_dino', '--pretrain-list', tmp_path / 'train.txt',
             '--max-steps', '1', '--batch-size', '4', '--workers', '0',
             '--threads', '1', '--save', weights)
    first = call(*train)
    assert first['pretraining']['steps'] == 1
    again = call(tool, 'lightly_dino', '--load', weights)
    assert again['top1'] == first['top1']
    assert again['pretraining'] == first['pretraining']
    for arguments, word in (
        ((tool, 'lightly_dino'), '--pretrain-list'),
        ((*train[:3], tmp_path / 'test.txt'), 'in the test list'),
    ):
        with pytest.raises(SystemExit) as end:
            call(*arguments)
        assert word in end.value.code


def test_few_shot_list(tmp_path, call, capsys):
    main = load('dataset_converters/make_fewshot_list.py')
    main([str(tmp_path / 'train.txt'), str(tmp_path / 'few.txt'),
          '--fraction', '0.2'])
    assert len((tmp_path / 'few.txt').read_text().split()) == 2
    assert 'Bright 1, Dark 1' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='no such file'):
        main([str(tmp_path / 'gone.txt'), 'x', '--fraction', '0.2'])


@pytest.mark.parametrize('arguments', [
    ('--image-size', 64), ('--batch-size', 3), ('--each', ),
    ('--standardise', ), ('--seeds', 2), ('--k', 5), ('--plain', ),
    ('--pooling', 'mean_deviation')])
def test_options_without_effect_on_pixels_are_refused(
        sample_world, tmp_path, call, arguments):
    with pytest.raises(SystemExit, match=f'{arguments[0]} has no effect'):
        call('probe.py', tmp_path / 'config.py', 'none', '--method', 'linear',
             '--dataset', ROOT / 'configs/_base_/datasets/'
             'sample_world_segmentation.py', '--data-root', sample_world,
             *arguments, lists=False)


@pytest.mark.parametrize('arguments, word', [
    (('--fraction', 2), '--fraction 2.0'),
    (('--temperature', 0), '--temperature 0.0')])
def test_numbers_are_refused_before_any_feature_is_taken(
        call, tmp_path, arguments, word, monkeypatch):
    monkeypatch.setattr(SkySenseV2, 'forward', lambda *_: pytest.fail())
    with pytest.raises(SystemExit, match=word):
        call('probe.py', tmp_path / 'config.py', 'none', *arguments)
