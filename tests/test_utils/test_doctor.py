# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The doctor's judgements on environments that are made up, and the real one.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.utils import doctor
from mmskysense.utils.diagnosis import (
    PROVIDERS,
    Environment,
    diagnose,
    expected_torchvision,
    find_collisions,
    install_command,
    version_pair,
)
from mmskysense.utils.doctor import to_text, try_imports

ROOT = Path(__file__).resolve().parents[2]


def healthy(**changes):
    """The tested set, in which nothing is wrong."""
    versions = dict(
        torch='2.11.0+cpu',
        numpy='2.2.6',
        mmengine='0.10.12',
        mmcv='2.3.6',
        rasterio='1.4.4',
        torchvision='0.26.0+cpu',
        mmseg='1.4.2',
        mmdet='3.5.1',
        mmpretrain='1.3.6',
        timm='1.0.31',
        setuptools='81.0.0')
    versions.update(changes.pop('versions', {}))
    distributions = {
        name: [PROVIDERS.get(name, (name, ))[0]]
        for name in versions
    }
    distributions.update(changes.pop('distributions', {}))
    values = dict(
        python=(3, 11, 7),
        versions=versions,
        distributions=distributions,
        mmcv_ops=True,
        has_pkg_resources=True,
        gdal='3.10.3',
        cpu_cores=2)
    values.update(changes)
    return Environment(**values)


def only_problem(env):
    problems = diagnose(env)
    assert len(problems) == 1, problems
    assert '\n' not in problems[0].fix
    return problems[0]


def test_nothing_wrong():
    assert diagnose(healthy()) == []
    assert 'nothing is wrong' in to_text(healthy(), [])


@pytest.mark.parametrize('python', [(3, 9, 18), (3, 13, 0)])
def test_python_out_of_range(python):
    problem = only_problem(healthy(python=python))
    assert problem.breaks_core and '3.12' in problem.what


@pytest.mark.parametrize('name',
                         ['torch', 'numpy', 'mmengine', 'mmcv', 'rasterio'])
def test_missing_core_library(name):
    problems = diagnose(healthy(versions={name: None}))
    assert problems[0].breaks_core and name in problems[0].what
    assert problems[0].fix.startswith('pip install')


@pytest.mark.parametrize('name', ['mmseg', 'mmdet', 'mmpretrain', 'timm'])
def test_missing_host_is_no_problem(name):
    assert diagnose(healthy(versions={name: None})) == []


@pytest.mark.parametrize(('name', 'both', 'kept'), [
    ('mmcv', ['mmcv', 'onedl-mmcv'], 'onedl-mmcv'),
    ('mmcv', ['mmcv', 'mmcv-lite'], 'mmcv'),
    ('mmengine', ['mmengine-lite', 'onedl-mmengine'], 'onedl-mmengine'),
])
def test_two_distributions_of_one_import_name(name, both, kept):
    problem = only_problem(healthy(distributions={name: both}))
    assert all(b in problem.what for b in both)
    assert problem.fix.split()[-1] == kept
    assert f'uninstall -y {" ".join(both)}' in problem.fix


def test_one_distribution_named_twice_is_no_collision():
    assert find_collisions({'mmcv': ['onedl-mmcv', 'onedl-mmcv']}) == {}
    assert find_collisions({'cv2': ['opencv-python', 'other']}) == {}


@pytest.mark.parametrize(('torch', 'vision', 'wrong'), [
    ('2.11.0', '0.26.0', False),
    ('2.4.1', '0.19.1', False),
    ('2.0.0', '0.15.0', False),
    ('2.11.0', '0.25.0', True),
    ('2.13.0+cpu', '0.26.0', True),
])
def test_torchvision_belongs_to_torch(torch, vision, wrong):
    problems = diagnose(
        healthy(versions=dict(torch=torch, torchvision=vision)))
    assert [('torchvision' in p.what) for p in problems] == [True] * wrong
    if wrong:
        assert f'torchvision=={expected_torchvision(torch)}.*' in \
            problems[0].fix


def test_upstream_distribution_on_a_torch_too_new_for_it():
    env = healthy(distributions={'mmcv': ['mmcv']})
    problem = only_problem(env)
    assert 'mmcv' in problem.what and '2.4' in problem.what
    old = dict(torch='2.4.1', torchvision='0.19.1')
    assert diagnose(
        healthy(versions=old, distributions={'mmcv': ['mmcv']})) == []


