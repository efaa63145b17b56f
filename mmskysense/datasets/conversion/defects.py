# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Entries of a download that cannot even become items."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import DataError


class Defects:
    """Raise at the first bad entry, or note all of them and go on.

    A label without its image, a line that names a missing file, an id that is
    there twice: found while a download is listed, before anything is
    converted. With ``--skip-bad`` they are left out and stand in the same
    list as files that turn out to be damaged.

    Args:
        skip: Note entries in place of raising.

    Example:
        >>> defects = Defects(skip=True)
        >>> for line, name in enumerate(('a', '', 'b'), 1):
        ...     with defects.leave_out():
        ...         if not name:
        ...             raise DataError('train.txt', 'no name', line=line)
        >>> defects.messages
        {'train.txt, line 2': 'train.txt, line 2: no name'}
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        #: Place of the entry (file, and line) -> error message.
        self.messages: dict[str, str] = {}

    @property
    def count(self) -> int:
        """Number of entries that were noted."""
        return len(self.messages)

    def add(self, error: DataError) -> None:
        """Note an error about one entry.

        Raises:
            DataError: The error itself, unless ``skip``.
        """
        if not self.skip:
            error.remedy += ('; or leave such entries out with --skip-bad'
                             if error.remedy else
                             'leave such entries out with --skip-bad')
            raise error
        place, number = error.place, 1
        while place in self.messages:  # several of one file without lines
            number += 1
            place = f'{error.place} ({number})'
        self.messages[place] = str(error)

    @contextmanager
    def leave_out(self) -> Iterator[None]:
        """Leave the entry out whose block raises :class:`.DataError`."""
        try:
            yield
        except DataError as error:
            self.add(error)
