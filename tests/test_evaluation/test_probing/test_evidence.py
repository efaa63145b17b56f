# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json

import pytest

from mmskysense.evaluation.probing.evidence import (
    Row,
    read_record,
    read_rows,
    table_of_rows,
)


@pytest.fixture
def rows_file(tmp_path):
    path = tmp_path / 'rows.py'
    path.write_text("pretrain = 'pretrain.py'\n"
                    "rows = dict(random=dict(title='random', trained=False),\n"
                    "            full=dict(title='full', options=['a=1']))\n")
    return path


def test_rows_are_read_in_order(rows_file, tmp_path):
    config, rows = read_rows(rows_file)
    assert config == str(tmp_path / 'pretrain.py')
    assert rows == [Row('random', 'random', (), False),
                    Row('full', 'full', ('a=1', ), True)]
    assert read_rows(rows_file, ['full'])[1] == rows[1:]


def test_unknown_rows_and_files_without_rows_are_refused(rows_file, tmp_path):
    with pytest.raises(ValueError, match=r"no rows \['other'\]"):
        read_rows(rows_file, ['other'])
    empty = tmp_path / 'empty.py'
    empty.write_text("pretrain = 'a.py'\n")
    with pytest.raises(ValueError, match='expected pretrain=FILE and rows'):
        read_rows(empty)


def test_table_has_mean_and_spread_over_seeds(tmp_path):
    for seed, top1 in enumerate((0.5, 0.6)):
        found = dict(top1=top1, ci95=[top1 - 0.02, top1 + 0.02])
        (tmp_path / f'full_seed{seed}.json').write_text(json.dumps(
            dict(iterations=10, knn=found, linear=found)))
    table = table_of_rows([Row('full', 'Full'), Row('none', 'None')],
                          tmp_path)
    assert '| Full | 2 | 10 | 55.0 ± 7.1 (53.0-57.0) |' in table
    assert '| None | 0 | | not measured | |' in table
    assert read_record(tmp_path / 'absent.json') is None
