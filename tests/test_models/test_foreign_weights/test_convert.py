# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Weights of timm, mmpretrain and SkySense V1: the same numbers come out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from mmskysense import SkySenseV2
from mmskysense.models.foreign_weights import convert_weights
from mmskysense.models.foreign_weights.layouts import find_layout
from mmskysense.utils.encoder_checkpoint import load_checkpoint_strictly

timm_swin = pytest.importorskip('timm.models.swin_transformer_v2')
timm_vit = pytest.importorskip('timm.models.vision_transformer')
mmpretrain = pytest.importorskip('mmpretrain.models.backbones')

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / 'tools/model_converters/foreign_to_backbone.py'
ARCH = dict(embed_dims=16, depths=(2, 2, 2, 1), head_dims=8)
SWIN = dict(img_size=64, embed_dim=16, depths=(2, 2, 1, 1),
            num_heads=(2, 4, 8, 16), window_size=8)


def randomise(module):
    """Norms start at zero in Swin V2; parity needs live branches."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    module.eval()  # mmpretrain's returns None
    return module


def encoder(**options):
    model = SkySenseV2(ARCH, position='none', **options)
    model.init_weights()
    return model.eval()


def loaded(content, **options):
    model = encoder(**options)
    state, report = convert_weights(content, model)
    model.load_state_dict(state, strict=True)
    everything = {e.sources for e in report.entries}
    named = {key for sources in everything for key in sources}
    return model, report, named


def mm_swin(heads=(2, 4, 8, 16)):
    return randomise(mmpretrain.SwinTransformerV2(
        arch=dict(embed_dims=16, depths=[2, 2, 1, 1], num_heads=list(heads),
                  extra_norm_every_n_blocks=0),
        img_size=64, window_size=[8, 8, 8, 8]))


def ours_to_stage_2(model, image):
    """Output of our stage 2 and of the transition behind it."""
    x = model.stages[0](model.tokenizers['hr_rgb'](image), 'hr_rgb', 1.0)
    x = model.stages[1](model.mergings[0](x, True), 'hr_rgb', 1.0)
    return x, model.mergings[1](x, True)


def test_timm_swin_gives_the_same_numbers():
    theirs = randomise(timm_swin.SwinTransformerV2(**SWIN))
    ours, report, named = loaded(theirs.state_dict())
    assert report.layout == 'timm-swinv2'
    assert named == set(theirs.state_dict())
    image = torch.randn(2, 3, 64, 64)
    x = theirs.layers[1](theirs.layers[0](theirs.patch_embed(image)))
    mine, merged = ours_to_stage_2(ours, image)
    torch.testing.assert_close(mine, x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(merged, theirs.layers[2].downsample(x),
                               atol=1e-4, rtol=1e-4)


def test_mmpretrain_swin_gives_the_same_numbers():
    """Its transitions concatenate neighbours in another order."""
    theirs = mm_swin()
    ours, report, named = loaded(dict(state_dict={
        f'backbone.{k}': v for k, v in theirs.state_dict().items()}))
    assert report.layout == 'mmpretrain-swinv2'
    assert named == set(theirs.state_dict())
    reordered = [e for e in report.of('adapted') if 'neighbours' in e.reason]
    assert len(reordered) == 3
    image = torch.randn(2, 3, 64, 64)
    x, size = theirs.patch_embed(image)
    for stage in theirs.stages[:2]:
        x, size = stage(x, size)
    mine, merged = ours_to_stage_2(ours, image)
    torch.testing.assert_close(mine.flatten(1, 2), x, atol=1e-4, rtol=1e-4)
    x, _ = theirs.stages[2].downsample(x, size)
    torch.testing.assert_close(merged.flatten(1, 2), x, atol=1e-4, rtol=1e-4)


class ViT(nn.Module):
    """Two blocks of width 64 in some library's names."""

    def __init__(self, name, blocks):
        super().__init__()
        self.add_module(name, nn.ModuleList(blocks))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 64))


def run_blocks(model, x, stage=2):
    for block in model.stages[stage].blocks:
        x = block(x)
    return x


@pytest.mark.parametrize('init_values', [None, 0.3])
@pytest.mark.parametrize('bias', [True, False])
def test_timm_vit_gives_the_same_numbers(init_values, bias):
    blocks = [timm_vit.Block(64, 8, qkv_bias=bias, init_values=init_values)
              for _ in range(2)]
    theirs = randomise(ViT('blocks', blocks))
    ours, report, _ = loaded(theirs.state_dict())
    assert report.layout == 'timm-vit' and report.notes
    x = torch.randn(2, 9, 64)
    torch.testing.assert_close(run_blocks(ours, x), blocks[1](blocks[0](x)),
                               atol=1e-4, rtol=1e-4)
    implied = [e for e in report.of('adapted') if 'no LayerScale' in e.reason]
    assert len(implied) == (0 if init_values else 4)
    assert any(e.sources == ('pos_embed', ) and 'position' in e.reason
               for e in report.of('skipped'))


