# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The one error that a converter raises about a user's download."""

from __future__ import annotations

import os


class DataError(ValueError):
    """Something in a download is not as its publisher describes it.

    Args:
        file: File or folder where it was found.
        problem: What was expected and what was found.
        remedy: What to do about it; empty where nothing can be said.
        line: 1-based line of a text file (lists, XML, JSON, CSV).

    Example:
        >>> str(DataError('train.txt', 'expected a name, found none',
        ...               'remove the line', line=3))
        'train.txt, line 3: expected a name, found none; remove the line'
    """

    def __init__(self,
                 file: str | os.PathLike,
                 problem: str,
                 remedy: str = '',
                 line: int | None = None) -> None:
        self.file, self.problem = os.fspath(file), problem
        self.remedy, self.line = remedy, line
        super().__init__(str(self))

    @property
    def place(self) -> str:
        """The file, and the line where there is one."""
        return self.file if self.line is None else \
            f'{self.file}, line {self.line}'

    def __str__(self) -> str:
        text = f'{self.place}: {self.problem}'
        return f'{text}; {self.remedy}' if self.remedy else text

    def __reduce__(self) -> tuple:
        # Exceptions of several arguments do not survive a process boundary.
        return type(self), (self.file, self.problem, self.remedy, self.line)
