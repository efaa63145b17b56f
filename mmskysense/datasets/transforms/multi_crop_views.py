# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Global and local views of one tile, the same ground in every modality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS

from .exact_resample import nearest_box, resample_box

Box = tuple[float, float, float, float]
# Below this measured fraction of the best of ten boxes, ten more are drawn
# around measured pixels (ours).
_ENOUGH = 0.05


@TRANSFORMS.register_module()
class MultiCropViews(BaseTransform):
    """Cut views that know which ground they show.

    Two global and 4 to 8 local crops with scales 0.32-1.0 and 0.05-0.32 are
    our choice (spec section 3: crops are unpublished), and so are all other
    defaults. A view is one box on the ground; every sensor is cut with that
    same box, at its own output size, and flipped alike.

    Required keys: those of :class:`LoadMultiSensorTile`. Added keys:
    ``global_views`` and ``local_views``, lists of dicts with images (sensor
    -> float32 (T, C, S, S)), valid (bool (T, S, S)), dates (int64 (T,)), box
    (float32 (4,): x0, y0, x1, y1 as fractions of the tile, y downwards),
    flip (bool (2,): horizontal, vertical, applied after the crop) and, where
    the tile has them, location (float32 (2,)) and labels (uint8 (S, S), cut
    by the nearest neighbour from what :class:`LoadTileLabels` added).

    Args:
        sizes: Sensor -> side in pixels of a global and of a local view.
        label_sizes: Side of the labels of a global and of a local view; None
            cuts no labels.
        global_views: Number of global views.
        global_scale: Range of their area, as a fraction of the tile.
        local_views: Number of local views.
        local_scale: Range of their area.
        aspect_ratio: Range of width / height on the ground; in a long tile
            a large view is as long as it must be to have its area.
        flip_prob: Probability of each of the two flips.
        num_dates: Sensor -> at most so many dates in a view, a random subset
            in order of time, drawn for each view; None or absent means all.
        min_valid: A box is drawn again (up to 10 times, then the best is
            kept) until in some sensor this fraction of it was measured. Where
            the best of ten has less than 5 %, ten more are drawn around
            measured pixels: a tile that is 95 % nodata still gives views.
        patch_size: Side of a token in pixels, as in the encoder's tokenizer;
            a smaller view would be mostly padding.

    Raises:
        ValueError: Ranges, counts or sizes out of range, or a view smaller
            than a patch.
    """

    def __init__(self,
                 sizes: Mapping[str, Sequence[int]],
                 global_views: int = 2,
                 global_scale: Sequence[float] = (0.32, 1.0),
                 local_views: int = 4,
                 local_scale: Sequence[float] = (0.05, 0.32),
                 aspect_ratio: Sequence[float] = (0.75, 4 / 3),
                 flip_prob: float = 0.5,
                 num_dates: Mapping[str, int | None] | None = None,
                 min_valid: float = 0.5,
                 label_sizes: Sequence[int] | None = None,
                 patch_size: int = 4) -> None:
        for name, value in (('global_scale', global_scale), ('local_scale',
                                                             local_scale)):
            if not 0 < value[0] <= value[1] <= 1:
                raise ValueError(f'MultiCropViews: {name} must be 0 < low <= '
                                 f'high <= 1, found {tuple(value)}')
        if not 0 < aspect_ratio[0] <= aspect_ratio[1]:
            raise ValueError('MultiCropViews: aspect_ratio must be 0 < low '
                             f'<= high, found {tuple(aspect_ratio)}')
        if global_views < 1 or local_views < 0:
            raise ValueError(
                'MultiCropViews: expected global_views >= 1 and local_views '
                f'>= 0, found {global_views} and {local_views}')
        pairs = {f"sizes['{name}']": pair for name, pair in sizes.items()}
        if label_sizes is not None:
            pairs['label_sizes'] = label_sizes
        for name, pair in pairs.items():
            if len(pair) != 2 or min(pair) < 1:
                raise ValueError(
                    f'MultiCropViews: {name} must be (global, local) in '
                    f'pixels, found {tuple(pair)}')
        for name, pair in sizes.items():
            if min(pair) < patch_size:
                raise ValueError(
                    f"MultiCropViews: sizes['{name}'] is {tuple(pair)}, "
                    f'expected at least the patch size of {patch_size} '
                    'pixels for global and local views; make views larger, '
                    'or pass the patch_size of the encoder')
        self.label_sizes = None if label_sizes is None else tuple(label_sizes)
        self.sizes = {name: tuple(pair) for name, pair in sizes.items()}
        self.kinds = (('global_views', global_views, tuple(global_scale)),
                      ('local_views', local_views, tuple(local_scale)))
        self.aspect_ratio = tuple(aspect_ratio)
        self.flip_prob = flip_prob
        self.num_dates = dict(num_dates or {})
        self.min_valid = min_valid

    def random_box(self, scale: Sequence[float],
                   tile_ratio: float = 1.0) -> Box:
        """Draw a box of random area, shape and place inside the tile.

        Args:
            scale: Range of its area, as a fraction of the tile.
            tile_ratio: Width / height of the tile on the ground.
        """
        area = np.random.uniform(*scale)
        ratio = math.exp(
            np.random.uniform(*(math.log(r) for r in self.aspect_ratio)))
        ratio /= tile_ratio  # sides are fractions of the tile's
        # A shape that does not fit is made less oblong, at the same area.
        ratio = min(max(ratio, area), 1 / area)
        width = min(math.sqrt(area * ratio), 1.0)
        height = min(math.sqrt(area / ratio), 1.0)
        x0 = np.random.uniform(0, 1 - width) if width < 1 else 0.0
        y0 = np.random.uniform(0, 1 - height) if height < 1 else 0.0
        return x0, y0, min(x0 + width, 1.0), min(y0 + height, 1.0)

    def _measured_box(self, scale: Sequence[float], results: dict) -> Box:
        """Draw boxes until one shows enough measured ground."""
        tile_ratio = next((
            valid.shape[-1] / valid.shape[-2] for name in self.sizes
            if len(valid := results['valid'][name])), 1.0)
        if any(len(valid := results['valid'][name]) and valid[0].all()
               for name in self.sizes):
            return self.random_box(scale, tile_ratio)
        masks = [results['valid'][name] for name in self.sizes]
        best, best_fraction = None, -1.0
        for number in range(20):
            box = self.random_box(scale, tile_ratio)
            if number >= 10:
                # Hardly anything is measured: look where something is.
                box = _onto_measured(box, masks)
            fraction = max(_measured_fraction(mask, box) for mask in masks)
            if fraction > best_fraction:
                best, best_fraction = box, fraction
            if fraction >= self.min_valid or (
                    number >= 9 and best_fraction >= _ENOUGH):
                break
        assert best is not None
        return best

    def _dates_of_view(self, name: str, count: int) -> np.ndarray:
        limit = self.num_dates.get(name)
        if limit is None or limit >= count:
            return np.arange(count)
        return np.sort(np.random.choice(count, limit, replace=False))

    def cut(self, results: dict, kind: int, box: Box,
            flip: Sequence[bool]) -> dict:
        """Cut one view; ``kind`` 0 is global, 1 local."""
        view: dict = dict(images={}, valid={}, dates={})
        for name, sizes in self.sizes.items():
            images, valid = results['images'][name], results['valid'][name]
            size = sizes[kind]
            chosen = self._dates_of_view(name, len(images))
            if len(chosen) < len(images):
                images, valid = images[chosen], valid[chosen]
            if len(chosen):
                pixels, seen = resample_box(images, valid, box, size, flip)
            else:
                pixels = np.zeros((0, images.shape[1], size, size),
                                  np.float32)
                seen = np.zeros((0, size, size), bool)
            view['images'][name], view['valid'][name] = pixels, seen
            view['dates'][name] = results['dates'][name][chosen]
        view['box'] = np.array(box, dtype=np.float32)
        view['flip'] = np.array(flip, dtype=bool)
        if 'location' in results:
            view['location'] = results['location']
        if self.label_sizes is not None:
            labels = nearest_box(results['tile_labels'], box,
                                 self.label_sizes[kind])
            labels = labels[:, ::-1] if flip[0] else labels
            labels = labels[::-1] if flip[1] else labels
            view['labels'] = np.ascontiguousarray(labels)
        return view

    def transform(self, results: dict) -> dict:
        """Cut all views of a tile."""
        missing = sorted(set(self.sizes) - set(results['images']))
        if missing:
            raise ValueError(
                f'MultiCropViews: sizes names {missing}, but the tile was '
                f"loaded with {sorted(results['images'])}; use the same "
                'sensors in LoadMultiSensorTile')
        if self.label_sizes is not None and 'tile_labels' not in results:
            raise ValueError(
                'MultiCropViews: label_sizes is given, but the tile has no '
                'tile_labels; put LoadTileLabels before it')
        for kind, (key, count, scale) in enumerate(self.kinds):
            results[key] = [
                self.cut(results, kind, self._measured_box(scale, results),
                         tuple(np.random.rand(2) < self.flip_prob))
                for _ in range(count)
            ]
        return results

    def __repr__(self) -> str:
        return f'MultiCropViews(sizes={self.sizes}, kinds={self.kinds})'


def _onto_measured(box: Box, valid: Sequence[np.ndarray]) -> Box:
    """Move a box so that it holds a measured pixel, if there is any."""
    seen = [mask.any(axis=0) for mask in valid if mask.any()]
    if not seen:
        return box
    mask = seen[np.random.randint(len(seen))]
    place = np.random.choice(np.flatnonzero(mask))
    row, column = np.unravel_index(place, mask.shape)
    edges = []
    for low, high, number, length in (
            (box[0], box[2], column, mask.shape[1]),
            (box[1], box[3], row, mask.shape[0])):
        side = high - low
        start = (number + 0.5) / length - np.random.uniform(0, side)
        start = float(min(max(start, 0.0), 1 - side))
        edges.append((start, min(start + side, 1.0)))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def _measured_fraction(valid: np.ndarray, box: Box) -> float:
    """Fraction of a box that was measured at any date, to whole pixels."""
    height, width = valid.shape[-2:]
    if not len(valid):
        return 0.0
    rows = slice(int(box[1] * height), math.ceil(box[3] * height))
    columns = slice(int(box[0] * width), math.ceil(box[2] * width))
    return float(valid[:, rows, columns].any(axis=0).mean())
