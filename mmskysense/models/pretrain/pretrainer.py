# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SkySense V2's pre-training: one student, its moving average, two views."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.structures import ViewBatch
from mmskysense.utils.part_checkpoint import start_from_checkpoint

from . import terms
from .batch_views import student_views, teacher_views
from .encoded_views import EncodedViews, encode_views
from .masked_mean import masked_mean
from .teacher_features import teacher_features

#: The default weights. The paper does not publish its a, b, c: ours.
_WEIGHTS = dict(qsacl=1.0, image=1.0, pixel=1.0, object=1.0, text=1.0,
                koleo=0.1)
_SELF_SUPERVISED = ('qsacl_head', 'image_head', 'pixel_head', 'object_head')


@MODELS.register_module()
class SkySenseV2Pretrainer(BaseModel):
    """Student and EMA teacher; the loss of spec section 3.

    L = a L_MGCL + b L_ITA + c L_QSACL, with L_MGCL at the image, pixel and
    object level; a term is there if its head is. The paper does not publish
    a, b and c; KoLeo is ours. A view in which no sensor measured anything
    has no weight in any term.

    Encoder, fusion, queries, decoder and heads all have a teacher's copy
    without gradients; the teacher encodes global views, and local ones for
    QSACL, and is never in training mode. :class:`QSACLHook` moves it and
    sets ``teacher_temperature`` and ``loss_weights``; nothing else does.

    Args:
        backbone: Config of :class:`SkySenseV2`; it must return the last
            stage alone, ``out_indices=(3, )``, or maps would be computed
            that no loss reaches.
        fusion: Config of :class:`MultiModalTemporalFusion`.
        qsacl_head: Config of :class:`QSACLHead`.
        image_head: Config of :class:`ImageContrast`.
        pixel_head: Config of :class:`PixelContrast`.
        object_head: Config of :class:`ObjectContrast`.
        text_head: Config of :class:`ImageTextAlignment`; views need labels.
            Of these five any may be None, but not all of the first four.
        geo_context: Config of :class:`GeoContextPrototypes`, or None.
        loss_weights: Weights of ``qsacl``, ``image``, ``pixel``, ``object``,
            ``text`` (all 1) and ``koleo`` (0.1).
        max_places: Places (and dates) drawn from each view for the pixel
            and the object level.
        qsacl_local_views: Local views of a tile that take part in QSACL;
            None means all. QSACL's cost is mainly that the teacher encodes
            them (ours; the paper's number is not published).
        teacher_temperature: Until a hook sets another.
        data_preprocessor: Config of :class:`MultiSensorDataPreprocessor`.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` of a whole
            pre-training, loaded strictly, or None.

    Attributes:
        collect_statistics: Fill ``statistics`` in the next forward pass.
        statistics: Detached tensors, see :meth:`QSACLHead.statistics`, and
            ``feature_spread`` (): standard deviation over the batch of the
            teacher's normalised fused features times sqrt(D); about 1 when
            healthy and 0 when all tiles look the same; and
            ``feature_dimensions_SOURCE`` (): in how many directions pooled
            features differ.
    """

    def __init__(self,
                 backbone: dict[str, Any],
                 fusion: dict[str, Any],
                 qsacl_head: dict[str, Any] | None = None,
                 image_head: dict[str, Any] | None = None,
                 pixel_head: dict[str, Any] | None = None,
                 object_head: dict[str, Any] | None = None,
                 text_head: dict[str, Any] | None = None,
                 geo_context: dict[str, Any] | None = None,
                 loss_weights: Mapping[str, float] | None = None,
                 max_places: int = 64,
                 qsacl_local_views: int | None = None,
                 teacher_temperature: float = 0.04,
                 data_preprocessor: dict | nn.Module | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if hasattr(self.data_preprocessor, 'keep_valid'):
            self.data_preprocessor.keep_valid = True
        unknown = sorted(set(loss_weights or {}) - set(_WEIGHTS))
        if unknown:
            raise ValueError(f'loss_weights has {unknown}, expected some of '
                             f'{tuple(_WEIGHTS)}')
        if max_places < 1:
            raise ValueError(f'max_places={max_places}: expected at least 1')
        self.loss_weights = {**_WEIGHTS, **(loss_weights or {})}
        if qsacl_local_views is not None and qsacl_local_views < 1:
            raise ValueError(f'qsacl_local_views={qsacl_local_views}: '
                             'expected at least 1, or None for all')
        self.max_places = max_places
        self.qsacl_local_views = qsacl_local_views
        self.teacher_temperature = teacher_temperature
        self.collect_statistics = False
        self.statistics: dict[str, Tensor] = {}
        configs = dict(
            backbone=backbone, fusion=fusion, qsacl_head=qsacl_head,
            image_head=image_head, pixel_head=pixel_head,
            object_head=object_head, text_head=text_head,
            geo_context=geo_context)
        if not any(configs[name] for name in _SELF_SUPERVISED):
            raise ValueError('pre-training without any of '
                             f'{_SELF_SUPERVISED}: set at least one of them')
        self.student = nn.ModuleDict({
            name: MODELS.build(config) for name, config in configs.items()
            if config is not None
        })
        out_indices = getattr(self.student['backbone'], 'out_indices', (3, ))
        if tuple(out_indices) != (3, ):
            raise ValueError(
                f'backbone.out_indices={out_indices}: '
                'pre-training uses the last stage alone, set it to (3, )')
        self.teacher = deepcopy(self.student)
        self.teacher.requires_grad_(False)
        self.teacher.eval()

    def init_weights(self) -> None:
        """Start (or load) the student's parts; the teacher is its copy."""
        for part in self.student.values():
            part.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())
        start_from_checkpoint(self)
        self._is_init = True

    def train(self, mode: bool = True) -> 'SkySenseV2Pretrainer':
        """Set the mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """teacher = momentum * teacher + (1 - momentum) * student.

        Args:
            momentum: In [0, 1]. Buffers are copied.
        """
        teacher = list(self.teacher.parameters())
        student = list(self.student.parameters())
        torch._foreach_lerp_(teacher, student, 1.0 - momentum)
        for own, new in zip(self.teacher.buffers(), self.student.buffers(),
                            strict=True):
            own.copy_(new)

    def forward(
        self,
        inputs: Mapping[str, Any],
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = 'tensor'
    ) -> dict[str, Any] | list[BaseDataElement]:
        """Losses of views, or features of images.

        Args:
            inputs: For ``'loss'``: dict(global=ViewBatch, local=ViewBatch).
                Otherwise sensor -> float32 (N, T, C, H, W), normalised.
            data_samples: For features: with the meta information ``dates``
                and ``valid_pixels`` (sensor -> (T, H, W)) of the preprocessor,
                and ``location`` (longitude, latitude) for geo-context.
            mode: ``'loss'``, ``'tensor'`` or ``'predict'``.

        Returns:
            ``'loss'``: scalars, weighted, of the heads that there are:
            ``loss_qsacl``, ``loss_image``, ``loss_pixel``, ``loss_object``,
            ``loss_text``; and ``loss_koleo``. ``'tensor'``: the teacher's
            ``sensors`` (sensor -> (N, T, C, h, w)), ``fused``
            (N, D, h, w) and ``measured`` (N, h, w). ``'predict'``: a data
            sample for each tile with ``feature`` (D,), the teacher's mean
            fused feature of measured places.

        Raises:
            ValueError: Unknown mode, or views missing.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"mode='{mode}': expected 'loss', 'tensor' or "
                             "'predict'")
        features = teacher_features(self.teacher, inputs, data_samples)
        if mode == 'tensor':
            return features
        pooled, _ = masked_mean(features['fused'][:, None],
                                features['measured'][:, None])
        results = list(data_samples or
                       [BaseDataElement() for _ in range(len(pooled))])
        for sample, feature in zip(results, pooled, strict=True):
            sample.set_data(dict(feature=feature))
        return results

    def loss(self, inputs: Mapping[str, ViewBatch]) -> dict[str, Tensor]:
        """See :meth:`forward`."""
        heads, temperature = self.student, self.teacher_temperature
        views = student_views(inputs, heads)
        heads['backbone'].passes_per_step = len(views)
        student = {k: self.encode(heads, v) for k, v in views.items()}
        with torch.no_grad():
            teacher = {k: self.encode(self.teacher, v)
                       for k, v in teacher_views(
                           views, heads, self.qsacl_local_views).items()}
        losses: dict[str, Tensor] = {}
        queries = None
        if 'qsacl_head' in heads:
            queries = terms.query_outputs(
                heads['qsacl_head'], self.teacher['qsacl_head'], student,
                teacher, self.collect_statistics)
            losses['loss_qsacl'] = terms.qsacl_term(
                heads['qsacl_head'], queries, student, temperature)
        if 'image_head' in heads:
            losses['loss_image'] = terms.image_term(
                heads['image_head'], self.teacher['image_head'], student,
                teacher, temperature)
        if 'pixel_head' in heads or 'object_head' in heads:
            places = terms.places_of_sources(student, teacher,
                                             self.max_places)
            for level in ('pixel', 'object'):
                name = f'{level}_head'
                if name in heads:
                    losses[f'loss_{level}'] = heads[name].loss(
                        self.teacher[name], places, temperature)
        if 'text_head' in heads:
            losses['loss_text'] = terms.text_term(heads['text_head'],
                                                  student, views)
        losses['loss_koleo'] = terms.koleo_term(
            student, heads['backbone'].sensors)
        if self.collect_statistics:
            self._collect(queries, student, teacher)
        if 'geo_context' in heads and self.training:
            terms.move_prototypes(heads['geo_context'], teacher, views)
        return {
            name: value * self.loss_weights[name.removeprefix('loss_')]
            for name, value in losses.items()
        }

    def _collect(self, queries: terms.QueryOutputs | None,
                 student: Mapping[str, EncodedViews],
                 teacher: Mapping[str, EncodedViews]) -> None:
        """Fill ``statistics``."""
        self.statistics = dict(feature_spread=terms.feature_spread(teacher),
                               **terms.feature_dimensions(teacher))
        if queries is not None:
            self.statistics.update(self.student['qsacl_head'].statistics(
                queries.teacher['global'], self.teacher_temperature,
                queries.attention, student['global'].seen[terms.FUSED]))

    def encode(self, branch: nn.ModuleDict, views: ViewBatch) -> EncodedViews:
        """All views of one kind through encoder and fusion, at once.

        Args:
            branch: ``student`` or ``teacher``.
            views: V views of N tiles.
        """
        return encode_views(branch, views)
