# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Judging an installation: pure functions over facts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Import name -> whether the core of the package needs it.
LIBRARIES = {
    'torch': True,
    'numpy': True,
    'mmengine': True,
    'mmcv': True,
    'rasterio': True,
    'torchvision': False,
    'mmseg': False,
    'mmdet': False,
    'mmpretrain': False,
    'mmrotate': False,
    'peft': False,
    'timm': False,
    'setuptools': False,
}
# Import name -> distributions known to install it. onedl's first.
PROVIDERS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmrotate': ('onedl-mmrotate', 'mmrotate'),
}
# torchvision 0.15 goes with torch 2.0, 0.26 with 2.11.
TORCHVISION_MINOR_OFFSET = 15
UPSTREAM_NEWEST_TORCH = (2, 4)
_REQUIREMENTS = Path(__file__).resolve().parents[2] / 'requirements'


# What a missing optional library is needed for.
USES = {
    'mmseg': 'semantic segmentation and maps',
    'mmdet': 'object detection',
    'mmpretrain': 'scene classification',
    'mmrotate': 'oriented detection',
    'peft': 'LoRA',
    'timm': 'tests',
}


def install_command(folder: Path = _REQUIREMENTS) -> str:
    """Begin of a line that installs a tested version.

    Args:
        folder: Where a clone of the repository has its requirement files;
            what pip installed has none.

    Returns:
        str: For example ``'pip install -c requirements/constraints.txt'``.
    """
    constraints = folder / 'constraints.txt'
    if not constraints.is_file():
        return 'pip install'
    path = os.path.relpath(constraints)
    return f"pip install -c {constraints if path[:2] == '..' else path}"


INSTALL = install_command()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what (str): One sentence: what was found and why it hurts.
        fix (str): One line to type.
        breaks_core (bool): Whether the package cannot work at all.
    """

    what: str
    fix: str
    breaks_core: bool = False


@dataclass
class Environment:
    """What was found on this machine.

    Attributes:
        python (tuple[int, int, int]): Version of the interpreter.
        versions (dict): Import name -> version, or None if not installed.
        distributions (dict): Import name -> names of the installed
            distributions that provide it.
        import_errors (dict): Import name -> first line of the error, for
            installed libraries that fail to import.
        mmcv_ops (bool): Whether ``mmcv._ext`` (the compiled ops) imports.
        has_pkg_resources (bool): Whether ``pkg_resources`` is there.
        gdal (str | None): Version of the GDAL inside rasterio.
        cpu_cores (int): Cores this process may use.
        accelerators (list): Names of the GPUs torch sees; ``'MPS'`` for
            Apple's.
    """

    python: tuple[int, int, int]
    versions: dict[str, str | None] = field(default_factory=dict)
    distributions: dict[str, list[str]] = field(default_factory=dict)
    import_errors: dict[str, str] = field(default_factory=dict)
    mmcv_ops: bool = False
    has_pkg_resources: bool = False
    gdal: str | None = None
    cpu_cores: int = 1
    accelerators: list[str] = field(default_factory=list)


def version_pair(version: str) -> tuple[int, int]:
    """Take the first two numbers of a version.

    Args:
        version (str): E.g. ``'2.11.0+cpu'``.

    Returns:
        tuple[int, int]: E.g. ``(2, 11)``; what is not a number counts as 0.
    """
    parts = [*version.split('+')[0].split('.'), '0', '0'][:2]
    numbers = [
        int(''.join(c for c in part if c.isdigit()) or 0) for part in parts
    ]
    return numbers[0], numbers[1]


def find_collisions(
        providers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Find OpenMMLab import names that several distributions provide.

    Args:
        providers (Mapping): Import name -> distributions, as
            ``importlib.metadata.packages_distributions`` returns it.

    Returns:
        dict: Import name -> its two or more distributions, sorted.
    """
    found = {name: sorted(set(providers.get(name, ()))) for name in PROVIDERS}
    return {name: names for name, names in found.items() if len(names) > 1}


def expected_torchvision(torch_version: str) -> str:
    """Name the torchvision that belongs to a torch 2 release.

    Args:
        torch_version (str): E.g. ``'2.11.0'``.

    Returns:
        str: E.g. ``'0.26'``.
    """
    return f'0.{version_pair(torch_version)[1] + TORCHVISION_MINOR_OFFSET}'


