# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""mmseg's segmentor for series: the neck learns the dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from mmskysense.registry import MODELS

from ..dated_features import fused_maps, present_sensors


@MODELS.register_module()
class DatedEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` whose neck also gets the dates of its images.

    Everything else is mmseg's: heads, losses, prediction, test-time
    augmentation of whole images. The neck is called with ``dates`` and
    ``valid_dates`` (sensor -> (N, T)) where the data samples have them, as
    :class:`MultiSensorDataPreprocessor` leaves them; sensors of which no
    image of the batch exists are left out.
    """

    def extract_feat(self,
                     inputs: Mapping[str, Tensor] | Tensor,
                     metas: Sequence[Mapping[str, Any]] | None = None
                     ) -> Any:
        """Encode and fuse.

        Args:
            inputs: Sensor -> (N, T, C, H, W), or one sensor's (N, C, H, W).
            metas: Meta information of the N samples.

        Returns:
            The neck's tuple of maps (N, C_i, H_i, W_i).

        Raises:
            ValueError: No sensor has an image.
        """
        if not isinstance(inputs, Mapping):
            return super().extract_feat(inputs)
        inputs = present_sensors(inputs, 'DatedEncoderDecoder')
        maps = self.backbone(inputs)
        if not self.with_neck:
            return maps
        return fused_maps(self.neck, maps, inputs, metas)

    def loss(self, inputs: Mapping[str, Tensor],
             data_samples: list) -> dict[str, Tensor]:
        """Losses of the decode head and the auxiliary heads.

        Args:
            inputs: Sensor -> (N, T, C, H, W).
            data_samples: mmseg's ``SegDataSample``, one a sample.
        """
        maps = self.extract_feat(inputs,
                                 [sample.metainfo for sample in data_samples])
        losses = dict(self._decode_head_forward_train(maps, data_samples))
        if self.with_auxiliary_head:
            losses.update(
                self._auxiliary_head_forward_train(maps, data_samples))
        return losses

    def encode_decode(self, inputs: Mapping[str, Tensor],
                      batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, classes, H, W), as mmseg's inference asks for them."""
        maps = self.extract_feat(inputs, batch_img_metas)
        return self.decode_head.predict(maps, batch_img_metas, self.test_cfg)

    def _forward(self, inputs: Mapping[str, Tensor],
                 data_samples: list | None = None) -> Any:
        metas = None if data_samples is None else [
            sample.metainfo for sample in data_samples
        ]
        return self.decode_head.forward(self.extract_feat(inputs, metas))
