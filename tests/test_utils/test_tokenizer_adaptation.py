# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tokenizers of sensors that an encoder has never seen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmskysense import SkySenseV2
from mmskysense.sensors import get_sensor, get_sensors
from mmskysense.utils.encoder_checkpoint import load_checkpoint_strictly
from mmskysense.utils.tokenizer_adaptation import (
    adapt_tokenizer,
    match_bands,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/model_converters/adapt_tokenizer.py'
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)
KNOWN = ('hr_rgb', 's2_l2a', 's1_grd')


@pytest.fixture
def known():
    model = SkySenseV2(ARCH, sensors=KNOWN)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@pytest.fixture
def checkpoint(known, tmp_path):
    path = tmp_path / 'known.pth'
    torch.save(known.state_dict(), path)
    return path


@pytest.mark.parametrize('sensor, sources, expected', [
    # Landsat's B5 is near infrared, Sentinel-2's is red edge: B8A it is.
    ('landsat8', ('s2_l2a', ), ['B02', 'B02', 'B03', 'B04', 'B8A', 'B11',
                                'B12']),
    ('gf2', ('s2_l2a', ), ['B02', 'B03', 'B04', 'B08']),
    ('planetscope', ('s2_l2a', ), ['B02', 'B03', 'B04', 'B08']),
    ('aerial_rgbn', ('hr_rgb', 's2_l2a'), ['R', 'G', 'B', 'B08']),
    ('aerial_rgbn', ('hr_rgb', ), ['R', 'G', 'B', None]),
    ('gf3_polsar', ('s1_grd', ), [None, None, 'VH', 'VV']),
    ('s1_grd', ('s2_l2a', ), [None, None])])
def test_bands_that_are_matched(sensor, sources, expected):
    matches = match_bands(get_sensor(sensor), get_sensors(sources))
    assert [match.source_band for match in matches] == expected
    assert all((match.method == 'fresh') == (match.source is None)
               for match in matches)


def test_methods_and_distances():
    landsat, s2 = get_sensor('landsat8'), get_sensors(['s2_l2a'])
    by_wave = match_bands(landsat, s2, ('wavelength', ))
    assert by_wave[0].source_band == 'B02'
    assert by_wave[0].distance == pytest.approx(49.4)
    assert by_wave[0].share == by_wave[1].share == 0.5
    near = match_bands(landsat, s2, max_distance=20)
    assert [match.method for match in near] == ['fresh'] + ['name'] * 6
    assert near[1].share == 1
    assert not any(m.source for m in match_bands(landsat, s2, ()))
    with pytest.raises(ValueError, match='colour'):
        match_bands(landsat, s2, ('colour', ))


def test_same_reflectance_gives_the_same_tokens(known):
    """Landsat's two blues share Sentinel-2's; the other bands are equal."""
    made, report = adapt_tokenizer(known.state_dict(), 'landsat8', 's2_l2a')
    assert report.fresh == ()
    adapted = SkySenseV2(ARCH, sensors=('landsat8', ), sensor='landsat8')
    state = {k: v for k, v in known.state_dict().items()
             if SkySenseV2.sensor_of_parameter(k) is None}
    adapted.load_state_dict({**state, **made}, strict=True)
    image = torch.zeros(1, 10, 16, 16)
    landsat = torch.rand(1, 7, 16, 16)
    landsat[:, 0] = landsat[:, 1]
    for band, match in enumerate(report.matches):
        index = get_sensor('s2_l2a').band_index(match.source_band)
        image[:, index] = landsat[:, band]
    theirs = known({'s2_l2a': image[:, None]})['s2_l2a']
    for one, other in zip(adapted.eval()(landsat), theirs, strict=True):
        torch.testing.assert_close(one, other[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('sensor, sources', [
    ('landsat8', 's2_l2a'), ('gf2', ['s2_l2a']),
    ('planetscope', dict(sources='s2_l2a', methods=['wavelength'])),
    ('aerial_rgbn', ['hr_rgb', 's2_l2a'])])
def test_a_step_from_an_adapted_checkpoint(checkpoint, sensor, sources):
    model = SkySenseV2(
        ARCH, sensors=(sensor, ), sensor=sensor, layer_scale=0.1,
        init_cfg=dict(checkpoint=str(checkpoint), adapt={sensor: sources}))
    model.init_weights()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = model.tokenizers[sensor].projection.weight.detach().clone()
    image = torch.rand(2, get_sensor(sensor).num_bands, 32, 32)
    loss = model(image)[-1].square().mean()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    after = model.tokenizers[sensor].projection.weight
    assert (after != before).flatten(2).any(2).any(0).all()  # every band


def test_everything_fresh(known):
    made, report = adapt_tokenizer(known.state_dict(), 'gf2', 's2_l2a', ())
    assert len(report.fresh) == 4 and report.shared_from is None
    assert 'fresh' in str(report)
    again, _ = adapt_tokenizer(known.state_dict(), 'gf2', 's2_l2a', ())
    for key, value in made.items():
        assert torch.equal(value, again[key]), key
    norm = made['tokenizers.gf2.norm.weight']
    assert torch.equal(norm, torch.ones_like(norm))
    assert made['tokenizers.gf2.projection.weight'].abs().max() < 0.1


def test_random_bands_are_a_warning(checkpoint, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmskysense.utils.tokenizer_adaptation.print_log',
        lambda text, logger, level: said.append((level, text)))
    model = SkySenseV2(ARCH, sensors=('aerial_rgbn', ), sensor='aerial_rgbn')
    load_checkpoint_strictly(model, checkpoint,
                             adapt=dict(aerial_rgbn='hr_rgb'))
    (level, text), = said
    assert level == 30 and 'N: fresh' in text and 'R: hr_rgb R' in text


def command(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], text=True,
        capture_output=True, check=False, timeout=120,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))


