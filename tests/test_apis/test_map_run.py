# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Maps that are interrupted, cut into parts, or made by several processes."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import torch

from mmskysense.apis import MapInferencer
from mmskysense.apis.batch_size import fitting_batch_size
from mmskysense.apis.map_outputs import MapOutputs, entropy_share

OUTPUTS = dict(probabilities='soft.tif', uncertainty='unsure.tif')


class Killed(BaseException):
    """Stands for what ends a process."""


def predict(paths, folder, inferencer=None, **options):
    """Bytes of the map's files."""
    inferencer = inferencer or MapInferencer(*paths, device='cpu')
    files = {name: folder / file for name, file in OUTPUTS.items()}
    inferencer.predict_raster(folder / 'scene.tif', folder / 'map.tif',
                              **files, **options)
    return [(folder / name).read_bytes()
            for name in ('map.tif', *OUTPUTS.values())]


def pixels(folder):
    found = []
    for name in ('map.tif', *OUTPUTS.values()):
        with rasterio.open(folder / name) as dataset:
            found.append(dataset.read())
    return found


def kill_at(inferencer, call, work):
    """Do some work; the model's so-and-so-manieth call is the last.

    Returns the calls that there were.
    """
    model = inferencer.segmentor.model
    original = type(model).encode_decode.__get__(model)
    calls = []

    def encode_decode(inputs, metas):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return original(inputs, metas)

    model.encode_decode = encode_decode
    work()
    return calls


@pytest.mark.parametrize('options', [
    dict(overlap=0.5, batch_size=3), dict(overlap=0.8, batch_size=5),
    dict(overlap=0, batch_size=2), dict(overlap=0.5, batch_size=3,
                                        max_memory=60_000)])
def test_ten_kills_leave_the_same_bytes(make_scene, segmentor, tmp_path,
                                        options):
    make_scene(tmp_path / 'scene.tif', 330, 101)
    inferencer = MapInferencer(*segmentor, device='cpu')
    whole = len(kill_at(inferencer, None, lambda: predict(
        segmentor, tmp_path, inferencer, **options)))
    wanted = [(tmp_path / name).read_bytes()
              for name in ('map.tif', *OUTPUTS.values())]
    random = np.random.default_rng(0)
    went_on = 0
    for _ in range(10):
        for name in ('map.tif', *OUTPUTS.values()):
            (tmp_path / name).unlink(missing_ok=True)
        with pytest.raises(Killed):
            last = int(random.integers(1, whole))
            kill_at(inferencer, last, lambda: predict(
                segmentor, tmp_path, inferencer, resume=True, **options))
        assert not (tmp_path / 'map.tif').exists()
        calls = kill_at(inferencer, None, lambda: predict(
            segmentor, tmp_path, inferencer, resume=True, **options))
        assert [(tmp_path / name).read_bytes()
                for name in ('map.tif', *OUTPUTS.values())] == wanted
        went_on += len(calls) < whole
    assert went_on >= 3
    assert sorted(os.listdir(tmp_path)) == sorted(
        ['scene.tif', 'map.tif', *OUTPUTS.values()])


SCRIPT = '''
import os, signal, sys, torch
from mmseg.registry import MODELS
@MODELS.register_module()
class PixelsThemselves(torch.nn.Module):
    def forward(self, pixels):
        return (pixels, )
from mmskysense.apis import MapInferencer
inferencer = MapInferencer(sys.argv[1], sys.argv[2], device='cpu')
model, calls = inferencer.segmentor.model, []
original = model.encode_decode
def encode_decode(inputs, metas):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(inputs, metas)
model.encode_decode = encode_decode
folder = sys.argv[3]
inferencer.predict_raster(
    f'{folder}/scene.tif', f'{folder}/map.tif', resume=True,
    probabilities=f'{folder}/soft.tif', uncertainty=f'{folder}/unsure.tif')
'''


def test_a_real_kill_leaves_nothing_under_the_name_and_is_resumed(
        make_scene, segmentor, tmp_path):
    make_scene(tmp_path / 'scene.tif', 200, 101)
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT, *map(str, segmentor), str(tmp_path)],
        capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert sorted(os.listdir(tmp_path)) == ['.map.tif.partial', 'scene.tif']
    inferencer = MapInferencer(*segmentor, device='cpu')
    found = []
    resumed = kill_at(inferencer, None, lambda: found.append(
        predict(segmentor, tmp_path, inferencer, resume=True)))
    whole = kill_at(inferencer, None, lambda: found.append(
        predict(segmentor, tmp_path, inferencer)))
    assert found[0] == found[1]
    assert len(resumed) < len(whole)


