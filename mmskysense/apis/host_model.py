# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A model of mmdet, mmrotate or mmpretrain that looks at windows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmskysense.utils import require
from mmskysense.utils.checkpoint import check_checkpoint
from mmskysense.utils.lora_checkpoint import forget_start
from mmskysense.utils.palette import default_palette

#: Task -> the host whose scope a config of it has by default.
_HOSTS = {'detection': 'mmdet', 'classification': 'mmpretrain'}


def task_of(cfg: Config) -> str:
    """What a config's model does, by its heads.

    Args:
        cfg: Of any host.

    Returns:
        ``'segmentation'``, ``'detection'``, ``'classification'`` or
        ``'pretraining'``.
    """
    model = cfg.model
    if 'decode_head' in model:
        return 'segmentation'
    kind = str(model.get('type', '')).rpartition('.')[2]
    if kind == 'SkySenseV2Pretrainer':
        return 'pretraining'
    if any(name in model for name in ('bbox_head', 'roi_head', 'rpn_head')):
        return 'detection'
    if 'head' in model:
        return 'classification'
    return 'segmentation'


class HostModel:
    """Builds a model strictly, and gives its data samples of windows.

    Args:
        cfg: Its config.
        checkpoint: Checkpoint file, which must fit the model exactly.
        task: ``'detection'`` or ``'classification'``.
        device: Such as ``'cpu'``.
        amp: Run the network in bfloat16.

    Attributes:
        class_names: One for each class.
        palette: Red, green, blue (0 to 255) of each class.

    Raises:
        ImportError: The host is missing.
        ValueError: The checkpoint does not fit.
    """

    def __init__(self, cfg: Config, checkpoint: str, task: str,
                 device: str = 'cpu', amp: bool = False) -> None:
        host = cfg.get('default_scope') or _HOSTS[task]
        self.host = require(host, f'{task} on rasters')
        registry = require(f'{host}.registry', task)
        require(f'{host}.utils', task).register_all_modules(
            init_default_scope=False)
        init_default_scope(host)
        settings = copy.deepcopy(cfg.model)
        forget_start(settings)
        model = registry.MODELS.build(settings)
        meta = check_checkpoint(model, checkpoint).get('meta') or {}
        self.task, self.amp = task, amp
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self._name_classes(meta.get('dataset_meta') or {})

    def _number_of_classes(self) -> int:
        for name in ('roi_head.bbox_head', 'bbox_head', 'head'):
            part: Any = self.model
            for step in name.split('.'):
                part = getattr(part, step, None)
            part = part[-1] if isinstance(part, torch.nn.ModuleList) else part
            if getattr(part, 'num_classes', None):
                return int(part.num_classes)
        return 0

    def _name_classes(self, meta: dict) -> None:
        count = self._number_of_classes()
        names = list(meta.get('classes') or meta.get('CLASSES') or ())
        if count and len(names) != count:
            warnings.warn(
                f'the checkpoint names {len(names)} classes, the model has '
                f'{count}: the result says "class 0" and so on', stacklevel=3)
            names = [f'class {index}' for index in range(count)]
        self.class_names = names
        palette = meta.get('palette')
        palette = [] if not isinstance(palette, list | tuple) else \
            [tuple(colour) for colour in palette]
        self.palette = palette if len(palette) == len(names) \
            else default_palette(max(len(names), 1))[:len(names)]

    def _sample(self, mask: np.ndarray) -> Any:
        structures = require(f'{self.model_host}.structures', self.task)
        sample = (structures.DetDataSample() if self.task == 'detection'
                  else structures.DataSample())
        size = mask.shape
        sample.set_metainfo(dict(
            img_shape=size, ori_shape=size, pad_shape=size,
            batch_input_shape=size, scale_factor=(1.0, 1.0), img_id=0,
            valid_mask=mask.astype(np.uint8)))
        return sample

    @property
    def model_host(self) -> str:
        """The package that has the data samples (mmrotate uses mmdet's)."""
        return 'mmdet' if self.task == 'detection' else 'mmpretrain'

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray],
                 valid: Sequence[np.ndarray]) -> list[Any]:
        """Predict windows of one size.

        Args:
            images: N of float32 (C, H, W) in file units.
            valid: N of bool (H, W).

        Returns:
            N data samples of the host, with its predictions.
        """
        data = self.model.data_preprocessor(
            dict(inputs=[torch.from_numpy(image) for image in images],
                 data_samples=[self._sample(mask) for mask in valid]), False)
        with torch.autocast(self.device.type, torch.bfloat16,
                            enabled=self.amp):
            return list(self.model(**data, mode='predict'))
