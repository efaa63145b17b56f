# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SkySenseV2Pretrainer."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from mmengine.structures import BaseDataElement

from mmskysense.models.layers import MixtureOfExperts
from mmskysense.models.pretrain import self_distillation
from mmskysense.models.pretrain.batch_views import first_views
from mmskysense.registry import MODELS
from mmskysense.structures import ViewBatch

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
TERMS = ('qsacl', 'image', 'pixel', 'object', 'text', 'koleo')
SUBSETS = [c for k in (1, 2, 3) for c in combinations(SENSORS, k)]


def build(parts, sensors=SENSORS, whole=False, **backbone):
    make = parts.whole if whole else parts.config
    model = MODELS.build(make(sensors, **backbone))
    model.init_weights()
    return model.train()


def total(losses):
    return torch.stack(list(losses.values())).sum()


def student_without_gradient(model):
    return [n for n, p in model.student.named_parameters() if p.grad is None]


@pytest.mark.parametrize('present', SUBSETS)
def test_every_parameter_of_the_student_gets_a_gradient(parts, present):
    model = build(parts, whole=True)
    losses = model(parts.inputs(present), mode='loss')
    assert set(losses) == {f'loss_{term}' for term in TERMS}
    total(losses).backward()
    assert student_without_gradient(model) == []
    assert all(p.grad is None for p in model.teacher.parameters())


def test_gradients_reach_queries_decoder_fusion_and_encoder(parts):
    model = build(parts)
    model(parts.inputs(SENSORS), mode='loss')['loss_qsacl'].backward()
    moved = {
        name for name, p in model.student.named_parameters()
        if p.grad is not None and p.grad.abs().max() > 0
    }
    for name in ('qsacl_head.decoder.queries',
                 'qsacl_head.decoder.cross_query.weight',
                 'qsacl_head.projection.prototypes',
                 'fusion.fusion_token', 'fusion.day_of_year.weight',
                 'fusion.in_proj.weight',
                 'backbone.tokenizers.s1_grd.proj.weight',
                 'backbone.tokenizers.hr_rgb.proj.weight'):
        assert any(name.split('.proj.')[0] in n for n in moved), name


def test_teacher_is_a_still_copy(parts):
    model = build(parts, drop_path_rate=0.5)
    for own, new in zip(model.teacher.parameters(),
                        model.student.parameters(), strict=True):
        assert torch.equal(own, new) and own is not new
        assert not own.requires_grad
    assert model.student.training
    assert not any(m.training for m in model.teacher.modules())


def test_ema_formula(parts):
    model = build(parts)
    before = [p.clone() for p in model.teacher.parameters()]
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.update_teacher(0.9)
    for old, own, new in zip(before, model.teacher.parameters(),
                             model.student.parameters(), strict=True):
        torch.testing.assert_close(own, 0.9 * old + 0.1 * new)
    model.update_teacher(1.0)
    model.update_teacher(0.0)
    for own, new in zip(model.teacher.parameters(),
                        model.student.parameters(), strict=True):
        torch.testing.assert_close(own, new)


def test_batch_of_one_with_missing_and_invalid_parts_is_finite(parts):
    model = build(parts, whole=True)
    inputs = parts.inputs(SENSORS, batch=1)
    for batch in inputs.values():
        for sensor in SENSORS:
            batch.valid[sensor].zero_()
            batch.dates[sensor].zero_()
    losses = model(inputs, mode='loss')
    total(losses).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(p.grad).all()
               for p in model.student.parameters())


def with_own_teacher(model):
    """A teacher that differs from its student."""
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


