# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Dataset classes of published sets: splits, pairs, classes, colours."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import segmentation_miniatures as miniatures

from mmskysense.datasets import (
    AIRPolSARSegDataset,
    DynamicEarthNetChangeDataset,
    DynamicEarthNetDataset,
    FiveBillionPixelsDataset,
    PASTISDataset,
    SPARCSDataset,
)
from mmskysense.datasets.conversion.dynamicearthnet import (
    convert_dynamicearthnet,
)
from mmskysense.datasets.conversion.pastis import convert_pastis
from mmskysense.datasets.conversion.sparcs import convert_sparcs
from mmskysense.datasets.transforms import (
    LoadChangeAnnotations,
    LoadGeoTIFF,
    LoadGeoTIFFAnnotations,
    LoadMultiSensorTile,
)
from mmskysense.raster.band_contract import RasterContractError


@pytest.mark.parametrize('dataset, count', [
    (AIRPolSARSegDataset, 6), (DynamicEarthNetDataset, 6),
    (FiveBillionPixelsDataset, 24), (PASTISDataset, 19), (SPARCSDataset, 7)])
def test_classes_and_colours(dataset, count):
    classes = dataset.METAINFO['classes']
    assert len(classes) == len(set(classes)) == count
    palette = dataset.METAINFO.get('palette')
    if palette is not None:
        assert len({tuple(colour) for colour in palette}) == count


@pytest.fixture(scope='module')
def sparcs(tmp_path_factory):
    root = tmp_path_factory.mktemp('sparcs')
    source = miniatures.write_sparcs(root / 'in')
    convert_sparcs(str(source), str(root / 'data'), size=64, overlap=16,
                   partial=True)
    return root / 'data'


def sample_of(dataset, index=0, **options):
    results = dataset.get_data_info(index)
    LoadGeoTIFF(sensor=dataset.sensors[0]).transform(results)
    return LoadGeoTIFFAnnotations(**options).transform(results)


def test_tiles_of_a_sensor(sparcs):
    dataset = SPARCSDataset(data_root=str(sparcs), split='train')
    assert len(dataset) == 5 * 4 and len(dataset.metainfo['palette']) == 7
    sample = sample_of(dataset)
    # Seven of the eight bands in the file, found by name.
    assert sample['img'].shape == (64, 64, 7)
    assert sample['gt_seg_map'].shape == (64, 64)
    assert (sample['valid_mask'][:3] == 0).all()


def test_five_groups_of_the_authors(sparcs):
    dataset = SPARCSDataset(data_root=str(sparcs), groups=True)
    assert len(dataset.metainfo['palette']) == 5
    seven = SPARCSDataset(data_root=str(sparcs))
    new, old = (sample_of(d)['gt_seg_map'] for d in (dataset, seven))
    assert (new[old == 6] == 3).all() and (new[old <= 1] == 0).all()
    assert set(np.unique(new)) == set(range(5))


def test_a_value_outside_the_classes_is_named(sparcs):
    dataset = SPARCSDataset(
        data_root=str(sparcs), metainfo=dict(
            classes='abcdef', palette=[[0, 0, 0]] * 6))
    with pytest.raises(RasterContractError, match='ann_dir.*expected class '
                       'ids 0..5 .*found 6'):
        sample_of(dataset)


def test_missing_split_and_partners(sparcs, tmp_path):
    with pytest.raises(FileNotFoundError, match='ann_dir/val|img_dir/val'):
        SPARCSDataset(data_root=str(sparcs), split='val')
    for folder in ('img_dir/test', 'ann_dir/test'):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='expected .*files, found no'):
        SPARCSDataset(data_root=str(tmp_path), split='test')
    (tmp_path / 'img_dir/test/a.tif').write_bytes(b'x')
    (tmp_path / 'img_dir/test/b.tif').write_bytes(b'x')
    (tmp_path / 'ann_dir/test/a.png').write_bytes(b'x')
    with pytest.raises(FileNotFoundError, match=r"ann_dir/test: expected "
                       r"'b.png'.*\(1 of 2 lack"):
        SPARCSDataset(data_root=str(tmp_path), split='test')
    (tmp_path / 'img_dir/test/b.tif').unlink()
    (tmp_path / 'ann_dir/test/c.png').write_bytes(b'x')
    with pytest.raises(FileNotFoundError, match="img_dir/test: expected 'c."):
        SPARCSDataset(data_root=str(tmp_path), split='test')


