# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rows of a table of pre-training runs, and their records."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config


@dataclass(frozen=True)
class Row:
    """One row: a pre-training config with some changes.

    Args:
        name: Of its records' files.
        title: In the table.
        options: Changes of the config, ``key=value``.
        trained: False for random weights.
    """

    name: str
    title: str
    options: tuple[str, ...] = ()
    trained: bool = True


def read_rows(path: str | os.PathLike,
              only: Sequence[str] | None = None) -> tuple[str, list[Row]]:
    """Read a config with ``pretrain`` and ``rows``.

    Args:
        path: Config file. ``pretrain`` is a config file, relative to it;
            ``rows`` a dict name -> dict(title, options, trained).
        only: Names of rows to keep; None keeps all.

    Returns:
        The pre-training config and the rows, in order.

    Raises:
        ValueError: No rows, or unknown names.
    """
    config = Config.fromfile(os.fspath(path))
    if 'pretrain' not in config or not config.get('rows'):
        raise ValueError(f'{path}: expected pretrain=FILE and rows=dict(...)')
    rows = [
        Row(name, row['title'], tuple(row.get('options', ())),
            row.get('trained', True)) for name, row in config.rows.items()
    ]
    unknown = sorted(set(only or ()) - {row.name for row in rows})
    if unknown:
        raise ValueError(f'{path} has no rows {unknown}, expected some of '
                         f'{[row.name for row in rows]}')
    return (str(Path(path).parent / config.pretrain),
            [row for row in rows if not only or row.name in only])


def read_record(path: str | os.PathLike) -> dict[str, Any] | None:
    """A JSON record, or None where there is none."""
    path = Path(path)
    return json.loads(path.read_text()) if path.exists() else None


def table_of_rows(rows: Sequence[Row], folder: str | os.PathLike) -> str:
    """The records of rows as a Markdown table.

    Of several seeds the mean, with the mean of their 95 % intervals over
    test images and the standard deviation over seeds.

    Args:
        rows: In order.
        folder: Of the records ``{name}_seed{number}.json``.
    """
    lines = ['| row | seeds | steps | k-NN, % (95 %) | linear, % (95 %) |',
             '|---|---|---|---|---|']
    for row in rows:
        records = [record for path in
                   sorted(Path(folder).glob(f'{row.name}_seed*.json'))
                   if (record := read_record(path)) is not None]
        if not records:
            lines.append(f'| {row.title} | 0 | | not measured | |')
            continue
        cells = [row.title, str(len(records)),
                 str(records[0]['iterations'])]
        cells += [_cell([record[method] for record in records])
                  for method in ('knn', 'linear')]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def _cell(found: Sequence[dict[str, Any]]) -> str:
    top1 = 100 * np.array([one['top1'] for one in found])
    low, high = 100 * np.array([one['ci95'] for one in found]).mean(0)
    spread = f' ± {top1.std(ddof=1):.1f}' if len(top1) > 1 else ''
    return f'{top1.mean():.1f}{spread} ({low:.1f}-{high:.1f})'