# With equal counts nothing but the value tells global from local views.
@pytest.mark.parametrize('local_views', [2, 3])
def test_qsacl_crosses_kinds_and_branches(parts, local_views):
    model = with_own_teacher(build(parts))
    inputs = parts.inputs(SENSORS, local_views=local_views)

    def logits(branch, kind):
        fused = model.encode(branch, inputs[kind]).fused
        z, _ = branch['qsacl_head'](fused)
        return z.unflatten(0, (inputs[kind].num_views, -1))

    head = model.student['qsacl_head']
    with torch.no_grad():
        found = model(inputs, mode='loss')['loss_qsacl']
        s_g, s_l = (logits(model.student, k) for k in ('global', 'local'))
        t_g, t_l = (logits(model.teacher, k) for k in ('global', 'local'))
        expected = 0.5 * (
            self_distillation(s_g, head.centre(t_l, 0.04), 0.1).mean()
            + self_distillation(s_l, head.centre(t_g, 0.04), 0.1).mean())
    torch.testing.assert_close(found, expected)


def test_image_loss_knows_what_each_sensor_saw(parts):
    model = with_own_teacher(build(parts))
    inputs = parts.inputs(SENSORS, batch=3)
    seen = {kind: {s: torch.ones(batch.num_views, 3, dtype=torch.bool)
                   for s in (*SENSORS, 'fused')}
            for kind, batch in inputs.items()}
    # Two views lack radar, and one view of another tile has nothing at all.
    for kind, view, tile, lost in (
            ('global', 0, 1, ('s1_grd', )), ('local', 2, 0, ('s1_grd', )),
            ('global', 1, 2, SENSORS)):
        for sensor in lost:
            inputs[kind].valid[sensor][view, tile] = False
        for source in (*lost, 'fused') if lost == SENSORS else lost:
            seen[kind][source][view, tile] = False
    head = model.student['image_head']
    with torch.no_grad():
        found = model(inputs, mode='loss')['loss_image']
        student = {k: head(model.encode(model.student, v).pooled)
                   for k, v in inputs.items()}
        target = model.teacher['image_head'](
            model.encode(model.teacher, inputs['global']).pooled)
        args = (student['global'], target, 0.04, student['local'])
        expected = head.loss(*args, seen['global'], seen['local'])
        for other in ((None, None), (seen['global'], None),
                      (None, seen['local'])):
            assert (head.loss(*args, *other) - expected).abs() > 1e-4
    torch.testing.assert_close(found, expected)


def test_a_tile_without_any_measured_pixel_is_no_tile(parts):
    model = with_own_teacher(build(parts, whole=True))
    inputs = parts.inputs(SENSORS, batch=3)

    for views in inputs.values():
        for sensor in SENSORS:
            views.valid[sensor][:, 2] = False
    model.collect_statistics = True
    found = model(inputs, mode='loss')
    found_statistics = {k: v for k, v in model.statistics.items()
                        if k.endswith('entropy')}
    expected = model({k: parts.part_of(v, slice(0, 2))
                      for k, v in inputs.items()},
                     mode='loss')
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        found_statistics, {k: model.statistics[k] for k in found_statistics})


@pytest.mark.parametrize('sensor', SENSORS)
def test_the_dates_reach_the_fusion(parts, sensor):
    model = build(parts).eval()
    views = parts.inputs(SENSORS)['global']
    other = replace(views, dates={
        **views.dates, sensor: views.dates[sensor] % 366 + 1})
    with torch.no_grad():
        before = model.encode(model.student, views)
        after = model.encode(model.student, other)
    assert (before.fused - after.fused).abs().max() > 1e-4
    # The encoder itself knows no dates.
    torch.testing.assert_close(before.pooled[sensor], after.pooled[sensor])


def test_padded_dates_change_nothing(parts):
    model = build(parts).eval()
    inputs = parts.inputs(SENSORS)

    def padded(views: ViewBatch):
        def pad(x, value):
            extra = torch.full_like(x[:, :, :1], value)
            return torch.cat((x, extra), dim=2)

        return replace(
            views,
            images={**views.images, 's2_l2a': pad(views.images['s2_l2a'], 7)},
            valid={**views.valid, 's2_l2a': pad(views.valid['s2_l2a'], 0)},
            dates={**views.dates, 's2_l2a': pad(views.dates['s2_l2a'], 0)})

    with torch.no_grad():
        expected = model(inputs, mode='loss')
        found = model({k: padded(v) for k, v in inputs.items()}, mode='loss')
    torch.testing.assert_close(found, expected)


