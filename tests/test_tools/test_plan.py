# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""tools/plan.py, and the metafile that it fills."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmskysense.utils.cost import build_on_meta, count_parameters, plan

ROOT = Path(__file__).resolve().parents[2]
METAFILE = ROOT / 'configs/skysense_v2/metafile.yml'
MODELS = yaml.safe_load(METAFILE.read_text())['Models']
TINY = 'configs/skysense_v2/skysense_v2_tiny_1xb8-2k_sample-world-s2.py'


def run(*arguments):
    return subprocess.run(
        [sys.executable, 'tools/plan.py', *map(str, arguments)], cwd=ROOT,
        capture_output=True, text=True)


def test_text_and_json(tmp_path):
    done = run(TINY, '--gpus', 2, '--json', tmp_path / 'plan.json')
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'plan.json').read_text())
    assert (found['gpus'], found['batch']) == (2, 16)
    assert found['flops'] == 2 * found['step']['flops']
    assert f"{found['parameters']['total'] / 1e6:.1f} M" in done.stdout
    assert not list(tmp_path.glob('*.part'))


def test_json_without_a_file_is_all_that_is_printed():
    done = run(TINY, '--json', '--cfg-options',
               'train_dataloader.batch_size=2')
    assert json.loads(done.stdout)['batch'] == 2


@pytest.mark.parametrize(('arguments', 'words'), [
    ((TINY, '--gpus', 0), '--gpus 0: expected at least 1'),
    (('configs/segmentation/skysense_v2_tiny_upernet_1xb4-2k_sample-world-'
      '256x256.py', ), 'expected a pre-training config'),
    (('nothing.py', ), 'config nothing.py: expected a file'),
])
def test_refusals_are_one_line(arguments, words):
    done = run(*arguments)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith('plan.py: error: ') and words in line


def test_one_entry_for_each_recipe():
    recipes = {path.relative_to(ROOT).as_posix()
               for path in METAFILE.parent.glob('*.py')}
    assert {model['Config'] for model in MODELS} == recipes
    assert len(MODELS) == len(recipes)
    for model in MODELS:
        assert (ROOT / model['Config']).is_file()
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] == 'SkySense V2'
        # Nothing was trained: no scores and no weights are claimed.
        assert model.get('Results') is None or model.get('Weights')
    readme = (METAFILE.parent / 'README.md').read_text()
    assert all(Path(recipe).name in readme for recipe in recipes)


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_the_metafile_is_what_the_tool_says_now(model):
    """Parameters of all; the rest, which takes longer, of every size.

    MMSKYSENSE_ALL_PLANS=1 in the environment checks all of all.
    """
    cfg = Config.fromfile(ROOT / model['Config'])
    data, name = model['Metadata'], model['Name']
    whole = '_tiny' in name or name.endswith('-rgb') \
        or os.environ.get('MMSKYSENSE_ALL_PLANS') == '1'
    if not whole:
        assert data['Parameters'] == count_parameters(
            build_on_meta(cfg).student).total
        return
    gpus = int(re.search(r'_(\d+)xb', name)[1])
    found = plan(cfg, gpus).metadata()
    assert {key: data[key] for key in found} == found


def test_the_table_of_the_readme_is_the_metafiles():
    rows = {
        cells[0]: cells
        for cells in (
            [cell.strip() for cell in line.strip('|\n').split('|')]
            for line in (METAFILE.parent / 'README.md').open()
            if line.startswith('| ['))
    }
    for model in MODELS:
        name, data = model['Name'], model['Metadata']
        row = rows[f'[{name[12:]}]({name}.py)']
        assert row[-3:] == [f"{data['Parameters'] / 1e6:.1f}",
                            f"{data['FLOPs'] / 1e12:.2f}",
                            f"{data['Memory (GB)']:.1f}"]


def test_commands_of_the_readme_exist():
    text = (METAFILE.parent / 'README.md').read_text().replace('\\\n', ' ')
    named = {
        word for block in re.findall(r'```bash\n(.*?)```', text, re.S)
        for line in block.splitlines()
        for word in shlex.split(line, comments=True)
        if word.startswith(('tools/', 'configs/'))
    }
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path
