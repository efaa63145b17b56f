# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os

import pytest

from mmskysense.demo.memory import tree_memory
from mmskysense.demo.steps import Line, Step, StepFailed, progress_of


def step(name, code, *outputs, inputs=()):
    return Step(name, name.title(), 'now', (('-c', code), ), outputs, inputs)


def run(folder, steps, **options):
    said = []
    line = Line(folder / 'steps', folder, said.append, **options)
    return line, line.run(steps), said


def test_what_is_done_is_not_done_again(tmp_path):
    made = tmp_path / 'made'
    given = tmp_path / 'given'
    given.write_text('a')
    code = f'open({str(made)!r}, "a").write("x")'
    first = step('first', code, made, inputs=(given, ))
    second = step('second', 'print(1)')

    line, records, said = run(tmp_path, [first, second])
    assert (line.ran, made.read_text()) == (2, 'x')
    assert said[0] == '[1/2] First: now' and 'python -c' in said[1]
    assert records[0].seconds > 0

    line, again, said = run(tmp_path, [first, second])
    assert (line.ran, made.read_text()) == (0, 'x')
    assert again == records and 'done before' in said[0]

    # A changed input runs the step and those that build on it.
    given.write_text('b')
    line, _, _ = run(tmp_path, [first, second])
    assert (line.ran, made.read_text()) == (2, 'xx')

    made.unlink()  # so does a lost result
    assert run(tmp_path, [first, second])[0].ran == 1
    assert run(tmp_path, [first, second], force=True)[0].ran == 2


def test_failure_is_one_line_with_the_log(tmp_path):
    bad = step('bad', 'import sys; print("fine"); sys.exit("broken: x")')
    with pytest.raises(StepFailed) as caught:
        run(tmp_path, [bad])
    message = str(caught.value)
    log = tmp_path / 'steps' / 'bad.log'
    assert message.startswith('[1/1] Bad failed with status 1: broken: x')
    assert str(log) in message and '\n' not in message
    assert 'fine' in log.read_text()
    # It is not taken for done.
    with pytest.raises(StepFailed):
        run(tmp_path, [bad])


def test_a_step_that_writes_nothing_has_failed(tmp_path):
    with pytest.raises(StepFailed, match='wrote no .*absent'):
        run(tmp_path, [step('idle', 'pass', tmp_path / 'absent')])


@pytest.mark.parametrize('line, shown', [
    ('INFO - Iter(train) [ 50/200]  lr: 1e-3  eta: 0:01  loss: 0.71  x: 2',
     '50/200 iterations, loss 0.71'),
    ('Iter(test) [ 5/12]    eta: 0:00:01', '5/12 test batches'),
    ('sample world:  20%|##  | 12/60 [00:05<00:20]', '12/60'),
    ('loading', None),
])
def test_progress_is_read_from_the_output(line, shown):
    assert progress_of(line) == shown


@pytest.mark.skipif(not os.path.exists('/proc/self/smaps_rollup'),
                    reason='memory is read from /proc, which Linux has')
def test_memory_of_this_process():
    assert 10e6 < tree_memory(os.getpid()) < 50e9


def test_memory_of_no_process_is_zero():
    assert tree_memory(2**30) == 0
