# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Candidates are timed in turn and reported against the first."""

import json

from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)


def test_candidates_run_in_turn_after_one_warm_up():
    calls = []
    seconds = interleave({'a': lambda: calls.append('a'),
                          'b': lambda: calls.append('b')}, 3, 'cpu', 'test')
    assert calls == ['a', 'b'] * 4
    assert {name: len(times) for name, times in seconds.items()} == {
        'a': 3, 'b': 3}


def test_medians_and_ratios_are_printed(capsys):
    print_medians('size', {'ours': [1.0, 9.0, 2.0], 'theirs': [4.0, 4.0]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'size'
    assert '2000.0 ms' in lines[1] and '1.00 x' in lines[1]
    assert '4000.0 ms' in lines[2] and '2.00 x' in lines[2]


def test_json_is_complete_and_names_the_machine(tmp_path):
    path = tmp_path / 'out.json'
    write_json(str(path), {'machine': machine()})
    assert 'torch' in json.loads(path.read_text())['machine']
    assert [p.name for p in tmp_path.iterdir()] == ['out.json']
