# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The table of class-name embeddings: its file, read and written."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_KEYS = ('embeddings', 'names', 'encoder')


@dataclass(frozen=True)
class ClassTable:
    """Names of classes and what a text encoder makes of them.

    Class k of a label raster is row k. The file is a ``.npz`` with these
    three fields as keys; that the table is a file, so that any text encoder
    can make it, is ours (spec section 3).

    Args:
        names: K names.
        embeddings: float32 (K, D), finite, of any length above 0.
        encoder: Who made it, for example ``'all-MiniLM-L6-v2'`` or
            ``'one-hot'``.

    Raises:
        ValueError: Fields that do not fit together.
    """

    names: tuple[str, ...]
    embeddings: np.ndarray
    encoder: str

    def __post_init__(self) -> None:
        shape = self.embeddings.shape
        if len(shape) != 2 or shape[0] < 2 or not shape[1]:
            raise ValueError('embeddings: expected (K, D) with at least 2 '
                             f'classes, found {shape}')
        if len(self.names) != shape[0]:
            raise ValueError(f'expected a name for each of the {shape[0]} '
                             f'embeddings, found {len(self.names)} names')
        repeated = sorted({n for n in self.names if self.names.count(n) > 1})
        if repeated:
            raise ValueError(f'names: {repeated} occur more than once')
        if not np.isfinite(self.embeddings).all():
            raise ValueError('embeddings: expected finite numbers, found NaN '
                             'or infinity')
        empty = np.flatnonzero(~self.embeddings.any(axis=1))
        if len(empty):
            raise ValueError(f"class '{self.names[empty[0]]}' has an "
                             'embedding of zeros, which has no direction')
        if not self.encoder:
            raise ValueError('encoder: expected who made the embeddings, '
                             'found nothing')


def read_class_table(path: str | os.PathLike) -> ClassTable:
    """Read a table.

    Args:
        path: A ``.npz`` as :func:`write_class_table` makes it.

    Returns:
        The table, embeddings as float32.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a table; the message names the file, what was
            expected and what was found.
    """
    path = Path(path)
    advice = ('make one with tools/model_converters/'
              'class_names_to_table.py')
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such table of class names; '
                                f'{advice}')
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            raise ValueError('a single array')
        with content:
            found = {key: content[key] for key in content.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path}: expected a .npz table of class names, '
                         f'found another file ({error}); {advice}') from error
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise ValueError(f'{path}: expected the keys {_KEYS}, found '
                         f'{tuple(found)}; {advice}')
    embeddings = found['embeddings']
    if not np.issubdtype(embeddings.dtype, np.number) or np.iscomplexobj(
            embeddings):
        raise ValueError(f'{path}: expected embeddings of real numbers, '
                         f'found {embeddings.dtype}')
    try:
        return ClassTable(
            tuple(str(name) for name in np.atleast_1d(found['names'])),
            embeddings.astype(np.float32), str(found['encoder']))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def write_class_table(path: str | os.PathLike, names: Sequence[str],
                      embeddings: np.ndarray, encoder: str) -> ClassTable:
    """Write a table; beside the place first, so never half a file.

    Args:
        path: Ends in ``.npz``; its folder is made.
        names: K names.
        embeddings: (K, D), stored as float32.
        encoder: Who made it.

    Returns:
        What was written.

    Raises:
        ValueError: Fields that do not fit, or another ending.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'{path}: expected a path that ends in .npz')
    table = ClassTable(tuple(names), np.asarray(embeddings, np.float32),
                       encoder)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        with aside.open('wb') as file:
            np.savez(file, embeddings=table.embeddings,
                     names=np.array(table.names), encoder=table.encoder)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return table


def one_hot_table(names: Sequence[str]) -> ClassTable:
    """A table in which all classes are equally far apart.

    The plain fallback where no text encoder is at hand: it knows that
    classes differ and nothing of what their names mean.
    """
    return ClassTable(tuple(names), np.eye(len(names), dtype=np.float32),
                      'one-hot')
