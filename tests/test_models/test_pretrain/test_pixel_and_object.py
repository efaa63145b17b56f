# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MGCL's pixel and object levels against plain loops."""

import numpy as np
import pytest
import torch

from mmskysense.models.pretrain import ObjectContrast, PixelContrast
from mmskysense.models.pretrain.shared_places import SharedPlaces

HEAD = dict(num_prototypes=6, hidden_channels=8, bottleneck_channels=4)


def random_places(pairs=4, places=10, channels=5, shared=0.7):
    return SharedPlaces(
        torch.randn(pairs, places, channels, requires_grad=True),
        torch.randn(pairs, places, channels),
        torch.rand(pairs, places) < shared)


def numpy_sinkhorn(logits, temperature):
    mass = np.exp(logits.astype(np.float64) / temperature)
    for _ in range(3):
        mass = mass / mass.sum(0, keepdims=True)
        mass = mass / mass.sum(1, keepdims=True)
    return mass


def numpy_cl(student, target):
    """Mean over rows of the cross-entropy, student's temperature 0.1."""
    scaled = student.astype(np.float64) / 0.1
    log_softmax = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    return -(target * log_softmax).sum(1).mean()


def two_heads(kind, **options):
    student = kind(dict(fused=5, s1_grd=5), **HEAD, **options)
    teacher = kind(dict(fused=5, s1_grd=5), **HEAD, **options)
    return student, teacher


def test_pixel_level_against_its_definition():
    student, teacher = two_heads(PixelContrast)
    # Global and local views have different numbers of places.
    parts = [random_places(), random_places(6, 3)]
    with torch.no_grad():
        found = student.loss(teacher, dict(s1_grd=parts), 0.05)
        own, other = ([head.heads['s1_grd'](x[part.shared])
                       for part, x in zip(parts, maps, strict=True)]
                      for head, maps in (
                          (student, [p.student for p in parts]),
                          (teacher, [p.teacher for p in parts])))
    own, other = torch.cat(own).numpy(), torch.cat(other).numpy()
    expected = numpy_cl(own, numpy_sinkhorn(other, 0.05))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_mean_is_over_sources_that_have_something():
    student, teacher = two_heads(PixelContrast)
    some, none = [random_places()], [random_places(shared=0.0)]
    with torch.no_grad():
        alone = student.loss(teacher, dict(fused=some), 0.05)
        beside = student.loss(teacher, dict(fused=some, s1_grd=none), 0.05)
        other = student.loss(teacher, dict(s1_grd=some), 0.05)
        both = student.loss(teacher, dict(fused=some, s1_grd=some), 0.05)
    torch.testing.assert_close(beside, alone)
    torch.testing.assert_close(both, (alone + other) / 2)


@pytest.mark.parametrize('kind', [PixelContrast, ObjectContrast])
@pytest.mark.parametrize('places', [
    {}, dict(fused=[random_places(shared=0.0)])])
def test_nothing_shared_is_zero_with_gradients(kind, places):
    student, teacher = two_heads(kind)
    loss = student.loss(teacher, places, 0.05)
    loss.backward()
    assert float(loss.detach()) == 0
    for parameter in student.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


@pytest.mark.parametrize('kind', [PixelContrast, ObjectContrast])
def test_places_that_are_not_shared_have_no_influence(kind):
    student, teacher = two_heads(kind)
    places = random_places(shared=0.6)
    loss = student.loss(teacher, dict(fused=[places]), 0.05)
    loss.backward()
    grad = places.student.grad
    assert not grad[~places.shared].any() and grad[places.shared].any()
    with torch.no_grad():
        for part in (places.student, places.teacher):
            part[~places.shared] = 100 * torch.randn(5)
        after = student.loss(teacher, dict(fused=[places]), 0.05)
    torch.testing.assert_close(after, loss.detach())


