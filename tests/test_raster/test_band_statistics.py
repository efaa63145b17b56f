# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Mean and deviation of bands, streamed, without nodata."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mmskysense.raster import RasterContractError, band_statistics
from mmskysense.raster.band_statistics import (
    BandStatistics,
    find_rasters,
    measure_bands,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/analysis_tools/band_statistics.py'


@pytest.fixture
def folder(write_raster, tmp_path):
    """Two rasters, the second with a corner of nodata, and their pixels."""
    rng = np.random.default_rng(0)
    one = rng.integers(300, 4000, (4, 37, 50)).astype(np.uint16)
    two = rng.integers(300, 9000, (4, 20, 21)).astype(np.uint16)
    two[:, :5, :6] = 0
    names = ('blue', 'green', 'red', 'nir')
    write_raster('in/a.tif', one, names, nodata=0)
    write_raster('in/deep/b.tif', two, names, nodata=0)
    (tmp_path / 'in/readme.txt').write_text('no raster')
    keep = np.ones((20, 21), bool)
    keep[:5, :6] = False
    return tmp_path / 'in', np.concatenate(
        (one.reshape(4, -1), two[:, keep]), axis=1).astype(np.float64)


def test_equals_numpy_over_windows_and_files(folder, monkeypatch):
    monkeypatch.setattr(band_statistics, '_SIDE', 16)
    path, pixels = folder
    found = measure_bands(find_rasters([path]), sensor='planetscope')
    assert found.count == pixels.shape[1]
    np.testing.assert_allclose(found.mean, pixels.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(1), rtol=1e-12)
    assert found.low.tolist() == pixels.min(1).tolist()
    assert found.high.tolist() == pixels.max(1).tolist()


def test_large_values_keep_their_deviation():
    """A sum of squares in float64 would have lost it to rounding."""
    statistics = BandStatistics(1)
    noise = np.random.default_rng(1).normal(size=(1, 64, 64))
    for rows in np.split(noise + 1e9, 8, axis=1):
        statistics.update(rows, np.ones((8, 64), bool))
    np.testing.assert_allclose(statistics.std, noise.std(), rtol=1e-6)


def test_command(folder, tmp_path, run_tool):
    path, pixels = folder
    out = tmp_path / 'found.json'
    ran = run_tool(path, '--sensor', 'planetscope', '--json', out)
    assert ran.returncode == 0, ran.stderr
    assert '2 rasters' in ran.stdout and 'table: 671.26' in ran.stdout
    found = json.loads(out.read_text())
    assert found['bands'] == ['blue', 'green', 'red', 'nir']
    np.testing.assert_allclose(found['mean'], pixels.mean(1), atol=1e-3)
    ran = run_tool(path, '--pattern', '*.jp2')
    assert ran.returncode == 1 and 'found none' in ran.stderr
    assert 'Traceback' not in ran.stderr


def test_refusals(folder, tmp_path, write_raster):
    path, _ = folder
    other = write_raster('c.tif', np.ones((3, 4, 4), np.uint16))
    with pytest.raises(RasterContractError, match='expected 4 bands'):
        measure_bands([path / 'a.tif', other])
    empty = write_raster('d.tif', np.zeros((1, 4, 4), np.uint16), nodata=0)
    with pytest.raises(RasterContractError, match='found none'):
        measure_bands([empty])
    with pytest.raises(FileNotFoundError, match='found nothing'):
        find_rasters([tmp_path / 'nowhere'])
    with pytest.raises(ValueError, match='expected 2 bands'):
        BandStatistics(2).update(np.ones((1, 2, 2)), np.ones((2, 2), bool))


@pytest.fixture
def run_tool():
    import os
    import subprocess

    def run(*arguments):
        return subprocess.run(
            [sys.executable, str(TOOL), *map(str, arguments)], text=True,
            capture_output=True, check=False, timeout=120,
            env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))

    return run
