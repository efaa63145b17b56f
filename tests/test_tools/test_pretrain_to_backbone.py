# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Packaging an encoder, and loading one without silence."""

import sys
from pathlib import Path

import pytest
import torch

from mmskysense.models import SkySenseV2
from mmskysense.utils.encoder_checkpoint import (
    load_checkpoint_strictly,
    package_backbone,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/model_converters/pretrain_to_backbone.py'
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)
SENSORS = ('hr_rgb', 's2_l2a')


def encoder(arch=ARCH, sensors=SENSORS, out_indices=(3, ), **options):
    model = SkySenseV2(arch, sensors=sensors, sensor=sensors[0],
                       out_indices=out_indices, **options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as pre-training writes it: two branches."""
    state = {}
    for branch in ('student', 'teacher'):
        state.update({f'{branch}.backbone.{k}': v
                      for k, v in encoder().state_dict().items()})
        state[f'{branch}.fusion.fusion_token'] = torch.zeros(1, 1, 4)
    path = tmp_path / 'iter_7.pth'
    torch.save(dict(state_dict=state, meta=dict(iter=7)), path)
    return path


def branch_of(path, branch):
    prefix = f'{branch}.backbone.'
    state = torch.load(path, weights_only=False)['state_dict']
    return {k.removeprefix(prefix): v for k, v in state.items()
            if k.startswith(prefix)}


def assert_same(model, state):
    own = model.state_dict()
    for key, value in own.items():
        if key in state:
            assert torch.equal(value, state[key]), key


@pytest.mark.parametrize('branch', ['teacher', 'student'])
def test_command_then_strict_load(tmp_path, checkpoint, run, branch):
    out = tmp_path / 'new' / 'backbone.pth'
    ran = run(sys.executable, TOOL, checkpoint, out, '--branch', branch)
    assert ran.returncode == 0, ran.stderr
    assert branch in ran.stdout and 'hr_rgb, s2_l2a' in ran.stdout
    model = encoder()
    load_checkpoint_strictly(model, out)
    expected = branch_of(checkpoint, branch)
    assert set(model.state_dict()) == set(expected)
    assert_same(model, expected)


def test_chosen_sensors(tmp_path, checkpoint):
    meta = package_backbone(checkpoint, tmp_path / 'rgb.pth',
                            sensors=['hr_rgb'])
    assert meta['sensors'] == ['hr_rgb'] and meta['iter'] == 7
    keys = torch.load(tmp_path / 'rgb.pth', weights_only=False)['state_dict']
    assert not [key for key in keys if 's2_l2a' in key]
    load_checkpoint_strictly(encoder(sensors=('hr_rgb', )),
                             tmp_path / 'rgb.pth')


@pytest.mark.parametrize('prefix', [
    '', 'backbone.', 'student.backbone.', 'module.backbone.'])
def test_where_encoders_lie(tmp_path, prefix):
    source = encoder()
    path = tmp_path / 'any.pth'
    torch.save({prefix + k: v for k, v in source.state_dict().items()}, path)
    model = encoder()
    load_checkpoint_strictly(model, path)
    assert_same(model, source.state_dict())


def test_the_teacher_is_taken_of_a_pretraining_checkpoint(checkpoint):
    model = encoder()
    load_checkpoint_strictly(model, checkpoint)
    assert_same(model, branch_of(checkpoint, 'teacher'))


@pytest.fixture
def said(monkeypatch):
    """What loading reports."""
    lines = []
    monkeypatch.setattr('mmskysense.utils.encoder_checkpoint.print_log',
                        lambda text, *args, **kwargs: lines.append(text))
    return lines


def test_sensors_that_only_one_side_has_are_reported(checkpoint, said):
    model = encoder(sensors=('hr_rgb', 's1_grd'))
    before = model.tokenizers['s1_grd'].state_dict()
    before = {k: v.clone() for k, v in before.items()}
    load_checkpoint_strictly(model, checkpoint)
    assert any('dropped (sensor not used): s2_l2a' in line for line in said)
    assert any('never seen s1_grd' in line for line in said)
    for key, value in model.tokenizers['s1_grd'].state_dict().items():
        assert torch.equal(value, before[key])
    with pytest.raises(ValueError, match='s1_grd'):
        load_checkpoint_strictly(model, checkpoint,
                                 allow_missing_sensors=False)


def test_output_norms_and_unbuilt_stages_are_no_error(checkpoint, said):
    model = encoder(out_indices=(0, 1, 2, 3))
    load_checkpoint_strictly(model, checkpoint)
    assert any('norms.0' in line for line in said)

    fewer = encoder(out_indices=(0, 1))
    assert not [key for key in fewer.state_dict() if 'stages.2.' in key]
    load_checkpoint_strictly(fewer, checkpoint)
    assert any('stages 0 to 1 only' in line for line in said), said
    kept = branch_of(checkpoint, 'teacher')
    for key, value in fewer.state_dict().items():
        if not key.startswith('norms.'):
            assert torch.equal(value, kept[key]), key


def test_dense_weights_load_into_experts_not_the_reverse(tmp_path,
                                                         checkpoint):
    moe = encoder(moe=dict(num_experts=2, blocks=1))
    load_checkpoint_strictly(moe, checkpoint)
    path = tmp_path / 'moe.pth'
    torch.save(moe.state_dict(), path)
    with pytest.raises(ValueError, match='missing'):
        load_checkpoint_strictly(encoder(), path)


def test_another_size_is_refused_in_one_line(checkpoint):
    model = encoder({**ARCH, 'embed_dims': 32})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match='width 16.*width 32') as error:
        load_checkpoint_strictly(model, checkpoint)
    assert '\n' not in str(error.value) and 'arch' in str(error.value)
    assert_same(model, before)


@pytest.mark.parametrize('depths, word', [((1, 1, 2, 1), 'missing'),
                                          ((1, 1, 1, 2), 'missing')])
def test_another_depth_is_refused(checkpoint, depths, word):
    with pytest.raises(ValueError, match=word) as error:
        load_checkpoint_strictly(encoder({**ARCH, 'depths': depths}),
                                 checkpoint)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('depths', [
    (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)])
def test_a_deeper_checkpoint_is_refused(tmp_path, depths):
    path = tmp_path / 'deep.pth'
    torch.save(encoder({**ARCH, 'depths': depths}).state_dict(), path)
    with pytest.raises(ValueError, match=r'unexpected \(stages\.') as error:
        load_checkpoint_strictly(encoder(), path)
    assert '\n' not in str(error.value)


def test_prompts_are_not_dropped_silently(checkpoint):
    with pytest.raises(ValueError, match='unexpected.*prompts'):
        load_checkpoint_strictly(encoder(num_prompts=0), checkpoint)


def test_refusals_leave_no_file(tmp_path, checkpoint, run):
    out = tmp_path / 'out.pth'
    plain = tmp_path / 'plain.pth'
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), plain)
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(checkpoint.read_bytes()[:100])
    for path, options, word in (
            (plain, {}, 'pre-training'), (broken, {}, 'truncated'),
            (checkpoint, dict(sensors=['s1_grd']), 's1_grd'),
            (checkpoint, dict(branch='ema'), 'branch')):
        with pytest.raises(ValueError, match=word):
            package_backbone(path, out, **options)
    with pytest.raises(FileNotFoundError, match='expected a file'):
        load_checkpoint_strictly(encoder(), tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='no SkySenseV2 encoder'):
        load_checkpoint_strictly(encoder(), plain)
    ran = run(sys.executable, TOOL, plain, out)
    assert ran.returncode == 1 and 'Traceback' not in ran.stderr
    assert not list(tmp_path.glob('out.pth*'))


def test_half_the_size_without_the_machines_paths(tmp_path, checkpoint, run):
    content = torch.load(checkpoint, weights_only=False)
    content['meta']['cfg'] = "work_dir = '/home/someone'"
    torch.save(content, checkpoint)
    ran = run(sys.executable, TOOL, checkpoint, tmp_path / 'half.pth',
              '--half', '--without-config')
    assert ran.returncode == 0, ran.stderr
    package_backbone(checkpoint, tmp_path / 'whole.pth')
    small, whole = tmp_path / 'half.pth', tmp_path / 'whole.pth'
    assert small.stat().st_size < 0.7 * whole.stat().st_size
    assert b'someone' in whole.read_bytes()
    assert b'someone' not in small.read_bytes()
    model = encoder()
    load_checkpoint_strictly(model, small)
    for key, value in branch_of(checkpoint, 'teacher').items():
        torch.testing.assert_close(
            model.state_dict()[key], value, rtol=1e-3, atol=1e-4)


def test_weights_too_large_for_half_are_refused(tmp_path, checkpoint):
    content = torch.load(checkpoint, weights_only=False)
    next(value for key, value in content['state_dict'].items()
         if key.startswith('teacher.backbone')).fill_(1e6)
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='too large for float16'):
        package_backbone(checkpoint, tmp_path / 'half.pth', half=True)
    assert not (tmp_path / 'half.pth').exists()
