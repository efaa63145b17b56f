# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Bad input is one line; a defect keeps its traceback."""

import os
import signal

import pytest

from mmskysense.registry import MODELS
from mmskysense.utils.command_line import plain_refusal, tidy_termination


def test_an_unknown_argument_of_a_config_is_one_line(monkeypatch):
    monkeypatch.delenv('MMSKYSENSE_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as found, plain_refusal('train.py'):
        MODELS.build(dict(type='mmskysense.SkySenseV2', archh='tiny'))
    line = str(found.value)
    assert line.startswith('train.py: error:') and '\n' not in line
    assert 'SkySenseV2' in line and "'archh'" in line


def test_another_type_error_keeps_its_traceback():
    with pytest.raises(TypeError), plain_refusal('train.py'):
        len(3)


def test_a_bad_value_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.delenv('MMSKYSENSE_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as found, plain_refusal('predict.py',
                                                           ['scale']):
        raise ValueError('a.tif: found uint16;\npass scale=0.1')
    assert str(found.value).startswith(
        'predict.py: error: a.tif: found uint16; pass --scale 0.1')


def test_sigterm_tidies_up_and_is_left_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    tidied = []
    with pytest.raises(SystemExit) as found, tidy_termination():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            tidied.append(True)
    assert found.value.code == 143 and tidied
    # A forked process that kept the handler would not end by SIGTERM.
    assert signal.getsignal(signal.SIGTERM) is before
