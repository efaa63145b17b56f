# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from mmskysense.visualization.curves import (
    bar_chart,
    line_chart,
    read_scalars,
)


def test_lines_stay_inside_the_drawing_and_skip_nan():
    svg = line_chart({'a': [(0, 1.0), (5, math.nan), (10, 3.0)],
                      'b & c': [(0, -2.0), (10, 0.5)]}, 'iteration', 'loss')
    ElementTree.fromstring(svg)  # well-formed
    lines = re.findall(r'points="([^"]*)"', svg)
    assert [len(line.split()) for line in lines] == [2, 2]
    for point in ' '.join(lines).split():
        x, y = map(float, point.split(','))
        assert 0 <= x <= 560 and 0 <= y <= 280


def test_one_value_can_be_drawn():
    ElementTree.fromstring(line_chart({'a': [(1, 2.0)]}, 'x', 'y'))


def test_a_chart_of_nothing_is_refused():
    with pytest.raises(ValueError, match='no finite point'):
        line_chart({'a': [(0, math.nan)]}, 'x', 'y')


def test_bars_are_proportional():
    svg = bar_chart({'a': 50.0, 'b': 25.0})
    ElementTree.fromstring(svg)
    first, second = (float(w) for w in
                     re.findall(r'width="([\d.]+)" height="18"', svg))
    assert first == pytest.approx(2 * second)


@pytest.mark.parametrize('values', [{}, {'a': -1.0}, {'a': math.inf}])
def test_bad_bars_are_refused(values):
    with pytest.raises(ValueError, match='bar_chart'):
        bar_chart(values)


def test_latest_run_is_read(tmp_path):
    for name, loss in (('20240101_000000', 1.0), ('20240102_000000', 2.0)):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        rows = [dict(iter=1, loss=loss), dict(mIoU=3.0)]
        (folder / 'scalars.json').write_text(
            '\n'.join(json.dumps(row) for row in rows))
    assert read_scalars(tmp_path) == [dict(iter=1, loss=2.0)]
    with pytest.raises(FileNotFoundError, match='scalars'):
        read_scalars(tmp_path / 'none')
