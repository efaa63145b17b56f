# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The whole line in real processes, at its smallest size."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

from mmskysense.demo import demo_line

ROOT = Path(__file__).resolve().parents[2]
# What a user without compiled ops, mmdet and mmpretrain has.
_BLOCK = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(cls, name, path=None, target=None):
    absent = name in ('mmcv._ext', 'mmdet', 'mmpretrain')
    return None if absent else found(name, path, target)
PathFinder.find_spec = classmethod(find_spec)
"""


def demo(*arguments, **environment):
    return subprocess.run(
        [sys.executable, 'tools/demo.py', *map(str, arguments)], cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1', **environment),
        capture_output=True, text=True, timeout=600)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    pytest.importorskip('mmseg')
    pytest.importorskip('sklearn')
    block = tmp_path_factory.mktemp('block')
    (block / 'sitecustomize.py').write_text(_BLOCK)
    folder = tmp_path_factory.mktemp('demo')
    first = demo('--fast', '--work-dir', folder, PYTHONPATH=str(block))
    assert first.returncode == 0, first.stdout + first.stderr
    return folder, first


def test_everything_is_there(finished):
    folder, first = finished
    assert len(re.findall(r'^ +[\d.]+ %  ', first.stdout, re.M)) == 3
    for name in ('map.tif', 'map.png', 'comparison.png', 'report.html'):
        assert str(folder / name) in first.stdout
        assert (folder / name).stat().st_size > 0
    scene = folder / 'world' / 'scenes' / 'valley.tif'
    with rasterio.open(scene) as image, \
            rasterio.open(folder / 'map.tif') as found:
        assert (found.crs, found.transform, found.shape) == (
            image.crs, image.transform, image.shape)
    page = (folder / 'report.html').read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,11})', page)
    assert len(sources) > 20 and set(sources) == {'data:image/'}
    assert 'query 16' in page and 'experts take' in page


def test_our_miou_is_mmsegs(finished):
    folder, _ = finished
    written = next((folder / 'test').glob('*/*.json'))
    scores = json.loads((folder / 'scores.json').read_text())['scores']
    assert 100 * scores[0]['mean_iou'] == pytest.approx(
        json.loads(written.read_text())['mIoU'], abs=0.01)


def test_running_again_is_free_and_a_loss_is_repaired(finished):
    folder, _ = finished
    times = {p: p.stat().st_mtime_ns for p in (folder / 'steps').iterdir()}
    again = demo('--fast', '--work-dir', folder)
    assert again.returncode == 0
    assert again.stdout.count('done before') == 7
    assert times == {
        p: p.stat().st_mtime_ns for p in (folder / 'steps').iterdir()}


def test_another_encoder_takes_part_in_fine_tuning_alone(tmp_path):
    other = tmp_path / 'other.pth'
    other.write_bytes(b'x')
    plain, given = (demo_line(ROOT, tmp_path, encoder=encoder)
                    for encoder in (None, other))
    changed = [a.name for a, b in zip(plain, given, strict=True)
               if a.commands != b.commands]
    assert changed == ['segment']
    segment = next(step for step in given if step.name == 'segment')
    assert f'model.backbone.init_cfg.checkpoint={other}' in \
        segment.commands[0]
    assert other in segment.inputs and segment.title.endswith('other.pth')


def test_an_encoder_that_is_not_there_is_refused_at_once(tmp_path):
    ran = demo('--fast', '--work-dir', tmp_path / 'out', '--encoder',
               tmp_path / 'none.pth')
    assert ran.returncode == 1
    assert 'none.pth: expected a file of' in ran.stderr
    assert not (tmp_path / 'out').exists()


def test_failure_names_step_and_log(tmp_path):
    (tmp_path / 'world').write_text('in the way')
    failed = demo('--fast', '--work-dir', tmp_path)
    assert failed.returncode == 1
    lines = failed.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('demo.py: error: [1/7]')
    assert str(tmp_path / 'steps' / 'world.log') in lines[0]
