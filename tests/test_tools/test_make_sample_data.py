# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The command line of the sample world."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'make_sample_data.py'
SIZES = ['--tiles', '1', '0', '1', '--tile-size', '80', '--scene-size', '64',
         '--quiet']


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('make_sample_data', TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_writes_what_was_asked_for(tool: ModuleType, tmp_path: Path,
                                   capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'deep' / 'world'
    tool.main(['--out', str(out), '--seed', '7', *SIZES])
    world = json.loads((out / 'world.json').read_text())
    assert world['seed'] == 7 and world['tiles'] == [1, 0, 1]
    tiles = json.loads((out / 'index.json').read_text())['tiles']
    assert [t['split'] for t in tiles] == ['train', 'test']
    assert str(out) in capsys.readouterr().out


def test_refuses_a_used_folder_in_one_line(tool: ModuleType,
                                           tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('keep me')
    with pytest.raises(SystemExit) as error:
        tool.main(['--out', str(tmp_path), *SIZES])
    message = str(error.value)
    assert str(tmp_path) in message and '--force' in message
    assert '\n' not in message
    assert (tmp_path / 'mine.txt').read_text() == 'keep me'


def test_refuses_a_bad_size(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='tile_size=33'):
        tool.main(['--out', str(tmp_path / 'w'), '--tile-size', '33'])


@pytest.mark.parametrize('preset', ['test', 'demo'])
def test_presets_are_known(tool: ModuleType, preset: str) -> None:
    assert tool.parse_args(['--preset', preset]).preset == preset


def test_unknown_preset_is_refused(tool: ModuleType) -> None:
    with pytest.raises(SystemExit):
        tool.parse_args(['--preset', 'galaxy'])