def test_upstream_distribution_without_pkg_resources():
    old = dict(torch='2.4.1', torchvision='0.19.1', setuptools='82.0.0')
    problem = only_problem(
        healthy(
            versions=old,
            distributions={'mmengine': ['mmengine']},
            has_pkg_resources=False))
    assert "setuptools<82" in problem.fix
    # onedl's do without.
    assert diagnose(healthy(has_pkg_resources=False)) == []


def test_ops_matter_only_to_who_needs_them():
    problem = only_problem(healthy(mmcv_ops=False))
    assert 'mmdet' in problem.what and 'isolation' in problem.fix
    assert not problem.breaks_core
    assert diagnose(healthy(mmcv_ops=False, versions=dict(mmdet=None))) == []


def test_library_that_does_not_import():
    errors = dict(mmcv='ImportError: libGL.so.1: cannot open shared object')
    problem = only_problem(healthy(import_errors=errors))
    assert problem.breaks_core and 'opencv-python-headless' in problem.fix
    problem = only_problem(healthy(import_errors=dict(timm='SyntaxError: x')))
    assert not problem.breaks_core and problem.fix.endswith('timm')


def test_gravest_first():
    problems = diagnose(
        healthy(versions=dict(rasterio=None), mmcv_ops=False))
    assert [p.breaks_core for p in problems] == [True, False]


@given(st.integers(0, 99), st.integers(0, 99),
       st.sampled_from(['', '.0', '.1rc1', '+cu130', '.0.post2', 'a0']))
@settings(max_examples=30, deadline=None)
def test_version_pair_reads_any_version(major, minor, tail):
    # A pre-release mark sticks to the number before it.
    expected = int(f'{minor}0') if tail == 'a0' else minor
    assert version_pair(f'{major}.{minor}{tail}') == (major, expected)


def test_try_imports_survives_a_crash(tmp_path, monkeypatch):
    (tmp_path / 'crashing_library.py').write_text('import os; os.abort()')
    (tmp_path / 'failing_library.py').write_text('raise ValueError("no\\nx")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    results = try_imports(
        ['json', 'crashing_library', 'failing_library', 'math'])
    assert results == {
        'json': None,
        'crashing_library': 'the interpreter crashed',
        'failing_library': 'ValueError: no',
        'math': None
    }


def fake_environment(monkeypatch, env):
    monkeypatch.setattr(doctor, 'inspect_environment', lambda: env)


def test_fixes_name_no_file_that_is_not_there(tmp_path, monkeypatch):
    folder = tmp_path / 'clone/requirements'
    # What pip installed has no requirement files beside it.
    assert install_command(folder) == 'pip install'
    folder.mkdir(parents=True)
    (folder / 'constraints.txt').touch()
    monkeypatch.chdir(tmp_path / 'clone')
    assert install_command(folder) == \
        'pip install -c requirements/constraints.txt'
    (tmp_path / 'other').mkdir()
    monkeypatch.chdir(tmp_path / 'other')
    assert install_command(folder) == \
        f'pip install -c {folder}/constraints.txt'


def test_text_says_what_a_missing_library_is_for():
    text = to_text(healthy(versions=dict(mmdet=None)), [])
    assert text.startswith('mmskysense ')
    assert 'mmdet        not installed  (optional, for object detection)' \
        in text


def test_exit_status_and_json(monkeypatch, capsys):
    fake_environment(monkeypatch, healthy(versions=dict(torch=None)))
    assert doctor.main(['--json']) == 1
    report = json.loads(capsys.readouterr().out)
    assert report['core_works'] is False
    assert report['environment']['versions']['torch'] is None
    assert 'torch' in report['problems'][0]['what']
    fake_environment(monkeypatch, healthy(mmcv_ops=False))
    assert doctor.main([]) == 0
    out = capsys.readouterr().out
    assert 'GDAL 3.10.3' in out and 'compiled ops: no' in out
    assert 'warning: mmcv has no compiled ops' in out and 'fix: ' in out


def test_runs_where_nothing_is_installed():
    """-S hides site-packages: no torch, no mmengine, nothing."""
    ran = subprocess.run(
        [sys.executable, '-S', '-m', 'mmskysense.doctor'],
        cwd=ROOT,
        env=dict(PATH='/usr/bin:/bin'),
        capture_output=True,
        text=True,
        check=False)
    assert ran.returncode == 1, ran.stderr
    assert 'torch        not installed' in ran.stdout
    assert 'ERROR: torch is not installed' in ran.stdout


def test_real_environment():
    ran = subprocess.run([sys.executable, '-m', 'mmskysense.doctor', '--json'],
                         cwd=ROOT,
                         capture_output=True,
                         text=True,
                         check=False)
    report = json.loads(ran.stdout)
    assert ran.returncode == 0
    assert report['environment']['versions']['torch']