def test_resuming_with_other_settings_is_refused(make_scene, segmentor,
                                                 tmp_path):
    make_scene(tmp_path / 'scene.tif')
    inferencer = MapInferencer(*segmentor, device='cpu')
    with pytest.raises(Killed):
        kill_at(inferencer, 2, lambda: predict(
            segmentor, tmp_path, inferencer, resume=True))
    with pytest.raises(ValueError, match=r'overlap=\[24, 20\].*resume out'):
        predict(segmentor, tmp_path, resume=True, overlap=0.25)
    changed = MapInferencer(
        *segmentor, device='cpu',
        cfg_options={'model.decode_head.align_corners': True})
    with pytest.raises(ValueError, match='found CONFIG_SHA256='):
        predict(segmentor, tmp_path, changed, resume=True)
    make_scene(tmp_path / 'scene.tif', 131)
    with pytest.raises(ValueError, match='partial: expected'):
        predict(segmentor, tmp_path, resume=True)
    predict(segmentor, tmp_path)  # anew
    assert not (tmp_path / '.map.tif.partial').exists()


def test_leftovers_of_a_killed_writer_are_removed(make_scene, segmentor,
                                                  tmp_path):
    make_scene(tmp_path / 'scene.tif')
    (tmp_path / '.map.tif.partial-abc').mkdir()
    (tmp_path / '.map.tif.partial-abc/cog.tif').write_bytes(b'half')
    predict(segmentor, tmp_path)
    assert sorted(os.listdir(tmp_path)) == [
        'map.tif', 'scene.tif', 'soft.tif', 'unsure.tif']


def test_wide_maps_are_completed_in_pieces(make_scene, segmentor, tmp_path,
                                           monkeypatch):
    make_scene(tmp_path / 'scene.tif', 40, 1300)
    predict(segmentor, tmp_path)
    wanted = pixels(tmp_path)
    monkeypatch.setattr('mmskysense.apis.map_inferencer._PIECE_BYTES', 1)
    summary = MapInferencer(*segmentor, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif',
        **{name: tmp_path / file for name, file in OUTPUTS.items()})
    for one, other in zip(pixels(tmp_path), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sum(summary.pixel_counts) + summary.nodata_pixels == 40 * 1300


ORPHANS = '''
import os, sys, time
import multiprocessing
from mmskysense.apis.map_processes import _die_with_parent
import threading
def work(pipe):
    threading.Thread(target=_die_with_parent, daemon=True).start()
    pipe.send(os.getpid())
    threading.Event().wait()
if __name__ == '__main__':
    context = multiprocessing.get_context('spawn')
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, ), daemon=True)
    process.start()
    print(here.recv(), flush=True)
    os.kill(os.getpid(), 9)
'''


def test_processes_end_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / 'parent.py').write_text(ORPHANS)
    # This returns when the last process that holds the pipe is gone, and
    # raises TimeoutExpired if one lives on.
    started = subprocess.run([sys.executable, str(tmp_path / 'parent.py')],
                             capture_output=True, text=True, timeout=60)
    assert started.returncode == -signal.SIGKILL
    assert int(started.stdout) > 0


def test_strips_of_bounded_memory_give_the_same_map(make_scene, segmentor,
                                                    tmp_path):
    make_scene(tmp_path / 'scene.tif', 90, 400)
    windows = []
    for limit in (1 << 28, 100_000):
        inferencer = MapInferencer(*segmentor, device='cpu')
        summary = inferencer.predict_raster(
            tmp_path / 'scene.tif', tmp_path / 'map.tif', max_memory=limit,
            **{name: tmp_path / file for name, file in OUTPUTS.items()})
        windows.append(summary.windows)
        if len(windows) == 1:
            wanted = pixels(tmp_path)
    # Windows at the borders of strips are scored twice.
    assert windows[1] > windows[0]
    for one, other in zip(pixels(tmp_path), wanted, strict=True):
        # Other batches: the last bit of a score may differ.
        np.testing.assert_allclose(one.astype(int), other, atol=1)
    np.testing.assert_array_equal(pixels(tmp_path)[0], wanted[0])


def test_finer_probabilities(make_scene, segmentor, tmp_path):
    make_scene(tmp_path / 'scene.tif', 70, 60)
    predict(segmentor, tmp_path)
    _, coarse, _ = pixels(tmp_path)
    predict(segmentor, tmp_path, probability_type='uint16')
    _, fine, _ = pixels(tmp_path)
    assert fine.dtype == np.uint16
    np.testing.assert_array_equal(fine == 65535, coarse == 255)
    seen = coarse != 255
    np.testing.assert_allclose(fine[seen] / 65534, coarse[seen] / 254,
                               atol=0.51 / 254)
    assert len(np.unique(fine[seen])) > 254


CONFIG = '''
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb'),
    backbone=dict(
        type='mmskysense.SkySenseV2', sensor='hr_rgb',
        arch=dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)),
    decode_head=dict(
        type='FCNHead', in_channels=128, channels=128, num_convs=0,
        num_classes=3, concat_input=False, norm_cfg=None))
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
crop_size = (32, 32)
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]
'''


