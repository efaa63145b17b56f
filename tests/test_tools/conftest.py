# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.utils import ManagerMixin

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def forget_instances(kind=ManagerMixin):
    """Close the log files and forget the instances of an earlier run."""
    for subclass in kind.__subclasses__():
        for instance in getattr(subclass, '_instance_dict', {}).values():
            for handler in getattr(instance, 'handlers', []):
                handler.close()
        getattr(subclass, '_instance_dict', {}).clear()
        forget_instances(subclass)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder with a config, to which the test changes."""
    shutil.copy(HERE / 'toy_config.py', tmp_path)
    shutil.copy(HERE / 'toy_parts.py', tmp_path)
    monkeypatch.chdir(tmp_path)
    # One place, so that the registries see the parts once a process.
    monkeypatch.syspath_prepend(str(HERE))
    return tmp_path


@pytest.fixture
def call(toy, monkeypatch):
    """Call a command's main() with arguments, in this process.

    Returns None, or what the command exits with.
    """

    def call(name, *arguments):
        spec = importlib.util.spec_from_file_location(
            f'tools_{name}', ROOT / 'tools' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        try:
            module.main()
        except SystemExit as end:
            return end.code
        finally:
            forget_instances()
        return None

    yield call
    # train.py sets it, as every OpenMMLab command does.
    os.environ.pop('LOCAL_RANK', None)


@pytest.fixture
def run(toy):
    """Run a command in a process of its own, as a user would."""

    def run(*command, **variables):
        env = dict(
            os.environ,
            PYTHONPATH=os.pathsep.join([str(ROOT), str(toy)]),
            PYTHON=sys.executable,
            PYTHONWARNINGS='ignore',
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='')
        # What an outer launcher has set must not leak into the inner one.
        for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
            env.pop(name, None)
        env.update(variables)
        return subprocess.run([str(c) for c in command],
                              cwd=toy,
                              env=env,
                              text=True,
                              capture_output=True,
                              check=False,
                              timeout=300)

    return run
