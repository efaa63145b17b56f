# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A batch of views that carry their own geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def _stack_padded(rows: Sequence[Sequence[Tensor]], dates: int) -> Tensor:
    """Stack [sample][view] tensors (T, ...) to (V, N, dates, ...)."""
    num_views = len(rows[0])
    tail = next((t.shape[1:] for row in rows for t in row if t.shape[0]),
                rows[0][0].shape[1:])
    first = rows[0][0]
    batch = first.new_zeros((num_views, len(rows), dates, *tail))
    for n, row in enumerate(rows):
        for v, tensor in enumerate(row):
            if tensor.shape[0]:
                batch[v, n, :tensor.shape[0]] = tensor
    return batch


@dataclass(frozen=True)
class ViewBatch:
    """Views of one kind (global or local) of a batch of tiles.

    V is the number of views of that kind, N the batch size, T the largest
    number of dates in the batch. A date that only pads has ``dates`` 0 and no
    valid pixel, and so has a sensor that a tile lacks.

    Args:
        images: sensor -> float32 (V, N, T, C, H, W), normalised; 0 (the mean)
            where not measured.
        valid: sensor -> bool (V, N, T, H, W), True where measured.
        dates: sensor -> int64 (V, N, T), day of year 1..366, 0 = unknown or
            padding.
        boxes: float32 (V, N, 4), crop x0, y0, x1, y1 as fractions of the
            tile's ground window, y downwards.
        flips: bool (V, N, 2), horizontal and vertical, applied after the
            crop.
        labels: int64 (V, N, H, W), class ids of a label raster cut like the
            images, on a grid of its own (any H, W); 255 where there is no
            label. None where no labels were loaded.
        locations: float32 (N, 2), longitude and latitude of the tile's
            centre in degrees (WGS 84); NaN = unknown. None where they were
            not loaded.
    """

    images: dict[str, Tensor]
    valid: dict[str, Tensor]
    dates: dict[str, Tensor]
    boxes: Tensor
    flips: Tensor
    labels: Tensor | None = None
    locations: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError('ViewBatch: expected at least one sensor in '
                             'images, found none')
        if not set(self.images) == set(self.valid) == set(self.dates):
            raise ValueError(
                'ViewBatch: images, valid and dates must have the same '
                f'sensors, found {sorted(self.images)}, {sorted(self.valid)}'
                f' and {sorted(self.dates)}')
        views, batch = self.num_views, self.batch_size
        _expect('boxes', self.boxes, (views, batch, 4))
        _expect('flips', self.flips, (views, batch, 2))
        for name, image in self.images.items():
            if image.ndim != 6 or image.shape[:2] != (views, batch):
                raise ValueError(
                    f"ViewBatch: images['{name}'] must be ({views}, {batch}, "
                    f'T, C, H, W), found {tuple(image.shape)}')
            dates = image.shape[2]
            _expect(f"valid['{name}']", self.valid[name],
                    (views, batch, dates, *image.shape[4:]))
            _expect(f"dates['{name}']", self.dates[name],
                    (views, batch, dates))
        if self.labels is not None:
            _expect('labels', self.labels,
                    (views, batch, *self.labels.shape[2:4]))
            if self.labels.ndim != 4 or self.labels.dtype != torch.int64:
                raise ValueError(
                    f'ViewBatch: labels must be int64 ({views}, {batch}, H, '
                    f'W), found {self.labels.dtype} '
                    f'{tuple(self.labels.shape)}')
        if self.locations is not None:
            _expect('locations', self.locations, (batch, 2))
            if self.locations.dtype != torch.float32:
                raise ValueError('ViewBatch: locations must be float32, '
                                 f'found {self.locations.dtype}')

    @property
    def num_views(self) -> int:
        """Number of views, V."""
        return self.boxes.shape[0]

    @property
    def batch_size(self) -> int:
        """Number of tiles, N."""
        return self.boxes.shape[1]

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensor names, in the order in which they were packed."""
        return tuple(self.images)

    def to(self, device: torch.device | str,
           non_blocking: bool = False) -> ViewBatch:
        """Copy everything to a device."""
        return self._each(
            lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> ViewBatch:
        """Copy everything to page-locked memory, as data loaders ask."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> ViewBatch:
        """The same batch with every tensor changed."""

        def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(tensor) for name, tensor in tensors.items()}

        return ViewBatch(
            named(self.images), named(self.valid), named(self.dates),
            change(self.boxes), change(self.flips),
            None if self.labels is None else change(self.labels),
            None if self.locations is None else change(self.locations))

    @classmethod
    def from_views(cls, samples: Sequence[Sequence[Mapping]]) -> ViewBatch:
        """Batch the views of several tiles.

        Args:
            samples: ``samples[n][v]`` is view v of tile n: a mapping with
                ``images``, ``valid``, ``dates`` (sensor -> tensor (T, C, H,
                W), (T, H, W), (T,)), ``box`` (4,) and ``flip`` (2,). T may
                differ and may be 0; it is padded at the end. Where the
                views have them, also ``labels`` (H, W) of any integer type
                and ``location`` (2,), the same in all views of a tile.

        Raises:
            ValueError: The tiles differ in their number of views or sensors,
                views of one sensor or their labels differ in size, or only
                some have labels or a location.
        """
        if not samples or not samples[0]:
            raise ValueError('ViewBatch: expected at least one tile with one '
                             'view, found none')
        names = tuple(samples[0][0]['images'])
        for n, views in enumerate(samples):
            if len(views) != len(samples[0]):
                raise ValueError(
                    f'ViewBatch: tile 0 has {len(samples[0])} views, tile {n}'
                    f' has {len(views)}; every tile of a batch needs the same')
            for view in views:
                if set(view['images']) != set(names):
                    raise ValueError(
                        f'ViewBatch: tile 0 has sensors {sorted(names)}, tile'
                        f" {n} has {sorted(view['images'])}; pack a missing "
                        'sensor with T = 0')
        fields: dict[str, dict[str, Tensor]] = {}
        for field in ('images', 'valid', 'dates'):
            fields[field] = {}
            for name in names:
                rows = [[view[field][name] for view in views]
                        for views in samples]
                sizes = {
                    tuple(t.shape[1:])
                    for row in rows for t in row if t.shape[0]
                }
                if len(sizes) > 1:
                    raise ValueError(
                        f"ViewBatch: {field} of '{name}' differ in size "
                        f'across views: {sorted(sizes)}; whole tiles of a '
                        'batch need one size: cut them with tools/'
                        'dataset_converters/cut_archive.py, or cut views in '
                        'the pipeline (MultiCropViews)')
                most = max(t.shape[0] for row in rows for t in row)
                fields[field][name] = _stack_padded(rows, most)
        boxes = torch.stack([
            torch.stack([view['box'] for view in views]) for views in samples
        ], 1)
        flips = torch.stack([
            torch.stack([view['flip'] for view in views]) for views in samples
        ], 1)
        labels = _stack_optional(samples, 'labels')
        places = _stack_optional([views[:1] for views in samples], 'location')
        return cls(fields['images'], fields['valid'], fields['dates'],
                   boxes.float(), flips.bool(),
                   None if labels is None else labels.long(),
                   None if places is None else places[0].float())


def _stack_optional(samples: Sequence[Sequence[Mapping]],
                    key: str) -> Tensor | None:
    """Stack what all views have, or none, to (V, N, ...)."""
    have = [key in view for views in samples for view in views]
    if not any(have):
        return None
    if not all(have):
        raise ValueError(
            f"ViewBatch: {sum(have)} of {len(have)} views have '{key}'; "
            'load it for every tile of a batch, or for none')
    shapes = {tuple(view[key].shape) for views in samples for view in views}
    if len(shapes) > 1:
        raise ValueError(f"ViewBatch: '{key}' differs in size across views: "
                         f'{sorted(shapes)}')
    return torch.stack(
        [torch.stack([view[key] for view in views]) for views in samples], 1)


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f'ViewBatch: {name} must be {shape}, found '
                         f'{tuple(tensor.shape)}')
