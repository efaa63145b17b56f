# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From an mmseg config and checkpoint to scores of a batch of windows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmskysense.sensors import get_sensor
from mmskysense.utils import require
from mmskysense.utils.checkpoint import check_checkpoint
from mmskysense.utils.lora_checkpoint import forget_start
from mmskysense.utils.palette import default_palette


@dataclass(frozen=True)
class InputContract:
    """What the model of a config wants to be given.

    Args:
        sensor: Name in the sensor table; None for "all bands of the file as
            they are", as stock remote-sensing loaders do.
        options: ``bands``, ``scale``, ``offset`` and ``nodata`` of the
            config's own loader.
        reverse_channels: The config's loader gives B, G, R.
        fill: Value per band of pixels that were not measured, chosen so that
            they normalise to 0; empty means 0.
    """

    sensor: str | None
    options: dict[str, Any] = field(default_factory=dict)
    reverse_channels: bool = False
    fill: tuple[float, ...] = ()


def test_pipeline(cfg: Config) -> Sequence[Any]:
    """Steps that load an image for testing; empty where there are none."""
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset.get('pipeline') or cfg.get('test_pipeline') or ()


def input_contract(cfg: Config, sensor: str | None = None) -> InputContract:
    """Read from a config how its test pipeline loads an image.

    Args:
        cfg: A segmentation config.
        sensor: Overrides the sensor that the config implies.

    Raises:
        KeyError: Unknown sensor.
        ValueError: The config takes several sensors at once.
    """
    pipeline = test_pipeline(cfg)
    loader = pipeline[0] if pipeline else {}
    kind = str(loader.get('type', 'LoadImageFromFile')).rpartition('.')[2]
    if kind == 'LoadMultiSensorTile':
        raise ValueError(
            'the config takes several sensors at once: give each as '
            'SENSOR=RASTER, or use a config with mmskysense.LoadGeoTIFF')
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if sensor is None:
        sensor = loader.get('sensor') or preprocessor.get(
            'sensor') or cfg.model.get('backbone', {}).get('sensor')
    if sensor is None and kind in ('LoadGeoTIFF', 'LoadImageFromFile'):
        sensor = 'hr_rgb'
    mean = preprocessor.get('mean') or ()
    mean = tuple(mean.get(sensor, ()) if isinstance(mean, Mapping) else mean)
    # mmcv's loader reads with OpenCV, whose order is B, G, R.
    reverse = kind == 'LoadImageFromFile' and \
        loader.get('channel_order', 'bgr') == 'bgr'
    if sensor is not None:
        entry = get_sensor(sensor)
        if mean and len(mean) != entry.num_bands:
            raise ValueError(
                f"the data preprocessor of the config normalises {len(mean)} "
                f"channels, sensor '{sensor}' has {entry.num_bands} bands "
                f"({', '.join(entry.band_names)}); pass the --sensor the "
                'model was trained with')
        mean = mean or entry.mean
    options = {
        name: loader[name]
        for name in ('bands', 'scale', 'offset', 'nodata')
        if loader.get(name) is not None
    } if kind == 'LoadGeoTIFF' else {}
    reverse = reverse and len(mean) in (0, 3)
    if reverse and preprocessor.get('rgb_to_bgr', False) is False \
            and preprocessor.get('bgr_to_rgb', False) is False:
        mean = mean[::-1]  # normalised as B, G, R; the fill is in R, G, B
    return InputContract(sensor, options, reverse, mean)


def default_window(cfg: Config) -> tuple[int, int]:
    """Window a config implies: height and width in pixels.

    The crop of its sliding test mode, else ``crop_size`` of the config, else
    the size its preprocessor pads to, else 512 (ours).
    """
    model = cfg.model
    size = (model.get('test_cfg') or {}).get('crop_size') \
        or cfg.get('crop_size') \
        or (model.get('data_preprocessor') or {}).get('size') or 512
    if isinstance(size, int):
        return size, size
    return int(size[0]), int(size[1])