def test_command_with_a_sensor_of_a_config(checkpoint, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("new_sensors = [dict(name='l8_vis', like='landsat8', "
                      "bands=['B4', 'B3', 'B2'])]\n")
    out, report = tmp_path / 'out.pth', tmp_path / 'report.json'
    ran = command(checkpoint, out, '--sensor', 'l8_vis', '--source', 's2_l2a',
                  '--config', config, '--report', report)
    assert ran.returncode == 0, ran.stderr
    assert 'B4: s2_l2a B04, by name, 10 nm apart' in ran.stdout
    content = torch.load(out, weights_only=True)
    assert content['meta']['sensors'] == ['l8_vis']
    assert content['meta']['adaptation'] == {
        **json.loads(report.read_text()),
        'matches': content['meta']['adaptation']['matches']}
    source = torch.load(checkpoint, weights_only=True)
    torch.testing.assert_close(
        content['state_dict']['tokenizers.l8_vis.projection.weight'],
        source['tokenizers.s2_l2a.projection.weight'][:, [2, 1, 0]])


def test_adapted_file_loads_strictly(checkpoint, tmp_path):
    out = tmp_path / 'out.pth'
    from mmskysense.utils.encoder_checkpoint import adapt_checkpoint
    adapt_checkpoint(checkpoint, out, 'landsat8', 's2_l2a', keep=True)
    model = SkySenseV2(ARCH, sensors=(*KNOWN, 'landsat8'))
    load_checkpoint_strictly(model, out, allow_missing_sensors=False)
    state = torch.load(out, weights_only=True)['state_dict']
    assert set(state) == set(model.state_dict())


def test_refusals(checkpoint, known, tmp_path):
    state = known.state_dict()
    with pytest.raises(ValueError, match=r"no such tokenizer.*'hr_rgb'"):
        adapt_tokenizer(state, 'landsat8', 'gf2')
    with pytest.raises(KeyError, match='unknown sensor'):
        adapt_tokenizer(state, 'moon', 's2_l2a')
    with pytest.raises(ValueError, match='no source sensor'):
        adapt_tokenizer(state, 'landsat8', ())
    state['tokenizers.s2_l2a.projection.weight'] = torch.zeros(16, 9, 4, 4)
    with pytest.raises(ValueError, match='9 bands, the table 10'):
        adapt_tokenizer(state, 'landsat8', 's2_l2a')
    model = SkySenseV2(ARCH, sensors=KNOWN)
    with pytest.raises(ValueError, match='no sensor'):
        load_checkpoint_strictly(model, checkpoint,
                                 adapt=dict(landsat8='s2_l2a'))
    with pytest.raises(ValueError, match='already'):
        load_checkpoint_strictly(model, checkpoint,
                                 adapt=dict(hr_rgb='s2_l2a'))
    out = tmp_path / 'out.pth'
    ran = command(checkpoint, out, '--sensor', 's2_l2a', '--source', 'hr_rgb')
    assert ran.returncode == 1 and 'already' in ran.stderr
    assert not out.exists() and 'Traceback' not in ran.stderr
