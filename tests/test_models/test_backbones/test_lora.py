# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Low-rank adapters: what is trained, what is saved, what merging gives.

Tests that need peft (requirements/lora.txt) are skipped without it.
"""

import copy
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.runner import load_state_dict, save_checkpoint
from mmengine.runner.checkpoint import get_state_dict

from mmskysense import SkySenseV2
from mmskysense.models.backbones.lora import LoRAOptions, LoRASkySenseV2
from mmskysense.registry import MODELS
from mmskysense.utils.checkpoint import CheckpointError, check_checkpoint
from mmskysense.utils.lora_checkpoint import forget_start, merge_lora

SMALLEST = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)


@pytest.fixture
def base(tmp_path):
    """File of a plain encoder whose blocks do something."""
    model = SkySenseV2(SMALLEST)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / 'encoder.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


@pytest.fixture
def adapt(base):
    """A function that builds an adapted encoder on the file."""
    pytest.importorskip('peft')

    def build(checkpoint=base, arch=SMALLEST, moe=None, **lora):
        model = MODELS.build(dict(
            type='mmskysense.LoRASkySenseV2', arch=arch, moe=moe, lora=lora,
            init_cfg=checkpoint and dict(checkpoint=checkpoint)))
        model.init_weights()
        return model

    return build


def plain(path):
    model = SkySenseV2(SMALLEST, init_cfg=dict(checkpoint=path))
    model.init_weights()
    return model.eval()


def train(model, steps=3):
    """Some steps away from the start; returns names of what moved."""
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(level.square().sum() for level in
            model(torch.ones(1, 3, 32, 32))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return {n for n, p in model.named_parameters()
            if not torch.equal(p, before[n])}


def maps(model):
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        return model.eval()(torch.randn(1, 3, 40, 40, generator=generator))


def assert_same(left, right, **tolerance):
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_an_adapter_starts_at_zero(adapt, base):
    assert_same(maps(adapt()), maps(plain(base)))


def test_only_adapters_and_output_norms_are_trained(adapt):
    model = adapt()
    moved = train(model)
    assert moved == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all('.lora_' in n or n.startswith('norms.') for n in moved)
    layers = {n.partition('.lora_')[0] for n in moved if '.lora_' in n}
    assert layers == set(model.adapted)
    # Three layers in each block of stages 1-2, four in the others.
    assert len(layers) == 14
    assert not any(n.startswith(('stages.0', 'stages.1')) and 'qkv' in n
                   for n in layers)


def test_no_trained_parameter_is_without_a_gradient(adapt):
    model = adapt(moe=dict(num_experts=2, blocks=2), trained=(
        'norms', 'prompts', 'tokenizers')).train()
    sum(level.sum() for level in model(torch.rand(1, 3, 32, 32))).backward()
    assert [n for n, p in model.named_parameters()
            if p.requires_grad and p.grad is None] == []
    assert [n for n, p in model.named_parameters()
            if not p.requires_grad and p.grad is not None] == []
    assert not [n for n in model.adapted if n.endswith('.fc1')
                and n.startswith(('stages.2', 'stages.3'))]
    assert model.stages[2].prompts.tokens['hr_rgb'].requires_grad


@pytest.mark.parametrize('lora,count', [
    (dict(layers=('qkv', )), 2), (dict(stages=(4, )), 4),
    (dict(stages=(1, 3), layers=('fc1', 'proj')), 4)])
def test_layers_and_stages_are_a_choice(adapt, lora, count):
    model = adapt(**lora, rank=3, alpha=6)
    assert len(model.adapted) == count
    for name in model.adapted:
        layer = model.get_submodule(name)
        assert layer.lora_A['default'].out_features == 3
        assert layer.scaling['default'] == 2


def test_frozen_stages_freezes_adapters_too(adapt):
    pytest.importorskip('peft')
    model = MODELS.build(dict(
        type='mmskysense.LoRASkySenseV2', arch=SMALLEST, frozen_stages=3))
    model.train()
    trained = {n.partition('.blocks')[0] for n, p in model.named_parameters()
               if p.requires_grad and '.lora_' in n}
    assert trained == {'stages.3'}


def test_layer_decay_knows_adapters(adapt):
    model = adapt()
    name = 'backbone.stages.2.blocks.0.attn.qkv.lora_A.default.weight'
    assert model.get_layer_depth(name, 'backbone.') == \
        SkySenseV2(SMALLEST).get_layer_depth(
            'backbone.stages.2.blocks.0.attn.qkv.weight', 'backbone.')


def test_a_copy_is_independent(adapt):
    """As EMAHook takes one."""
    model = adapt(save='adapters')
    kept = copy.deepcopy(model)
    before = maps(kept)
    train(model)
    assert_same(maps(kept), before)
    assert set(kept.state_dict()) == set(model.state_dict())


class Task(BaseModel):
    """A model with an encoder and a head."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = torch.nn.Linear(2, 2)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs)


