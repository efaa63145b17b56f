# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Every converter leaves out what has no partner or is there twice."""

import json
import shutil
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[1]))
import segmentation_miniatures as miniatures
import test_bigearthnet
import test_bigearthnet_v2
import test_dior
import test_fair1m
import test_fmow_sentinel
import test_levir_cd
import test_oscd
import test_scene_datasets
import test_treesatai

from mmskysense.datasets.conversion import BAD_LIST, DataError, treesatai
from mmskysense.datasets.conversion.aid import AID, convert_aid
from mmskysense.datasets.conversion.air_polsar_seg import (
    convert_air_polsar_seg,
)
from mmskysense.datasets.conversion.bigearthnet import convert_bigearthnet
from mmskysense.datasets.conversion.dior import convert_dior
from mmskysense.datasets.conversion.dynamicearthnet import (
    convert_dynamicearthnet,
)
from mmskysense.datasets.conversion.fair1m import convert_fair1m
from mmskysense.datasets.conversion.fbp import convert_fbp
from mmskysense.datasets.conversion.fmow_sentinel import convert_fmow_sentinel
from mmskysense.datasets.conversion.isaid import convert_isaid
from mmskysense.datasets.conversion.levir_cd import convert_levir_cd
from mmskysense.datasets.conversion.oscd import convert_oscd
from mmskysense.datasets.conversion.pastis import convert_pastis
from mmskysense.datasets.conversion.potsdam import convert_potsdam
from mmskysense.datasets.conversion.sparcs import convert_sparcs
from mmskysense.datasets.conversion.treesatai import convert_treesatai


def remove(pattern):
    """Delete the first file that fits; other errors shall not hide it."""
    return lambda root: sorted(root.rglob(pattern))[0].unlink()


def copy(pattern, folder):
    """The first file that fits is there twice."""
    def spoil(root):
        path = sorted(root.rglob(pattern))[0]
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / folder / path.name)
    return spoil


def repeat_line(name, line=-1):
    def spoil(root):
        path = next(root.rglob(name))
        lines = path.read_text().splitlines()
        path.write_text('\n'.join([*lines, lines[line]]) + '\n')
    return spoil


def repeat_feature(root):
    path = root / 'metadata.geojson'
    content = json.loads(path.read_text())
    content['features'].append(content['features'][0])
    path.write_text(json.dumps(content))


def repeat_row(root):
    path = root / 'metadata.parquet'
    rows = parquet.read_table(path).to_pylist()
    parquet.write_table(pyarrow.Table.from_pylist([*rows, rows[0]]), path)


def append(name):
    def spoil(root):
        path = next(root.rglob(name))
        path.write_text(path.read_text() + 'no such line at all\n')
    return spoil


def new_folder(name):
    return lambda root: (root / name).mkdir()


def remove_city(root):
    shutil.rmtree(root / f'{test_oscd.PREFIX}Images' / 'alpha')


def write_aid(root):
    test_scene_datasets.write_download(root, AID)
    return root


# Converter, its miniature, what is wrong, the place in the list of bad items
# and how many items fewer are converted.
CASES = {
    'isaid_unpaired': (convert_isaid, miniatures.write_isaid,
                       remove('*_instance_color_RGB.png'), 'P0000.png', 1),
    'isaid_twice': (convert_isaid, miniatures.write_isaid,
                    copy('P0000.png', 'train/more'), 'more/P0000.png', 0),
    'potsdam_unpaired': (convert_potsdam, miniatures.write_potsdam,
                         remove('*_RGB.tif'), '_label.tif', 1),
    'potsdam_twice': (convert_potsdam, miniatures.write_potsdam,
                      copy('*_label.tif', '9_copy'), '9_copy', 0),
    'fbp_unpaired': (convert_fbp, miniatures.write_fbp,
                     remove('*_24label.png'), '.tiff', 1),
    'sparcs_unpaired': (convert_sparcs, miniatures.write_sparcs,
                        remove('*_mtl.txt'), '_data.tif', 1),
    'sparcs_twice': (convert_sparcs, miniatures.write_sparcs,
                     copy('*_data.tif', 'tmp'), 'tmp', 0),
    'polsar_unpaired': (convert_air_polsar_seg,
                        miniatures.write_air_polsar_seg,
                        remove('*_VH.tiff'), '_HH.tiff', 1),
    'earthnet_unpaired': (convert_dynamicearthnet,
                          miniatures.write_dynamicearthnet,
                          append('train.txt'), 'train.txt, line 4', 0),
    'earthnet_twice': (convert_dynamicearthnet,
                       miniatures.write_dynamicearthnet,
                       repeat_line('val.txt'), 'val.txt, line 4', 0),
    'pastis_twice': (convert_pastis, miniatures.write_pastis,
                     repeat_feature, 'metadata.geojson', 0),
    'levir_unpaired': (convert_levir_cd, test_levir_cd.write_download,
                       remove('label/*.png'), 'A', 1),
    'oscd_unpaired': (convert_oscd, test_oscd.write_download, remove_city,
                      'alpha', 1),
    'treesatai_unpaired': (convert_treesatai, test_treesatai.write_download,
                           append('train_filenames.lst'),
                           'train_filenames.lst', 0),
    'treesatai_twice': (convert_treesatai, test_treesatai.write_download,
                        repeat_line('train_filenames.lst'),
                        'train_filenames.lst', 0),
    'dior_twice': (convert_dior, test_dior.write_download,
                   repeat_line('val.txt'), 'val.txt, line', 0),
    'fair1m_unpaired': (convert_fair1m, test_fair1m.write_download,
                        remove('*.xml'), '.tif', 1),
    'fmow_twice': (convert_fmow_sentinel, test_fmow_sentinel.write_download,
                   repeat_line('val.csv'), 'val.csv, line 8', 0),
    'bigearthnet_twice': (convert_bigearthnet,
                          test_bigearthnet.write_download,
                          repeat_line('train.csv'), 'train.csv, line 4', 0),
    'reben_twice': (convert_bigearthnet, test_bigearthnet_v2.write_download,
                    repeat_row, 'metadata.parquet', 0),
    'aid_folder': (convert_aid, write_aid, new_folder('Volcano'), 'Volcano',
                   0),
}
# Only where an option keeps others from being the reason.
OPTIONS = {convert_treesatai: dict(partial=False),
           convert_oscd: dict(partial=True)}


@pytest.mark.parametrize('name', CASES)
def test_bad_entries_stop_or_are_listed(name, tmp_path, monkeypatch):
    monkeypatch.setattr(treesatai, 'SITES', 6)
    convert, write, spoil, place, fewer = CASES[name]
    root, out = tmp_path / 'in', tmp_path / 'out'
    root.mkdir()
    write(root)
    options = dict(partial=True) | OPTIONS.get(convert, {})

    def run(**more):
        report = convert(str(root), str(out), **options, **more)
        return report[0] if isinstance(report, tuple) else report

    whole = len(run().results)
    shutil.rmtree(out)
    spoil(root)
    with pytest.raises(DataError, match='--skip-bad'):
        run()
    assert not out.exists(), 'nothing half-written'
    report = run(skip_bad=True)
    assert len(report.results) == whole - fewer
    listed = (out / BAD_LIST).read_text().splitlines()
    assert len(listed) == len(report.bad) == 1
    assert place in listed[0].split('\t')[0]
