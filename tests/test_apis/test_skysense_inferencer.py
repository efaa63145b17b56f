# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One inferencer for every task: pictures to arrays, rasters to files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from mmskysense.apis import SkySenseInferencer
from mmskysense.utils.model_index import find_model, indexed_models

sys.path.insert(0, str(Path(__file__).parent))
from task_models import OBJECTS, SCENES, write_model

NAMES = ['a', 'b', 'c']


def test_a_segmentor_gives_classes_and_maps(segmentor, make_scene, tmp_path):
    pixels, valid = make_scene(tmp_path / 'scene.tif', 48, 40)
    inferencer = SkySenseInferencer(*segmentor, device='cpu')
    assert inferencer.task == 'segmentation'
    picture = np.where(valid, pixels, np.nan).transpose(1, 2, 0)
    result = inferencer([picture, tmp_path / 'scene.tif'], return_vis=True)
    classes = [one['classes'] for one in result['predictions']]
    np.testing.assert_array_equal(*classes)
    assert (classes[0] == 255)[~valid].all()
    assert result['visualization'][0].shape == (48, 40, 3)
    inferencer.predict_raster(tmp_path / 'scene.tif', tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as dataset:
        np.testing.assert_array_equal(dataset.read(1), classes[0])


def test_a_classifier_gives_scores(tmp_path):
    paths = write_model(tmp_path, SCENES, NAMES)
    inferencer = SkySenseInferencer(*paths, device='cpu')
    pictures = [np.full((32, 32, 3), value, np.uint8) for value in (9, 200)]
    found = inferencer(pictures, batch_size=2)['predictions']
    assert [one['label'] for one in found] == [
        one['scores'].argmax() for one in found]
    assert found[0]['scores'].sum() == pytest.approx(1, abs=1e-5)
    alone = inferencer(pictures[1])['predictions'][0]
    np.testing.assert_allclose(alone['scores'], found[1]['scores'],
                               atol=1e-5)
    with pytest.raises(ValueError, match='return_vis: expected a model of'):
        inferencer(pictures, return_vis=True)


def test_a_detector_gives_boxes(tmp_path):
    pytest.importorskip('mmcv._ext')
    paths = write_model(tmp_path, OBJECTS, ['boat', 'car'])
    found = SkySenseInferencer(*paths, device='cpu')(
        np.zeros((64, 64, 3), np.uint8))['predictions'][0]
    assert found['corners'].shape == (len(found['scores']), 4, 2)


def test_any_other_model_gives_features(tmp_path):
    text = SCENES.replace("type='ImageClassifier'",
                          "type='mmskysense.SkySenseV2Pretrainer'")
    paths = write_model(tmp_path, SCENES, NAMES)
    (tmp_path / 'features.py').write_text(text)
    inferencer = SkySenseInferencer(tmp_path / 'features.py', paths[1],
                                    device='cpu')
    assert inferencer.task == 'features'
    result = inferencer(np.zeros((64, 32, 3), np.uint8), return_vis=True)
    features = result['predictions'][0]['features']
    assert features.shape[0] == 64 and np.isfinite(features).all()
    assert result['visualization'][0].shape == (*features.shape[1:], 3)


def test_pictures_of_several_sizes_are_batched_by_size(tmp_path):
    paths = write_model(tmp_path, SCENES, NAMES)
    inferencer = SkySenseInferencer(*paths, device='cpu')
    sizes = [(32, 32), (32, 32), (64, 32), (32, 32)]
    batches = list(inferencer.preprocess(
        [np.zeros((*size, 3), np.uint8) for size in sizes], 8))
    assert [len(batch) for batch in batches] == [2, 1, 1]


@pytest.mark.parametrize('picture,words', [
    (np.zeros((32, 32, 4), np.uint8), r'\(H, W, 3\) of hr_rgb'),
    (np.zeros((32, 32), np.uint8), r'shape \(32, 32\)'),
    (dict(hr_rgb=np.zeros((8, 8, 3))), 'several')])
def test_pictures_that_do_not_fit_are_refused(tmp_path, picture, words):
    paths = write_model(tmp_path, SCENES, NAMES)
    with pytest.raises(ValueError, match=words):
        SkySenseInferencer(*paths, device='cpu')(picture)


def test_models_are_found_by_name():
    models = indexed_models()
    name = 'skysense_v2_tiny_1xb8-2k_sample-world'
    assert models[name].config.is_file()
    assert find_model(name) == models[name]
    for model in models.values():
        assert model.weights is None or model.weights.is_file()
    with pytest.raises(ValueError, match=r'such as .*skysense_v2_tiny'):
        find_model('skysense_v2_tinny_1xb8-2k_sample-world')
    if models[name].weights is None:
        with pytest.raises(ValueError, match='no released weights'):
            SkySenseInferencer(name)


def test_a_config_needs_weights(segmentor):
    with pytest.raises(ValueError, match='needs weights='):
        SkySenseInferencer(segmentor[0])
