# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Losses against transcriptions of their equations."""

import numpy as np
import pytest
import torch

from mmskysense.models.pretrain import (
    ImageContrast,
    ProjectionHead,
    QSACLHead,
    koleo_loss,
    self_distillation,
    sinkhorn_knopp,
)


def numpy_sinkhorn(logits, temperature, iterations=3):
    mass = np.exp(logits.astype(np.float64) / temperature)
    for _ in range(iterations):
        mass = mass / mass.sum(0, keepdims=True)
        mass = mass / mass.sum(1, keepdims=True)
    return mass


def numpy_cl(student, target, temperature):
    """-sum_k target_k log softmax(student / temperature)_k of one row."""
    scaled = student.astype(np.float64) / temperature
    log_softmax = scaled - np.log(np.exp(scaled).sum())
    return -sum(t * s for t, s in zip(target, log_softmax, strict=True))


def cosines(*shape):
    return torch.rand(*shape) * 2 - 1


@pytest.mark.parametrize('temperature', [0.04, 0.07, 1.0])
def test_sinkhorn_equals_plain_numpy(temperature):
    logits = cosines(6, 9)
    expected = numpy_sinkhorn(logits.numpy(), temperature)
    torch.testing.assert_close(
        sinkhorn_knopp(logits, temperature).double(),
        torch.from_numpy(expected), rtol=1e-4, atol=1e-6)


def test_sinkhorn_rows_and_columns():
    result = sinkhorn_knopp(cosines(12, 8), 0.5, iterations=50)
    torch.testing.assert_close(result.sum(1), torch.ones(12))
    torch.testing.assert_close(
        result.sum(0), torch.full((8, ), 12 / 8), rtol=1e-3, atol=0)
    same = sinkhorn_knopp(cosines(1, 8).expand(5, 8), 0.04)
    torch.testing.assert_close(same, torch.full((5, 8), 1 / 8))


def test_sinkhorn_leading_dimensions_are_independent():
    logits = cosines(3, 5, 7)
    result = sinkhorn_knopp(logits, 0.1)
    for n in range(3):
        torch.testing.assert_close(result[n], sinkhorn_knopp(logits[n], 0.1))


def test_sinkhorn_weight_zero_is_absence():
    logits = cosines(6, 5)
    weight = torch.tensor([1., 0, 1, 1, 0, 1])
    result = sinkhorn_knopp(logits, 0.1, weight=weight)
    kept = weight.bool()
    torch.testing.assert_close(result[kept],
                               sinkhorn_knopp(logits[kept], 0.1))
    assert not result[~kept].any()


def test_sinkhorn_carries_no_gradient_and_refuses_nonsense():
    logits = cosines(4, 3).requires_grad_()
    assert not sinkhorn_knopp(logits, 0.1).requires_grad
    with pytest.raises(ValueError, match='temperature'):
        sinkhorn_knopp(logits, 0.0)


def test_self_distillation_against_numpy():
    student = cosines(3, 2, 6).requires_grad_()
    target = cosines(4, 2, 6).softmax(-1).requires_grad_()
    result = self_distillation(student, target, 0.1)
    assert result.shape == (3, 4, 2)
    for s in range(3):
        for t in range(4):
            for n in range(2):
                expected = numpy_cl(student[s, n].detach().numpy(),
                                    target[t, n].detach().numpy(), 0.1)
                assert float(result[s, t, n].detach()) == pytest.approx(
                    expected, rel=1e-5)
    result.sum().backward()
    assert student.grad is not None and target.grad is None


