# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os
import pickle
import shutil

import numpy as np
import pytest

from mmskysense.raster import PartialRows, Region

BANDS = dict(map=1, soft=3)
REGION = Region(0, 6, 0, 5)


def store(path, resume=False, **settings):
    return PartialRows(path / 'map.tif', BANDS, 6, 5,
                       dict(overlap=0.5, **settings), resume)


def test_rows_and_journals_survive_and_are_thrown_away_without_resume(
        tmp_path):
    rows = store(tmp_path)
    assert not rows.resumed and rows.progress(REGION) == {}
    pixels = np.arange(30, dtype=np.uint8).reshape(3, 2, 5)
    rows.write('soft', 3, 0, pixels)
    rows.write('map', 1, 2, np.full((1, 2, 2), 7, np.uint8))  # a strip
    rows.note(REGION, done=5, start=2)
    del rows  # as if killed: nothing was closed
    again = store(tmp_path, resume=True)
    assert again.resumed and again.progress(REGION) == dict(done=5, start=2)
    np.testing.assert_array_equal(again.read('soft', 3, 2), pixels)
    wanted = np.zeros((1, 6, 5), np.uint8)
    wanted[0, 1:3, 2:4] = 7
    np.testing.assert_array_equal(again.read('map', 0, 99), wanted)
    with pytest.raises(ValueError, match='only run that writes it, found '
                       f'another one .process {os.getpid()}.'):
        store(tmp_path)
    assert again.progress(REGION) == dict(done=5, start=2)
    again.close()
    anew = store(tmp_path)
    assert not anew.resumed and anew.progress(REGION) == {}
    assert not anew.read('map', 0, 6).any()
    anew.discard()
    assert os.listdir(tmp_path) == []


def test_outputs_of_other_data_types(tmp_path):
    options = dict(dtypes=dict(soft='uint16'))
    rows = PartialRows(tmp_path / 'map.tif', BANDS, 6, 5, {}, **options)
    pixels = (np.arange(30).reshape(3, 2, 5) + 60000).astype(np.uint16)
    rows.write('soft', 4, 0, pixels)
    rows.write('soft', 1, 3, pixels[:, :, 3:])  # a strip
    del rows
    again = PartialRows(tmp_path / 'map.tif', BANDS, 6, 5, {}, True,
                        **options)
    found = again.read('soft', 0, 99)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[:, 4:], pixels)
    np.testing.assert_array_equal(found[:, 1:3, 3:], pixels[:, :, 3:])
    assert not found[:, :4, :3].any() and not again.read('map', 0, 6).any()
    again.discard()


def test_other_settings_are_refused_by_name(tmp_path):
    store(tmp_path).close()
    with pytest.raises(ValueError, match='overlap=0.5.*has 0.25'):
        PartialRows(tmp_path / 'map.tif', BANDS, 6, 5, dict(overlap=0.25),
                    resume=True)
    with pytest.raises(ValueError, match="found model=None.*has 'b'"):
        store(tmp_path, resume=True, model='b')


def test_another_process_writes_into_the_same_files(tmp_path):
    rows = store(tmp_path)
    other = pickle.loads(pickle.dumps(rows))
    other.write('map', 0, 0, np.full((1, 1, 5), 9, np.uint8))
    assert (rows.read('map', 0, 1) == 9).all()
    rows.discard()


def test_a_disk_without_room_is_noticed_before_the_work(tmp_path,
                                                        monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='map.tif: expected 0.0 GiB free .*uncom'
                       'pressed'):
        store(tmp_path)
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda path: usage._replace(free=4 * 30))
    store(tmp_path).discard()


def test_parts_of_rows(tmp_path):
    rows = store(tmp_path)
    pixels = np.arange(90, dtype=np.uint8).reshape(3, 6, 5)
    rows.write('soft', 0, 0, pixels)
    for left, columns in ((0, 2), (2, 2), (4, 99), (0, None)):
        found = rows.read('soft', 1, 3, left, columns)
        end = None if columns is None else left + columns
        np.testing.assert_array_equal(found, pixels[:, 1:4, left:end])
    rows.discard()


def test_a_full_disk_is_one_line_that_names_the_output(tmp_path,
                                                       monkeypatch):
    rows = store(tmp_path)

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'pwrite', full)
    with pytest.raises(OSError, match=r'map\.tif: cannot be written.*space'):
        rows.write('map', 0, 0, np.zeros((1, 1, 5), np.uint8))


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match='cannot be written'):
        PartialRows(tmp_path / 'absent/map.tif', BANDS, 6, 5, {})
    assert os.listdir(tmp_path) == []
