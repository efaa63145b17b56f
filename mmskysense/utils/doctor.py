# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What is installed, what is wrong with it, and the fix for each thing.

Facts are gathered here (:func:`inspect_environment`) and judged by a pure
function (:func:`mmskysense.utils.diagnosis.diagnose`), so that every judgement
can be tested without breaking an installation. Nothing here needs torch or
mmengine to be there.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from mmskysense.version import __version__

from .diagnosis import (
    LIBRARIES,
    PROVIDERS,
    USES,
    Environment,
    Problem,
    diagnose,
)


def inspect_environment() -> Environment:
    """Gather the facts about this interpreter and machine.

    Returns:
        Environment: What was found.
    """
    providers = metadata.packages_distributions()
    env = Environment(python=sys.version_info[:3])
    env.distributions = {
        name: sorted(set(providers.get(name, ())))
        for name in LIBRARIES
        if providers.get(name)
    }
    for name in LIBRARIES:
        env.versions[name] = None
        names = env.distributions.get(name)
        if names:
            first = next((n for n in PROVIDERS.get(name, ()) if n in names),
                         names[0])
            env.versions[name] = metadata.version(first)
    # mmcv._ext needs torch's libraries, hence after it; setuptools itself is
    # a fact here, not something we import.
    names = [name for name, version in env.versions.items()
             if version is not None and name != 'setuptools']
    tried = try_imports([*names, 'mmcv._ext', 'pkg_resources'])
    env.mmcv_ops = tried.pop('mmcv._ext') is None
    env.has_pkg_resources = tried.pop('pkg_resources') is None
    env.import_errors = {
        name: message for name, message in tried.items()
        if message is not None
    }
    if env.versions['rasterio'] and 'rasterio' not in env.import_errors:
        import rasterio
        env.gdal = rasterio.__gdal_version__
    try:
        env.cpu_cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        env.cpu_cores = os.cpu_count() or 1
    if env.versions['torch'] and 'torch' not in env.import_errors:
        import torch
        env.accelerators = [
            torch.cuda.get_device_name(index)
            for index in range(torch.cuda.device_count())
        ]
        if torch.backends.mps.is_available():
            env.accelerators.append('MPS')
    return env


# Imports each argument in turn; says so before and after, so that a crash
# of the interpreter itself can be blamed on the right library.
_IMPORT_SCRIPT = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps([name, 'the interpreter crashed']), flush=True)
    try:
        importlib.import_module(name)
        message = None
    except BaseException as error:
        first = (str(error).strip().splitlines() or [''])[0]
        message = f'{type(error).__name__}: {first}'
    print(json.dumps([name, message]), flush=True)
"""


def try_imports(names: Sequence[str]) -> dict[str, str | None]:
    """Import modules in another process: a crash there is only an answer.

    Args:
        names (Sequence[str]): Modules, imported in this order.

    Returns:
        dict: Module -> one line about the error, None if the import worked.
    """
    results: dict[str, str | None] = {}
    left = list(names)
    while left:
        ran = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', _IMPORT_SCRIPT, *left],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False)
        answered = False
        for line in ran.stdout.splitlines():
            if line.startswith('["'):
                name, message = json.loads(line)
                results[name] = message
                answered = True
        if not answered:
            results[left[0]] = f'exit status {ran.returncode}'
        left = [name for name in left if name not in results]
    return results


def to_text(env: Environment, problems: Sequence[Problem]) -> str:
    """Lay the facts and the problems out for a person.

    Args:
        env (Environment): What was found.
        problems (Sequence[Problem]): What :func:`diagnose` made of it.

    Returns:
        str: Several lines, without a newline at the end.
    """
    lines = [
        f'mmskysense   {__version__}  ({Path(__file__).parents[1]})',
        f'python       {".".join(map(str, env.python))}  '
        f'({platform.platform(terse=True)})'
    ]
    for name, version in env.versions.items():
        names = env.distributions.get(name, [])
        note = '' if names in ([], [name]) else f'  ({", ".join(names)})'
        if not version and name in USES:
            note = f'  (optional, for {USES[name]})'
        if name == 'rasterio' and env.gdal:
            note += f'  GDAL {env.gdal}'
        if name == 'mmcv' and version:
            note += '  compiled ops: ' + ('yes' if env.mmcv_ops else 'no')
        lines.append(f'{name:12} {version or "not installed"}{note}')
    devices = ', '.join(env.accelerators) or 'no GPU'
    lines.append(f'{"devices":12} {env.cpu_cores} CPU cores, {devices}')
    for problem in problems:
        grade = 'ERROR' if problem.breaks_core else 'warning'
        lines += ['', f'{grade}: {problem.what}', f'  fix: {problem.fix}']
    broken = any(problem.breaks_core for problem in problems)
    lines += [
        '', 'The core cannot work: see the errors above.' if broken else
        'The core works' + (', see the warnings above.'
                            if problems else ', nothing is wrong.')
    ]
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the state of this installation.

    Args:
        arguments (Sequence[str] | None): Command line; None: ``sys.argv``.

    Returns:
        int: 0 if the core works, 1 if not.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mmskysense.doctor',
        description='Say what is installed, what is wrong and how to fix it.')
    parser.add_argument(
        '--json', action='store_true', help='print JSON instead of text')
    args = parser.parse_args(arguments)
    env = inspect_environment()
    problems = diagnose(env)
    broken = any(problem.breaks_core for problem in problems)
    if args.json:
        print(
            json.dumps(
                dict(
                    core_works=not broken,
                    environment=asdict(env),
                    problems=[asdict(problem) for problem in problems]),
                indent=2))
    else:
        print(to_text(env, problems))
    return int(broken)
