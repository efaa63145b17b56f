# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The tool that makes the evidence's table."""

import importlib.util
import json
from inspect import signature
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = ROOT / 'configs/evidence/eurosat_rows.py'


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location(
        'pretraining_evidence',
        ROOT / 'tools/analysis_tools/pretraining_evidence.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(tool, monkeypatch):
    """What is run, with a probe that finds 70 %."""
    found = []

    def run(command, log):
        found.append([str(word) for word in command])
        if '--json' in command:
            Path(command[command.index('--json') + 1]).write_text(json.dumps(
                dict(top1=0.7, ci95=[0.6, 0.8], n_train=8, n_test=4,
                     versions={}, extra=1)))

    monkeypatch.setattr(tool, 'run', run)
    return found


def arguments(tmp_path, *more):
    (tmp_path / 'work').mkdir(exist_ok=True)
    return [str(ROWS), '--data-root', str(tmp_path), '--out',
            str(tmp_path / 'out'), '--work-dir', str(tmp_path / 'work'),
            *more]


def test_rows_train_and_probe_with_their_changes_once(tool, commands,
                                                      tmp_path, capsys):
    args = arguments(tmp_path, '--only', 'random', 'image', '--seeds', '0',
                     '1', '--iters', '7', '--amp')
    tool.main(args)
    trained = [c for c in commands if c[0].endswith('train.py')]
    probed = [c for c in commands if c[0].endswith('probe.py')]
    assert len(trained) == 2 and len(probed) == 8
    for seed, command in enumerate(trained):
        assert f'randomness.seed={seed}' in command and '--amp' in command
        assert 'train_cfg.max_iters=7' in command
        assert 'param_scheduler.1.end=7' in command
        assert 'model.qsacl_head=None' in command
    assert all(c[2] == 'none' for c in probed[:2])
    assert probed[2][2].endswith('image_seed0/iter_7.pth')
    record = json.loads((tmp_path / 'out/image_seed1.json').read_text())
    assert record['iterations'] == 7 and record['knn']['top1'] == 0.7
    assert 'extra' not in record['knn']
    assert '70.0 ± 0.0 (60.0-80.0)' in capsys.readouterr().out
    commands.clear()
    tool.main(args)
    assert not commands  # all records are there


def test_a_run_that_fails_names_its_log(tool, tmp_path):
    with pytest.raises(ValueError, match='ended with exit code 2'):
        tool.run([str(ROOT / 'tools/train.py'), '--nonsense'],
                 tmp_path / 'a/train.log')
    assert 'usage' in (tmp_path / 'a/train.log').read_text()


def test_rows_change_what_the_config_has(tool):
    """A misspelt option would silently measure the full method."""
    from mmengine.config import Config, DictAction

    from mmskysense import SkySenseV2
    config, rows = tool.read_rows(ROWS)
    for row in rows:
        cfg = Config.fromfile(config)
        known = cfg.model.to_dict()
        for option in row.options:
            key, value = option.split('=', 1)
            parts = key.split('.')
            assert parts[0] == 'model'
            place = known
            for part in parts[1:-1]:
                place = place.setdefault(part, {}) if part == 'moe' else \
                    place[part]
            if parts[:2] == ['model', 'backbone'] and len(parts) == 3:
                # A default that the config does not name.
                assert parts[-1] in signature(SkySenseV2).parameters
            elif parts[-1] not in ('num_experts', 'num_queries'):
                assert parts[-1] in place
            DictAction._parse_iterable(value)
