# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Places of the student's views and the same ground in the teacher's."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .encoded_views import EncodedViews, SourceMaps
from .view_geometry import place_centres, same_ground, to_grid

# A teacher's sample counts if at least this part of it was measured.
_MEASURED = 0.5


@dataclass(frozen=True)
class SharedPlaces:
    """B pairs of views (student, teacher) with P places each.

    Args:
        student: Student's features (B, P, C), with gradient.
        teacher: Teacher's features of the same ground and date (B, P, C).
        shared: bool (B, P), False where the place is not in both views, or
            was not measured in one of them, or the date is not in both.
    """

    student: Tensor
    teacher: Tensor
    shared: Tensor


def partners(num_views: int, num_teachers: int,
             same_kind: bool) -> tuple[int, ...]:
    """The teacher's view that each of the student's views is compared with.

    One each, so that the cost grows with the views and not with their pairs
    (ours). Views are drawn alike, so which one does not matter, but a view
    is never compared with itself.

    Args:
        num_views: Views of the student.
        num_teachers: Views of the teacher.
        same_kind: Whether they are the same views.

    Returns:
        An index for each of the student's views; empty where only a view
        itself is left.
    """
    if same_kind and num_teachers < 2:
        return ()
    return tuple((view + same_kind) % num_teachers
                 for view in range(num_views))


def shared_places(student: EncodedViews, teacher: EncodedViews, source: str,
                  teachers: Sequence[int], max_places: int) -> SharedPlaces:
    """Find the ground that pairs of views share, and their features of it.

    The student's features are those of its own places; the teacher's are
    interpolated (bilinear, by what was measured) at the centre of the same
    ground. Nothing waits for the device. Ours: the draw, which prefers
    places that may be shared; a date matches by day of year, and an unknown
    date only where the sensor has a single date in the whole batch.

    Args:
        student: V views of N tiles; (V * N) pairs.
        teacher: Views of the same tiles.
        source: Whose maps; both must have it.
        teachers: The teacher's view for each of the student's views.
        max_places: At most so many places of a view are drawn.

    Returns:
        P = the smaller of ``max_places`` and the places and dates of a view.
    """
    own, other = student.sources[source], teacher.sources[source]
    boxes, flips, other_maps, measured, dates = (
        torch.stack([x[t] for t in teachers])
        for x in (teacher.boxes, teacher.flips, other.maps, other.measured,
                  other.dates))
    height, width = own.maps.shape[-2:]
    centres = place_centres((height, width), own.extent, boxes.device)
    points, inside = same_ground(centres.flatten(0, 1), student.boxes,
                                 student.flips, boxes, flips)
    date, matched = _match_dates(own.dates, dates)
    # (V, N, T, h * w): what may be shared, as far as the student knows.
    eligible = (own.measured.flatten(3) & inside[:, :, None]
                & matched[..., None])
    place = _draw(eligible.flatten(2), max_places)
    shared = eligible.flatten(2).gather(2, place)
    spot = place % (height * width)
    point = points.gather(2, spot[..., None].expand(-1, -1, -1, 2))
    layer = date.gather(2, place // (height * width))
    with torch.no_grad():
        sampled, seen = _sample(other_maps, measured, layer,
                                to_grid(point, other.extent))
    return SharedPlaces(
        _take(own, place).flatten(0, 1), sampled.flatten(0, 1),
        (shared & seen).flatten(0, 1))


def _match_dates(dates: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """For each date (V, N, T) the other's index of it, and whether it has it.

    Two images of one day of the year are one date: the first is taken.
    """
    same = dates[..., None] == other[..., None, :]
    if dates.shape[-1] > 1 or other.shape[-1] > 1:
        same = same & (dates > 0)[..., None]
    return same.to(torch.uint8).argmax(-1), same.any(-1)


def _draw(eligible: Tensor, count: int) -> Tensor:
    """Indices (V, N, P) of places, those that may be shared first."""
    total = eligible.shape[-1]
    if total <= count:
        index = torch.arange(total, device=eligible.device)
        return index.expand(*eligible.shape[:-1], -1)
    score = eligible + torch.rand(eligible.shape, device=eligible.device)
    return score.topk(count, dim=-1).indices


def _take(own: SourceMaps, place: Tensor) -> Tensor:
    """The student's features at its places (V, N, P, C)."""
    maps = own.maps
    flat = maps.permute(0, 1, 2, 4, 5, 3).flatten(2, 4)
    if place.shape[-1] == flat.shape[2]:
        return flat
    return flat.gather(2, place[..., None].expand(-1, -1, -1, maps.shape[3]))


def _sample(maps: Tensor, measured: Tensor, layer: Tensor,
            grid: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate maps within a date, by what was measured.

    Args:
        maps: (V, N, T, C, h, w).
        measured: bool (V, N, T, h, w).
        layer: Date of each sample, int64 (V, N, P).
        grid: Where in the map, (V, N, P, 2) in [-1, 1].

    Returns:
        Features (V, N, P, C), and bool (V, N, P).
    """
    shape, num_dates = maps.shape[:2], maps.shape[2]
    weight = measured[:, :, :, None].float()
    maps = torch.cat((maps.float() * weight, weight), dim=3)
    # The middle of a date's layer: nothing of the dates beside it.
    depth = (2 * layer + 1) / num_dates - 1
    coordinates = torch.cat((grid, depth[..., None].to(grid)), dim=-1)
    sampled = F.grid_sample(
        maps.flatten(0, 1).transpose(1, 2),
        coordinates.flatten(0, 1)[:, None, None], padding_mode='border',
        align_corners=False)[:, :, 0, 0]
    sampled = sampled.transpose(1, 2).unflatten(0, shape)
    features, weight = sampled[..., :-1], sampled[..., -1:]
    seen = weight >= _MEASURED
    # Not divided where nothing is near: it would blow up rounding errors.
    return (features / weight.clamp(min=_MEASURED), seen[..., 0])
