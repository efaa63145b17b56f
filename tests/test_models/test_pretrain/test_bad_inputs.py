# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Batches that a real archive gives sooner or later."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from mmskysense.registry import MODELS

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')


def change(views, **fields):
    """Other images, valid pixels or dates of some sensors."""
    return replace(views, **{
        name: {**getattr(views, name), **value}
        for name, value in fields.items()
    })


def without_sensor(views):
    """Radar is missing everywhere: no date at all."""
    return change(views, **{
        name: dict(s1_grd=getattr(views, name)['s1_grd'][:, :, :0])
        for name in ('images', 'valid', 'dates')})


def one_date(views):
    return change(views, **{
        name: {s: x[:, :, :1] for s, x in getattr(views, name).items()}
        for name in ('images', 'valid', 'dates')})


def all_cloud(views):
    series = views.valid['s2_l2a']
    return change(views, valid=dict(s2_l2a=torch.zeros_like(series)),
                  images=dict(s2_l2a=torch.zeros_like(
                      views.images['s2_l2a'])))


def mostly_nodata(views):
    """One tile of which 5 % are measured, in the upper left corner."""
    valid, images = {}, {}
    for sensor, x in views.valid.items():
        valid[sensor], side = x.clone(), x.shape[-1]
        kept = max(1, round(side * 0.05**0.5))
        valid[sensor][:, 0] = False
        valid[sensor][:, 0, :, :kept, :kept] = True
        images[sensor] = views.images[sensor] * valid[sensor][:, :, :, None]
    return change(views, valid=valid, images=images)


def small_crops(views):
    """Three pixels: less than a patch of any sensor."""
    return change(
        views,
        images={s: x[..., :3, :3] for s, x in views.images.items()},
        valid={s: x[..., :3, :3] for s, x in views.valid.items()})


def unlabelled(views):
    return replace(views, labels=torch.full_like(views.labels, 255))


def no_shared_ground(views):
    """Views that do not meet: two halves, and locals in a third place."""
    boxes = views.boxes.clone()
    if len(boxes) == 2:
        boxes[0] = torch.tensor([0.0, 0.0, 0.5, 0.4])
        boxes[1] = torch.tensor([0.5, 0.5, 1.0, 0.9])
    else:
        boxes[:] = torch.tensor([0.0, 0.92, 0.2, 1.0])
    return replace(views, boxes=boxes)


def one_global(views):
    if len(views.boxes) != 2:
        return views
    return replace(
        views, boxes=views.boxes[:1], flips=views.flips[:1],
        labels=views.labels[:1],
        **{name: {s: x[:1] for s, x in getattr(views, name).items()}
           for name in ('images', 'valid', 'dates')})


CASES = [without_sensor, one_date, all_cloud, mostly_nodata, small_crops,
         unlabelled, no_shared_ground, one_global]


def run(parts, inputs, **options):
    model = MODELS.build(dict(parts.whole(SENSORS), **options))
    model.init_weights()
    model.train().collect_statistics = True
    losses = model(inputs, mode='loss')
    torch.stack(list(losses.values())).sum().backward()
    for name, loss in losses.items():
        assert torch.isfinite(loss), name
    for name, parameter in model.student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(model.student['geo_context'].prototypes).all()
    return model, {k: float(v.detach()) for k, v in losses.items()}


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.__name__)
def test_finite_losses_and_gradients(parts, case, batch):
    inputs = parts.inputs(SENSORS, batch)
    _, losses = run(parts, {k: case(v) for k, v in inputs.items()})
    assert (losses['loss_text'] == 0) == (case is unlabelled)
    apart = case is no_shared_ground
    assert (losses['loss_pixel'] == 0) == apart
    assert (losses['loss_object'] == 0) == apart
    assert losses['loss_qsacl'] > 0 and losses['loss_image'] > 0


def test_clouds_are_no_places(parts):
    inputs = parts.inputs(SENSORS)
    clouded = {k: all_cloud(v) for k, v in inputs.items()}
    model, _ = run(parts, clouded)
    with torch.no_grad():
        for views in clouded.values():
            views.images['s2_l2a'].fill_(5.0)  # under the clouds
        head = model.student['pixel_head']
        from mmskysense.models.pretrain.terms import places_of_sources
        encoded = {k: model.encode(model.student, v)
                   for k, v in clouded.items()}
        places = places_of_sources(encoded, encoded, 64)
    assert not any(part.shared.any() for part in places['s2_l2a'])
    assert any(part.shared.any() for part in places['fused'])
    assert set(head.heads) == set(places)