def test_centres_against_loops():
    head, m = ObjectContrast(dict(fused=5), num_clusters=3, **HEAD), 3
    places = random_places(pairs=3)
    student, teacher, exists = head.centres(places)
    assert exists.all()
    for pair in range(3):
        rows = places.shared[pair]
        own = places.student[pair][rows].detach().numpy()
        other = places.teacher[pair][rows].numpy()
        count = len(own)

        def unit(x):
            x = x - x.mean(0)
            return x / np.linalg.norm(x, axis=1, keepdims=True)

        centre = unit(other)[[j * count // m for j in range(m)]]
        for _ in range(3):
            share = numpy_sinkhorn(unit(other) @ centre.T, 0.05)
            centre = share.T @ unit(other) / share.sum(0)[:, None]
            centre = centre / np.linalg.norm(centre, axis=1, keepdims=True)
        share = numpy_sinkhorn(unit(other) @ centre.T, 0.05)
        np.testing.assert_allclose(
            teacher[pair], share.T @ other / share.sum(0)[:, None],
            rtol=1e-3, atol=1e-4)
        share = numpy_sinkhorn(unit(own) @ centre.T, 0.05)
        np.testing.assert_allclose(
            student[pair].detach(), share.T @ own / share.sum(0)[:, None],
            rtol=1e-3, atol=1e-4)


def test_object_loss_is_cl_of_the_centres():
    student, teacher = two_heads(ObjectContrast, num_clusters=3)
    parts = [random_places(), random_places(6, 4, shared=1.0)]
    with torch.no_grad():
        found = student.loss(teacher, dict(fused=parts), 0.05)
        centres = [student.centres(part) for part in parts]
        exists = torch.cat([c[2].flatten() for c in centres])
        own, other = (
            head.heads['fused'](torch.cat(
                [c[i].flatten(0, 1) for c in centres])[exists]).numpy()
            for i, head in enumerate((student, teacher)))
    assert float(found) == pytest.approx(
        numpy_cl(own, numpy_sinkhorn(other, 0.05)), rel=1e-4)


def test_objects_are_found_and_matched_in_both_views():
    # Four kinds of ground; the student sees it with noise.
    torch.manual_seed(3)
    kinds = 3 * torch.randn(4, 5)
    kind = torch.arange(4).repeat_interleave(5)
    ground = kinds[kind][None] + 0.05 * torch.randn(1, 20, 5)
    places = SharedPlaces(ground + 0.05 * torch.randn(1, 20, 5), ground,
                          torch.ones(1, 20, dtype=torch.bool))
    head = ObjectContrast(dict(fused=5), num_clusters=4, **HEAD)
    student, teacher, _ = head.centres(places)
    # Every centre is one of the kinds, in both views the same.
    for centres in (student, teacher):
        nearest = torch.cdist(centres[0], kinds).min(1)
        assert nearest.values.max() < 0.3
        assert nearest.indices.tolist() == [0, 1, 2, 3]


def test_fewer_places_than_clusters():
    head = ObjectContrast(dict(fused=5), num_clusters=4, **HEAD)
    places = random_places(pairs=3)
    places.shared[:] = False
    places.shared[1, 7] = True
    places.shared[2, [0, 4, 9]] = True
    student, teacher, exists = head.centres(places)
    assert exists.tolist() == [[False] * 4, [True] + [False] * 3,
                               [True, True, True, False]]
    assert torch.isfinite(student).all() and torch.isfinite(teacher).all()
    # One place is its own centre.
    torch.testing.assert_close(student[1, 0], places.student[1, 7])
    torch.testing.assert_close(teacher[1, 0], places.teacher[1, 7])
    student.sum().backward()
    assert torch.isfinite(places.student.grad).all()


@pytest.mark.parametrize('kind', [PixelContrast, ObjectContrast])
def test_more_prototypes_than_samples_is_said_once(kind, monkeypatch):
    lines = []
    monkeypatch.setattr('mmskysense.models.pretrain.sinkhorn.print_log',
                        lambda line, **_: lines.append(line))
    head = kind(dict(fused=5), num_prototypes=100, hidden_channels=8,
                bottleneck_channels=4)
    for _ in range(2):
        loss = head.loss(head, dict(fused=[random_places()]), 0.05)
        assert torch.isfinite(loss)
    assert len(lines) == 1
    assert kind.__name__ in lines[0] and '100 prototypes' in lines[0]


@pytest.mark.parametrize('options', [
    dict(num_clusters=1), dict(cluster_temperature=0.0),
    dict(cluster_rounds=0), dict(student_temperature=0.0),
    dict(sources={})])
def test_refuses(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ObjectContrast(**{'sources': dict(fused=5), **HEAD, **options})
