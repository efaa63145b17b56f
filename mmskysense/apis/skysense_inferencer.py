# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One inferencer for every task, in the manner of mmengine's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer

from mmskysense.raster.detections import from_boxes
from mmskysense.raster.inputs import SeriesPicture
from mmskysense.registry import INFERENCERS
from mmskysense.sensors import get_sensor
from mmskysense.utils.config import read_config
from mmskysense.utils.model_index import find_model
from mmskysense.visualization.feature_colours import principal_colours

from .embedding_inferencer import EmbeddingInferencer
from .host_model import task_of
from .map_inferencer import MapInferencer
from .object_inferencer import ObjectInferencer
from .scene_inferencer import SceneInferencer
from .series_inferencer import SeriesInferencer
from .series_segmentor import series_loader

Input: TypeAlias = 'np.ndarray | str | os.PathLike | Mapping[str, Any]'


@INFERENCERS.register_module()
class SkySenseInferencer(BaseInferencer):
    """Pictures to results, or rasters of any size to files.

    ``inferencer(inputs)`` takes pictures and gives arrays; the whole picture
    is one window. ``inferencer.predict_raster(raster, out)`` takes what the
    inferencer of the task takes and writes a georeferenced file; for
    features ``embed_raster``. What the task is, the config says.

    Args:
        model: Config file, loaded config, or a name of the model index.
        weights: Checkpoint; None takes that of the model index.
        device: Such as ``'cpu'`` or ``'cuda:0'``; None takes what is there.
        sensor: Sensor of the pictures; None asks the config.
        amp: Run the network in bfloat16.
        cfg_options: Overrides of the config.

    Attributes:
        task: ``'segmentation'``, ``'detection'``, ``'classification'`` or
            ``'features'``.
        raster_inferencer: The inferencer of the task.

    Raises:
        ValueError: An unknown name, or a model without weights.

    Example::

        inferencer = SkySenseInferencer('config.py', 'checkpoint.pth')
        result = inferencer(np.zeros((64, 64, 3), np.uint8))
        result['predictions'][0]['classes']            # (64, 64)
        inferencer.predict_raster('scene.tif', 'map.tif')
    """

    preprocess_kwargs: set = set()
    forward_kwargs: set = set()
    visualize_kwargs = {'return_vis'}
    postprocess_kwargs: set = set()

    def __init__(self,
                 model: str | os.PathLike | Config,
                 weights: str | os.PathLike | None = None,
                 device: str | None = None,
                 sensor: str | None = None,
                 amp: bool = False,
                 cfg_options: dict | None = None) -> None:
        if not isinstance(model, Config) and not os.path.exists(model):
            entry = find_model(os.fspath(model))
            model, weights = entry.config, weights or entry.weights
            if weights is None:
                raise ValueError(
                    f"model '{entry.name}' has no released weights: pass "
                    'weights=, a checkpoint of your own')
        elif weights is None:
            raise ValueError(f'{getattr(model, "filename", model)}: a config '
                             'needs weights=, the checkpoint')
        config = model if isinstance(model, Config) else read_config(
            os.fspath(model), cfg_options or {})
        self.cfg = config
        found = task_of(config)
        kind: type[Any]
        if found == 'segmentation' and 'decode_head' in config.model:
            kind = SeriesInferencer if series_loader(config) \
                else MapInferencer
            self.task = found
        elif found in ('detection', 'classification'):
            kind = ObjectInferencer if found == 'detection' \
                else SceneInferencer
            self.task = found
        else:
            kind, self.task = EmbeddingInferencer, 'features'
        self.raster_inferencer: Any = kind(config, weights, device, sensor,
                                           amp)
        self.sensor = self.raster_inferencer.contract.sensor

    def predict_raster(self, raster: Any, out: str | os.PathLike,
                       **options: Any) -> Any:
        """From a raster of any size to a file, see the task's inferencer."""
        if self.task == 'features':
            return self.raster_inferencer.embed_raster(raster, out, **options)
        return self.raster_inferencer.predict_raster(raster, out, **options)

    def __call__(self,  # type: ignore[override]
                 inputs: Input | Sequence[Input],
                 batch_size: int = 4,
                 return_vis: bool = False) -> dict[str, list]:
        """Predict pictures.

        Args:
            inputs: One or several of: an array (H, W, C) in file units, NaN
                where not measured; a path that rasterio opens; or for
                configs of several sensors a dict sensor -> array (T, H, W,
                C) or (H, W, C), or path.
            batch_size: Pictures of one size at once.
            return_vis: Also give a picture (H, W, 3) of each result.

        Returns:
            ``predictions``, a dict for each picture: ``classes`` uint8 (H,
            W) with 255 = not measured and ``probabilities`` (C, H, W);
            or ``scores`` (C,) and ``label``; or ``corners`` (N, 4, 2),
            ``scores``, ``labels``; or ``features`` (D, h, w).
            ``visualization``, pictures or empty.
        """
        if isinstance(inputs, np.ndarray | str | os.PathLike | Mapping):
            inputs = [inputs]
        predictions: list[dict[str, Any]] = []
        for batch in self.preprocess(inputs, batch_size):
            predictions += self.forward(batch)
        pictures = self.visualize(inputs, predictions) if return_vis else []
        return self.postprocess(predictions, pictures)

    def preprocess(self, inputs: Any, batch_size: int = 1,
                   **kwargs: Any) -> Iterator[list[tuple[Any, np.ndarray]]]:
        """Pictures with their masks, in batches of one size."""
        waiting: list[tuple[Any, np.ndarray]] = []
        for one in inputs:
            picture = self._load(one)
            if waiting and (len(waiting) == batch_size or
                            waiting[0][1].shape != picture[1].shape):
                yield waiting
                waiting = []
            waiting.append(picture)
        if waiting:
            yield waiting

    def _load(self, one: Any) -> tuple[Any, np.ndarray]:
        if isinstance(one, Mapping):
            return self._load_series(one)
        contract = self.raster_inferencer.contract
        if isinstance(one, np.ndarray):
            image, valid = _channels_first(one, self.sensor)
        else:
            image, valid = self.raster_inferencer.reader(one).read()
        for band, value in zip(image, contract.fill or
                               (0.0, ) * len(image), strict=True):
            band[~valid] = value
        if contract.reverse_channels:
            image = np.ascontiguousarray(image[::-1])
        return image, valid

    def _load_series(self, one: Mapping[str, Any]
                     ) -> tuple[SeriesPicture, np.ndarray]:
        if not isinstance(self.raster_inferencer, SeriesInferencer):
            raise ValueError('a dict of sensors is for configs that take '
                             'several (LoadMultiSensorTile); give one array '
                             'or path')
        images, valid, dates = {}, {}, {}
        for sensor, value in one.items():
            if isinstance(value, np.ndarray):
                days = value if value.ndim == 4 else value[None]
                pairs = [_channels_first(day, sensor) for day in days]
            else:
                inputs = self.raster_inferencer.inputs({sensor: value})
                reader = self.raster_inferencer.reader(inputs)
                pairs = [day.read() for day in reader.readers(sensor)]
            images[sensor] = np.stack([image for image, _ in pairs])
            valid[sensor] = np.stack([mask for _, mask in pairs])
            dates[sensor] = np.zeros(len(pairs), np.int64)
        largest = max(valid.values(), key=lambda mask: mask[0].size)
        return SeriesPicture(images, valid, dates), largest.any(axis=0)

    def forward(self, inputs: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Results of a batch."""
        images = [image for image, _ in inputs]
        masks = [mask for _, mask in inputs]
        inferencer = self.raster_inferencer
        if self.task == 'features':
            return [dict(features=features.numpy())
                    for features in inferencer.maps(images, masks)]
        if self.task == 'segmentation':
            segmentor = inferencer.segmentor
            return [dict(
                classes=np.where(mask, segmentor.classify(scores),
                                 np.uint8(255)),
                probabilities=segmentor.probabilities(scores))
                for scores, mask in zip(segmentor(images, masks), masks,
                                        strict=True)]
        samples = inferencer.model(images, masks)
        if self.task == 'classification':
            scores = [s.pred_score.float().cpu().numpy() for s in samples]
            return [dict(scores=one, label=int(one.argmax()))
                    for one in scores]
        results = []
        for sample in samples:
            found = sample.pred_instances
            boxes = getattr(found.bboxes, 'tensor', found.bboxes)
            objects = from_boxes(boxes.float().cpu().numpy(),
                                 found.scores.float().cpu().numpy(),
                                 found.labels.cpu().numpy())
            results.append(dict(corners=objects.corners,
                                scores=objects.scores,
                                labels=objects.labels))
        return results

    def visualize(self, inputs: Any, preds: Any, show: bool = False,
                  **kwargs: Any) -> list[np.ndarray]:
        """A picture (H, W, 3), uint8, of each map of classes or features."""
        if self.task == 'segmentation':
            colours = np.zeros((256, 3), np.uint8)
            palette = self.raster_inferencer.segmentor.palette
            colours[:len(palette)] = palette
            return [colours[one['classes']] for one in preds]
        if self.task == 'features':
            # Of one size: their components are common to all.
            return list(principal_colours(torch.from_numpy(
                np.stack([one['features'] for one in preds]))))
        raise ValueError(f'return_vis: expected a model of maps, found one '
                         f'of {self.task}; leave it out')

    def postprocess(self, preds: Any, visualization: Any = None,
                    return_datasample: bool = False,
                    **kwargs: Any) -> dict[str, list]:
        """Results and pictures together."""
        return dict(predictions=list(preds),
                    visualization=list(visualization or ()))

    def _init_pipeline(self, cfg: Any) -> Any:
        """None: the raster inferencers load."""
        return None


def _channels_first(picture: np.ndarray, sensor: str | None
                    ) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) to float32 (C, H, W), and where all bands are finite."""
    bands = None if sensor is None else get_sensor(sensor).num_bands
    if picture.ndim != 3 or (bands is not None
                             and picture.shape[2] != bands):
        raise ValueError(
            f'expected a picture (H, W, {bands or "C"})'
            f'{f" of {sensor}" if sensor else ""}, found an array of shape '
            f'{picture.shape}')
    image = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
    return image, np.isfinite(image).all(axis=0)
