# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""CL: the student predicts the teacher's assignment."""

import torch
from torch import Tensor


def self_distillation(student_logits: Tensor,
                      teacher_assignment: Tensor,
                      temperature: float = 0.1) -> Tensor:
    """Cross-entropy of every student view against every teacher view.

    CL(s, t) = -sum_k t_k log softmax(s / temperature)_k. The paper leaves CL
    open; this form is ours, that of DINO (arXiv 2104.14294, equation 2).

    Args:
        student_logits: (S, ..., K), S views.
        teacher_assignment: (T, ..., K), T views; rows sum to 1. Carries no
            gradient.
        temperature: The student's, positive.

    Returns:
        float32 (float64 for such logits), (S, T, ...), one value for each
        pair of views.

    Example:
        >>> import torch
        >>> from mmskysense.models.pretrain import self_distillation
        >>> uniform = torch.full((1, 2, 4), 0.25)
        >>> self_distillation(torch.zeros(3, 2, 4), uniform).shape
        torch.Size([3, 1, 2])
    """
    if temperature <= 0:
        raise ValueError(f'temperature={temperature}: expected above 0')
    if student_logits.shape[1:] != teacher_assignment.shape[1:]:
        raise ValueError(
            'student and teacher must agree but for the number of views, '
            f'found {tuple(student_logits.shape)} and '
            f'{tuple(teacher_assignment.shape)}')
    precise = torch.promote_types(student_logits.dtype, torch.float32)
    log_probability = (student_logits.to(precise) /
                       temperature).log_softmax(-1)
    with torch.autocast(student_logits.device.type, enabled=False):
        return -torch.einsum('s...k,t...k->st...', log_probability,
                             teacher_assignment.detach().to(precise))
