# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What all inferencers on rasters share: config, checkpoint, input."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.utils import import_modules_from_strings

from mmskysense.raster import RasterContractError, RasterReader
from mmskysense.raster.inputs import (
    MapInputs,
    by_day,
    gather_inputs,
    get_reader,
)
from mmskysense.raster.open_files import limit_block_cache
from mmskysense.utils import check_file
from mmskysense.utils.config_sensors import register_config_sensors
from mmskysense.utils.precision import tell_emulated_bfloat16

from .segmentor import InputContract, default_window, input_contract


class RasterInferencer:
    """A config and a checkpoint, and rasters opened as the config would.

    Args:
        config: Config file, or a loaded config.
        checkpoint: Checkpoint file, which must fit the model exactly.
        device: Such as ``'cpu'`` or ``'cuda:0'``; None takes what is there.
        sensor: Which sensor's rasters; None asks the config.
        amp: Run the network in bfloat16.
        cfg_options: Overrides of the config.

    Raises:
        FileNotFoundError: The config or the checkpoint is missing.
        ValueError: The config takes several sensors at once.
    """

    #: Cached models, which another process builds anew.
    _built: tuple[str, ...] = ()

    def __init__(self,
                 config: str | os.PathLike | Config,
                 checkpoint: str | os.PathLike,
                 device: str | None = None,
                 sensor: str | None = None,
                 amp: bool = False,
                 cfg_options: dict | None = None) -> None:
        limit_block_cache()
        self.checkpoint = os.fspath(checkpoint)
        if not isinstance(config, Config):
            check_file(os.fspath(config), 'config', 'the configs are in '
                       'configs/')
            config = Config.fromfile(config)
        check_file(self.checkpoint, 'checkpoint',
                   'give a .pth file that tools/train.py wrote')
        if cfg_options:
            config.merge_from_dict(cfg_options)
        register_config_sensors(config)
        if 'model' not in config:
            raise ValueError(f'config {config.filename}: expected a model, '
                             'found none; give a config with one')
        self.cfg = config
        self.device = device or get_device()
        self.amp = amp
        if amp:
            tell_emulated_bfloat16('amp', self.device)
        self.contract = self._contract(config, sensor)

    def _contract(self, cfg: Config, sensor: str | None) -> InputContract:
        return input_contract(cfg, sensor)

    @cached_property
    def _provenance(self) -> dict[str, str]:
        """Tags that say where a map comes from."""
        tags = {'CHECKPOINT': Path(self.checkpoint).name}
        if self.cfg.filename:
            tags['CONFIG'] = Path(self.cfg.filename).name
        # Options of the command line, and edits, keep the file's name.
        content = json.dumps(self.cfg.to_dict(), sort_keys=True, default=str)
        tags['CONFIG_SHA256'] = hashlib.sha256(content.encode()).hexdigest()
        if Path(self.checkpoint).is_file():
            digest = hashlib.sha256()
            with open(self.checkpoint, 'rb') as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            tags['CHECKPOINT_SHA256'] = digest.hexdigest()
        return tags

    def inputs(self, raster: str | os.PathLike, **options: Any) -> MapInputs:
        """Open whatever people have, as the config's own loader would.

        Args:
            raster: File, folder, Sentinel-2 product, STAC item or address.
            **options: Of :func:`gather_inputs`: ``dates``, ``area``,
                ``like``, ``bands``, ...; None leaves an option to the config.

        Raises:
            RasterContractError: Nothing that can be read as the sensor.
        """
        given = {
            name: value
            for name, value in options.items() if value is not None
        }
        return gather_inputs({self.contract.sensor: os.fspath(raster)},
                             **{**self.contract.options, **given})

    def reader(self, raster: str | os.PathLike | MapInputs,
               **options: Any) -> RasterReader:
        """A reader of a raster in the order and unit of the sensor.

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            **options: Of :meth:`inputs`.

        Raises:
            RasterContractError: The raster does not fit the sensor, or
                there are several days.
        """
        if not isinstance(raster, MapInputs):
            raster = self.inputs(raster, **options)
        days = by_day(raster.images[self.contract.sensor])
        if len(days) != 1:
            listed = ', '.join(str(day[0].date or day[0].label)
                               for day in days[:6])
            raise RasterContractError(
                f'{days[0][0].label}: the config maps one day, found '
                f'{len(days)} ({listed}); narrow them with dates=, or name '
                'one')
        reader = get_reader(days[0], raster.grid, raster.area)
        expected = len(self.contract.fill)
        if expected and len(reader.check_contract().indexes) != expected:
            raise ValueError(
                f'{reader.path}: expected {expected} bands, found '
                f'{len(reader.indexes)}; choose them with bands=')
        return reader

    def __getstate__(self) -> dict[str, Any]:
        # Another process builds the model itself.
        return {name: value for name, value in vars(self).items()
                if name not in self._built}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # A spawned process has a table of sensors of its own.
        imports = self.cfg.get('custom_imports')
        if imports:
            import_modules_from_strings(**imports)
        register_config_sensors(self.cfg)

    def _window(self, window: int | tuple[int, int] | None) -> tuple[int, int]:
        if window is None:
            return default_window(self.cfg)
        height, width = (window, window) if isinstance(window, int) else window
        if height < 1 or width < 1:
            raise ValueError(f'window={window}: expected at least 1 pixel')
        return height, width