def test_qsacl_against_its_equation_loop_by_loop():
    views_g, views_l, batch, m, k = 2, 3, 2, 4, 6
    head = QSACLHead(16, m, num_heads=2, num_prototypes=k,
                     hidden_channels=8, bottleneck_channels=4)
    s_g, t_g = cosines(views_g, batch, m, k), cosines(views_g, batch, m, k)
    s_l, t_l = cosines(views_l, batch, m, k), cosines(views_l, batch, m, k)

    def centred(logits, views):
        out = np.zeros(logits.shape)
        for i in range(m):  # each query on its own
            rows = numpy_sinkhorn(
                logits[:, :, i].reshape(views * batch, k).numpy(), 0.05)
            out[:, :, i] = rows.reshape(views, batch, k)
        return out

    target_g, target_l = centred(t_g, views_g), centred(t_l, views_l)
    total, count = 0.0, 0
    for g in range(views_g):
        for v in range(views_l):
            for n in range(batch):
                loss = 0.0
                for i in range(m):
                    loss += numpy_cl(s_g[g, n, i].numpy(),
                                     target_l[v, n, i], 0.1)
                    loss += numpy_cl(s_l[v, n, i].numpy(),
                                     target_g[g, n, i], 0.1)
                total += loss / (2 * m)
                count += 1
    result = head.loss(s_g, s_l, t_g, t_l, 0.05)
    assert float(result) == pytest.approx(total / count, rel=1e-4)


def small_head(m, k):
    return QSACLHead(16, m, num_heads=2, num_prototypes=k,
                     hidden_channels=8, bottleneck_channels=4)


def test_qsacl_leaves_out_views_without_weight():
    head, m, k = small_head(3, 5), 3, 5
    s_g, t_g = cosines(2, 3, m, k), cosines(2, 3, m, k)
    s_l, t_l = cosines(3, 3, m, k), cosines(3, 3, m, k)
    seen_g = torch.tensor([[True, False, True], [False, True, True]])
    seen_l = torch.tensor([[True, True, False], [False, True, True],
                           [True, True, True]])

    def centred(logits, seen):
        target = torch.zeros_like(logits)
        for i in range(m):
            target[seen, i] = torch.from_numpy(
                numpy_sinkhorn(logits[seen][:, i].numpy(), 0.05)).float()
        return target

    target_g, target_l = centred(t_g, seen_g), centred(t_l, seen_l)
    terms = []
    for g, n in seen_g.nonzero().tolist():
        for v in seen_l[:, n].nonzero().flatten().tolist():
            terms.append(sum(
                numpy_cl(s_g[g, n, i].numpy(), target_l[v, n, i], 0.1)
                + numpy_cl(s_l[v, n, i].numpy(), target_g[g, n, i], 0.1)
                for i in range(m)) / (2 * m))
    result = head.loss(s_g, s_l, t_g, t_l, 0.05, seen_g, seen_l)
    assert float(result) == pytest.approx(np.mean(terms), rel=1e-4)
    # Full weight is no weight; one side alone can have one.
    args = (s_g, s_l, t_g, t_l, 0.05)
    ones = torch.ones(3, 3, dtype=torch.bool)
    for weights in ((ones[:2], ones), (ones[:2], None), (None, ones)):
        torch.testing.assert_close(head.loss(*args, *weights),
                                   head.loss(*args))
    assert float(head.loss(*args, ~ones[:2], ones)) == 0


def test_qsacl_statistics_leave_out_views_without_weight():
    head, teacher = small_head(3, 5), cosines(1, 4, 3, 5)
    seen = torch.tensor([[True, False, True, True]])
    torch.testing.assert_close(
        head.statistics(teacher, 0.05, weight=seen),
        head.statistics(teacher[:, seen[0]], 0.05))


def test_qsacl_refuses_views_that_student_and_teacher_do_not_share():
    head = small_head(2, 4)
    g, local = cosines(2, 1, 2, 4), cosines(3, 1, 2, 4)
    with pytest.raises(ValueError, match='global views'):
        head.loss(g, local, local, g, 0.05)
    with pytest.raises(ValueError, match='local views'):
        head.loss(g, local, g, g, 0.05)


def test_image_contrast_against_loops_with_missing_views():
    head = ImageContrast(dict(fused=8, s1_grd=8), num_prototypes=5)
    s, t, local = cosines(2, 3, 5), cosines(2, 3, 5), cosines(2, 3, 5)
    seen = torch.tensor([[True, True, False], [True, False, True]])
    seen_l = torch.tensor([[True, False, True], [True, True, True]])
    result = head.loss(dict(s1_grd=s), dict(s1_grd=t), 0.05,
                       dict(s1_grd=local), dict(s1_grd=seen),
                       dict(s1_grd=seen_l))
    target = torch.zeros(2, 3, 5)
    target[seen] = torch.from_numpy(
        numpy_sinkhorn(t[seen].numpy(), 0.05)).float()
    terms = []
    for teacher in range(2):
        for n in range(3):
            for student, view in enumerate((s[0], s[1], local[0], local[1])):
                there = seen[student, n] if student < 2 else \
                    seen_l[student - 2, n]
                if student == teacher or not there or not seen[teacher, n]:
                    continue
                terms.append(numpy_cl(view[n].numpy(),
                                      target[teacher, n].numpy(), 0.1))
    assert float(result.detach()) == pytest.approx(np.mean(terms), rel=1e-4)


