# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""predict.py and embed.py from the command line to files."""

import importlib.util
import sys
from pathlib import Path

import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parent))
from task_models import OBJECTS, SCENES, write_model

TOOLS = Path(__file__).parents[2] / 'tools'


def tool(name):
    spec = importlib.util.spec_from_file_location(f'{name}_tool',
                                                  TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scenes(tmp_path, make_scene):
    make_scene(tmp_path / 'scene.tif', 100, 70, nodata=False)
    return [*map(str, write_model(tmp_path, SCENES, ['a', 'b', 'c'])),
            str(tmp_path / 'scene.tif')]


def test_a_classifier_gives_a_heat_map(scenes, tmp_path, capsys):
    out = tmp_path / 'map.tif'
    tool('predict').main([*scenes, '--out', str(out), '--device', 'cpu'])
    with rasterio.open(out) as dataset:
        assert dataset.shape == (4, 3)
    assert f'{out}: 3 x 4 pixels' in capsys.readouterr().out


def test_a_detector_gives_objects(tmp_path, make_scene, capsys):
    geopandas = pytest.importorskip('geopandas')
    pytest.importorskip('mmcv._ext')
    make_scene(tmp_path / 'scene.tif', 70, 70, nodata=False)
    paths = write_model(tmp_path, OBJECTS, ['boat', 'car'])
    out = tmp_path / 'objects.geojson'
    tool('predict').main([
        *map(str, paths), str(tmp_path / 'scene.tif'), '--out', str(out),
        '--min-score', '0', '--device', 'cpu'])
    assert geopandas.read_file(out).crs.to_epsg() == 4326
    assert f'{out}: ' in capsys.readouterr().out


@pytest.mark.parametrize('option', [
    ['--tta'], ['--resume'], ['--uncertainty', 'a.tif'], ['--page', 'a'],
    ['--processes', '1'], ['--blend', 'hann'], ['--overlap', '0'],
    ['--probability-type', 'uint16'], ['--max-memory', '1']])
def test_options_of_other_tasks_are_refused(scenes, tmp_path, option):
    with pytest.raises(SystemExit) as caught:
        tool('predict').main([*scenes, '--out', str(tmp_path / 'map.tif'),
                              *option])
    assert f'{option[0]}: expected with a segmentation model, found one of ' \
        'classification' in str(caught.value)
    assert not (tmp_path / 'map.tif').exists()


def test_options_of_detectors_are_refused(scenes, tmp_path):
    with pytest.raises(SystemExit, match='--iou: expected with a detection '
                       'model, found one of classification'):
        tool('predict').main([*scenes, '--out', str(tmp_path / 'map.tif'),
                              '--iou', '0.4'])


def test_a_measured_batch_is_for_segmentation(scenes, tmp_path):
    with pytest.raises(SystemExit, match='--batch-size auto: expected a '
                       'number for a model of classification'):
        tool('predict').main([*scenes, '--out', str(tmp_path / 'map.tif'),
                              '--batch-size', 'auto'])


@pytest.mark.parametrize('name,words', [
    ('features.tif', '3 features each'), ('tiles.parquet', '12 places')])
def test_features_become_files(scenes, tmp_path, capsys, name, words):
    if name.endswith('parquet'):
        pytest.importorskip('pyarrow')
    tool('embed').main([*scenes[:2], f'hr_rgb={scenes[2]}', '--out',
                        str(tmp_path / name), '--device', 'cpu'])
    assert (tmp_path / name).exists()
    assert words in capsys.readouterr().out


def test_refusals_of_embed_are_one_line(scenes, tmp_path):
    with pytest.raises(SystemExit) as caught:
        tool('embed').main([*scenes, '--out', str(tmp_path / 'a.png')])
    assert 'ends with .tif or .parquet' in str(caught.value)
    assert '\n' not in str(caught.value)
    with pytest.raises(SystemExit, match="--components many: expected a "
                       "number or 'all'"):
        tool('embed').main([*scenes, '--out', str(tmp_path / 'a.tif'),
                            '--components', 'many'])
