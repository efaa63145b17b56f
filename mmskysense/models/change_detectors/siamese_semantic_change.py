# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Semantic change between two dates with stock segmentation heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from mmskysense.registry import MODELS


@MODELS.register_module()
class SiameseSemanticChange(EncoderDecoder):
    """One encoder and one semantic head for both dates, one change head.

    The decode head (and the auxiliary head) learn the classes of each date;
    the change head learns, from both dates' maps and their absolute
    difference, where the classes differ. Predicted is a class map of each
    date; the later one keeps the earlier class where the change head sees
    no change. The paper says only "siamese, semantic change" (spec section
    4), so the heads and this rule are ours.

    Args:
        change_head: A decode head of mmseg with two classes, whose
            ``in_channels`` are three times the backbone's.
        ignore_index: Class id of pixels without a label.
        keep_logits: Leave ``class_logits`` (2K, H, W) and ``change_logits``
            (2, H, W) on the samples too, for merging of views.
        **kwargs: Of mmseg's ``EncoderDecoder``.

    Raises:
        ValueError: Inputs are not one sensor's pairs of images.
    """

    def __init__(self,
                 change_head: Mapping[str, Any],
                 ignore_index: int = 255,
                 keep_logits: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.change_head = MMSEG_MODELS.build(dict(change_head))
        self.ignore_index = ignore_index
        self.keep_logits = keep_logits

    def _maps(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Maps (2N, C_i, H_i, W_i); the dates of a pair are neighbours."""
        shapes = {name: tuple(x.shape) for name, x in inputs.items()}
        if len(inputs) != 1 or any(
                x.dim() != 5 or x.shape[1] != 2 for x in inputs.values()):
            raise ValueError(
                'SiameseSemanticChange: expected pairs of images of one '
                f'sensor (N, 2, C, H, W), found {shapes}')
        images, = inputs.values()
        return self.extract_feat(images.flatten(0, 1))

    @staticmethod
    def _differences(maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(N, 3 C_i, H_i, W_i): earlier, later, absolute difference."""
        pairs = []
        for level in maps:
            before, after = level.unflatten(0, (-1, 2)).unbind(1)
            pairs.append(
                torch.cat((before, after, (after - before).abs()), dim=1))
        return tuple(pairs)

    def loss(self, inputs: Mapping[str, Tensor],
             data_samples: list) -> dict[str, Tensor]:
        """Losses of all heads.

        Args:
            inputs: One sensor -> (N, 2, C, H, W).
            data_samples: With ``gt_sem_seg`` (2, H, W), one a pair.
        """
        maps = self._maps(inputs)
        months, changes = [], []
        for sample in data_samples:
            label = sample.gt_sem_seg.data
            months += [_with_label(sample, one[None]) for one in label]
            changes.append(_with_label(sample, self._change(label)[None]))
        losses = dict(self._decode_head_forward_train(maps, months))
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(maps, months))
        change = self.change_head.loss(
            self._differences(maps), changes, self.train_cfg)
        losses.update(add_prefix(change, 'change'))
        return losses

    def _change(self, label: Tensor) -> Tensor:
        """1 where two labels (2, H, W) differ, ignored where one is."""
        change = (label[0] != label[1]).long()
        change[(label == self.ignore_index).any(0)] = self.ignore_index
        return change

    def predict(self, inputs: Mapping[str, Tensor],
                data_samples: list) -> list:
        """Add ``pred_sem_seg`` (2, H, W) and ``pred_change`` (1, H, W).

        Args:
            inputs: One sensor -> (N, 2, C, H, W).
            data_samples: One a pair; their padding is cut off.
        """
        classes, change = self._forward(inputs)
        size = next(iter(inputs.values())).shape[-2:]
        for n, sample in enumerate(data_samples):
            _, right, _, bottom = sample.metainfo.get('padding_size',
                                                      [0, 0, 0, 0])
            semantic, changed = (
                resize(logits, size, mode='bilinear', align_corners=False)
                [..., :size[0] - bottom, :size[1] - right]
                for logits in (classes[2 * n:2 * n + 2], change[n:n + 1]))
            if self.keep_logits:
                sample.class_logits = PixelData(data=semantic.flatten(0, 1))
                sample.change_logits = PixelData(data=changed[0])
            self.decide(sample, semantic, changed)
        return data_samples

    @staticmethod
    def decide(sample: Any, classes: Tensor, change: Tensor) -> None:
        """Class maps of both dates from scores; put on the sample.

        Args:
            sample: Gets ``pred_sem_seg`` (2, H, W) and ``pred_change``.
            classes: Logits or probabilities (2, K, H, W).
            change: The same of no change and change (1, 2, H, W).
        """
        semantic, changed = classes.argmax(1), change.argmax(1)
        semantic[1] = torch.where(changed[0] == 1, semantic[1], semantic[0])
        sample.pred_sem_seg = PixelData(data=semantic)
        sample.pred_change = PixelData(data=changed)

    def _forward(self, inputs: Mapping[str, Tensor],
                 data_samples: list | None = None
                 ) -> tuple[Tensor, Tensor]:
        """Logits of classes (2N, K, h, w) and of change (N, 2, h, w)."""
        maps = self._maps(inputs)
        return (self.decode_head.forward(maps),
                self.change_head.forward(self._differences(maps)))


def _with_label(sample: Any, label: Tensor) -> SegDataSample:
    """A sample of one label (1, H, W) with the pair's meta information."""
    result = SegDataSample(metainfo=sample.metainfo)
    result.gt_sem_seg = PixelData(data=label)
    return result