def test_image_contrast_without_any_pair_is_zero_with_gradients():
    head = ImageContrast(dict(fused=8, s1_grd=8), num_prototypes=5,
                         hidden_channels=4, bottleneck_channels=4)
    pooled = dict(fused=torch.randn(1, 2, 8))
    logits = head(pooled)
    loss = head.loss(logits, {k: v.detach() for k, v in logits.items()}, 0.1)
    assert float(loss.detach()) == 0  # one view has no other to predict
    loss.backward()
    assert all(p.grad is not None for p in head.parameters())


def test_koleo_against_loops():
    features = torch.randn(5, 4, requires_grad=True)
    unit = (features / features.norm(dim=1, keepdim=True)).detach().numpy()
    logs = [
        np.log(min(np.linalg.norm(unit[i] - unit[j])
                   for j in range(5) if j != i)) for i in range(5)
    ]
    loss = koleo_loss(features)
    assert float(loss.detach()) == pytest.approx(-np.mean(logs), rel=1e-4)
    loss.backward()
    assert torch.isfinite(features.grad).all()


def test_koleo_leaves_out_what_was_not_measured():
    features = torch.randn(6, 4, requires_grad=True)
    measured = torch.tensor([True, False, True, True, False, True])
    with torch.no_grad():
        features[1] = features[0]  # would be the nearest of all
    loss = koleo_loss(features, measured)
    torch.testing.assert_close(loss, koleo_loss(features[measured]))
    loss.backward()
    assert not features.grad[~measured].any()
    assert features.grad[measured].any()


@pytest.mark.parametrize('count', [0, 1])
def test_koleo_without_a_measured_pair_is_zero(count):
    features = torch.randn(3, 4, requires_grad=True)
    loss = koleo_loss(features, torch.arange(3) < count)
    loss.backward()
    assert float(loss.detach()) == 0 and not features.grad.any()


@pytest.mark.parametrize('batch', [1, 2])
def test_koleo_of_one_and_of_twins_is_finite(batch):
    features = torch.ones(batch, 4, requires_grad=True)
    loss = koleo_loss(features)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(features.grad).all()


def test_prototypes_freeze_without_losing_their_gradient():
    head = ProjectionHead(6, 10, hidden_channels=8, bottleneck_channels=4)
    x = torch.randn(3, 6)
    free = head(x)
    assert free.abs().max() <= 1 + 1e-6
    head.prototypes_frozen = True
    frozen = head(x)
    torch.testing.assert_close(free, frozen)
    frozen.square().sum().backward()
    assert not head.prototypes.grad.any()
    assert head.mlp[0].weight.grad.any()
    # Only directions count: weight decay leaves the logits alone.
    with torch.no_grad():
        head.prototypes.mul_(0.5)
    torch.testing.assert_close(head(x), free)


def test_query_attention_sums_to_one_and_is_the_one_used():
    head = QSACLHead(16, 4, num_heads=2, num_prototypes=8)
    fused = torch.randn(2, 16, 3, 5)
    z, attention = head(fused, return_attention=True)
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(2, 4))
    torch.testing.assert_close(head(fused)[0], z)
    permuted = fused.flip(3)
    z_flipped, attention_flipped = head(permuted, return_attention=True)
    torch.testing.assert_close(z_flipped, z)
    torch.testing.assert_close(attention_flipped, attention.flip(3))


@pytest.mark.parametrize('options', [
    dict(num_queries=0), dict(num_heads=3), dict(num_prototypes=1)])
def test_qsacl_refuses(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        QSACLHead(16, **{'num_heads': 2, **options})
