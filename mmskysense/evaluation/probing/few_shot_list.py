# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A list file with a share of every class of another."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from .subsets import stratified_subset


def write_few_shot_list(source: str | os.PathLike,
                        out: str | os.PathLike,
                        fraction: float,
                        seed: int = 0) -> dict[str, int]:
    """Write a stratified part of a list of labelled images.

    The images are those that ``tools/probe.py --fraction`` draws with the
    same seed from the whole list.

    Args:
        source: Lines ``Class/name.jpg``, or ``Class_1.jpg``.
        out: List to write, whole or not at all.
        fraction: Above 0, at most 1; at least one image of each class.
        seed: Of the draw.

    Returns:
        Class -> number of images.

    Raises:
        FileNotFoundError: No such list.
        ValueError: An empty list, a line without a class, the list would
            overwrite itself, or a fraction out of range.
    """
    path, target = Path(source), Path(out)
    if not path.is_file():
        raise FileNotFoundError(f'{source}: expected a list of images, one '
                                'per line, found no such file')
    if path.resolve() == target.resolve():
        raise ValueError(f'{out}: the list would overwrite itself; give '
                         'another name')
    lines = [line.strip() for line in path.read_text(
        encoding='utf-8').splitlines() if line.strip()]
    names = [_class_of(line) for line in lines]
    if not lines or '' in names:
        raise ValueError(
            f'{source}: expected lines Class/name.jpg, found '
            f'{lines[names.index("")]!r}' if lines else
            f'{source}: the list is empty')
    _, labels = np.unique(names, return_inverse=True)
    chosen = stratified_subset(labels, fraction, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        aside.write_text(''.join(f'{lines[i]}\n' for i in chosen),
                         encoding='utf-8')
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return dict(sorted(Counter(names[i] for i in chosen).items()))


def _class_of(line: str) -> str:
    """The folder's name, or what stands before the last underscore."""
    parts = line.split('/')
    return parts[-2] if len(parts) > 1 else line.rpartition('_')[0]
