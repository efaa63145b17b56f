# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Text files that name the rasters of a split, one path a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def read_list(path: str | os.PathLike) -> list[str]:
    """Read a list file.

    Args:
        path: Text file, UTF-8, one path a line; empty lines do not count.

    Returns:
        The lines, in order, without blanks around them.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Empty, or not text.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: expected a list of files, one path a line, found no '
            'such file; correct --list SPLIT=FILE')
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path}: expected a text file in UTF-8, found '
                         'other bytes; correct --list SPLIT=FILE') from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError(f'{path}: expected one path a line, found an empty '
                         'list; correct --list SPLIT=FILE')
    return lines


def resolve_lists(
    root: Path, folders: Mapping[str, str],
    lists: Mapping[str, str | os.PathLike]
) -> dict[str, list[tuple[Path, str]]]:
    """Find the files that lists name.

    Args:
        root: Archive.
        folders: Sensor -> its folder in the archive.
        lists: Split -> list file; lines are relative to a sensor's folder,
            or to the archive.

    Returns:
        Sensor -> pairs of a file and its split, in the order of the lists.

    Raises:
        FileNotFoundError: A list, or a file that it names, is missing; names
            the first and how many.
        ValueError: A line leaves the archive, fits two sensors, or a file is
            listed twice (a picture in two splits would leak).
    """
    found: dict[str, list[tuple[Path, str]]] = {name: [] for name in folders}
    known: dict[Path, str] = {}
    # Sensors in nested folders: the innermost folder owns a file.
    homes = sorted(((name, Path(os.path.normpath(root / folder)))
                    for name, folder in folders.items()),
                   key=lambda home: -len(home[1].parts))
    for split, name in lists.items():
        missing = []
        lines = read_list(name)
        for line in lines:
            owners = _owners(root, homes, line)
            if not owners:
                missing.append(line)
                continue
            if len(owners) > 1:
                raise ValueError(
                    f"{name}: '{line}' fits files of "
                    f'{", ".join(sorted(owners))}; write lines relative to '
                    f'the archive {root}')
            (sensor, path), = owners.items()
            if path in known:
                raise ValueError(
                    f"{name}: '{line}' (split '{split}') is already listed "
                    f"in split '{known[path]}'; a file belongs to one split, "
                    'and once')
            known[path] = split
            found[sensor].append((path, split))
        if missing:
            raise FileNotFoundError(
                f"{name}: names '{missing[0]}', found no such file in "
                f'{" or ".join(str(home) for _, home in homes)} or {root} '
                f'({len(missing)} of {len(lines)} lines); correct the list '
                'or SENSOR=FOLDER')
    return found


def _owners(root: Path, homes: list[tuple[str, Path]],
            line: str) -> dict[str, Path]:
    """Sensors of which a line names a file, and that file."""
    owners = {
        sensor: path
        for sensor, home in homes
        if (path := _inside(home, line)) is not None
    }
    if not owners and (path := _inside(root, line)) is not None:
        for sensor, home in homes:
            if path.is_relative_to(home):
                return {sensor: path}
    return owners


def _inside(folder: Path, line: str) -> Path | None:
    """The file of a line, if it exists and lies in the folder."""
    path = Path(os.path.normpath(folder / line))
    if not path.is_relative_to(os.path.normpath(folder)):
        return None
    return path if path.is_file() else None
