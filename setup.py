# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Packaging of mmskysense.

``mim`` finds a package's tools, configs and model index in its ``.mim``
folder: a link for a development installation, a copy for a distribution.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
MIM_ENTRIES = ('tools', 'configs', 'weights', 'model-index.yml')
LINK_COMMANDS = ('develop', 'editable_wheel', 'dist_info', 'egg_info')
COPY_COMMANDS = ('sdist', 'bdist_wheel', 'build', 'build_py', 'install')


def read_version() -> str:
    """Read ``__version__`` without importing the package."""
    scope: dict[str, str] = {}
    exec((ROOT / 'mmskysense/version.py').read_text(), scope)
    return scope['__version__']


def read_requirements(name: str) -> list[str]:
    """Read ``requirements/<name>.txt`` without its comments."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    lines = (line.split('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def add_mim_extension() -> None:
    """Put tools, configs and the model index into ``mmskysense/.mim``."""
    if any(command in sys.argv for command in COPY_COMMANDS):
        copy = True
    elif any(command in sys.argv for command in LINK_COMMANDS):
        copy = os.name == 'nt'  # links need a privilege on Windows
    else:
        return
    mim = ROOT / 'mmskysense' / '.mim'
    mim.mkdir(exist_ok=True)
    for entry in MIM_ENTRIES:
        source, target = ROOT / entry, mim / entry
        if not source.exists():
            continue
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if not copy:
            target.symlink_to(os.path.relpath(source, mim))
        elif source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy2(source, target)


if __name__ == '__main__':
    add_mim_extension()
    setup(
        name='mmskysense',
        version=read_version(),
        description='SkySense V2, a multi-modal remote-sensing foundation '
        'model, as an OpenMMLab plugin',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
        if (ROOT / 'README.md').exists() else '',
        long_description_content_type='text/markdown',
        author='mmskysense contributors',
        license='Apache-2.0',
        license_files=['LICENSE'],
        classifiers=[
            'Development Status :: 3 - Alpha',
            'Operating System :: POSIX :: Linux',
            'Programming Language :: Python :: 3.10',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: Python :: 3.12',
            'Topic :: Scientific/Engineering :: GIS',
        ],
        packages=find_packages(include=['mmskysense', 'mmskysense.*']),
        include_package_data=True,
        python_requires='>=3.10,<3.13',
        install_requires=read_requirements('runtime'),
        extras_require={
            'mminstall': read_requirements('mminstall'),
            'optional': read_requirements('optional'),
            'tests': read_requirements('tests'),
            'lora': read_requirements('lora'),
            'text': read_requirements('text'),
            'docs': read_requirements('docs'),
            'all': read_requirements('mminstall') +
            read_requirements('optional') + read_requirements('tests'),
        },
        zip_safe=False)
