# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pictures of tested maps: image or images, truth, prediction, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmskysense.registry import HOOKS
from mmskysense.sensors import get_sensor
from mmskysense.visualization import stretch
from mmskysense.visualization.comparison import colour_classes, error_map

_GAP = 4


@HOOKS.register_module()
class PanelVisualizationHook(Hook):
    """Paints what a segmentor of any sensors and dates has predicted.

    mmseg's ``SegVisualizationHook`` reads ``img_path`` as an ordinary
    picture, which a series of GeoTIFFs, or ten bands, are not. This one
    paints the images that the model was given: the first and the last date
    of the sensor with the finest grid, in the bands that the sensor table
    shows, stretched; then truth and prediction in the data set's colours,
    and wrong pixels in red. Switched on by ``tools/test.py --show-dir``.

    Args:
        draw: Paint at all.
        max_images: At most so many, the first that are tested.
    """

    priority = 'NORMAL'

    def __init__(self, draw: bool = False, max_images: int = 50) -> None:
        if max_images < 1:
            raise ValueError(f'max_images={max_images}: expected at least 1')
        self.draw, self.max_images = draw, max_images
        self._drawn = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Count anew."""
        self._drawn = 0

    def after_test_iter(self, runner: Runner, batch_idx: int,
                        data_batch: Any = None,
                        outputs: Sequence[BaseDataElement] | None = None
                        ) -> None:
        """Paint the samples of a batch.

        Args:
            runner: Whose visualizer saves the pictures.
            batch_idx: Number of the batch.
            data_batch: With ``inputs`` as the loader gives them.
            outputs: mmseg's samples, with ``pred_sem_seg``.
        """
        if not self.draw:
            return
        palette = runner.test_dataloader.dataset.metainfo['palette']
        for number, sample in enumerate(outputs or ()):
            if self._drawn >= self.max_images:
                return
            self._drawn += 1
            panels = self._images(runner, data_batch['inputs'], number)
            panels += _maps(sample, palette, panels)
            name = getattr(sample, 'tile_id', None) or Path(
                sample.img_path).stem
            runner.visualizer.add_image(
                str(name).replace('/', '_'), side_by_side(panels),
                self._drawn)

    @staticmethod
    def _images(runner: Runner, inputs: Any, number: int) -> list[np.ndarray]:
        """First and last date of the finest sensor, uint8 (H, W, 3)."""
        if isinstance(inputs, Mapping):
            present = {
                name: series[number]
                for name, series in inputs['images'].items()
                if series[number].numel()
            }
            name = max(present, key=lambda key: present[key].shape[-1])
            series, valid = present[name], inputs['valid'][name][number]
            sensor = get_sensor(name)
        else:  # images (C, H, W) of one sensor, in file units
            model = getattr(runner.model, 'module', runner.model)
            series, sensor = inputs[number][None], model.data_preprocessor \
                .sensor
            valid = series.isfinite().all(1)
        bands = [sensor.band_index(band)
                 for band in sensor.default_bands] or [0, 0, 0]
        return [
            stretch(series[date, bands].permute(1, 2, 0).float().numpy(),
                    valid[date].numpy())
            for date in sorted({0, len(series) - 1})
        ]


def _maps(sample: BaseDataElement, palette: Sequence[Sequence[int]],
          images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Truth, prediction and errors; of both dates where there are two."""
    found = _classes(sample.pred_sem_seg.data)
    truth = _classes(sample.gt_sem_seg.data) if 'gt_sem_seg' in sample \
        else None
    panels = []
    for layer, prediction in enumerate(found):
        if truth is not None and layer < len(truth):
            panels.append(colour_classes(truth[layer], palette))
        panels.append(colour_classes(prediction, palette))
        image = images[min(layer, len(images) - 1)]
        if truth is not None and layer < len(truth) and \
                image.shape[:2] == prediction.shape == truth[layer].shape:
            panels.append(error_map(image, truth[layer], prediction))
    return panels


def _classes(data: torch.Tensor) -> np.ndarray:
    """Class ids (layers, H, W)."""
    return data.cpu().numpy().reshape(-1, *data.shape[-2:])


def side_by_side(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 (H, W, 3) in a row, enlarged to the tallest.

    Returns:
        uint8 (H, W, 3), with a white gap between them.
    """
    height = max(panel.shape[0] for panel in panels)
    row: list[np.ndarray] = []
    for panel in panels:
        scale = max(1, height // panel.shape[0])
        panel = panel.repeat(scale, axis=0).repeat(scale, axis=1)
        below = np.full((height - panel.shape[0], panel.shape[1], 3), 255,
                        np.uint8)
        row += [np.concatenate([panel, below]),
                np.full((height, _GAP, 3), 255, np.uint8)]
    return np.concatenate(row[:-1], axis=1)