def save(model, backbone, path):
    """As mmengine's runner saves a checkpoint."""
    config = Config(dict(model=dict(backbone=backbone)))
    save_checkpoint(dict(
        meta=dict(cfg=config.pretty_text, iter=5),
        state_dict=get_state_dict(model)), str(path))
    return str(path)


def backbone_config(base, **lora):
    return dict(type='mmskysense.LoRASkySenseV2', arch=SMALLEST, lora=lora,
                init_cfg=dict(type='Pretrained', checkpoint=base))


@pytest.mark.parametrize('kind', ['all', 'adapters'])
def test_saved_loaded_and_merged(adapt, base, tmp_path, kind):
    model = Task(adapt(save=kind, rank=4, alpha=12))
    train(model.backbone)
    expected = maps(model.backbone)
    assert not torch.allclose(expected[3], maps(plain(base))[3], atol=1e-3)
    path = save(model, backbone_config(base, save=kind, rank=4, alpha=12),
                tmp_path / 'run.pth')
    saved = torch.load(path)['state_dict']
    frozen = [k for k in saved if 'tokenizers' in k or '.base_layer.' in k]
    assert bool(frozen) == (kind == 'all') and 'head.weight' in saved
    # A test builds the model without init_weights; resuming has them.
    for fresh in (Task(MODELS.build(backbone_config(
            base, save=kind, rank=4, alpha=12))), Task(adapt(
                save=kind, rank=4, alpha=12))):
        check_checkpoint(fresh, path)
        assert_same(maps(fresh.backbone), expected)
        # And by mmengine's own way; saved again, it is the same file.
        load_state_dict(fresh, torch.load(path)['state_dict'], strict=True)
        assert set(get_state_dict(fresh)) == set(saved)
    merged = merge_lora(path, tmp_path / 'merged.pth')
    assert merged['layers'] == 14
    config = Config.fromstring(merged['config'], '.py')
    assert config.model.backbone == dict(
        type='mmskysense.SkySenseV2', arch=SMALLEST)
    ordinary = Task(MODELS.build(config.model.backbone))
    content = check_checkpoint(ordinary, str(tmp_path / 'merged.pth'))
    assert content['meta']['iter'] == 5
    assert_same(maps(ordinary.backbone), expected, atol=2e-5, rtol=2e-5)


def test_weights_that_the_file_lacks_are_saved(adapt, base, tmp_path):
    """A new sensor's tokenizer, experts' gates: only here."""
    content = torch.load(base)
    content['state_dict'] = {k: v for k, v in content['state_dict'].items()
                             if not k.startswith('norms.0')}
    torch.save(content, base)
    model = adapt(save='adapters', moe=dict(num_experts=2, blocks=1))
    names = set(model.state_dict())
    assert {n.split('.mlp.')[1] for n in names if '.mlp.router' in n} == {
        'router.gate.weight'}
    fresh = LoRASkySenseV2(
        SMALLEST, moe=dict(num_experts=2, blocks=1),
        lora=dict(save='adapters'), init_cfg=dict(checkpoint=base))
    fresh.load_state_dict(model.state_dict())
    assert_same(maps(fresh), maps(model))


@pytest.mark.parametrize('change', ['other', 'missing'])
def test_adapters_of_another_encoder_are_refused(adapt, base, tmp_path,
                                                 change):
    path = save(Task(adapt(save='adapters')),
                backbone_config(base, save='adapters'), tmp_path / 'run.pth')
    content = torch.load(base)
    state = content['state_dict']
    key = 'stages.0.blocks.0.mlp.fc1.weight'
    if change == 'other':
        state[key] = state[key] + 0.1
    else:
        del state[key]
    torch.save(content, base)
    fresh = Task(MODELS.build(backbone_config(base, save='adapters')))
    for use in (lambda: check_checkpoint(fresh, path),
                lambda: merge_lora(path, tmp_path / 'merged.pth')):
        with pytest.raises(CheckpointError, match='another encoder'):
            use()
    no_base = Task(LoRASkySenseV2(SMALLEST))
    with pytest.raises(CheckpointError, match='holds adapters only'):
        no_base.load_state_dict(torch.load(path)['state_dict'], strict=False)


