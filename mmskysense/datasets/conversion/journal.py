# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a conversion has finished, so that the next run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
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
        self.entries = self._read()
        self._file: Any = None

    def _read(self) -> dict[str, dict]:
        entries: dict[str, dict] = {}
        if not self.path.is_file():
            return entries
        with open(self.path, encoding='utf-8') as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if number == 1:
                self._check_options(entry)
            elif 'key' in entry:
                entries[entry['key']] = entry
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

    def note(self, key: str, source: Path, outputs: Sequence[str],
             record: Any) -> None:
        """Note a finished item.

        Args:
            key: The item.
            source: The file it was made from.
            outputs: Files written, relative to the output folder.
            record: Anything that JSON can hold.
        """
        self._write(
            dict(
                key=key,
                source=_signature(source),
                outputs={
                    name: (self.root / name).stat().st_size
                    for name in outputs
                },
                record=record))

    def finished(self, key: str,
                 source: Path) -> tuple[tuple[str, ...], Any] | None:
        """Outputs and record of an item, None if it must be done (again)."""
        entry = self.entries.get(key)
        if entry is None or entry['source'] != _signature(source):
            return None
        for name, size in entry['outputs'].items():
            try:
                if (self.root / name).stat().st_size != size:
                    return None
            except OSError:
                return None
        return tuple(entry['outputs']), entry['record']


def _signature(path: Path) -> list[int]:
    """Size and time of change; empty for what does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
