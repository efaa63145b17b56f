# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pre-training: student, teacher, and what they must agree on."""

from .koleo import koleo_loss
from .mgcl import ImageContrast
from .pretrainer import SkySenseV2Pretrainer
from .projection_head import ProjectionHead
from .qsacl import QSACLHead
from .query_decoder import QueryDecoder
from .self_distillation import self_distillation
from .sinkhorn import sinkhorn_knopp

__all__ = [
    'ImageContrast', 'ProjectionHead', 'QSACLHead', 'QueryDecoder',
    'SkySenseV2Pretrainer', 'koleo_loss', 'self_distillation',
    'sinkhorn_knopp'
]
