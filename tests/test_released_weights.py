# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Weights that lie in the repository, as a user takes them."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml

from mmskysense.apis import SkySenseInferencer
from mmskysense.models import SkySenseV2
from mmskysense.utils.model_index import find_model

ROOT = Path(__file__).resolve().parents[1]
METAFILE = ROOT / 'configs/released/metafile.yml'
RELEASED = [model for model in yaml.safe_load(METAFILE.read_text())['Models']
            if model.get('Weights')]
MEGABYTE = 10**6
NAME = 'skysense_v2_tiny_1xb64-{}_eurosat-rgb-64x64_{}'
# The second starts from the first.
RECORDS = {NAME.format(2500, 'continued'): 'continued',
           NAME.format(1300, 'zoomed'): 'zoomed'}


def test_there_are_some():
    assert [model['Name'] for model in RELEASED] == list(RECORDS)
    lying = {path.relative_to(ROOT).as_posix()
             for path in (ROOT / 'weights').glob('*.pth')}
    assert lying == {model['Weights'] for model in RELEASED}


@pytest.mark.parametrize('model', RELEASED, ids=lambda model: model['Name'])
def test_they_load_strictly_and_say_nothing_of_a_machine(model):
    entry = find_model(model['Name'])
    assert entry.weights == ROOT / model['Weights']
    assert entry.weights.stat().st_size < 25 * MEGABYTE
    content = entry.weights.read_bytes()
    assert not any(word in content for word in (b'/home', b'/root', b'/tmp',
                                                b'work_dir'))
    saved = torch.load(entry.weights, weights_only=True)
    encoder = SkySenseV2('tiny', merge=(2, 3), out_indices=(3, ),
                         init_cfg=dict(checkpoint=str(entry.weights)))
    encoder.init_weights()
    own = encoder.state_dict()
    assert set(own) == set(saved['state_dict'])
    for key, value in saved['state_dict'].items():
        assert value.dtype == torch.float16 and value.isfinite().all()
        assert torch.equal(own[key], value.float()), key
    # Trained: residual norms of stages 1 and 2 have left their start.
    norms = [value for key, value in own.items()
             if key.startswith('stages.0.blocks') and 'norm' in key
             and key.endswith('weight')]
    assert norms
    for value in norms:
        assert value.abs().max() > 0 and value.std() > 0


@pytest.mark.parametrize('model', RELEASED, ids=lambda model: model['Name'])
def test_its_figures_are_those_of_the_record(model):
    found = {result['Task']: result['Metrics']['Top 1 Accuracy']
             for result in model['Results']}
    card = (ROOT / 'weights/README.md').read_text()
    readme = (ROOT / 'README.md').read_text()
    for method, task in (('knn', 'k-NN probing'),
                         ('linear', 'Linear probing')):
        record = json.loads((ROOT / 'docs/evidence/pretraining' /
                             f"{RECORDS[model['Name']]}_{method}.json"
                             ).read_text())
        assert record['checkpoint'] == model['Weights']
        assert found[task] == round(100 * record['top1'], 1)
        assert f'{found[task]} %' in card
        if model is RELEASED[-1]:  # the one that the front page names
            assert f'{found[task]} %' in readme and model['Name'] in readme
    assert model['Weights'] in card or Path(model['Weights']).name in card


@pytest.mark.parametrize('model', RELEASED, ids=lambda model: model['Name'])
def test_three_lines_give_features(model, tmp_path):
    with rasterio.open(
            tmp_path / 'scene.tif', 'w', driver='GTiff', height=96, width=80,
            count=3, dtype='uint8', crs='EPSG:32631',
            transform=rasterio.Affine(10, 0, 5e5, 0, -10, 46e5)) as file:
        file.write(np.random.default_rng(0).integers(
            1, 255, (3, 96, 80), np.uint8))
    inferencer = SkySenseInferencer(model['Name'], device='cpu')
    inferencer.predict_raster(tmp_path / 'scene.tif',
                              tmp_path / 'features.tif')
    with rasterio.open(tmp_path / 'features.tif') as file:
        assert (file.count, file.shape) == (3, (6, 5))
        assert file.transform.a == 160 and np.isfinite(file.read()).all()
