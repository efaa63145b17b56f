# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What ends up in a wheel, and what the requirement files promise."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = ('mmskysense', 'tools', 'configs', 'weights', 'requirements',
           'setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE',
           'model-index.yml', 'requirements.txt')


def requirements(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    lines = [line.split('#')[0].strip() for line in lines]
    return [Requirement(line) for line in lines if line]


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the repository, so that a build leaves nothing in it."""
    root = tmp_path_factory.mktemp('checkout')
    # setuptools takes tests/test*.py by itself unless it is told not to.
    (root / 'tests').mkdir()
    (root / 'tests/test_any.py').touch()
    for entry in ENTRIES:
        source = ROOT / entry
        if source.is_dir():
            shutil.copytree(
                source,
                root / entry,
                ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy(source, root / entry)
    return root


@pytest.fixture(scope='module')
def wheel(checkout):
    subprocess.run([sys.executable, 'setup.py', '-q', 'bdist_wheel'],
                   cwd=checkout,
                   check=True,
                   capture_output=True)
    return zipfile.ZipFile(next((checkout / 'dist').glob('*.whl')))


def test_wheel_is_complete(wheel):
    names = set(wheel.namelist())
    for expected in ('mmskysense/py.typed', 'mmskysense/.mim/model-index.yml',
                     'mmskysense/.mim/weights/skysense_v2_tiny_1xb64-1300_'
                     'eurosat-rgb-64x64_zoomed.pth',
                     'mmskysense/.mim/tools/train.py',
                     'mmskysense/.mim/tools/dist_train.sh',
                     'mmskysense/.mim/configs/_base_/default_runtime.py',
                     'mmskysense/.mim/configs/_base_/class_names/'
                     'sample_world_osm_all-MiniLM-L6-v2.npz',
                     'mmskysense/engine/launch.py'):
        assert expected in names
    python = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'mmskysense').rglob('*.py')
        if '.mim' not in path.parts
    }
    assert python <= names
    assert not any('__pycache__' in n or n.startswith('tests') for n in names)


def test_source_distribution_has_what_a_build_needs_and_no_more(checkout):
    subprocess.run([sys.executable, 'setup.py', '-q', 'sdist'], cwd=checkout,
                   check=True, capture_output=True)
    path = next((checkout / 'dist').glob('*.tar.gz'))
    with tarfile.open(path) as archive:
        sizes = {member.name.partition('/')[2]: member.size
                 for member in archive.getmembers() if member.isfile()}
    for expected in ('setup.py', 'LICENSE', 'model-index.yml',
                     'requirements/runtime.txt', 'tools/train.py',
                     'configs/_base_/default_runtime.py',
                     'mmskysense/.mim/tools/train.py'):
        assert expected in sizes
    assert not [name for name in sizes if name.startswith(('tests', 'docs'))]
    released = {name: size for name, size in sizes.items()
                if name.endswith('.pth')}
    # Once each: a wheel is built from the copy in .mim.
    assert len(released) == len(list((ROOT / 'weights').glob('*.pth')))
    assert sum(released.values()) < 25_000_000
    assert max(size for name, size in sizes.items()
               if name not in released) < 100_000


def test_wheel_forces_no_openmmlab_distribution(wheel):
    name = next(n for n in wheel.namelist() if n.endswith('/METADATA'))
    metadata = message_from_string(wheel.read(name).decode())
    assert SpecifierSet(metadata['Requires-Python']) == \
        SpecifierSet('>=3.10,<3.13')
    hard = {
        Requirement(r).name
        for r in metadata.get_all('Requires-Dist') if 'extra ==' not in r
    }
    assert {'torch', 'numpy', 'rasterio'} <= hard
    assert not any('mm' in name for name in hard)
    assert {'mminstall', 'optional', 'tests', 'text', 'lora',
            'docs'} <= set(metadata.get_all('Provides-Extra'))


@pytest.mark.parametrize(('command', 'linked'), [('develop', True),
                                                 ('editable_wheel', True),
                                                 ('sdist', False),
                                                 ('bdist_wheel', False)])
def test_mim_links_for_development_and_copies_otherwise(
        checkout, monkeypatch, command, linked):
    scope = {'__file__': str(checkout / 'setup.py'), '__name__': 'setup'}
    exec((checkout / 'setup.py').read_text(), scope)
    monkeypatch.setattr(sys, 'argv', ['setup.py', command])
    for _ in range(2):  # a second time over what the first left
        scope['add_mim_extension']()
    mim = checkout / 'mmskysense' / '.mim'
    for entry in ('tools', 'configs', 'model-index.yml'):
        assert (mim / entry).is_symlink() == linked
        assert (mim / entry).exists()
    assert (checkout / 'tools' / 'train.py').exists()


def test_other_commands_leave_mim_alone(checkout, monkeypatch):
    shutil.rmtree(checkout / 'mmskysense' / '.mim', ignore_errors=True)
    scope = {'__file__': str(checkout / 'setup.py'), '__name__': 'setup'}
    exec((checkout / 'setup.py').read_text(), scope)
    monkeypatch.setattr(sys, 'argv', ['setup.py', '--version'])
    scope['add_mim_extension']()
    assert not (checkout / 'mmskysense' / '.mim').exists()


def test_every_direct_requirement_of_the_tested_set_admits_its_pin():
    pins = {}
    for pin in requirements('constraints'):
        assert re.fullmatch(r'==[^*]+', str(pin.specifier)), pin
        pins.setdefault(pin.name, []).append(str(pin.specifier)[2:])
    for name in ('runtime', 'mminstall', 'optional', 'tests', 'text', 'lora',
                 'demo', 'lint', 'build'):
        for requirement in requirements(name):
            for version in pins.get(requirement.name, []):
                assert version in requirement.specifier, requirement


def test_every_constraint_says_why():
    """Each block of pins is headed by a comment."""
    text = (ROOT / 'requirements/constraints.txt').read_text()
    for block in text.strip().split('\n\n'):
        assert block.startswith('#'), block


def test_model_index_names_files_that_exist():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    known = set()
    for entry in index['Import']:
        metafile = yaml.safe_load((ROOT / entry).read_text())
        for collection in metafile.get('Collections', ()):
            assert collection['Paper']['URL'].startswith('https')
            assert (ROOT / collection['Code']['URL']).is_file()
            known.add(collection['Name'])
        # Defined in this metafile or in one before it.
        assert {m['In Collection'] for m in metafile['Models']} <= known
        for model in metafile['Models']:
            assert (ROOT / model['Config']).is_file()
