# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a conversion has finished, so that the next run can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import DataError

JOURNAL = '.conversion.jsonl'
_VERSION = 1


class Journal:
    """An append-only file with one JSON line for each finished item.

    A run that was killed leaves at most one incomplete line, the last one,
    which is ignored: that item is done again.

    Args:
        root: Output folder of the conversion.
        options: What the outputs depend on.

    Raises:
        DataError: The folder holds a conversion with other options.
    """

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        self.root, self.path = root, root / JOURNAL
        self.options = json.loads(json.dumps(options))
        #: Every file that any run has noted, those of changed items too.
        self.noted: set[str] = set()
        self.entries = self._read()
        self._file: Any = None

    def _read(self) -> dict[str, dict]:
        entries: dict[str, dict] = {}
        if not self.path.is_file():
            return entries
        with open(self.path, encoding='utf-8') as file:
            lines = file.read().splitlines()
        if len(lines) < 2:
            # A run that was refused before its first item: no options hold.
            self.path.unlink()
            return entries
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if number == 1:
                self._check_options(entry)
            elif 'key' in entry:
                entries[entry['key']] = entry
                self.noted.update(entry['outputs'])
        return entries

    def _check_options(self, header: dict) -> None:
        if header.get('options') != self.options or \
                header.get('version') != _VERSION:
            raise DataError(
                self.root,
                f'was converted with {header.get("options")}, expected '
                f'{self.options}',
                'give another --out, remove this folder, or use the same '
                'options')

    def __enter__(self) -> Journal:
        self._file = open(self.path, 'a+b')
        if self._file.tell() == 0:
            self._write(dict(version=_VERSION, options=self.options))
        else:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b'\n':  # the incomplete last line
                self._file.write(b'\n')
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b'\n')
        self._file.flush()

    def note(self, key: str, inputs: str, outputs: Sequence[str],
             record: Any) -> None:
        """Note a finished item.

        Args:
            key: The item.
            inputs: :func:`fingerprint` of all it was made from, taken before
                it was read.
            outputs: Files written, relative to the output folder.
            record: Anything that JSON can hold.
        """
        self._write(
            dict(
                key=key,
                inputs=inputs,
                outputs={
                    name: (self.root / name).stat().st_size
                    for name in outputs
                },
                record=record))

    def finished(self, key: str,
                 inputs: str) -> tuple[tuple[str, ...], Any] | None:
        """Outputs and record of an item, None if it must be done (again)."""
        entry = self.entries.get(key)
        if entry is None or entry.get('inputs') != inputs:
            return None
        for name, size in entry['outputs'].items():
            try:
                if (self.root / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return tuple(entry['outputs']), entry['record']


def remove_stale(root: Path, noted: Iterable[str],
                 kept: Iterable[str]) -> int:
    """Delete what earlier runs wrote and no finished item owns any more.

    Data sets list folders: a tile of an item that moved from training to
    validation, or that is bad by now, would be trained on.

    Args:
        root: Output folder.
        noted: Files that runs have noted, relative to ``root``.
        kept: Those of items that need not be done again.

    Returns:
        Number of files deleted.
    """
    removed = 0
    for name in sorted(set(noted) - set(kept)):
        path = root / name
        if path.is_file():
            path.unlink()
            removed += 1
        folder = path.parent
        while folder != root and folder.is_dir() and not any(
                folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    return removed


def fingerprint(*inputs: Any) -> str:
    """One text that changes when anything an item is made of does.

    Args:
        inputs: Paths, and dicts, lists, tuples and plain values that hold
            them. A file counts by its path, size and time of change, a
            folder by all files below it, anything else by its ``repr``.
    """
    digest = hashlib.sha256()
    for part in _describe(inputs):
        digest.update(f'{part}\n'.encode(errors='surrogateescape'))
    return digest.hexdigest()[:32]


def _describe(value: Any) -> Iterator[Any]:
    if isinstance(value, Path):
        yield os.path.abspath(value)
        if not value.is_dir():
            yield _signature(value)
            return
        for folder, folders, files in os.walk(value):
            folders.sort()
            for name in sorted(files):
                yield name
                yield _signature(os.path.join(folder, name))
    elif isinstance(value, Mapping):
        for key in value:
            yield repr(key)
            yield from _describe(value[key])
    elif isinstance(value, (list, tuple)):
        yield f'{len(value)} values'
        for entry in value:
            yield from _describe(entry)
    else:
        yield repr(value)


def _signature(path: str | os.PathLike) -> str:
    """Size and time of change; empty for what does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return ''
    return f'{found.st_size} {found.st_mtime_ns}'