def test_views_pass_together_as_they_would_alone(parts):
    model = build(parts).eval()
    views = parts.inputs(SENSORS)['global']
    with torch.no_grad():
        whole = model.encode(model.student, views)
        second = replace(
            views, images={s: x[1:, :1] for s, x in views.images.items()},
            valid={s: x[1:, :1] for s, x in views.valid.items()},
            dates={s: x[1:, :1] for s, x in views.dates.items()},
            boxes=views.boxes[1:, :1], flips=views.flips[1:, :1],
            labels=views.labels[1:, :1], locations=views.locations[:1])
        alone = model.encode(model.student, second)
    for source in ('fused', *SENSORS):
        torch.testing.assert_close(whole.pooled[source][1:, :1],
                                   alone.pooled[source])


def test_weights_scale_the_losses(parts):
    model = build(parts).eval()
    inputs = parts.inputs(SENSORS)
    with torch.no_grad():
        before = model(inputs, mode='loss')
        model.loss_weights.update(qsacl=0.0, image=2.0)
        after = model(inputs, mode='loss')
    assert float(after['loss_qsacl']) == 0
    torch.testing.assert_close(after['loss_image'], 2 * before['loss_image'])


def test_features_are_the_teachers(parts):
    model = build(parts).eval()
    images = dict(
        hr_rgb=torch.randn(2, 1, 3, 64, 64),
        s2_l2a=torch.randn(2, 3, 10, 8, 8))
    with torch.no_grad():
        features = model(images, mode='tensor')
        assert features['fused'].shape == (2, 16, 2, 2)
        assert features['sensors']['s2_l2a'].shape == (2, 3, 128, 2, 2)
        for parameter in model.student.parameters():
            parameter.zero_()
        samples = model(images, mode='predict')
    torch.testing.assert_close(
        torch.stack([sample.feature for sample in samples]),
        features['fused'].mean((2, 3)))


def test_predicted_features_are_of_measured_ground_as_in_training(parts):
    config = dict(parts.config(SENSORS), data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensors=SENSORS))
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    model.eval()
    image = torch.rand(1, 3, 64, 64) * 255
    valid = torch.zeros(1, 64, 64, dtype=torch.bool)
    valid[:, :32, :32] = True
    data = model.data_preprocessor(dict(
        inputs=dict(images=dict(hr_rgb=[image]), valid=dict(hr_rgb=[valid]),
                    dates=dict(hr_rgb=[torch.zeros(1, dtype=torch.int64)])),
        data_samples=[BaseDataElement()]))
    pixels = data['inputs']['hr_rgb']
    views = ViewBatch(
        dict(hr_rgb=pixels[None]), dict(hr_rgb=valid[None, None]),
        dict(hr_rgb=torch.zeros(1, 1, 1, dtype=torch.int64)),
        torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]),
        torch.zeros(1, 1, 2, dtype=torch.bool))
    with torch.no_grad():
        sample, = model(**data, mode='predict')
        measured = model(**data, mode='tensor')['measured']
        encoded = model.encode(model.teacher, views)
    assert measured[0].tolist() == [[True, False], [False, False]]
    torch.testing.assert_close(sample.feature, encoded.pooled['fused'][0, 0])


def test_maps_reach_beyond_views_that_end_within_a_place(parts):
    model = build(parts)
    views = parts.views(('hr_rgb', ), 0)
    cut = replace(
        views,
        images=dict(hr_rgb=views.images['hr_rgb'][..., :36, :40]),
        valid=dict(hr_rgb=views.valid['hr_rgb'][..., :36, :40]))
    with torch.no_grad():
        sources = model.encode(model.student, cut).sources
    for source in ('hr_rgb', 'fused'):
        # Two places of 32 pixels each way, of 40 pixels across, 36 down.
        assert sources[source].maps.shape[-2:] == (2, 2)
        assert sources[source].extent == (64 / 40, 64 / 36)