def test_two_processes_make_the_map_of_one(make_scene, tmp_path):
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    (tmp_path / 'config.py').write_text(CONFIG)
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(
        dict(state_dict=model.state_dict(),
             meta=dict(dataset_meta=dict(classes=['a', 'b', 'c']))),
        tmp_path / 'weights.pth')
    make_scene(tmp_path / 'scene.tif', 90, 70)
    paths = (tmp_path / 'config.py', tmp_path / 'weights.pth')
    predict(paths, tmp_path)
    wanted = pixels(tmp_path)
    inferencer = MapInferencer(*paths, device='cpu')
    # This process' own model must not be asked: others do the work.
    kill_at(inferencer, 1, lambda: predict(paths, tmp_path, inferencer,
                                           processes=2))
    for one, other in zip(pixels(tmp_path), wanted, strict=True):
        np.testing.assert_allclose(one.astype(int), other, atol=1)


def test_uncertainty_is_the_entropy_of_the_probabilities(make_scene,
                                                         segmentor,
                                                         tmp_path):
    scene, valid = make_scene(tmp_path / 'scene.tif')
    inferencer = MapInferencer(*segmentor, device='cpu')
    predict(segmentor, tmp_path, inferencer)
    unsure = pixels(tmp_path)[2]
    scores = inferencer.segmentor([scene.astype(np.float32)], [valid])[0]
    expected = entropy_share(inferencer.segmentor.probabilities(scores))
    assert abs(unsure[0] / 254 - expected)[valid].max() < 0.51 / 254
    assert (unsure[0][~valid] == 255).all()
    with rasterio.open(tmp_path / 'unsure.tif') as dataset:
        assert dataset.descriptions == ('entropy', )
        assert 'entropy' in dataset.tags()['UNCERTAINTY']


def test_entropy_is_a_share():
    soft = np.array([[1, 0.5, 1 / 3], [0, 0.5, 1 / 3], [0, 0, 1 / 3]])
    np.testing.assert_allclose(
        entropy_share(soft[:, None]), [[0, np.log(2) / np.log(3), 1]],
        atol=1e-9)


def test_variance_over_flips_is_zero_for_a_model_without_context(
        make_scene, segmentor, tmp_path):
    _, valid = make_scene(tmp_path / 'scene.tif')
    predict(segmentor, tmp_path)
    plain = pixels(tmp_path)
    predict(segmentor, tmp_path, flips=True, measure='variance')
    flipped = pixels(tmp_path)
    np.testing.assert_array_equal(flipped[0], plain[0])
    assert (flipped[2][0][valid] == 0).all()
    with pytest.raises(ValueError, match='set flips=True'):
        predict(segmentor, tmp_path, measure='variance')


def test_variance_over_flips_tells_where_views_disagree(make_scene,
                                                        segmentor, tmp_path):
    inferencer = MapInferencer(*segmentor, device='cpu')
    scorer = inferencer.scorer(flips=True, variance=True)

    def left_is_another_class(images, valid):
        scores = np.zeros((len(images), 3, *images[0].shape[-2:]), np.float32)
        scores[:, 0, :, ::2], scores[:, 1, :, 1::2] = 50, 50
        return scores

    scorer.segmentor.__class__, kept = type(
        'Fake', (type(scorer.segmentor), ), dict(
            __call__=lambda self, *a: left_is_another_class(*a))), \
        type(scorer.segmentor)
    image = np.zeros((3, 4, 6), np.float32)
    found = scorer([image], [np.ones((4, 6), bool)])
    scorer.segmentor.__class__ = kept
    # Two views say one class, two the other: 0.5 of at most 2/3.
    np.testing.assert_allclose(found[0, 3], 0.75, atol=1e-5)


def test_auto_finds_a_batch_size(make_scene, segmentor, tmp_path):
    make_scene(tmp_path / 'scene.tif')
    predict(segmentor, tmp_path, batch_size='auto')
    scorer = MapInferencer(*segmentor, device='cpu').scorer()
    assert fitting_batch_size(scorer, 3, (8, 8), windows=1) == 1
    assert fitting_batch_size(scorer, 3, (8, 8), windows=100) in (
        1, 2, 4, 8, 16, 32, 64)


@pytest.mark.parametrize('arguments,words', [
    (dict(probability_type='float'), "one of .'uint8', 'uint16'"),
    (dict(batch_size='many'), "or 'auto'"), (dict(processes=0), 'processes'),
    (dict(reading_threads=-1), 'reading_threads'),
    (dict(measure='spread', uncertainty='a.tif'), "measure 'spread'")])
def test_bad_arguments_are_refused(scene, segmentor, tmp_path, arguments,
                                   words):
    with pytest.raises(ValueError, match=words):
        MapInferencer(*segmentor, device='cpu').predict_raster(
            scene[0], tmp_path / 'map.tif', **arguments)


def test_outputs_need_names_of_their_own(tmp_path):
    with pytest.raises(ValueError, match='need different names'):
        MapOutputs(tmp_path / 'a.tif', uncertainty=tmp_path / 'a.tif')
