# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pictures of tested maps and scenes: images, truth, prediction, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from PIL import Image, ImageDraw, ImageFont

from mmskysense.registry import HOOKS
from mmskysense.sensors import Sensor, get_sensor
from mmskysense.visualization import stretch
from mmskysense.visualization.comparison import colour_classes, error_map

_GAP = 4
# Sensor, images (T, C, H, W) in file units, valid (T, H, W).
_Series = tuple[Sensor, torch.Tensor, torch.Tensor]
_CAPTIONED, _TEXT = 300, 16


@HOOKS.register_module()
class PanelVisualizationHook(Hook):
    """Paints what was predicted from any sensors and dates.

    mmseg's ``SegVisualizationHook`` reads ``img_path`` as an ordinary
    picture, which a series of GeoTIFFs, or ten bands, are not. This one
    paints the images that the model was given: the first and the last date
    of the sensor with the finest grid, in the bands that the sensor table
    shows, stretched; then truth and prediction in the data set's colours,
    and wrong pixels in red. Of a classified scene every sensor is painted,
    with the names of the true and the predicted classes below: mmpretrain's
    ``VisualizationHook`` takes one image of three bands of 8 bits. Switched
    on by ``tools/test.py --show-dir``.

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
            outputs: mmseg's samples, with ``pred_sem_seg``, or
                mmpretrain's, with ``pred_score``.
        """
        if not self.draw:
            return
        metainfo = runner.test_dataloader.dataset.metainfo
        inputs = data_batch['inputs']
        if isinstance(runner.model, BaseTTAModel):
            inputs = inputs[0]  # of several views the one as it is
        for number, sample in enumerate(outputs or ()):
            if self._drawn >= self.max_images:
                return
            self._drawn += 1
            series = self._series(runner, inputs, number)
            if 'pred_sem_seg' in sample:
                panels = _dates(series[0], every=True)
                panels += _maps(sample, metainfo['palette'], panels)
                picture = side_by_side(panels)
            else:
                picture = captioned(
                    side_by_side([panel for entry in series
                                  for panel in _dates(entry, every=False)]),
                    _class_names(sample, metainfo['classes']))
            name = getattr(sample, 'tile_id', None) or Path(getattr(
                sample, 'img_path', str(self._drawn))).stem
            runner.visualizer.add_image(str(name).replace('/', '_'), picture,
                                        self._drawn)

    @staticmethod
    def _series(runner: Runner, inputs: Any, number: int) -> list[_Series]:
        """What there is of each sensor, the finest grid first."""
        if isinstance(inputs, Mapping):
            present = [(get_sensor(name), series[number],
                        inputs['valid'][name][number])
                       for name, series in inputs['images'].items()
                       if series[number].numel()]
            return sorted(present, key=lambda entry: -entry[1].shape[-1])
        # Images (C, H, W) of one sensor, in file units.
        model = getattr(runner.model, 'module', runner.model)
        series = inputs[number][None]
        return [(model.data_preprocessor.sensor, series,
                 series.isfinite().all(1))]


def _dates(entry: _Series, every: bool) -> list[np.ndarray]:
    """First and last date, or the one with most pixels, uint8 (H, W, 3)."""
    sensor, series, valid = entry
    bands = [sensor.band_index(band)
             for band in sensor.default_bands] or [0, 0, 0]
    clearest = int(valid.flatten(1).sum(1).argmax())
    return [
        stretch(series[date, bands].permute(1, 2, 0).float().numpy(),
                valid[date].numpy())
        for date in (sorted({0, len(series) - 1}) if every else [clearest])
    ]


def _class_names(sample: BaseDataElement, classes: Sequence[str]
                 ) -> list[str]:
    """Lines with the true and the predicted classes of a scene.

    Of several labels those with a score of one half or more count, the best
    one at least.
    """
    scores = sample.pred_score.detach().cpu()
    many = 'gt_score' in sample
    found = (scores >= 0.5).nonzero().flatten().tolist() if many else []
    found = found or [int(scores.argmax())]
    lines = []
    if many or 'gt_label' in sample:
        true = sample.gt_score.nonzero().flatten() if many else \
            sample.gt_label.flatten()
        lines.append('true: ' + ', '.join(classes[int(n)] for n in true))
    lines.append('found: ' + ', '.join(
        f'{classes[n]} {float(scores[n]):.2f}' for n in found))
    return lines


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


def captioned(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A picture uint8 (H, W, 3) of 300 rows or more with lines of text below.

    Returns:
        uint8 (H', W', 3); small pictures are enlarged by a whole number.
    """
    scale = max(1, -(-_CAPTIONED // picture.shape[0]))
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    font = ImageFont.load_default(_TEXT)
    width = max(picture.shape[1],
                *(round(font.getlength(line)) + 8 for line in lines))
    canvas = Image.new(
        'RGB', (width, picture.shape[0] + (_TEXT + 6) * len(lines) + 4),
        'white')
    canvas.paste(Image.fromarray(picture))
    writer = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        writer.text((4, picture.shape[0] + 2 + number * (_TEXT + 6)), line,
                    'black', font)
    return np.asarray(canvas)
