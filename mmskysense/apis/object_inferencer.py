# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects of a raster of any size, with a detector of mmdet or mmrotate."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.raster import WindowGrid, WindowSource
from mmskysense.raster.detections import (
    Detections,
    WindowCores,
    from_boxes,
    suppress,
)
from mmskysense.raster.inputs import MapInputs
from mmskysense.raster.vectors import check_vector_output, write_detections
from mmskysense.registry import INFERENCERS

from .host_model import HostModel
from .map_progress import MapProgress
from .raster_inferencer import RasterInferencer
from .window_batches import image_batches


@dataclass(frozen=True)
class ObjectSummary:
    """What was found.

    Args:
        path: The file.
        counts: Class name -> objects.
        detections: The objects, in pixel coordinates.
        windows: Windows of the grid.
        seconds: Wall time, without building the model.
    """

    path: str
    counts: dict[str, int]
    detections: Detections
    windows: int
    seconds: float


@INFERENCERS.register_module()
class ObjectInferencer(RasterInferencer):
    """Finds objects in windows and merges them over the whole raster.

    Arguments: see :class:`RasterInferencer`. As for maps, the model sees the
    raster at its own resolution.
    """

    _built = ('model', )

    @cached_property
    def model(self) -> HostModel:
        """The model, built on first use."""
        return HostModel(self.cfg, self.checkpoint, 'detection', self.device,
                         self.amp)

    def predict_raster(self,
                       raster: str | os.PathLike | MapInputs,
                       out: str | os.PathLike,
                       window: int | tuple[int, int] | None = None,
                       overlap: float = 0.25,
                       batch_size: int = 4,
                       min_score: float = 0.3,
                       iou: float = 0.5,
                       reading_threads: int = 1,
                       progress: bool = False,
                       **options: Any) -> ObjectSummary:
        """Write the objects of a raster.

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            out: ``.gpkg`` or ``.geojson``, see :func:`write_detections`.
            window: As for maps.
            overlap: Share of a window; at least the largest object's size
                for none to be cut everywhere.
            batch_size: Windows at once.
            min_score: Objects below this are left out, 0 to 1.
            iou: See :func:`suppress`.
            reading_threads: Threads that read ahead.
            progress: Show a progress bar.
            **options: Of :meth:`inputs`.

        Raises:
            RasterContractError: The raster does not fit the sensor.
            ValueError: A bad argument, or a checkpoint that does not fit.
        """
        height, width = self._window(window)
        if not (0 <= overlap < 1 and 0 <= min_score <= 1 and 0 < iou <= 1):
            raise ValueError(
                f'overlap={overlap}, min_score={min_score}, iou={iou}: '
                'expected shares from 0 to 1, an overlap below 1')
        reader = self.reader(raster, **options)
        check_vector_output(out, reader.crs, [reader.path])
        grid = WindowGrid(*reader.shape, (height, width),
                          (int(overlap * height), int(overlap * width)))
        cores, model = WindowCores(grid), self.model
        start = time.perf_counter()
        found: list[Detections] = []
        source = WindowSource(reader, grid.touching(grid.whole),
                              self.contract.fill,
                              self.contract.reverse_channels)
        with MapProgress(Path(out).name, len(grid),
                         reader.shape[0] * reader.shape[1],
                         not progress) as bar:
            for batch in image_batches(source, batch_size, reading_threads,
                                       bar.update):
                samples = model([w.image for w in batch],
                                [w.valid for w in batch])
                for place, sample in zip(batch, samples, strict=True):
                    found.append(cores.keep(
                        place.place, _objects(sample, place, min_score)))
        merged = suppress(Detections.join(found), iou)
        write_detections(out, merged, model.class_names, reader.crs,
                         reader.transform)
        counts = np.bincount(merged.labels, minlength=len(model.class_names))
        return ObjectSummary(
            str(out), dict(zip(model.class_names, counts.tolist(),
                               strict=True)),
            merged, len(grid), time.perf_counter() - start)


def _objects(sample: Any, window: Any, min_score: float) -> Detections:
    """A window's objects above a score, whose middle was measured."""
    instances = sample.pred_instances
    boxes = instances.bboxes
    boxes = getattr(boxes, 'tensor', boxes).float().cpu().numpy()
    scores = instances.scores.float().cpu().numpy()
    labels = instances.labels.cpu().numpy()
    chosen = scores >= min_score
    place = window.place
    found = from_boxes(boxes[chosen], scores[chosen], labels[chosen],
                       (place.column, place.row))
    x = np.clip(found.centres[:, 0] - place.column, 0, place.width - 1)
    y = np.clip(found.centres[:, 1] - place.row, 0, place.height - 1)
    return found[window.valid[y.astype(int), x.astype(int)]]