def test_sensors_whose_maps_end_on_other_ground_are_refused(parts):
    model = build(parts)
    views = parts.views(('hr_rgb', 's2_l2a'), 0)
    images, valid = dict(views.images), dict(views.valid)
    images['hr_rgb'] = images['hr_rgb'][..., :40, :40]
    valid['hr_rgb'] = valid['hr_rgb'][..., :40, :40]
    with pytest.raises(ValueError, match="40 x 40 pixels at a stride of 32"):
        model.encode(model.student, replace(views, images=images,
                                            valid=valid))


def test_passes_share_the_balance_of_experts(parts):
    config = parts.config(SENSORS, moe=dict(num_experts=2, blocks=1))
    model = MODELS.build(config)
    model(parts.inputs(SENSORS), mode='loss')
    passes = {module.passes for module in model.student.modules()
              if isinstance(module, MixtureOfExperts)}
    # Global and local views of three sensors.
    assert passes == {6}


def test_statistics_only_when_asked(parts):
    model = build(parts)
    inputs = parts.inputs(SENSORS)
    model(inputs, mode='loss')
    assert model.statistics == {}
    model.collect_statistics = True
    model(inputs, mode='loss')
    assert set(model.statistics) == {
        'usage_entropy', 'assignment_entropy', 'attention_overlap',
        'feature_spread',
        *(f'feature_dimensions_{s}' for s in ('fused', *SENSORS))
    }
    assert model.statistics['usage_entropy'].shape == (4, )
    for value in model.statistics.values():
        assert not value.requires_grad and torch.isfinite(value).all()


def test_dimensions_are_those_in_which_features_differ():
    from types import SimpleNamespace

    from mmskysense.models.pretrain.terms import feature_dimensions
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(16, 16))[0]
    for count in (1, 3, 8):
        # Equal variance along so many directions, around a common mean.
        signs = (torch.arange(256)[:, None] >> torch.arange(count)) % 2
        features = 2.0 * directions[:, 15] + 0.01 * (
            2.0 * signs - 1) @ directions[:, :count].T
        seen = torch.ones(2, 129, dtype=torch.bool)
        seen[:, 128] = False  # nothing measured: does not count
        pooled = torch.cat((features.view(2, 128, 16),
                            torch.randn(2, 1, 16)), 1)
        views = SimpleNamespace(pooled=dict(fused=pooled),
                                seen=dict(fused=seen))
        found = feature_dimensions({'global': views})
        assert float(found['feature_dimensions_fused']) == pytest.approx(
            count, rel=1e-2)


def test_refusals(parts):
    config = parts.config(SENSORS)
    config['backbone']['out_indices'] = (2, 3)
    with pytest.raises(ValueError, match='out_indices'):
        MODELS.build(config)
    with pytest.raises(ValueError, match='loss_weights'):
        MODELS.build(dict(parts.config(SENSORS), loss_weights=dict(ita=1.)))
    model = build(parts)
    inputs = parts.inputs(SENSORS)
    with pytest.raises(ValueError, match='local_views'):
        model({**inputs, 'local': None}, mode='loss')
    with pytest.raises(ValueError, match='mode'):
        model(inputs, mode='train')
    with pytest.raises(ValueError, match='pixel_head'):
        MODELS.build(dict(parts.config(SENSORS), qsacl_head=None,
                          image_head=None))
    with pytest.raises(ValueError, match='max_places'):
        MODELS.build(dict(parts.config(SENSORS), max_places=0))


def test_labels_are_asked_for_where_there_is_a_text_head(parts):
    model = build(parts, whole=True)
    inputs = parts.inputs(SENSORS)
    inputs['local'] = replace(inputs['local'], labels=None)
    with pytest.raises(ValueError, match='text_head.*local.*label_sizes'):
        model(inputs, mode='loss')


@pytest.mark.parametrize('head', ['qsacl', 'image', 'pixel', 'object'])
def test_each_head_can_be_the_only_one(parts, head):
    config = parts.whole(SENSORS)
    for other in ('qsacl', 'image', 'pixel', 'object', 'text'):
        if other != head:
            config[f'{other}_head'] = None
    model = MODELS.build(config)
    model.init_weights()
    model.train().collect_statistics = True
    inputs = parts.inputs(SENSORS)
    if head != 'qsacl':  # the only one that needs local views
        inputs['local'] = None
    losses = model(inputs, mode='loss')
    assert set(losses) == {f'loss_{head}', 'loss_koleo'}
    assert float(losses[f'loss_{head}'].detach()) > 0
    total(losses).backward()
    assert student_without_gradient(model) == []
    assert 'feature_spread' in model.statistics


