# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One data preprocessor for every sensor and every host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmskysense.registry import MODELS, TRANSFORMS
from mmskysense.sensors import SENSORS, Sensor, get_sensor, get_sensors
from mmskysense.structures import ViewBatch
from mmskysense.utils.command_line import UsageError

from .host_samples import describe_padding


@MODELS.register_module()
class MultiSensorDataPreprocessor(BaseDataPreprocessor):
    """Normalise by the sensor table, pad, batch, move to the device.

    Takes the place of ``SegDataPreProcessor`` (which refuses any number of
    channels but 1 and 3), ``DetDataPreprocessor`` and
    ``ClsDataPreprocessor``. What it returns depends on what was packed:

    - one sensor, by a host's own packing: ``inputs`` float32 (N, C, H, W);
    - several sensors, by :class:`PackMultiSensorSegInputs`: ``inputs`` a dict
      sensor -> float32 (N, T, C, H, W); each data sample then has the meta
      information ``dates``, sensor -> int64 (T,) day of year (0 = unknown or
      padding), and ``valid_dates``, sensor -> bool (T,), True where the date
      has a measured pixel;
    - views, by :class:`PackPretrainInputs`: ``inputs`` = dict(global=
      :class:`ViewBatch`, local=:class:`ViewBatch` or None), with the labels
      and locations that were packed.

    Pixels that were not measured, NaN included, become 0, the sensor's mean.
    Images are padded at the right and bottom with 0 after normalisation.

    Args:
        sensor: The sensor of single-sensor inputs; ``hr_rgb`` by default.
        sensors: Sensors that dict inputs may have; None allows all of the
            table.
        mean: Replaces the table's statistics, in file units: a list for
            ``sensor``, or a dict sensor -> list.
        std: Likewise.
        pad_size_divisor: Height and width are padded to a multiple.
        size: Pad to at least this (height, width), as mmseg's crop size.
        seg_pad_value: Class id of padding in label maps.
        bgr_to_rgb: Single-sensor images are B, G, R, because the host's own
            loader read them.
        batch_augments: mmpretrain's batch augmentations (mixup, cutmix), in
            its own form dict(augments=[...], probs=[...]).
        num_classes: Needed by ``batch_augments``.
        views: Config of a transform such as :class:`BatchedMultiCropViews`,
            that cuts views out of whole tiles on the device.
        non_blocking: Copy to the device without waiting.
        keep_valid: Of several sensors, also say which pixels were measured:
            ``valid_pixels``, sensor -> bool (T, H, W), in each sample. The
            pre-training model sets it.

    Raises:
        KeyError: Unknown sensor.
        ValueError: Channels or statistics do not fit the sensor.
    """

    def __init__(
            self,
            sensor: str | None = None,
            sensors: Sequence[str] | None = None,
            mean: Sequence[float] | Mapping[str, Sequence[float]]
            | None = None,
            std: Sequence[float] | Mapping[str, Sequence[float]]
            | None = None,
            pad_size_divisor: int = 1,
            size: Sequence[int] | None = None,
            seg_pad_value: int = 255,
            bgr_to_rgb: bool = False,
            batch_augments: Mapping[str, Any] | None = None,
            num_classes: int | None = None,
            views: Mapping[str, Any] | None = None,
            non_blocking: bool = False,
            keep_valid: bool = False) -> None:
        super().__init__(non_blocking=non_blocking)
        if pad_size_divisor < 1:
            raise ValueError('pad_size_divisor must be at least 1, found '
                             f'{pad_size_divisor}')
        self.keep_valid = keep_valid
        self.sensors = None if sensors is None else tuple(sensors)
        get_sensors(self.sensors or ())
        first = self.sensors[0] if self.sensors else 'hr_rgb'
        self.sensor = get_sensor(sensor or first)
        self.pad_size_divisor = pad_size_divisor
        self.size = None if size is None else tuple(size)
        self.seg_pad_value = seg_pad_value
        self.bgr_to_rgb = bgr_to_rgb
        if bgr_to_rgb and self.sensor.num_bands != 3:
            raise ValueError(
                f"bgr_to_rgb needs a sensor of 3 bands, '{self.sensor.name}'"
                f' has {self.sensor.num_bands}')
        self._mean = self._per_sensor('mean', mean)
        self._std = self._per_sensor('std', std)
        for name in self.sensors or SENSORS:
            self._register_statistics(get_sensor(name))
        self._register_statistics(self.sensor)
        self.batch_augments: Any = None
        self.num_classes = num_classes
        self.views = None if views is None else TRANSFORMS.build(dict(views))
        if batch_augments is not None:
            from mmpretrain.models.utils.batch_augments import (
                RandomBatchAugment,
            )
            self.batch_augments = RandomBatchAugment(**batch_augments)

    def _per_sensor(
        self, what: str,
        given: Sequence[float] | Mapping[str, Sequence[float]] | None
    ) -> dict[str, tuple[float, ...]]:
        """Check statistics that replace the table's."""
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            given = {self.sensor.name: given}
        for name, values in given.items():
            if len(values) != get_sensor(name).num_bands:
                raise ValueError(
                    f"{what} of '{name}' has {len(values)} values, expected "
                    f'{get_sensor(name).num_bands}')
        return {name: tuple(values) for name, values in given.items()}

    def _register_statistics(self, sensor: Sensor) -> None:
        """Keep mean and std where the model is: no copy for each image."""
        for what, given, values in (('mean', self._mean, sensor.mean),
                                    ('std', self._std, sensor.std)):
            self.register_buffer(
                f'{what}_{sensor.name}',
                torch.tensor(
                    given.get(sensor.name, values),
                    dtype=torch.float32).view(-1, 1, 1),
                persistent=False)

    def normalize(self,
                  images: Tensor,
                  sensor: Sensor,
                  valid: Tensor | None = None) -> Tensor:
        """Normalise images of one sensor.

        Args:
            images: (..., C, H, W) in file units, any dtype.
            sensor: Whose statistics.
            valid: bool (..., H, W); None means wherever all bands are finite.

        Returns:
            float32 of the same shape, 0 where not valid.

        Raises:
            UsageError: The number of channels is not the sensor's.
        """
        if images.shape[-3] != sensor.num_bands:
            raise UsageError(
                f"sensor '{sensor.name}' expects {sensor.num_bands} channels "
                f"({', '.join(sensor.band_names)}), found "
                f'{images.shape[-3]} in an input of shape '
                f'{tuple(images.shape)}; set sensor= of the data preprocessor'
                ' and of the loader alike')
        floating = images.is_floating_point()
        images = images.float()
        if not hasattr(self, f'mean_{sensor.name}'):  # registered since
            self._register_statistics(sensor)
        mean = getattr(self, f'mean_{sensor.name}').to(images.device)
        std = getattr(self, f'std_{sensor.name}').to(images.device)
        result = (images - mean) / std
        if valid is None:
            if not floating:
                return result
            valid = torch.isfinite(images).all(dim=-3)
        return result.masked_fill(~valid.bool().unsqueeze(-3), 0.0)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict:
        """Prepare one batch from the data loader.

        Args:
            data: ``inputs`` and (optional) ``data_samples``, as
                mmengine's ``pseudo_collate`` or ``default_collate``, or for
                views ``collate_views``, leave them.
            training: Whether batch augmentations apply.

        Returns:
            dict(inputs, data_samples), see the class.
        """
        inputs, samples = data['inputs'], data.get('data_samples')
        samples = self.cast_data(samples) if samples is not None else None
        if not isinstance(inputs, Mapping):
            return self._single(inputs, samples, training)
        whole = 'tile' in inputs
        if (whole or 'global' in inputs) and whole != (
                self.views is not None):
            raise ValueError(
                'whole tiles and the option views= of the data preprocessor '
                'need each other: found '
                f"{'whole tiles' if whole else 'views'} in the "
                f'batch and views={self.views}; set PackPretrainInputs('
                'whole_tile=True) with views=dict(type='
                "'mmskysense.BatchedMultiCropViews', ...), or neither")
        if whole:
            assert self.views is not None
            tiles = self._batched(inputs['tile']).to(
                self.device, non_blocking=self._non_blocking)
            inputs = self.views(tiles)
        if 'global' in inputs:
            views = {
                kind: self._views(inputs.get(kind)) for kind in
                ('global', 'local')
            }
            return dict(inputs=views, data_samples=samples)
        return self._multi(inputs, samples, training)

    def _single(self, inputs: Any, samples: Any, training: bool) -> dict:
        """(C, H, W) images of one sensor to (N, C, H, W)."""
        images = [self.cast_data(image) for image in inputs]
        masks: list[Any] = [None] * len(images)
        if samples is not None:
            masks = [sample.metainfo.get('valid_mask') for sample in samples]
        shapes = [tuple(image.shape[-2:]) for image in images]
        target = self._padded_size(shapes)
        batch = images[0].new_zeros(
            (len(images), self.sensor.num_bands, *target),
            dtype=torch.float32)
        for n, (image, mask) in enumerate(zip(images, masks, strict=True)):
            if self.bgr_to_rgb:
                image = image.flip(0)
            if mask is not None:
                mask = torch.as_tensor(mask, device=image.device) == 1
            height, width = image.shape[-2:]
            batch[n, :, :height, :width] = self.normalize(
                image, self.sensor, mask)
        if samples is not None:
            describe_padding(samples, shapes, target, self.pad_size_divisor,
                             self.seg_pad_value, training)
            if training and self.batch_augments is not None:
                batch, samples = self._augment(batch, samples)
        return dict(inputs=batch, data_samples=samples)

    def _augment(self, batch: Tensor, samples: list) -> tuple[Tensor, list]:
        """mmpretrain's mixup and cutmix, on one-hot labels."""
        if self.num_classes is None:
            raise ValueError('batch_augments needs num_classes= of the data '
                             'preprocessor')
        scores = torch.stack([
            F.one_hot(sample.gt_label.long(), self.num_classes).amax(0)
            for sample in samples
        ]).float()
        batch, scores = self.batch_augments(batch, scores)
        for sample, score in zip(samples, scores, strict=True):
            sample.set_gt_score(score)
        return batch, samples

    def _padded_size(self, shapes: Sequence[tuple[int, ...]]
                     ) -> tuple[int, int]:
        least = [*shapes, self.size or (0, 0)]
        divisor = self.pad_size_divisor
        height, width = (
            -(-max(shape[axis] for shape in least) // divisor) * divisor
            for axis in (0, 1))
        return height, width

    def _known(self, name: str) -> Sensor:
        if self.sensors is not None and name not in self.sensors:
            raise ValueError(
                f"data preprocessor has sensors {list(self.sensors)}, found "
                f"'{name}' in the batch; use the same list everywhere")
        return get_sensor(name)

    def _multi(self, inputs: Mapping[str, Any], samples: Any,
               training: bool) -> dict:
        """Sensor -> N images (T, C, H, W), to (N, T, C, H, W)."""
        images = inputs.get('images', inputs)
        result: dict[str, Tensor] = {}
        seen: dict[str, Tensor] = {}
        pixels: dict[str, Tensor] = {}
        shapes: dict[str, list[tuple[int, ...]]] = {}
        for name, tensors in images.items():
            sensor = self._known(name)
            tensors = [self.cast_data(tensor) for tensor in tensors]
            masks = (
                inputs['valid'][name] if 'valid' in inputs else
                [torch.isfinite(t.float()).all(dim=-3) for t in tensors])
            shapes[name] = [tuple(t.shape[-2:]) for t in tensors if len(t)]
            target = self._padded_size(shapes[name])
            dates = max(len(tensor) for tensor in tensors)
            batch = tensors[0].new_zeros(
                (len(tensors), dates, sensor.num_bands, *target),
                dtype=torch.float32)
            measured = torch.zeros(
                (*batch.shape[:2], *target), dtype=torch.bool,
                device=batch.device)
            for n, (image, mask) in enumerate(
                    zip(tensors, masks, strict=True)):
                if not len(image):
                    continue
                mask = mask.to(image.device)
                height, width = image.shape[-2:]
                batch[n, :len(image), :, :height, :width] = self.normalize(
                    image, sensor, mask)
                measured[n, :len(image), :height, :width] = mask
            result[name], pixels[name] = batch, measured
            seen[name] = measured.flatten(2).any(2)
        if samples is not None:
            self._add_dates(samples, inputs.get('dates'), seen)
            for n, sample in enumerate(samples):
                if self.keep_valid:
                    sample.set_metainfo(dict(valid_pixels={
                        name: mask[n] for name, mask in pixels.items()}))
                sizes = {
                    name: tuple(tensors[n].shape[-2:])
                    for name, tensors in images.items() if len(tensors[n])
                }
                # Labels are on the grid of the sensor of this size.
                reference = next((name for name, size in sizes.items()
                                  if size == sample.get('img_shape')),
                                 next(iter(sizes)))
                describe_padding([sample], [sizes[reference]],
                                 tuple(result[reference].shape[-2:]),
                                 self.pad_size_divisor, self.seg_pad_value,
                                 training)
        return dict(inputs=result, data_samples=samples)

    @staticmethod
    def _add_dates(samples: Sequence[Any], dates: Mapping[str, Any] | None,
                   seen: Mapping[str, Tensor]) -> None:
        for n, sample in enumerate(samples):
            days = {}
            for name, measured in seen.items():
                days[name] = torch.zeros(
                    measured.shape[1], dtype=torch.int64,
                    device=measured.device)
                if dates is not None:
                    given = dates[name][n].to(measured.device)
                    days[name][:len(given)] = given
            sample.set_metainfo(
                dict(
                    dates=days,
                    valid_dates={s: m[n]
                                 for s, m in seen.items()}))

    @staticmethod
    def _batched(views: ViewBatch | Sequence[Mapping]) -> ViewBatch:
        if isinstance(views, ViewBatch):
            return views
        number = len(views[0]['box'])
        return ViewBatch.from_views([[_pick(view, n) for view in views]
                                     for n in range(number)])

    def _views(self, views: ViewBatch | Sequence[Mapping] | None
               ) -> ViewBatch | None:
        """Views as ``collate_views`` left them, or as ``pseudo_collate`` did.

        The latter are [v] of lists over n.
        """
        if not views:
            return None
        raw = self._batched(views).to(
            self.device, non_blocking=self._non_blocking)
        images = {
            name: self.normalize(image, self._known(name), raw.valid[name])
            for name, image in raw.images.items()
        }
        return replace(raw, images=images)


def _pick(view: Mapping[str, Any], n: int) -> dict:
    """Sample n of a view that ``pseudo_collate`` has batched."""
    return {
        key: _pick(value, n) if isinstance(value, Mapping) else value[n]
        for key, value in view.items()
    }