@pytest.mark.parametrize('scale', [0.0, 0.3])
def test_mmpretrain_vit_gives_the_same_numbers(scale):
    from mmpretrain.models.backbones.vision_transformer import (
        TransformerEncoderLayer,
    )
    blocks = [TransformerEncoderLayer(64, 8, 256,
                                      layer_scale_init_value=scale)
              for _ in range(2)]
    theirs = randomise(ViT('layers', blocks))
    ours, report, _ = loaded(theirs.state_dict())
    assert report.layout == 'mmpretrain-vit'
    skipped = {e.sources for e in report.of('skipped')}
    assert skipped == {('pos_embed', )}
    x = torch.randn(2, 9, 64)
    torch.testing.assert_close(run_blocks(ours, x), blocks[1](blocks[0](x)),
                               atol=1e-4, rtol=1e-4)


class V1Attention(nn.Module):

    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(64, 8, batch_first=True)


class V1Block(nn.Module):
    """A block as the keys of SkySense V1's ViTs describe it."""

    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(64), nn.LayerNorm(64)
        self.attn = V1Attention()
        self.ffn = nn.Module()
        self.ffn.layers = nn.Sequential(
            nn.Sequential(nn.Linear(64, 256), nn.GELU()), nn.Linear(256, 64))

    def forward(self, x):
        y = self.ln1(x)
        x = x + self.attn.attn(y, y, y, need_weights=False)[0]
        return x + self.ffn.layers(self.ln2(x))


def test_skysense_v1_vit_gives_the_same_numbers():
    blocks = [V1Block() for _ in range(3)]
    theirs = randomise(ViT('layers', blocks))
    ours, report, named = loaded({
        f'backbone.{k}': v for k, v in theirs.state_dict().items()})
    assert report.layout == 'skysense-v1-vit'
    assert named >= set(theirs.state_dict())
    assert any('2 blocks only' in e.reason for e in report.of('skipped'))
    x = torch.randn(2, 9, 64)
    torch.testing.assert_close(run_blocks(ours, x), blocks[1](blocks[0](x)),
                               atol=1e-4, rtol=1e-4)


def test_the_last_blocks_go_to_stage_4():
    blocks = [timm_vit.Block(128, 16) for _ in range(3)]
    theirs = randomise(ViT('blocks', blocks))
    ours, _, _ = loaded(theirs.state_dict())
    x = torch.randn(1, 4, 128)
    torch.testing.assert_close(run_blocks(ours, x, 3), blocks[2](x),
                               atol=1e-4, rtol=1e-4)


def test_skysense_v1_hr_starts_all_stages_and_says_what_differs():
    """Its keys with other heads: what depends on them stays at random."""
    theirs = mm_swin(heads=(1, 2, 4, 8))
    model = encoder()
    source = {f'backbone.{k}': v for k, v in theirs.state_dict().items()}
    state, report = convert_weights(source, model, layout='skysense-v1-hr')
    model.load_state_dict(state, strict=True)
    by_target = {e.target: e for e in report.entries if e.target}
    window = 'stages.0.blocks.0.attn.'
    assert by_target[window + 'logit_scale'].status == 'skipped'
    assert by_target[window + 'cpb_mlp.2.weight'].status == 'skipped'
    assert by_target[window + 'cpb_mlp.0.weight'].status == 'loaded'
    assert by_target[window + 'qkv.weight'].reason == \
        '1 heads there, 2 here'
    last = 'stages.3.blocks.0.'
    theirs_last = theirs.stages[3].blocks[0]
    assert torch.equal(state[last + 'mlp.fc1.weight'],
                       theirs_last.ffn.layers[0][0].weight)
    msa = theirs_last.attn.w_msa
    assert torch.equal(
        state[last + 'attn.qkv.bias'],
        torch.cat((msa.q_bias, torch.zeros(128), msa.v_bias)))
    assert last + 'norm1.weight' in report.random
    named = {key for e in report.entries for key in e.sources}
    assert named == set(theirs.state_dict())
    assert 0.5 < report.share < 1


def test_global_stages_of_a_swin_are_taken_on_demand():
    theirs = randomise(timm_swin.SwinTransformerV2(**SWIN)).state_dict()
    _, plain = convert_weights(theirs, encoder())
    state, more = convert_weights(theirs, encoder(), global_stages=True)
    assert more.share > plain.share
    assert torch.equal(state['stages.2.blocks.0.attn.proj.weight'],
                       theirs['layers.2.blocks.0.attn.proj.weight'])
    assert 'stages.2.blocks.1.attn.proj.weight' in more.random


