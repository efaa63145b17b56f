# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A map from several sensors and dates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from mmengine.config import Config

from mmskysense.raster import WindowGrid
from mmskysense.raster.inputs import (
    MapInputs,
    SeriesReader,
    check_sensors,
    gather_inputs,
)
from mmskysense.registry import INFERENCERS

from .map_inferencer import MapInferencer
from .segmentor import InputContract
from .series_segmentor import SeriesSegmentor, series_loader


@INFERENCERS.register_module()
class SeriesInferencer(MapInferencer):
    """Makes maps with a segmentor that takes several sensors at once.

    For configs whose pipeline has ``LoadMultiSensorTile``. Any non-empty
    subset of the sensors will do, with any number of dates: what the model
    does without the others is the model's affair. The map lies on the grid
    of the first sensor that is given, unless another is asked for; a window
    is as many of its pixels.

    Arguments: see :class:`RasterInferencer`, but for ``sensor``.
    """

    def _contract(self, cfg: Config, sensor: str | None) -> InputContract:
        loader = series_loader(cfg)
        if loader is None:
            raise ValueError(
                f'config {cfg.filename}: expected one that loads several '
                'sensors (LoadMultiSensorTile), found another; give one '
                'raster')
        if sensor is not None:
            raise ValueError(f'sensor={sensor}: the config takes several; '
                             'give each as SENSOR=RASTER')
        self.sensors = tuple(loader['sensors'])
        self.reader_options = dict(loader.get('reader_options') or {})
        return InputContract(None)

    @cached_property
    def segmentor(self) -> SeriesSegmentor:
        """The model, built on first use."""
        return SeriesSegmentor(self.cfg, self.checkpoint, self.device,
                               self.amp)

    def inputs(self,  # type: ignore[override]
               raster: Mapping[str, Any],
               **options: Any) -> MapInputs:
        """Open whatever people have of each sensor.

        Args:
            raster: Sensor -> file, folder, product, catalogue or address,
                or a list of them in order of time, such as the two images
                of a change detector.
            **options: Of :func:`gather_inputs`.

        Raises:
            RasterContractError: An input cannot be read, or is of a sensor
                that the model does not take.
        """
        given = {name: value for name, value in options.items()
                 if value is not None}
        known: dict[str | None, dict[str, Any]] = {
            sensor: dict(self.reader_options[sensor])
                 for sensor in raster if sensor in self.reader_options}
        series = {
            sensor: [os.fspath(path) for path in (
                [paths] if isinstance(paths, str | os.PathLike) else paths)]
            for sensor, paths in raster.items()
        }
        if not all(series.values()):
            raise ValueError(f'raster={raster}: expected at least one raster '
                             'of each sensor')
        inputs = gather_inputs(
            {sensor: paths[0] for sensor, paths in series.items()},
            options=known, **given)
        images = {sensor: list(found)
                  for sensor, found in inputs.images.items()}
        for sensor, paths in series.items():
            for path in paths[1:]:
                more = gather_inputs({sensor: path}, options=known, **given)
                images[sensor] += more.images[sensor]
        inputs = replace(inputs, images=images)
        check_sensors(inputs, self.sensors)
        return inputs

    def reader(self, raster: Any, **options: Any) -> Any:
        """All inputs as one reader of the map's windows."""
        if not isinstance(raster, MapInputs):
            raster = self.inputs(raster, **options)
        return SeriesReader(raster)

    def _grid(self, reader: SeriesReader, window: tuple[int, int],
              overlap: float) -> WindowGrid:
        step = reader.multiple
        if window[0] % step or window[1] % step:
            raise ValueError(
                f'window={window}: expected multiples of {step} pixels, since '
                f'a pixel of the coarsest sensor is {step} of the map')

        def down(value: float) -> int:
            return int(value) // step * step

        shape = [-(-side // step) * step for side in reader.shape]
        return WindowGrid(shape[0], shape[1], window,
                          (down(overlap * window[0]),
                           down(overlap * window[1])))
