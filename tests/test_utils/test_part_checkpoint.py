# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Parts of pre-training start from a checkpoint, or say why not."""

import pytest
import torch

from mmskysense.registry import MODELS
from mmskysense.utils.checkpoint import CheckpointError

HEAD = dict(num_prototypes=8, hidden_channels=12, bottleneck_channels=4)
SOURCES = dict(fused=16)
PARTS = dict(
    fusion=dict(type='mmskysense.MultiModalTemporalFusion', in_channels=24,
                embed_dims=16, depth=1, num_heads=2, sensors=('hr_rgb', )),
    qsacl_head=dict(type='mmskysense.QSACLHead', in_channels=16,
                    num_queries=4, num_heads=2, **HEAD),
    image_head=dict(type='mmskysense.ImageContrast', sources=SOURCES, **HEAD),
    pixel_head=dict(type='mmskysense.PixelContrast', sources=SOURCES, **HEAD),
    object_head=dict(type='mmskysense.ObjectContrast', num_clusters=3,
                     sources=SOURCES, **HEAD),
    text_head=dict(type='mmskysense.ImageTextAlignment', in_channels=16,
                   num_classes=3),
    geo_context=dict(type='mmskysense.GeoContextPrototypes', embed_dims=16,
                     regions=(2, 2), num_prototypes=3, num_heads=2))
WHOLE = dict(
    type='mmskysense.SkySenseV2Pretrainer',
    backbone=dict(
        type='mmskysense.SkySenseV2', sensor='hr_rgb', out_indices=(3, ),
        arch=dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8,
                  window_size=4)),
    fusion=dict(PARTS['fusion'], in_channels=128),
    qsacl_head=PARTS['qsacl_head'])


def started(config, path, **init):
    part = MODELS.build(dict(config, init_cfg=dict(
        type='Pretrained', checkpoint=str(path), **init)))
    part.init_weights()
    return part


@pytest.mark.parametrize('name', list(PARTS))
@pytest.mark.parametrize('prefix', ['teacher.part', 'teacher.part.'])
def test_every_part_starts_from_its_weights_in_a_larger_file(
        name, prefix, tmp_path):
    source = MODELS.build(dict(PARTS[name]))
    wanted = {key: torch.randn_like(value) if value.is_floating_point()
              else value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict={
        **{f'teacher.part.{key}': value for key, value in wanted.items()},
        'teacher.other.weight': torch.ones(1)}), tmp_path / 'all.pth')
    found = started(PARTS[name], tmp_path / 'all.pth', prefix=prefix)
    for key, value in found.state_dict().items():
        assert torch.equal(value, wanted[key]), key


@pytest.mark.parametrize('name', list(PARTS))
def test_a_file_that_is_not_there_is_refused(name, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.pth'):
        started(PARTS[name], tmp_path / 'no.pth')


def test_what_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path):
    part = PARTS['text_head']
    state = MODELS.build(dict(part)).state_dict()
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match=r"has no 'student\.text\.\*'"):
        started(part, tmp_path / 'part.pth', prefix='student.text')
    torch.save(dict(state, more=torch.ones(1)), tmp_path / 'more.pth')
    with pytest.raises(CheckpointError, match='1 names or shapes differ.*mo'):
        started(part, tmp_path / 'more.pth')
    with pytest.raises(CheckpointError, match='embeddings'):
        started(dict(part, num_classes=4), tmp_path / 'part.pth')
    other = MODELS.build(dict(part, init_cfg=dict(type='Xavier')))
    with pytest.raises(ValueError, match="expected dict.type='Pretrained'"):
        other.init_weights()


def test_a_whole_pretraining_keeps_student_and_teacher_apart(tmp_path):
    source = MODELS.build(WHOLE)
    source.init_weights()
    for parameter in source.teacher.parameters():
        parameter.data.add_(1.0)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'run.pth')
    found = started(WHOLE, tmp_path / 'run.pth')
    for key, value in source.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
