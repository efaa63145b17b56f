# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a converter did to single objects of good files, for people to read.

A damaged file stops a conversion. A box that lies outside its image, or whose
corners cross, does not: published sets have thousands of them. Nothing is
changed silently, though: each is a line of ``OUT/changed_objects.txt``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .files import write_text
from .runner import ItemResult

CHANGED_LIST = 'changed_objects.txt'


@dataclass(frozen=True)
class ChangedObject:
    """One object that was left out or is not written as it was read.

    Args:
        file: Label file.
        line: 1-based line of the object.
        number: 1-based number of the object in the file.
        reason: What was found and done, the same words for equal cases.
    """

    file: str
    line: int
    number: int
    reason: str

    def as_record(self) -> dict[str, Any]:
        """For :class:`.ItemResult`, under the key ``changed``."""
        return asdict(self)


def write_changed_objects(results: Iterable[ItemResult],
                          out_dir: str | os.PathLike) -> dict[str, int]:
    """Write the list of all items, or remove it where there is nothing.

    Args:
        results: Their records hold lists ``changed``.
        out_dir: Output folder.

    Returns:
        Reason -> number of objects.
    """
    path = Path(out_dir) / CHANGED_LIST
    found = [ChangedObject(**entry) for result in results
             for entry in result.record['changed']]
    if found:
        write_text(path, ''.join(
            f'{entry.file}, line {entry.line}: object {entry.number}: '
            f'{entry.reason}\n' for entry in found))
    else:
        path.unlink(missing_ok=True)
    return dict(sorted(Counter(entry.reason for entry in found).items()))


def describe_changes(counts: dict[str, int], out_dir: str) -> str:
    """End of a converter's last line: what was changed, and where it stands.

    Example:
        >>> describe_changes({'no area: left out': 2}, 'data/dior')
        '; objects: 2 no area: left out (data/dior/changed_objects.txt)'
        >>> describe_changes({}, 'data/dior')
        ''
    """
    if not counts:
        return ''
    told = ', '.join(f'{count} {reason}' for reason, count in counts.items())
    return f'; objects: {told} ({os.path.join(out_dir, CHANGED_LIST)})'
