# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A range of days, and the images that fall into it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ..band_contract import RasterContractError
from .image import InputImage

_EXPECTED = ("expected FIRST/LAST such as 2021-04-01/2021-09-30, with '..' "
             'for an open end, or one day')


@dataclass(frozen=True)
class DateRange:
    """Days from ``first`` to ``last``, both included; None is open.

    Raises:
        ValueError: The last day is before the first.
    """

    first: datetime.date | None = None
    last: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise ValueError(f'dates={self}: the last day is before the '
                             f'first; {_EXPECTED}')

    @classmethod
    def parse(cls, text: str) -> DateRange:
        """Read ``2021-04-01/2021-09-30``, ``2021-04-01/..`` or one day.

        Raises:
            ValueError: Anything else.
        """
        parts = text.strip().split('/')
        if len(parts) > 2:
            raise ValueError(f'dates={text}: {_EXPECTED}')
        days = [_day(part.strip(), text) for part in parts]
        return cls(days[0], days[-1])

    def __contains__(self, day: datetime.date) -> bool:
        return (self.first is None or self.first <= day) and (
            self.last is None or day <= self.last)

    def __str__(self) -> str:
        return f'{self.first or ".."}/{self.last or ".."}'


def _day(part: str, text: str) -> datetime.date | None:
    if part in ('', '..'):
        return None
    try:
        return datetime.date.fromisoformat(part)
    except ValueError:
        raise ValueError(f"dates={text}: '{part}' is no day; {_EXPECTED}"
                         ) from None


def select_dates(images: Sequence[InputImage],
                 dates: DateRange) -> list[InputImage]:
    """Images whose day is in a range.

    Raises:
        RasterContractError: An image has no day, or none is in the range.
    """
    undated = [image.label for image in images if image.date is None]
    if undated:
        raise RasterContractError(
            f'{undated[0]}: dates={dates} needs the day of acquisition, found '
            'none in the file name (YYYYMMDD or YYYY-MM-DD), its metadata or '
            'its catalogue entry; rename the file, or leave dates out')
    chosen = [
        image for image in images
        if image.date is not None and image.date in dates
    ]
    if not chosen:
        found = sorted({str(image.date) for image in images})
        listed = ', '.join(found[:6]) + (', ...' if len(found) > 6 else '')
        raise RasterContractError(
            f'{images[0].label}: expected an acquisition in dates={dates}, '
            f'found {listed}; widen the range')
    return chosen


def by_day(images: Sequence[InputImage]) -> list[list[InputImage]]:
    """Images in groups of one day each: neighbouring tiles, as a rule.

    Images without a day stay alone.
    """
    groups: list[list[InputImage]] = []
    for image in images:
        if groups and image.date is not None \
                and groups[-1][0].date == image.date:
            groups[-1].append(image)
        else:
            groups.append([image])
    return groups