def test_terms_reach_the_encoder(parts):
    model = build(parts, whole=True)
    losses = model(parts.inputs(SENSORS), mode='loss')
    weight = model.student['backbone'].tokenizers['s1_grd'].projection.weight
    for term in TERMS:
        gradient, = torch.autograd.grad(losses[f'loss_{term}'], weight,
                                        retain_graph=True)
        assert gradient.abs().max() > 0, term


def test_geo_context_moves_once_a_step_and_the_teacher_follows(parts):
    model = build(parts, whole=True)
    own = model.student['geo_context']
    before = own.prototypes.clone()
    inputs = parts.inputs(SENSORS, batch=3)
    calls = []
    real = own.update
    own.update = lambda *args: (calls.append(args[0]), real(*args))
    with torch.no_grad():
        seen = model.encode(model.teacher, inputs['global'])
    model(inputs, mode='loss')
    assert [len(maps) for maps in calls] == [2 * 3]  # global views, 3 tiles
    # Not of what prototypes have been added to: they would feed themselves.
    torch.testing.assert_close(calls[0], seen.without_context)
    assert not torch.allclose(calls[0], seen.fused)
    region = own.region(inputs['global'].locations)
    moved = (own.prototypes != before).flatten(1).any(1)
    assert moved[region[:2]].all() and moved.sum() == 2
    assert torch.equal(model.teacher['geo_context'].prototypes, before)
    model.update_teacher(0.5)
    assert torch.equal(model.teacher['geo_context'].prototypes,
                       own.prototypes)
    model.eval()
    model(inputs, mode='loss')
    assert len(calls) == 1


def test_the_location_changes_the_features(parts):
    model = build(parts, whole=True).eval()
    images = dict(hr_rgb=torch.randn(2, 1, 3, 64, 64))
    samples = [BaseDataElement(metainfo=dict(location=(8.5, 47.4))),
               BaseDataElement()]
    with torch.no_grad():
        unknown = model(images, mode='tensor')['fused']
        known = model(images, samples, mode='tensor')['fused']
    assert (unknown[0] - known[0]).abs().max() > 1e-4
    torch.testing.assert_close(unknown[1], known[1])


def test_qsacl_with_some_of_the_local_views(parts):
    model = with_own_teacher(build(parts))
    inputs = parts.inputs(SENSORS, local_views=3)
    encoded = []
    real = model.encode
    model.encode = lambda branch, views: (
        encoded.append((branch is model.teacher, views.num_views)),
        real(branch, views))[1]
    with torch.no_grad():
        model.qsacl_local_views = 2
        found = model(inputs, mode='loss')
        assert encoded == [(False, 2), (False, 3), (True, 2), (True, 2)]
        model.qsacl_local_views = None
        everything = model(inputs, mode='loss')
        two = model({**inputs, 'local': first_views(inputs['local'], 2)},
                    mode='loss')
    torch.testing.assert_close(found['loss_qsacl'], two['loss_qsacl'])
    torch.testing.assert_close(found['loss_image'],
                               everything['loss_image'])
    with pytest.raises(ValueError, match='qsacl_local_views=0'):
        MODELS.build(dict(parts.config(SENSORS), qsacl_local_views=0))


def test_bfloat16(parts):
    model = build(parts, whole=True)
    inputs = parts.inputs(SENSORS)
    model.max_places = 10_000
    expected = model.eval()(inputs, mode='loss')
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.train()(inputs, mode='loss')
    total(losses).backward()
    assert student_without_gradient(model) == []
    assert all(torch.isfinite(p.grad).all()
               for p in model.student.parameters())
    for name, loss in losses.items():
        assert loss.dtype == torch.float32, name
        torch.testing.assert_close(loss, expected[name], rtol=0.01,
                                   atol=0.001)
