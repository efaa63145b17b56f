# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SkySense V2's pre-training: one student, its moving average, two views."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.structures import ViewBatch

from ..fusion.masked_resize import place_validity
from .koleo import koleo_loss
from .mgcl import FUSED

_TERMS = ('qsacl', 'image', 'koleo')


@dataclass
class EncodedViews:
    """What a branch makes of views of one kind.

    Args:
        fused: Fused maps (V * N, D, h, w).
        pooled: Source (``'fused'`` or a sensor) -> features (V, N, C).
        seen: Source -> bool (V, N), whether it measured anything;
            ``'fused'``: whether any sensor did.
    """

    fused: Tensor
    pooled: dict[str, Tensor]
    seen: dict[str, Tensor]


@MODELS.register_module()
class SkySenseV2Pretrainer(BaseModel):
    """Student and EMA teacher; the loss of spec section 3.

    L = w_qsacl L_QSACL + w_image L_MGCL(image) + w_koleo KoLeo. Of the
    paper's L = a L_MGCL + b L_ITA + c L_QSACL the pixel and object levels of
    MGCL and ITA are not in it yet. The paper does not publish a, b and c;
    KoLeo is ours. A view in which no sensor measured anything has no weight
    in any term.

    Encoder, fusion, queries, decoder and heads all have a teacher's copy
    without gradients; the teacher encodes global and local views and is
    never in training mode. :class:`QSACLHook` moves it and sets
    ``teacher_temperature`` and ``loss_weights``; nothing else does.

    Args:
        backbone: Config of :class:`SkySenseV2`; it must return the last
            stage alone, ``out_indices=(3, )``, or maps would be computed
            that no loss reaches.
        fusion: Config of :class:`MultiModalTemporalFusion`.
        qsacl_head: Config of :class:`QSACLHead`.
        image_head: Config of :class:`ImageContrast`, or None without it.
        loss_weights: Weights of ``qsacl``, ``image`` and ``koleo``.
        teacher_temperature: Until a hook sets another.
        data_preprocessor: Config of :class:`MultiSensorDataPreprocessor`.
        init_cfg: mmengine's initialisation config.

    Attributes:
        collect_statistics: Fill ``statistics`` in the next forward pass.
        statistics: Detached tensors, see :meth:`QSACLHead.statistics`, and
            ``feature_spread`` (): standard deviation over the batch of the
            teacher's normalised fused features times sqrt(D); about 1 when
            healthy and 0 when all tiles look the same.
    """

    def __init__(self,
                 backbone: dict[str, Any],
                 fusion: dict[str, Any],
                 qsacl_head: dict[str, Any],
                 image_head: dict[str, Any] | None = None,
                 loss_weights: Mapping[str, float] | None = None,
                 teacher_temperature: float = 0.04,
                 data_preprocessor: dict | nn.Module | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        weights = dict(qsacl=1.0, image=1.0, koleo=0.1)
        unknown = sorted(set(loss_weights or {}) - set(_TERMS))
        if unknown:
            raise ValueError(f'loss_weights has {unknown}, expected some of '
                             f'{_TERMS}')
        weights.update(loss_weights or {})
        self.loss_weights = weights
        self.teacher_temperature = teacher_temperature
        self.collect_statistics = False
        self.statistics: dict[str, Tensor] = {}
        parts = dict(
            backbone=MODELS.build(backbone),
            fusion=MODELS.build(fusion),
            qsacl_head=MODELS.build(qsacl_head))
        if image_head is not None:
            parts['image_head'] = MODELS.build(image_head)
        self.student = nn.ModuleDict(parts)
        if tuple(getattr(parts['backbone'], 'out_indices', (3, ))) != (3, ):
            raise ValueError(
                f"backbone.out_indices={parts['backbone'].out_indices}: "
                'pre-training uses the last stage alone, set it to (3, )')
        self.teacher = deepcopy(self.student)
        self.teacher.requires_grad_(False)
        self.teacher.eval()

    def init_weights(self) -> None:
        """Start (or load) the student's parts; the teacher is its copy."""
        for part in self.student.values():
            part.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())
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
                and ``valid_dates`` (sensor -> (T,)) of the preprocessor.
            mode: ``'loss'``, ``'tensor'`` or ``'predict'``.

        Returns:
            ``'loss'``: scalars ``loss_qsacl``, ``loss_image`` and
            ``loss_koleo``, weighted. ``'tensor'``: the teacher's
            ``sensors`` (sensor -> (N, T, C, h, w)) and ``fused``
            (N, D, h, w). ``'predict'``: a data sample for each tile with
            ``feature`` (D,), the teacher's mean fused feature.

        Raises:
            ValueError: Unknown mode, or views missing.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"mode='{mode}': expected 'loss', 'tensor' or "
                             "'predict'")
        features = self._features(inputs, data_samples)
        if mode == 'tensor':
            return features
        pooled = features['fused'].mean((2, 3))
        results = list(data_samples or
                       [BaseDataElement() for _ in range(len(pooled))])
        for sample, feature in zip(results, pooled, strict=True):
            sample.set_data(dict(feature=feature))
        return results

    def loss(self, inputs: Mapping[str, ViewBatch]) -> dict[str, Tensor]:
        """See :meth:`forward`."""
        views: dict[str, ViewBatch] = {}
        for kind in ('global', 'local'):
            if inputs.get(kind) is None:
                raise ValueError(
                    f'pre-training needs global and local views, found no '
                    f'{kind} ones; set {kind}_views of MultiCropViews to at '
                    'least 1')
            views[kind] = inputs[kind]
        student = {k: self.encode(self.student, v) for k, v in views.items()}
        with torch.no_grad():
            teacher = {
                kind: self.encode(self.teacher, batch)
                for kind, batch in views.items()
            }
        head, temperature = self.student['qsacl_head'], \
            self.teacher_temperature
        logits, attention = {}, None
        for kind, batch in views.items():
            shape = (batch.num_views, batch.batch_size)
            wanted = self.collect_statistics and kind == 'global'
            z, weights = head(student[kind].fused, wanted)
            attention = weights if wanted else attention
            with torch.no_grad():
                target, _ = self.teacher['qsacl_head'](teacher[kind].fused)
            logits[kind] = (z.unflatten(0, shape),
                            target.unflatten(0, shape))
        losses = dict(loss_qsacl=head.loss(
            logits['global'][0], logits['local'][0], logits['global'][1],
            logits['local'][1], temperature, student['global'].seen[FUSED],
            student['local'].seen[FUSED]))
        if 'image_head' in self.student:
            losses['loss_image'] = self._image_loss(student, teacher)
        losses['loss_koleo'] = torch.stack([
            koleo_loss(view, measured) for view, measured in zip(
                student['global'].pooled[FUSED],
                student['global'].seen[FUSED], strict=True)
        ]).mean()
        if self.collect_statistics:
            self.statistics = head.statistics(logits['global'][1],
                                              temperature, attention,
                                              student['global'].seen[FUSED])
            self.statistics['feature_spread'] = _spread(
                teacher['global'].pooled[FUSED])
        return {
            name: value * self.loss_weights[name.removeprefix('loss_')]
            for name, value in losses.items()
        }

    def _image_loss(self, student: Mapping[str, EncodedViews],
                    teacher: Mapping[str, EncodedViews]) -> Tensor:
        """Image-level MGCL."""
        head = self.student['image_head']
        with torch.no_grad():
            target = self.teacher['image_head'](teacher['global'].pooled)
        return head.loss(
            head(student['global'].pooled), target,
            self.teacher_temperature, head(student['local'].pooled),
            student['global'].seen, student['local'].seen)

    def encode(self, branch: nn.ModuleDict, views: ViewBatch) -> EncodedViews:
        """All views of one kind through encoder and fusion, at once.

        Args:
            branch: ``student`` or ``teacher``.
            views: V views of N tiles.
        """
        shape = (views.num_views, views.batch_size)
        images = {s: x.flatten(0, 1) for s, x in views.images.items()
                  if x.numel()}
        valid = {s: views.valid[s].flatten(0, 1) for s in images}
        dates = {s: views.dates[s].flatten(0, 1) for s in images}
        maps = {s: levels[-1] for s, levels in
                branch['backbone'](images).items()}
        fused = branch['fusion'](maps, dates, valid)
        pooled = {FUSED: fused.mean((2, 3)).unflatten(0, shape)}
        seen = {}
        for sensor, level in maps.items():
            mean, any_valid = _masked_mean(level, valid[sensor])
            pooled[sensor] = mean.unflatten(0, shape)
            seen[sensor] = any_valid.unflatten(0, shape)
        seen[FUSED] = torch.stack(list(seen.values())).any(0)
        return EncodedViews(fused, pooled, seen)

    def _features(
        self, inputs: Mapping[str, Tensor],
        data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Any]:
        """The teacher's maps of whole images."""
        maps = {s: levels[-1] for s, levels in
                self.teacher['backbone'](inputs).items()}
        dates: dict[str, Tensor] = {}
        valid: dict[str, Tensor] = {}
        for name, target in (('dates', dates), ('valid_dates', valid)):
            if data_samples and name in data_samples[0].metainfo_keys():
                target.update({
                    sensor: torch.stack([
                        torch.as_tensor(sample.metainfo[name][sensor])
                        for sample in data_samples
                    ]).to(level.device)
                    for sensor, level in maps.items()
                })
        fused = self.teacher['fusion'](maps, dates, valid)
        return dict(sensors=maps, fused=fused)


def _masked_mean(maps: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over measured dates and places.

    Args:
        maps: (B, T, C, h, w).
        valid: bool (B, T, H, W), pixels.

    Returns:
        Features (B, C), 0 where nothing was measured, and bool (B,).
    """
    place = place_validity(valid.flatten(0, 1), tuple(maps.shape[-2:]))
    weight = place.unflatten(0, valid.shape[:2]).to(maps.dtype)
    total = weight.sum((1, 2, 3))
    mean = torch.einsum('bthw,btchw->bc', weight, maps)
    return mean / total.clamp(min=1)[:, None], total > 0


def _spread(features: Tensor) -> Tensor:
    """Deviation over tiles of unit features (V, N, D), times sqrt(D)."""
    unit = nn.functional.normalize(features.detach().float(), dim=-1)
    deviation = unit.flatten(0, 1).std(0, unbiased=False).mean()
    return deviation * features.shape[-1]**0.5