def diagnose(env: Environment) -> list[Problem]:
    """Judge what was found.

    Args:
        env (Environment): What was found.

    Returns:
        list[Problem]: What is wrong, gravest first; empty if nothing is.
    """
    return sorted(
        [
            *_python_problems(env), *_missing_core(env), *_import_errors(env),
            *_collisions(env), *_torch_problems(env), *_ops_problems(env)
        ],
        key=lambda problem: not problem.breaks_core)


def _python_problems(env: Environment) -> list[Problem]:
    if (3, 10) <= env.python[:2] < (3, 13):
        return []
    found = '.'.join(map(str, env.python))
    return [
        Problem(f'Python {found}: 3.10, 3.11 and 3.12 are supported',
                'make demo PYTHON=python3.11', True)
    ]


def _missing_core(env: Environment) -> list[Problem]:
    problems = []
    for name, core in LIBRARIES.items():
        if core and env.versions.get(name) is None:
            target = PROVIDERS.get(name, (name, ))[0]
            problems.append(
                Problem(f'{name} is not installed, the core needs it',
                        f'{INSTALL} {target}', True))
    return problems


def _import_errors(env: Environment) -> list[Problem]:
    problems = []
    for name, message in env.import_errors.items():
        if 'libGL' in message:
            fix = (f'{INSTALL} --force-reinstall --no-deps '
                   'opencv-python-headless')
        elif name in ('mmdet', ) and not env.mmcv_ops:
            fix = 'make test  # builds mmcv with its compiled ops'
        else:
            target = PROVIDERS.get(name, (name, ))[0]
            fix = f'{INSTALL} --force-reinstall --no-deps {target}'
        problems.append(
            Problem(f'{name} is installed but does not import: {message}', fix,
                    LIBRARIES.get(name, False)))
    return problems


def _collisions(env: Environment) -> list[Problem]:
    problems = []
    for name, names in find_collisions(env.distributions).items():
        keep = next((n for n in PROVIDERS[name] if n in names), names[0])
        problems.append(
            Problem(
                f'{" and ".join(names)} all install the import name '
                f"'{name}' and overwrite each other's files",
                f'pip uninstall -y {" ".join(names)} && {INSTALL} {keep}'))
    return problems


def _torch_problems(env: Environment) -> list[Problem]:
    torch = env.versions.get('torch')
    if torch is None:
        return []
    problems = []
    vision = env.versions.get('torchvision')
    if vision is not None and version_pair(torch)[0] == 2 and \
            version_pair(vision) != version_pair(
                expected_torchvision(torch)):
        wanted = expected_torchvision(torch)
        problems.append(
            Problem(
                f'torchvision {vision} does not belong to torch {torch} '
                "(operator 'torchvision::nms does not exist')",
                f"pip install 'torchvision=={wanted}.*' 'torch=="
                f"{torch.split('+')[0]}'"))
    upstream = sorted(names[0] for name, names in env.distributions.items()
                      if name in PROVIDERS and len(names) == 1
                      and not names[0].startswith('onedl-'))
    if upstream and version_pair(torch) > UPSTREAM_NEWEST_TORCH:
        problems.append(
            Problem(
                f'{", ".join(upstream)}: OpenMMLab\'s own releases are tested '
                f'up to torch 2.4 and cannot resume with torch 2.6 or newer; '
                f'found torch {torch}',
                f'pip uninstall -y {" ".join(upstream)} && {INSTALL} '
                + ' '.join(next(d for d in PROVIDERS.values()
                                if name in d)[0] for name in upstream)))
    if upstream and not env.has_pkg_resources:
        problems.append(
            Problem(
                f'{", ".join(upstream)} import pkg_resources, which '
                'setuptools 82 and newer no longer have',
                "pip install 'setuptools<82'"))
    return problems


def _ops_problems(env: Environment) -> list[Problem]:
    if env.versions.get('mmcv') is None or env.mmcv_ops:
        return []
    hosts = [n for n in ('mmdet', ) if env.versions.get(n) is not None]
    if not hosts:
        return []  # nothing that is installed needs the ops
    return [
        Problem(
            f'mmcv has no compiled ops (mmcv._ext), which '
            f'{" and ".join(hosts)} need',
            'pip install --no-build-isolation --no-cache-dir '
            '--force-reinstall --no-deps onedl-mmcv  # 13 minutes; '
            'make test does it')
    ]