def test_no_sensor_at_all_is_refused(parts):
    model = MODELS.build(parts.whole(SENSORS))
    inputs = {
        kind: change(views, **{
            name: {s: x[:, :, :0] for s, x in getattr(views, name).items()}
            for name in ('images', 'valid', 'dates')})
        for kind, views in parts.inputs(SENSORS).items()}
    with pytest.raises(ValueError, match='every sensor is absent'):
        model(inputs, mode='loss')


def test_more_prototypes_than_samples_is_said_once_a_head(
        parts, monkeypatch):
    lines = []
    monkeypatch.setattr('mmskysense.models.pretrain.sinkhorn.print_log',
                        lambda line, **_: lines.append(line))
    config = parts.whole(SENSORS)
    for level in ('image', 'pixel', 'object', 'qsacl'):
        config[f'{level}_head'] = dict(config[f'{level}_head'],
                                       num_prototypes=5000)
    model = MODELS.build(config)
    model.init_weights()
    model.train().collect_statistics = True
    for _ in range(2):
        losses = model(parts.inputs(SENSORS), mode='loss')
        assert all(torch.isfinite(loss) for loss in losses.values())
    assert sorted(line.split(':')[0] for line in lines) == [
        'ImageContrast', 'ObjectContrast', 'PixelContrast', 'QSACLHead']
    assert all('5000 prototypes for ' in line for line in lines)


@pytest.mark.parametrize('batch_norm', [False, True])
def test_places_without_data_have_no_weight(parts, batch_norm):
    """What the fusion says of them changes no term and no feature."""
    config = parts.whole(SENSORS)
    for level in ('image', 'pixel', 'object', 'qsacl'):
        config[f'{level}_head'] = dict(config[f'{level}_head'],
                                       batch_norm=batch_norm)
    start = MODELS.build(config)
    start.init_weights()
    start.train()
    inputs = {k: mostly_nodata(v) for k, v in parts.inputs(SENSORS).items()}

    def losses(value):
        """With another constant at places that nothing was measured at."""
        def replace_empty(module, args, kwargs, output):
            fused, measured = output
            return torch.where(measured[:, None], fused, value), measured

        model = deepcopy(start)  # a step moves geo-context's prototypes
        for branch in (model.student, model.teacher):
            branch['fusion'].register_forward_hook(
                replace_empty, with_kwargs=True)
        torch.manual_seed(0)
        found = model(inputs, mode='loss')
        return {name: float(loss.detach()) for name, loss in found.items()}

    one, other = losses(0.3), losses(-7.0)
    for term in ('qsacl', 'image', 'koleo'):
        assert one[f'loss_{term}'] == pytest.approx(
            other[f'loss_{term}'], abs=1e-5), term


def test_pooled_fused_features_are_the_mean_of_measured_places(parts):
    model = MODELS.build(parts.whole(SENSORS))
    model.init_weights()
    views = mostly_nodata(parts.inputs(SENSORS)['global'])
    with torch.no_grad():
        encoded = model.encode(model.student, views)
    measured = encoded.fused_measured
    assert measured.any() and not measured.all()
    for pooled, fused, places in zip(
            encoded.pooled['fused'].flatten(0, 1), encoded.fused, measured,
            strict=True):
        expected = fused[:, places].mean(1) if places.any() else \
            torch.zeros_like(pooled)
        torch.testing.assert_close(pooled, expected)


def test_an_absent_sensor_does_not_weaken_koleo(parts):
    from mmskysense.models.pretrain.terms import koleo_term
    model = MODELS.build(parts.whole(SENSORS))
    model.init_weights()
    views = without_sensor(parts.inputs(SENSORS, 4)['global'])
    with torch.no_grad():
        encoded = {'global': model.encode(model.student, views)}
    with_absent = koleo_term(encoded, SENSORS)
    assert with_absent != 0
    torch.testing.assert_close(with_absent,
                               koleo_term(encoded, SENSORS[:2]))
