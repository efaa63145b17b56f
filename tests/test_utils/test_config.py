# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Overrides of configs, above all of the data's folder."""

import pytest

from mmskysense.utils.config import read_config

TEXT = """
data_root = 'data/world'
loader = dict(dataset=dict(data_root=data_root, other='data/worldwide'))
evaluators = [dict(ann_file=data_root + '/test.json', n=1)]
pair = ('data/world/', 3)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize('root', ['/archive/mine', 'elsewhere/'])
def test_data_root_moves_every_path_below_it(config, root):
    cfg = read_config(config, {'data_root': root, 'loader.workers': 2})
    assert cfg.data_root == cfg.loader.dataset.data_root == root
    assert cfg.evaluators[0].ann_file == root.rstrip('/') + '/test.json'
    assert cfg.pair == (root, 3)
    assert cfg.loader.dataset.other == 'data/worldwide'
    assert cfg.loader.workers == 2


def test_a_particular_override_wins(config):
    cfg = read_config(config, {'loader.dataset.data_root': 'b',
                               'data_root': 'a'})
    assert cfg.loader.dataset.data_root == 'b'
    assert cfg.evaluators[0].ann_file == 'a/test.json'


def test_nothing_to_override(config, tmp_path):
    assert read_config(config).data_root == 'data/world'
    bare = tmp_path / 'bare.py'
    bare.write_text('x = 1')
    with pytest.raises(ValueError, match='no variable'):
        read_config(str(bare), {'data_root': 'a'})
    with pytest.raises(FileNotFoundError, match='configs/'):
        read_config(str(tmp_path / 'none.py'))


def test_options_of_the_preprocessor_reach_the_model(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("data_preprocessor = dict(type='P', sensor='hr_rgb')\n"
                    'model = dict(data_preprocessor=data_preprocessor)\n')
    cfg = read_config(str(path), {'data_preprocessor.sensor': 's2_l2a'})
    assert cfg.model.data_preprocessor.sensor == 's2_l2a'
    cfg = read_config(str(path), {'data_preprocessor.sensor': 'a',
                                  'model.data_preprocessor.sensor': 'b'})
    assert cfg.model.data_preprocessor.sensor == 'b'


def test_a_host_that_is_not_installed_is_named_with_its_distribution(
        tmp_path, monkeypatch):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = ['mmrotate::oriented_rcnn/any.py']")
    monkeypatch.setattr('mmengine.config.config.is_installed',
                        lambda package: False)
    with pytest.raises(ModuleNotFoundError, match='config.py: its base is a '
                       'config of mmrotate, .* onedl-mmrotate`'):
        read_config(str(path))
