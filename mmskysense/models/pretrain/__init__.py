# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pre-training: student, teacher, and what they must agree on."""

from .batch_statistics import standardise_by_batch
from .class_names import (
    ClassTable,
    one_hot_table,
    read_class_table,
    write_class_table,
)
from .effective_rank import effective_rank
from .image_contrast import ImageContrast
from .image_text_alignment import ImageTextAlignment
from .koleo import koleo_loss
from .object_contrast import ObjectContrast
from .pixel_contrast import PixelContrast
from .pretrainer import SkySenseV2Pretrainer
from .projection_head import ProjectionHead
from .qsacl import QSACLHead
from .query_decoder import QueryDecoder
from .self_distillation import self_distillation
from .sinkhorn import sinkhorn_knopp

__all__ = [
    'ClassTable', 'ImageContrast', 'ImageTextAlignment', 'ObjectContrast',
    'PixelContrast', 'ProjectionHead', 'QSACLHead', 'QueryDecoder',
    'SkySenseV2Pretrainer', 'effective_rank', 'koleo_loss', 'one_hot_table',
    'read_class_table', 'self_distillation', 'sinkhorn_knopp',
    'standardise_by_batch', 'write_class_table'
]
