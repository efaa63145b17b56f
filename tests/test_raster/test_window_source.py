# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import threading

import pytest

from mmskysense.raster import read_ahead


class Source:
    """Numbers, and how many were read."""

    def __init__(self, count, bad=None):
        self.count, self.bad, self.read = count, bad, 0
        self.threads = set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read += 1
        self.threads.add(threading.get_ident())
        if index == self.bad:
            raise OSError('truncated')
        return index


@pytest.mark.parametrize('threads', [0, 1, 3])
@pytest.mark.parametrize('start', [0, 4, 10])
def test_windows_come_in_order(threads, start):
    source = Source(10)
    assert list(read_ahead(source, start, 3, threads)) == list(
        range(start, 10))
    assert source.read == 10 - start
    assert (threading.get_ident() in source.threads) == (
        threads == 0 and start < 10)


def test_no_more_than_the_depth_is_read_ahead():
    source = Source(50)
    windows = read_ahead(source, depth=5)
    assert next(windows) == 0
    windows.close()
    assert source.read <= 6


def test_an_error_comes_where_its_window_would_have():
    windows = read_ahead(Source(10, bad=3), depth=4, threads=2)
    assert [next(windows) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match='truncated'):
        next(windows)


@pytest.mark.parametrize('options', [dict(depth=0), dict(threads=-1)])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match='expected a depth'):
        next(read_ahead(Source(2), **options))