def test_months_that_lack_a_sensor(tmp_path):
    source = miniatures.write_dynamicearthnet(tmp_path / 'in')
    convert_dynamicearthnet(str(source), str(tmp_path), partial=True)
    options = dict(data_root=str(tmp_path), split='train')
    assert len(DynamicEarthNetDataset(**options)) == 3
    assert len(DynamicEarthNetDataset(sensors=('s2_l2a', ), **options)) == 2
    both = ('planetscope', 's2_l2a')
    assert len(DynamicEarthNetDataset(sensors=both, **options)) == 3
    assert len(
        DynamicEarthNetDataset(sensors=both, require=both, **options)) == 2
    sample = DynamicEarthNetDataset(sensors=both, **options).get_data_info(2)
    assert sample['paths']['s2_l2a'] == []
    assert len(sample['paths']['planetscope']) == 2
    with pytest.raises(ValueError, match="tiles of split 'dev'"):
        DynamicEarthNetDataset(data_root=str(tmp_path), split='dev')


def test_pairs_of_months(tmp_path):
    source = miniatures.write_dynamicearthnet(tmp_path / 'in')
    convert_dynamicearthnet(str(source), str(tmp_path), partial=True)
    options = dict(data_root=str(tmp_path), split='val')
    dataset = DynamicEarthNetChangeDataset(
        sensors=('planetscope', ), **options)
    assert len(dataset) == 2
    pair = dataset.get_data_info(0)
    assert pair['tile_id'] == '2065_3647_13/2018-01/2018-02'
    assert pair['cube_id'] == '2065_3647_13'
    assert pair['img_path'].endswith('2018-01-01.tif')
    assert pair['img_path2'].endswith('2018-02-01.tif')
    assert pair['seg_map_path2'].endswith('2065_3647_13/2018-02.tif')
    loaded = LoadMultiSensorTile(sensors=('planetscope', )).transform(pair)
    assert loaded['images']['planetscope'].shape == (2, 4, 64, 64)
    assert loaded['dates']['planetscope'].tolist() == [1, 32]
    loaded['valid_mask'][10, 11] = 0
    labels = LoadChangeAnnotations().transform(loaded)['gt_seg_map']
    assert labels.shape == (2, 64, 64) and loaded['seg_fields'] == [
        'valid_mask', 'gt_seg_map']
    assert (labels[:, 10, 11] == 255).all() and (labels[:, :4] == 255).all()
    for number, label in ((1, labels[0]), (11, labels[1])):
        truth = miniatures.blocks(range(6), (64, 64), number)
        assert (label == truth)[label != 255].all()
    assert len(DynamicEarthNetChangeDataset(gap=2, **options)) == 1
    with pytest.raises(ValueError, match='3 apart in split'):
        DynamicEarthNetChangeDataset(gap=3, **options)
    # The third month of the training area has no Sentinel-2.
    assert len(DynamicEarthNetChangeDataset(data_root=str(tmp_path))) == 1
    with pytest.raises(ValueError, match='gap=0'):
        DynamicEarthNetChangeDataset(gap=0, **options)
    with pytest.raises(ValueError, match='expected one sensor'):
        DynamicEarthNetChangeDataset(sensors=('s2_l2a', 's1_grd'), **options)


def test_folds(tmp_path):
    source = miniatures.write_pastis(tmp_path / 'in', size=8)
    convert_pastis(str(source), str(tmp_path), partial=True)
    options = dict(data_root=str(tmp_path))

    def patches(**more):
        dataset = PASTISDataset(**options, **more)
        return [dataset.get_data_info(i)['tile_id']
                for i in range(len(dataset))]

    assert patches() == ['10000', '10001', '10002']
    assert patches(split='test') == ['10004']
    assert patches(folds=(5, 2)) == ['10001', '10004']
    with pytest.raises(ValueError, match="split='dev'"):
        PASTISDataset(**options, split='dev')
    with pytest.raises(ValueError, match=r'folds=\(0,\)'):
        PASTISDataset(**options, folds=(0, ))
