# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiles cover a scene; counts, pairs and label values are checked."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.datasets.conversion import (
    ConversionItem,
    DataError,
    Defects,
    TilePlan,
    check_label_values,
    cut,
    decode_colours,
    match_files,
    read_image,
    read_json,
    read_lines,
    tile_name,
    verify_counts,
    write_geotiff,
    write_png,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.data())
def test_tiles_cover_every_pixel(height, width, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    seen = np.zeros((height, width), int)
    names = set()
    for window in TilePlan(size, overlap).windows(height, width):
        part = cut(seen, window)
        assert part.shape == (min(size, height), min(size, width))
        seen[window.row:window.row + window.height,
             window.column:window.column + window.width] += 1
        names.add(tile_name('P0001', window))
    assert (seen > 0).all()
    assert len(names) == len(set(names))


@pytest.mark.parametrize('size, overlap', [(0, 0), (8, 8), (8, -1)])
def test_impossible_tiles(size, overlap):
    with pytest.raises(ValueError, match='expected'):
        TilePlan(size, overlap)


def test_counts():
    items = [ConversionItem(str(n), Path(str(n)), 'train') for n in range(3)]
    assert verify_counts(items, dict(train=3), 'root') == dict(train=3)
    with pytest.raises(DataError, match='found 3 of 4 in train, 0 of 2 in v'):
        verify_counts(items, dict(train=4, val=2), 'root')
    with pytest.MonkeyPatch.context() as patched:
        told = []
        patched.setattr('mmskysense.datasets.conversion.verification.'
                        'print_log', lambda text, *_: told.append(text))
        verify_counts(items, dict(train=4, val=2), 'root', partial=True)
        verify_counts(items, dict(train=4, Beach=2), 'root', partial=True)
    assert len(told) == 1
    assert told[0].startswith('root: nothing of val; in the config set')


def test_pairs():
    assert match_files(dict(image=dict(b='b.png', a='a.png'),
                            label=dict(a='x', b='y')), 'root') == ['a', 'b']
    with pytest.raises(DataError, match='b.png: expected its label in root.*'
                       '--skip-bad'):
        match_files(dict(image=dict(a='a.png', b='b.png'),
                         label=dict(a='x')), 'root')
    with pytest.raises(DataError, match='y.png: expected its image'):
        match_files(dict(image=dict(a='a.png'),
                         label=dict(a='x', b='y.png')), 'root')


def test_files_without_partners_are_noted_once_each():
    defects = Defects(skip=True)
    names = match_files(dict(
        image=dict(a='a.png', b='b.png'), label=dict(a='a.txt', c='c.txt'),
        metadata=dict(a='a.xml', c='c.xml')), 'root', defects)
    assert names == ['a']
    assert list(defects.messages) == ['b.png', 'c.txt']
    assert 'expected its label and its metadata in root' in \
        defects.messages['b.png']


def test_defects_of_one_file_do_not_hide_each_other():
    defects = Defects(skip=True)
    for _ in range(2):
        defects.add(DataError('a.json', 'bad'))
    assert defects.count == 2
    with pytest.raises(DataError, match='^a.json: bad; leave such entries'):
        Defects().add(DataError('a.json', 'bad'))


def test_what_was_left_out_may_be_missing_but_no_more():
    items = [ConversionItem(str(n), Path(str(n)), 'train') for n in range(3)]
    defects = Defects(skip=True)
    defects.add(DataError('a', 'bad'))
    assert verify_counts(items, dict(train=4), 'root', defects=defects)
    for published in (5, 2):
        with pytest.raises(DataError, match='1 entries were left out'):
            verify_counts(items, dict(train=published), 'root',
                          defects=defects)


def test_label_values():
    label = np.array([[0, 1], [255, 7]])
    check_label_values(label, (*range(8), 255), 'label.png')
    with pytest.raises(DataError, match='label.png: expected class ids 0 to 5'
                       ', found 7, 255 in 2 pixels'):
        check_label_values(label, range(6), 'label.png')


def test_colours():
    image = np.zeros((3, 2, 2), np.uint8)
    image[:, 0, 1] = 0, 0, 255
    image[:, 1, 0] = 255, 255, 0
    colours = {3: (0, 0, 0), 1: (0, 0, 255), 0: (255, 255, 0)}
    assert decode_colours(image, colours, 'x.png').tolist() == [[3, 1],
                                                                [0, 3]]
    image[:, 1, 1] = 0, 1, 255
    with pytest.raises(DataError, match=r'\(0, 1, 255\), which no class has, '
                       'in row 1'):
        decode_colours(image, colours, 'x.png')
    with pytest.raises(DataError, match='3 channels'):
        decode_colours(image[:1], colours, 'x.png')


def test_text_files_name_the_line(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"a": 1,\n"b": }')
    with pytest.raises(DataError, match='a.json, line 2: expected JSON'):
        read_json(path)
    path.write_text('\ufeffone\n\n two \n', encoding='utf-8')
    assert read_lines(path) == [(1, 'one'), (3, 'two')]
    path.write_text('\n')
    with pytest.raises(DataError, match='empty file'):
        read_lines(path)
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DataError, match='UTF-8'):
        read_lines(path)
    with pytest.raises(DataError, match='expected this file, found none'):
        read_json(tmp_path / 'none.json')


def test_rasters_come_back_as_written(tmp_path):
    values = np.arange(2 * 3 * 5, dtype=np.uint16).reshape(2, 3, 5) * 2000
    write_geotiff(tmp_path / 'a/a.tif', values, descriptions=('VV', 'VH'))
    assert (read_image(tmp_path / 'a/a.tif') == values).all()
    picture = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    write_png(tmp_path / 'b.png', picture)
    assert (read_image(tmp_path / 'b.png') == picture.transpose(2, 0,
                                                                1)).all()
    whole = (tmp_path / 'b.png').read_bytes()
    (tmp_path / 'c.png').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match='c.png'):
        read_image(tmp_path / 'c.png')


def test_errors_survive_a_process_boundary():
    error = DataError('a.xml', 'expected a box', 'remove it', 7)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == 'a.xml, line 7: expected a box; remove it'
    assert isinstance(again, ValueError) and again.line == 7
