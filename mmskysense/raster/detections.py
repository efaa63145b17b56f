# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects found in overlapping windows, as objects of one raster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torchvision.ops import batched_nms

from .grid import GridWindow, WindowGrid


@dataclass(frozen=True)
class Detections:
    """Objects in pixel coordinates of a raster.

    Args:
        corners: float64 (N, 4, 2), x (column) and y (row) of the corners of
            upright or oriented boxes, in order round the box.
        scores: float64 (N,), 0 to 1.
        labels: int64 (N,), class numbers.
        angles: float64 (N,), degrees from the x axis towards y of the box's
            first side; 0 for upright boxes.
    """

    corners: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    angles: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: np.ndarray) -> Detections:
        return Detections(self.corners[index], self.scores[index],
                          self.labels[index], self.angles[index])

    @property
    def centres(self) -> np.ndarray:
        """float64 (N, 2), x and y."""
        return self.corners.mean(axis=1)

    @staticmethod
    def join(parts: Sequence[Detections]) -> Detections:
        """All of several."""
        if not parts:
            return Detections(np.zeros((0, 4, 2)), np.zeros(0),
                              np.zeros(0, np.int64), np.zeros(0))
        return Detections(*(np.concatenate([getattr(p, field) for p in parts])
                            for field in ('corners', 'scores', 'labels',
                                          'angles')))


def from_boxes(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray,
               offset: tuple[int, int] = (0, 0)) -> Detections:
    """Boxes of a window as detections of its raster.

    Args:
        boxes: (N, 4), x0, y0, x1, y1; or (N, 5), centre x, y, width, height,
            angle in radians, clockwise as y points down (mmrotate's).
        scores: (N,).
        labels: (N,).
        offset: Column and row of the window's first pixel.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.shape[1] == 4:
        x0, y0, x1, y1 = boxes.T
        corners = np.stack([np.stack(pair, -1) for pair in (
            (x0, y0), (x1, y0), (x1, y1), (x0, y1))], 1)
        angles = np.zeros(len(boxes))
    else:
        x, y, width, height, angle = boxes.T
        along = np.stack((np.cos(angle), np.sin(angle)), -1) * (
            width / 2)[:, None]
        across = np.stack((-np.sin(angle), np.cos(angle)), -1) * (
            height / 2)[:, None]
        centre = np.stack((x, y), -1)
        corners = np.stack([centre - along - across, centre + along - across,
                            centre + along + across,
                            centre - along + across], 1)
        angles = np.degrees(angle)
    return Detections(corners + np.array(offset, np.float64),
                      np.asarray(scores, np.float64),
                      np.asarray(labels, np.int64), angles)


class WindowCores:
    """The part of each window that is nearer to its middle than others'.

    Neighbours share their overlap half and half. An object belongs to the
    window whose core has its centre, so one that two windows see whole is
    counted once, and one that a border cuts is taken from where it is whole
    (if the overlap is at least as wide as twice the part that is cut off).

    Args:
        grid: All windows.
    """

    def __init__(self, grid: WindowGrid) -> None:
        self.rows = _cores(grid.rows, grid.window[0])
        self.columns = _cores(grid.columns, grid.window[1])

    def keep(self, window: GridWindow, found: Detections) -> Detections:
        """Those with their centre in the window's core."""
        x, y = found.centres.T
        top, bottom = self.rows[window.row]
        left, right = self.columns[window.column]
        return found[(y >= top) & (y < bottom) & (x >= left) & (x < right)]


def _cores(offsets: Sequence[int], window: int
           ) -> dict[int, tuple[float, float]]:
    borders = [-np.inf, *((low + window + high) / 2
                          for low, high in pairwise(offsets)), np.inf]
    return dict(zip(offsets, pairwise(borders), strict=True))


def suppress(found: Detections, iou: float = 0.5) -> Detections:
    """Class-wise non-maximum suppression, best first.

    Args:
        found: Of all windows; upright boxes by torchvision, oriented ones by
            mmcv's compiled operator.
        iou: Of two objects of a class above this, the better one stays.

    Raises:
        ImportError: Oriented boxes without mmcv's compiled operators.
    """
    if not len(found):
        return found
    # Equal scores: in order of place, whatever the order of windows.
    x, y = found.centres.T
    order = np.lexsort((found.labels, x, y, -found.scores))
    found = found[order]
    scores = torch.from_numpy(found.scores)
    labels = torch.from_numpy(found.labels)
    if not found.angles.any():
        low = found.corners.min(axis=1)
        high = found.corners.max(axis=1)
        boxes = torch.from_numpy(np.concatenate((low, high), axis=1))
        kept = batched_nms(boxes, scores, labels, iou)
    else:
        try:
            from mmcv.ops import nms_rotated
        except ImportError as error:
            raise ImportError(
                'merging oriented boxes needs mmcv with compiled operators: '
                'run `make test` once, or install it with them') from error
        side = np.linalg.norm(found.corners[:, 1] - found.corners[:, 0],
                              axis=1)
        other = np.linalg.norm(found.corners[:, 2] - found.corners[:, 1],
                               axis=1)
        boxes = torch.from_numpy(np.column_stack(
            (found.centres, side, other, np.radians(found.angles)))).float()
        _, kept = nms_rotated(boxes, scores.float(), iou, labels)
    index = kept.numpy()
    return found[index[np.argsort(-found.scores[index], kind='stable')]]
