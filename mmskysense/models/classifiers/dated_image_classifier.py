# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""mmpretrain's classifier for several sensors and dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor

from mmskysense.registry import MODELS

from ..dated_features import fused_maps, present_sensors


@MODELS.register_module()
class DatedImageClassifier(ImageClassifier):
    """``ImageClassifier`` whose neck fuses sensors and dates.

    Heads, losses and predictions are mmpretrain's. The neck is called with
    ``dates`` and ``valid_dates`` (sensor -> (N, T)) where the data samples
    have them, as :class:`MultiSensorDataPreprocessor` leaves them; sensors
    of which no image of the batch exists are left out, in training and in
    testing. Its maps are averaged over the scene (global average pooling)
    for the head.

    Args:
        backbone: Takes sensor -> (N, T, C, H, W).
        neck: Fuses its maps, such as :class:`TemporalFusionNeck`.
        head: Of mmpretrain, for features (N, C).
        **kwargs: Of ``ImageClassifier``.

    Raises:
        ValueError: There is no neck.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 **kwargs: Any) -> None:
        if neck is None:
            raise ValueError('DatedImageClassifier: expected a neck that '
                             'fuses sensors and dates, found none; set neck='
                             "dict(type='mmskysense.TemporalFusionNeck', ...)")
        super().__init__(backbone, neck=neck, head=head, **kwargs)

    def extract_feat(self,
                     inputs: Mapping[str, Tensor],
                     stage: str = 'neck',
                     data_samples: Sequence[Any] | None = None) -> Any:
        """Encode, fuse and average.

        Args:
            inputs: Sensor -> (N, T, C, H, W).
            stage: ``'backbone'``: sensor -> tuple of maps; ``'neck'``: tuple
                of (N, C_i); ``'pre_logits'``: what the head's linear layer
                gets.
            data_samples: The N samples, for their dates.

        Returns:
            As ``stage`` says.

        Raises:
            ValueError: No sensor has an image, or an unknown stage.
        """
        if stage not in ('backbone', 'neck', 'pre_logits'):
            raise ValueError(f"stage='{stage}': expected 'backbone', 'neck' "
                             "or 'pre_logits'")
        inputs = present_sensors(inputs, type(self).__name__)
        maps = self.backbone(inputs)
        if stage == 'backbone':
            return maps
        metas = None if data_samples is None else [
            sample.metainfo for sample in data_samples
        ]
        fused = fused_maps(self.neck, maps, inputs, metas)
        pooled = tuple(level.mean(dim=(-2, -1)) for level in fused)
        return pooled if stage == 'neck' else self.head.pre_logits(pooled)

    def forward(self,
                inputs: Mapping[str, Tensor],
                data_samples: list | None = None,
                mode: str = 'tensor') -> Any:
        """As mmpretrain's; scores know the dates, too.

        Args:
            inputs: Sensor -> (N, T, C, H, W).
            data_samples: The N samples.
            mode: ``'tensor'``, ``'predict'`` or ``'loss'``.
        """
        if mode == 'tensor':
            features = self.extract_feat(inputs, data_samples=data_samples)
            return self.head(features) if self.with_head else features
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: Mapping[str, Tensor],
             data_samples: list) -> dict[str, Tensor]:
        """Losses of the head.

        Args:
            inputs: Sensor -> (N, T, C, H, W).
            data_samples: mmpretrain's ``DataSample``, one a sample.
        """
        features = self.extract_feat(inputs, data_samples=data_samples)
        return self.head.loss(features, data_samples)

    def predict(self,
                inputs: Mapping[str, Tensor],
                data_samples: list | None = None,
                **kwargs: Any) -> list:
        """Samples with ``pred_score`` and ``pred_label``.

        Args:
            inputs: Sensor -> (N, T, C, H, W).
            data_samples: The N samples, or None.
            **kwargs: Of the head.
        """
        features = self.extract_feat(inputs, data_samples=data_samples)
        return self.head.predict(features, data_samples, **kwargs)
