# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sinkhorn, self-distillation and KoLeo against lightly's."""

import pytest
import torch

from mmskysense.models.pretrain import (
    koleo_loss,
    self_distillation,
    sinkhorn_knopp,
)

lightly_loss = pytest.importorskip('lightly.loss')


def cosines(*shape):
    return torch.rand(*shape) * 2 - 1


@pytest.mark.parametrize('samples, prototypes', [(5, 12), (12, 5), (1, 3)])
@pytest.mark.parametrize('temperature', [0.05, 0.3])
@pytest.mark.parametrize('iterations', [1, 3, 7])
def test_sinkhorn(samples, prototypes, temperature, iterations):
    from lightly.loss.swav_loss import sinkhorn
    logits = cosines(samples, prototypes)
    torch.testing.assert_close(
        sinkhorn_knopp(logits, temperature, iterations),
        sinkhorn(logits, iterations, temperature), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('views', [(2, 2), (2, 5), (3, 3)])
def test_self_distillation_and_its_gradient(views):
    num_teachers, num_students = views
    batch, k, temperature = 4, 9, 0.06
    student = cosines(num_students, batch, k).requires_grad_()
    teacher = cosines(num_teachers, batch, k)
    # Its centre is zero before the first update.
    criterion = lightly_loss.DINOLoss(output_dim=k, student_temp=0.1)
    expected = criterion(list(teacher), list(student), temperature)
    loss = self_distillation(
        student, (teacher / temperature).softmax(-1), 0.1)
    other = 1 - torch.eye(num_students, num_teachers)
    found = (loss * other[..., None]).sum() / (other.sum() * batch)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, student),
        torch.autograd.grad(expected, student))


def test_koleo_and_its_gradient():
    features = torch.randn(7, 5, requires_grad=True)
    found = koleo_loss(features)
    expected = lightly_loss.KoLeoLoss()(features)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, features),
        torch.autograd.grad(expected, features))
