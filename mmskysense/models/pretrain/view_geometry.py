# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Which place of one view shows the same ground as a place of another.

Exact, as the paper's pixel level needs it (SkySense V2, spec section 3).
Points are pairs (x, y), y downwards. Those of a view are fractions of its
box after the flip: (0, 0) is the upper left corner of the image, (1, 1) the
lower right one. Those of the ground are fractions of the tile's window.
"""

import torch
from torch import Tensor

Extent = tuple[float, float]
#: A map that ends where its view ends.
WHOLE: Extent = (1.0, 1.0)


def map_extent(places: tuple[int, int], stride: int,
               pixels: tuple[int, int]) -> Extent:
    """How far a map reaches, as fractions of its view.

    The encoder pads sides that are no multiple of its stride at the right
    and the bottom, so the map may be larger than the view.

    Args:
        places: Height and width of the map.
        stride: Pixels along a side of a place.
        pixels: Height and width of the view.

    Returns:
        (x, y), at least 1 for the encoder's maps.
    """
    return (places[1] * stride / pixels[1], places[0] * stride / pixels[0])


def place_centres(size: tuple[int, int], extent: Extent = WHOLE,
                  device: torch.device | str | None = None) -> Tensor:
    """Centres of a map's places in its view.

    Of a place that reaches beyond the view, the centre of what lies inside:
    so a view smaller than one place has its place in its middle.

    Args:
        size: Height and width (h, w) of the map.
        extent: How far the map reaches.
        device: Where to put them.

    Returns:
        float32 (h, w, 2).
    """

    def axis(count: int, reach: float) -> Tensor:
        edges = torch.arange(count + 1, device=device,
                             dtype=torch.float32) * (reach / count)
        edges = edges.clamp(max=1.0)
        return 0.5 * (edges[1:] + edges[:-1])

    y, x = torch.meshgrid(axis(size[0], extent[1]), axis(size[1], extent[0]),
                          indexing='ij')
    return torch.stack((x, y), dim=-1)


def _axes(boxes: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
    """Ground = start + span * view; a flip swaps the ends of the box."""
    first, last = boxes[..., :2], boxes[..., 2:]
    start = torch.where(flips, last, first)
    return start, torch.where(flips, first, last) - start


def view_to_ground(points: Tensor, boxes: Tensor, flips: Tensor) -> Tensor:
    """From fractions of views to fractions of the tile.

    Args:
        points: float32 (..., P, 2) or (P, 2) for all views alike.
        boxes: float32 (..., 4), x0, y0, x1, y1 of each view.
        flips: bool (..., 2), horizontal and vertical, applied after the
            crop.

    Returns:
        float32 (..., P, 2).
    """
    start, span = _axes(boxes, flips)
    return start[..., None, :] + span[..., None, :] * points


def ground_to_view(points: Tensor, boxes: Tensor, flips: Tensor) -> Tensor:
    """From fractions of the tile (..., P, 2) to fractions of views.

    The inverse of :func:`view_to_ground`; points outside a view have
    fractions below 0 or above 1.
    """
    start, span = _axes(boxes, flips)
    return (points - start[..., None, :]) / span[..., None, :]


def same_ground(points: Tensor, boxes: Tensor, flips: Tensor,
                other_boxes: Tensor, other_flips: Tensor
                ) -> tuple[Tensor, Tensor]:
    """Where views A's points lie in views B.

    Args:
        points: float32 (..., P, 2) or (P, 2), in views A.
        boxes: float32 (..., 4) of views A.
        flips: bool (..., 2) of views A.
        other_boxes: float32 (..., 4) of views B.
        other_flips: bool (..., 2) of views B.

    Returns:
        Points in views B, float32 (..., P, 2), and whether they are inside,
        bool (..., P).
    """
    found = ground_to_view(view_to_ground(points, boxes, flips), other_boxes,
                           other_flips)
    inside = ((found >= 0) & (found <= 1)).all(-1)
    return found, inside


def to_grid(points: Tensor, extent: Extent = WHOLE) -> Tensor:
    """Points (..., 2) of a view as coordinates of ``grid_sample``.

    Args:
        points: Fractions of the view.
        extent: How far the map to sample reaches.

    Returns:
        (..., 2) in [-1, 1], for ``align_corners=False``.
    """
    # Axis by axis: a tensor of the two numbers would wait for the device.
    return torch.stack([
        2 * points[..., axis] / reach - 1 for axis, reach in enumerate(extent)
    ], dim=-1)


def sampling_grid(boxes: Tensor, flips: Tensor, other_boxes: Tensor,
                  other_flips: Tensor, size: tuple[int, int],
                  extent: Extent = WHOLE, other_extent: Extent = WHOLE
                  ) -> tuple[Tensor, Tensor]:
    """Where to sample maps of views B, to see what the places of A see.

    Args:
        boxes: float32 (..., 4) of views A; leading dimensions are views,
            tiles or pairs.
        flips: bool (..., 2) of views A.
        other_boxes: float32 (..., 4) of views B.
        other_flips: bool (..., 2) of views B.
        size: Height and width (h, w) of A's maps.
        extent: How far A's maps reach.
        other_extent: How far B's maps reach.

    Returns:
        Grid float32 (..., h, w, 2) for ``grid_sample`` of B's maps with
        ``align_corners=False`` (and ``padding_mode='border'``, as the outer
        half of an outer place has no neighbour), and bool (..., h, w), True
        where A's place shows ground of B.
    """
    centres = place_centres(size, extent, boxes.device).flatten(0, 1)
    found, inside = same_ground(centres, boxes, flips, other_boxes,
                                other_flips)
    return (to_grid(found, other_extent).unflatten(-2, size),
            inside.unflatten(-1, size))
