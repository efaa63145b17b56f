# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The environment script and the Makefile, without installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    for entry in ('.ci', 'requirements'):
        shutil.copytree(ROOT / entry, tmp_path / entry)
    for entry in ('setup.py', 'pyproject.toml', 'Makefile'):
        shutil.copy(ROOT / entry, tmp_path / entry)
    return tmp_path


def shell(checkout, *command, **variables):
    # Not the outer make's settings, no home.
    env = dict(PATH=os.environ['PATH'], **variables)
    return subprocess.run(
        command,
        cwd=checkout,
        env=env,
        text=True,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL)


def stand_in(folder, name, script):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text('#!/bin/bash\n' + script)
    path.chmod(0o755)
    return path


def test_no_usable_python(checkout):
    stand_in(checkout / 'bin', 'python3.11', 'exit 127')
    ran = shell(
        checkout,
        'bash',
        '.ci/environment.sh',
        'lint',
        PYTHON=f'{checkout}/bin/python3.11')
    assert ran.returncode == 1
    error, = ran.stderr.splitlines()
    assert 'needs Python 3.10, 3.11 or 3.12' in error and 'PYTHON=' in error
    assert not (checkout / '.venv').exists()


def test_python_without_venv(checkout):
    # As Debian packages it: the interpreter is there, venv is not.
    python = stand_in(
        checkout / 'bin', 'python3.11',
        'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    ran = shell(
        checkout, 'bash', '.ci/environment.sh', 'demo', PYTHON=str(python))
    assert ran.returncode == 1
    assert 'apt install python3-venv' in ran.stderr


def fake_venv(checkout):
    """A .venv whose python and pip only write down what they are asked."""
    return stand_in(checkout / '.venv/bin', 'python',
                    'echo "$*" >> calls\n[ "$1" != -V ] || echo "Python 3"\n')


def test_second_run_is_free_and_a_changed_pin_is_not(checkout):
    fake_venv(checkout)
    command = ('bash', '.ci/environment.sh', 'lint')
    first = shell(checkout, *command)
    assert first.returncode == 0, first.stderr
    calls = (checkout / 'calls')
    assert 'requirements/lint.txt' in calls.read_text()
    calls.unlink()
    second = shell(checkout, *command)
    assert second.returncode == 0
    assert 'pip' not in calls.read_text()
    with (checkout / 'requirements/constraints.txt').open('a') as file:
        file.write('# changed\n')
    third = shell(checkout, *command)
    assert third.returncode == 0
    assert 'requirements/lint.txt' in calls.read_text()


def test_installation_that_fails_leaves_no_stamp(checkout):
    stand_in(checkout / '.venv/bin', 'python',
             'case "$*" in *install*) exit 1;; esac')
    ran = shell(checkout, 'bash', '.ci/environment.sh', 'lint')
    assert ran.returncode == 1
    assert not list((checkout / '.venv').glob('.stamps/*'))


# Stands in for the python of .venv: "builds" a wheel, and has the ops once a
# wheel that is not broken was installed.
FAKE_PYTHON = """
echo "$*" >> calls
case "$*" in
    -V) echo Python 3.11 ;;
    *"import torch, mmcv._ext"*) [ -e .venv/ops ] ;;
    *is_available*) exit 1 ;;
    *cache_tag*) echo tag-torch0 ;;
    *"pip wheel"*)
        echo "jobs $MAX_JOBS" >> calls
        while [ "$1" != -w ]; do shift; done
        echo good > "$2/onedl_mmcv-0-x.whl" ;;
    *"--force-reinstall --no-deps "*.whl)
        grep -q good "${@: -1}" && touch .venv/ops ;;
esac
"""


@pytest.fixture
def cached(checkout):
    """Runs the test purpose; returns what python was asked."""

    def run():
        shutil.rmtree(checkout / '.venv', ignore_errors=True)
        (checkout / 'calls').unlink(missing_ok=True)
        stand_in(checkout / '.venv/bin', 'python', FAKE_PYTHON)
        ran = shell(
            checkout,
            'bash',
            '.ci/environment.sh',
            'test',
            MMSKYSENSE_CACHE=str(checkout / 'my cache'),
            MAX_JOBS='3',
            CXX='true')
        assert ran.returncode == 0, ran.stderr
        return (checkout / 'calls').read_text()

    return run


def test_ops_are_built_once_and_then_taken_from_the_cache(cached, checkout):
    calls = cached()
    build, = [c for c in calls.splitlines() if 'pip wheel' in c]
    # Isolated, or from pip's own cache, mmcv would come without its ops.
    assert '--no-build-isolation' in build and '--no-cache-dir' in build
    assert 'jobs 3' in calls
    wheel, = (checkout / 'my cache').rglob('*.whl')
    assert wheel.parent.name.startswith('tag-torch0-cpu-mmcv2.')
    assert 'pip wheel' not in cached()


def test_a_broken_wheel_in_the_cache_is_built_anew(cached, checkout):
    cached()
    wheel, = (checkout / 'my cache').rglob('*.whl')
    wheel.write_text('cut short')
    assert cached().count('pip wheel') == 1
    assert wheel.read_text() == 'good\n'


def test_unknown_purpose(checkout):
    fake_venv(checkout)
    ran = shell(checkout, 'bash', '.ci/environment.sh', 'dmeo')
    assert ran.returncode == 1
    assert "unknown purpose 'dmeo'" in ran.stderr


def test_make_help_names_every_target(checkout):
    ran = shell(checkout, 'make')
    assert ran.returncode == 0, ran.stderr
    for target in ('demo', 'test', 'lint', 'bench', 'clean'):
        assert f'make {target} ' in ran.stdout


@pytest.mark.parametrize('script', ['run', 'environment.sh'])
def test_scripts_are_executable_and_strict(script):
    path = ROOT / '.ci' / script
    assert os.access(path, os.X_OK)
    assert 'set -euo pipefail' in path.read_text()