class WindowSegmentor:
    """An mmseg segmentor that scores batches of windows.

    Args:
        cfg: A config for mmseg; its own data preprocessor normalises.
        checkpoint: Checkpoint file, which must fit the model exactly.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        amp: Run the network in bfloat16 where torch's autocast does.

    Attributes:
        num_channels: Channels of the scores; 1 for a binary segmentor.
        class_names: One for each class.
        palette: Red, green, blue (0 to 255) of each class.

    Raises:
        ValueError: The checkpoint does not fit, or the model is no segmentor.
        ImportError: mmseg is missing.
    """

    def __init__(self,
                 cfg: Config,
                 checkpoint: str,
                 device: str = 'cpu',
                 amp: bool = False) -> None:
        require('mmseg', 'segmentation maps')
        from mmseg.registry import MODELS
        from mmseg.utils import register_all_modules
        register_all_modules(init_default_scope=False)
        init_default_scope(cfg.get('default_scope') or 'mmseg')
        settings = copy.deepcopy(cfg.model)
        forget_start(settings)
        model = MODELS.build(settings)
        if not hasattr(model, 'encode_decode'):
            raise ValueError(
                f"the config's model {settings.type} is not a segmentor of "
                'mmseg; give a semantic segmentation config')
        meta = check_checkpoint(model, checkpoint).get('meta') or {}
        self.device, self.amp = torch.device(device), amp
        self.model = model.to(self.device).eval()
        self.num_channels = int(model.out_channels)
        self._name_classes(meta.get('dataset_meta') or {})

    def _name_classes(self, meta: dict) -> None:
        count = max(self.num_channels, 2)
        names = list(meta.get('classes') or ())
        if len(names) != count:
            warnings.warn(
                f'the checkpoint names {len(names)} classes, the model has '
                f'{count}: the map says "class 0" and so on', stacklevel=3)
            names = [f'class {index}' for index in range(count)]
        palette = [tuple(colour) for colour in meta.get('palette') or ()]
        self.class_names = names
        self.palette = palette if len(palette) == count \
            else default_palette(count)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Any],
                 valid: Sequence[np.ndarray]) -> np.ndarray:
        """Score windows of one size.

        Args:
            images: N of float32 (C, H, W), in the order of the config's
                loader and in file units.
            valid: N of bool (H, W), True where measured.

        Returns:
            float32 (N, num_channels, H, W), logits.

        Raises:
            ValueError: A score is NaN.
        """
        from mmseg.structures import SegDataSample
        height, width = images[0].shape[-2:]
        samples = []
        for mask in valid:
            sample = SegDataSample()
            sample.set_metainfo(
                dict(
                    img_shape=(height, width),
                    ori_shape=(height, width),
                    pad_shape=(height, width),
                    padding_size=[0, 0, 0, 0],
                    valid_mask=mask.astype(np.uint8)))
            samples.append(sample)
        data = self.model.data_preprocessor(
            dict(
                inputs=[torch.from_numpy(image) for image in images],
                data_samples=samples), False)
        inputs: Tensor = data['inputs']
        shape = tuple(inputs.shape[-2:])
        metas = [
            dict(sample.metainfo, img_shape=shape, pad_shape=shape)
            for sample in data['data_samples']
        ]
        with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.amp):
            scores = self.model.encode_decode(inputs, metas)
        # Preprocessors pad at the right and the bottom.
        scores = scores[..., :height, :width].float()
        if torch.isnan(scores).any():
            raise ValueError('the model gave NaN for measured pixels: its '
                             'checkpoint comes from a run that diverged, or '
                             'bfloat16 does not suit it')
        return scores.cpu().numpy()

    def classify(self, scores: np.ndarray) -> np.ndarray:
        """Class of each pixel: (C, H, W) scores to uint8 (H, W)."""
        if self.num_channels > 1:
            return scores.argmax(axis=0).astype(np.uint8)
        threshold = self.model.decode_head.threshold
        # The head's threshold is on the probability.
        return (_sigmoid(scores[0]) > threshold).astype(np.uint8)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities: (C, H, W) scores to float32 (classes, H, W)."""
        if self.num_channels == 1:
            positive = _sigmoid(scores[0])
            return np.stack([1 - positive, positive])
        exponential = np.exp(scores - scores.max(axis=0))
        exponential /= exponential.sum(axis=0)
        return exponential


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * scores))
