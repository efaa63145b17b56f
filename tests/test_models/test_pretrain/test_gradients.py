# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Gradients against finite differences, in double precision."""

import pytest
import torch
from torch.autograd import gradcheck

from mmskysense.models.pretrain import (
    ImageContrast,
    ImageTextAlignment,
    ObjectContrast,
    PixelContrast,
    ProjectionHead,
    QSACLHead,
    koleo_loss,
    self_distillation,
)
from mmskysense.models.pretrain.encoded_views import SourceMaps
from mmskysense.models.pretrain.shared_places import SharedPlaces

HEAD = dict(num_prototypes=5, hidden_channels=6, bottleneck_channels=4)


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_self_distillation():
    target = torch.rand(2, 3, 4, dtype=torch.float64).softmax(-1)
    assert gradcheck(lambda s: self_distillation(s, target, 0.3),
                     (inputs(2, 3, 4), ))


def test_koleo():
    measured = torch.tensor([True, True, False, True])
    assert gradcheck(koleo_loss, (inputs(4, 3), measured))


def test_projection_head():
    head = ProjectionHead(3, 4, 5, 3).double()
    parameters = tuple(head.parameters())
    names = [name for name, _ in head.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(
            head, dict(zip(names, values, strict=True)), (x, ))

    assert gradcheck(run, (inputs(2, 3), *parameters))


def test_qsacl():
    head = QSACLHead(4, 2, num_heads=2, **HEAD).double()
    target = [torch.rand(2, 2, 2, 5) * 2 - 1 for _ in range(2)]

    def run(fused_global, fused_local):
        student = [head(x)[0].unflatten(0, (2, 2))
                   for x in (fused_global, fused_local)]
        return head.loss(*student, *target, 0.5)

    assert gradcheck(run, (inputs(4, 4, 2, 2), inputs(4, 4, 2, 2)))


def test_image_level():
    head = ImageContrast(dict(fused=3), **HEAD).double()
    target = dict(fused=torch.rand(2, 2, 5) * 2 - 1)

    def run(x):
        return head.loss(head(dict(fused=x)), target, 0.5)

    assert gradcheck(run, (inputs(2, 2, 3), ))


def test_pixel_level():
    head = PixelContrast(dict(fused=3), **HEAD).double()
    teacher = torch.randn(2, 4, 3, dtype=torch.float64)
    shared = torch.rand(2, 4) < 0.7

    def run(x):
        return head.loss(
            head, dict(fused=[SharedPlaces(x, teacher, shared)]), 0.5)

    assert gradcheck(run, (inputs(2, 4, 3), ))


def test_object_level_with_assignments_held():
    # Assignments carry no gradient and change with the features: the check
    # is of the centres, given them.
    head = ObjectContrast(dict(fused=3), num_clusters=2, **HEAD).double()
    student, teacher = inputs(2, 6, 3), torch.randn(2, 6, 3).double()
    held = SharedPlaces(student.detach().clone(), teacher,
                        torch.ones(2, 6).bool())
    share = []
    real = head._assign
    head._assign = lambda *args: share.append(real(*args)) or share[-1]
    head.centres(held)
    own, calls = share[-1], len(share)

    def run(x):
        count = iter(range(calls))
        head._assign = lambda *args: (
            own if next(count) == calls - 1 else real(*args))
        return head.loss(head, dict(fused=[SharedPlaces(
            x, teacher, held.shared)]), 0.5)

    assert gradcheck(run, (student, ))


@pytest.mark.parametrize('learnable', [False, True])
def test_image_text_alignment(learnable):
    head = ImageTextAlignment(3, num_classes=4, learnable=learnable,
                              embed_dims=5).double()
    labels = torch.tensor([[[[0, 1, 255], [3, 2, 2], [0, 0, 255]]]])

    def run(x, *_):
        maps = SourceMaps(x, torch.ones(1, 1, 1, 2, 2).bool(),
                          torch.zeros(1, 1, 1))
        return head.loss([(maps, labels)])

    parameters = tuple(head.parameters())
    assert gradcheck(run, (inputs(1, 1, 1, 3, 2, 2), *parameters))