def load_tool():
    path = Path(__file__).parents[3] / 'tools/model_converters/merge_lora.py'
    spec = importlib.util.spec_from_file_location('merge_lora_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_merging_is_arithmetic_and_needs_no_peft(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    name = 'backbone.stages.2.blocks.0.mlp.fc1'
    down, up = torch.randn(2, 3), torch.randn(5, 2)
    weight, bias = torch.randn(5, 3), torch.randn(5)
    torch.save(dict(
        meta=dict(cfg="model = dict(backbone=dict(type='mmskysense."
                      "LoRASkySenseV2', lora=dict(rank=2, alpha=3)))"),
        state_dict={
            f'{name}.base_layer.weight': weight,
            f'{name}.base_layer.bias': bias,
            f'{name}.lora_A.default.weight': down,
            f'{name}.lora_B.default.weight': up, 'head.weight': bias}),
        tmp_path / 'run.pth')
    tool = load_tool()
    monkeypatch.setattr(sys, 'argv', [
        'merge_lora.py', str(tmp_path / 'run.pth'),
        str(tmp_path / 'out' / 'merged.pth'),
        '--config', str(tmp_path / 'merged.py')])
    tool.main()
    config = Config.fromfile(str(tmp_path / 'merged.py'))
    assert config.model.backbone == dict(type='mmskysense.SkySenseV2')
    state = torch.load(tmp_path / 'out/merged.pth')['state_dict']
    assert set(state) == {f'{name}.weight', f'{name}.bias', 'head.weight'}
    torch.testing.assert_close(
        state[f'{name}.weight'], weight + 1.5 * up @ down)
    torch.testing.assert_close(state[f'{name}.bias'], bias)


@pytest.mark.parametrize('content,part', [
    (dict(state_dict=dict(a=torch.ones(1))), 'expected adapters'),
    (dict(state_dict={'backbone.a.lora_A.default.weight': torch.ones(1, 1)}),
     'backbone is LoRASkySenseV2 in meta.cfg, found none')])
def test_merging_refuses_what_has_no_adapters(tmp_path, content, part):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=part):
        merge_lora(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert not (tmp_path / 'b.pth').exists()


@pytest.mark.parametrize('options,part', [
    (dict(layers=('query', )), 'lora.layers'), (dict(layers='qkv'), 'subset'),
    (dict(stages=(0, )), 'lora.stages'), (dict(trained=('head', )), 'trained'),
    (dict(rank=0), 'rank=0'), (dict(alpha=0), 'alpha=0'),
    (dict(dropout=1.0), 'dropout=1.0'), (dict(save='some'), "save='some'")])
def test_impossible_options_are_refused(options, part):
    with pytest.raises(ValueError, match=part):
        LoRAOptions(**options)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="lora=.*'r'"):
        LoRASkySenseV2(SMALLEST, lora=dict(r=4))


def test_no_layer_left_and_no_base_to_leave_out(adapt):
    with pytest.raises(ValueError, match='no layer of'):
        adapt(layers=('qkv', ), stages=(1, 2))
    with pytest.raises(ValueError, match="save='adapters'"):
        adapt(checkpoint=None, save='adapters')


def test_without_peft_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match='requirements/lora.txt'):
        LoRASkySenseV2(SMALLEST)


def test_mixed_precision_and_recomputed_activations(adapt):
    model = adapt().train()
    for stage in model.stages:
        stage.with_cp = True
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = sum(level.float().square().mean()
                   for level in model(torch.rand(1, 3, 40, 40)))
    loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters()
                 if p.requires_grad}
    assert all(g is not None and g.dtype == torch.float32
               and torch.isfinite(g).all() for g in gradients.values())
    # At the start only the second matrix has a gradient: it is zero.
    assert all(bool(g.abs().sum() > 0) == ('.lora_A.' not in n)
               for n, g in gradients.items())


@pytest.mark.parametrize('backbone,kept', [
    (dict(init_cfg=dict(checkpoint='a')), False),
    (dict(init_cfg=dict(checkpoint='a'), lora=dict(rank=2)), False),
    (dict(init_cfg=dict(checkpoint='a'), lora=dict(save='adapters')), True)])
def test_a_map_needs_the_start_of_adapters_alone(backbone, kept):
    model = ConfigDict(dict(pretrained='b', backbone=backbone))
    forget_start(model)
    assert 'pretrained' not in model
    assert bool(model.backbone.init_cfg) == kept
    nothing = ConfigDict(dict(type='A'))
    forget_start(nothing)
    assert nothing == dict(type='A')
