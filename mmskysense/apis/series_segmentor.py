# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A segmentor of several sensors and dates that looks at windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmskysense.raster.inputs import SeriesPicture

from .segmentor import WindowSegmentor, test_pipeline


def series_loader(cfg: Config) -> Mapping[str, Any] | None:
    """The step that loads several sensors, or None in other configs."""
    for step in test_pipeline(cfg):
        if str(step.get('type')).rpartition('.')[2] == 'LoadMultiSensorTile':
            return step
    return None


class SeriesSegmentor(WindowSegmentor):
    """Scores windows of several sensors, see :class:`WindowSegmentor`."""

    @torch.inference_mode()
    def __call__(self, images: Sequence[SeriesPicture],
                 valid: Sequence[np.ndarray]) -> np.ndarray:
        """Score windows of one size.

        Args:
            images: N pictures with the same sensors and dates.
            valid: N of bool (H, W), the map's pixels.

        Returns:
            float32 (N, num_channels, H, W), logits.

        Raises:
            ValueError: A score is NaN, or a window that the preprocessor
                pads.
        """
        from mmseg.structures import SegDataSample
        size = valid[0].shape
        samples = []
        for _ in images:
            sample = SegDataSample()
            sample.set_metainfo(dict(
                img_shape=size, ori_shape=size, pad_shape=size,
                padding_size=[0, 0, 0, 0]))
            samples.append(sample)

        def batch(field: str) -> dict[str, list[torch.Tensor]]:
            return {sensor: [torch.from_numpy(getattr(picture, field)[sensor])
                             for picture in images]
                    for sensor in images[0].images}

        data = self.model.data_preprocessor(dict(
            inputs=dict(images=batch('images'), valid=batch('valid'),
                        dates=batch('dates')), data_samples=samples), False)
        for sensor, tensor in data['inputs'].items():
            found = images[0].images[sensor].shape[-2:]
            if tuple(tensor.shape[-2:]) != found:
                raise ValueError(
                    f"the preprocessor pads {sensor}'s windows of {found} "
                    f'pixels to {tuple(tensor.shape[-2:])}; choose a window= '
                    'that it need not pad')
        metas = [dict(sample.metainfo, img_shape=size, pad_shape=size)
                 for sample in data['data_samples']]
        with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.amp):
            scores = self.model.encode_decode(data['inputs'], metas).float()
        if torch.isnan(scores).any():
            raise ValueError('the model gave NaN for measured pixels: its '
                             'checkpoint comes from a run that diverged, or '
                             'bfloat16 does not suit it')
        return scores.cpu().numpy()
