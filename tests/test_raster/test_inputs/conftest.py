# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from input_miniatures import (
    BANDS,
    FOLDERS,
    band_value,
    make_product,
    write_band,
)


@pytest.fixture(autouse=True)
def gdal_environment():
    """Opening an address sets GDAL's waiting times for the process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope='session')
def product(tmp_path_factory):
    """A product of baseline 04.00; read it, never write into it."""
    return make_product(tmp_path_factory.mktemp('products'), '20220301',
                        '04.00', -1000)


@pytest.fixture
def own_product(product, tmp_path):
    """A copy of the product that a test may damage."""
    return Path(shutil.copytree(product, tmp_path / product.name))


@pytest.fixture
def band_files(tmp_path):
    """A function that writes single-band files of a day into a folder."""

    def write(folder, day='20210401', bands=BANDS, name='S2_{day}_{band}.tif',
              value=band_value, **options):
        for band in bands:
            coarse = band not in FOLDERS['R10m']
            write_band(
                tmp_path / folder / name.format(day=day, band=band),
                value(band), 30 if coarse else 60, 20 if coarse else 10,
                **options)
        return tmp_path / folder

    return write


@pytest.fixture
def write_json(tmp_path):
    """A function that writes JSON and returns the path."""

    def write(name, document):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return write