def test_report_covers_the_encoder():
    theirs = randomise(timm_swin.SwinTransformerV2(**SWIN))
    model = encoder(sensors=('hr_rgb', 's2_l2a'))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state, report = convert_weights(theirs.state_dict(), model)
    targets = {e.target for e in report.entries if e.status != 'skipped'}
    assert targets | set(report.random) == set(state) == set(before)
    for key, value in before.items():
        assert torch.equal(model.state_dict()[key], value)  # not changed
        assert torch.equal(state[key], value) == (key in report.random), key
    assert 'tokenizers.s2_l2a.projection.weight' in report.random
    text = str(report)
    assert 'window attention' in text and 'left at random' in text
    json.dumps(report.to_dict())


def test_layouts_are_told_apart_and_ambiguity_is_refused():
    sign = 'stages.0.blocks.0.attn.w_msa.logit_scale'
    state = {f'backbone.{sign}': torch.zeros(8, 1, 1),
             'backbone.patch_embed.projection.weight':
             torch.zeros(352, 3, 4, 4), 'head.weight': torch.zeros(1)}
    name, inner, outer = find_layout(state)
    assert name == 'skysense-v1-hr' and sign in inner
    assert outer == ('head.weight', )
    state[f'teacher.{sign}'] = torch.zeros(8, 1, 1)
    with pytest.raises(ValueError, match=r"\['backbone.', 'teacher.'\]"):
        find_layout(state)
    assert find_layout(state, prefix='teacher.')[0] == 'mmpretrain-swinv2'
    with pytest.raises(ValueError, match='none of timm-swinv2'):
        find_layout({'a.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match="layout='resnet'"):
        find_layout(state, 'resnet')
    with pytest.raises(ValueError, match='it looks like mmpretrain-swinv2'):
        find_layout(state, 'timm-vit')


@pytest.mark.parametrize('name', ['swin_tiny_patch4_window7_224',
                                  'swinv2_cr_tiny_224'])
@pytest.mark.parametrize('prefix', [None, 'layers.2.', 'stages.2.'])
def test_other_windowed_networks_are_no_vits(name, prefix):
    theirs = timm.create_model(name, depths=(1, 1, 1, 1), embed_dim=24,
                               num_heads=(1, 2, 4, 8))
    with pytest.raises(ValueError, match='network with windows|layout of no'):
        find_layout(theirs.state_dict(), prefix=prefix)


def test_refusals():
    theirs = randomise(ViT('blocks', [timm_vit.Block(24, 2)]))
    with pytest.raises(ValueError, match='width 24; stages 3 and 4'):
        convert_weights(theirs.state_dict(), encoder())
    with pytest.raises(ValueError, match='moe=None'):
        convert_weights(theirs.state_dict(),
                        encoder(moe=dict(num_experts=2, blocks=1)))
    with pytest.raises(ValueError, match='add it there'):
        convert_weights(theirs.state_dict(), encoder(), 'gf2')
    swin = timm_swin.SwinTransformerV2(**SWIN).state_dict()
    _, report = convert_weights(swin, SkySenseV2(ARCH, sensor='s2_l2a'))
    assert any("3 bands, 's2_l2a' has 10" in e.reason
               for e in report.of('skipped'))


def command(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], text=True,
        capture_output=True, check=False, timeout=120,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))


def test_command_then_strict_load(tmp_path):
    source, out = tmp_path / 'swin.pth', tmp_path / 'new' / 'backbone.pth'
    torch.save(timm_swin.SwinTransformerV2(**SWIN).state_dict(), source)
    arch = 'dict(embed_dims=16, depths=(2, 2, 2, 1), head_dims=8)'
    report = tmp_path / 'report.json'
    ran = command(source, out, '--arch', arch, '--report', report)
    assert ran.returncode == 0, ran.stderr
    assert 'layout timm-swinv2' in ran.stdout
    assert json.loads(report.read_text())['share'] > 0
    model = encoder()
    load_checkpoint_strictly(model, out, allow_missing_sensors=False)
    moe = encoder(moe=dict(num_experts=2, blocks=1))
    load_checkpoint_strictly(moe, out, allow_missing_sensors=False)

    vit, more = tmp_path / 'vit.pth', tmp_path / 'more.pth'
    torch.save(ViT('blocks', [timm_vit.Block(64, 8)]).state_dict(), vit)
    ran = command(vit, more, '--arch', arch, '--start', out, '--at-least',
                  0.9)
    assert ran.returncode == 1 and '90.0%' in ran.stderr
    assert not more.exists()
    ran = command(vit, more, '--arch', arch, '--start', out)
    assert ran.returncode == 0, ran.stderr
    first, then = (torch.load(f, weights_only=True)['state_dict']
                   for f in (out, more))
    changed = {key for key in then if not torch.equal(first[key], then[key])}
    assert changed and all(key.startswith('stages.2.blocks.0.')
                           for key in changed)
