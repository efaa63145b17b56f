# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Counts and label values of a download, against what is published."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from mmengine.logging import print_log

from .defects import Defects
from .errors import DataError
from .runner import ConversionItem

_ROWS = 512
# Others are classes: a part of a data set may do without.
_SPLITS = ('train', 'val', 'test', 'test_gt')
_File = str | os.PathLike
_Path = TypeVar('_Path', bound=os.PathLike)


def verify_counts(items: Iterable[ConversionItem],
                  published: Mapping[str, int],
                  where: str | os.PathLike,
                  partial: bool = False,
                  defects: Defects | None = None) -> dict[str, int]:
    """Compare the number of items in each split with the published one.

    Args:
        items: What was found.
        published: Split -> published number of items.
        where: Folder of the download, for the message.
        partial: Accept other numbers (a part of the download); a split of
            which there is nothing is told.
        defects: Entries that were left out: as many items may be missing.

    Returns:
        Split -> number found.

    Raises:
        DataError: Another number, unless ``partial``; or a split is empty
            and ``partial`` is false.
    """
    items = list(items)
    found = dict(Counter(item.split for item in items))
    wrong = [
        f'{found.get(split, 0)} of {number} in {split}'
        for split, number in published.items()
        if found.get(split, 0) != number
    ]
    if partial and found:
        tell_empty_splits(items, published, where)
    missing = [number - found.get(split, 0)
               for split, number in published.items()]
    left_out = defects.count if defects else 0
    if min(missing, default=0) >= 0 and sum(missing) <= left_out:
        return found
    if wrong and not partial:
        also = f' ({left_out} entries were left out)' if left_out else ''
        raise DataError(
            where, f'expected the published number of items, found '
            f'{", ".join(wrong)}{also}',
            'complete the download, or accept a part of it with --partial')
    return found


def verify_total(found: int, published: int, what: str,
                 where: str | os.PathLike, partial: bool = False,
                 defects: Defects | None = None) -> None:
    """Compare a number that is published for all splits together.

    Args:
        found: Number of items.
        published: Published one.
        what: What is counted, for the message.
        where: Folder of the download, for the message.
        partial: Accept another number.
        defects: Entries that were left out: as many items may be missing.

    Raises:
        DataError: Another number, unless ``partial``.
    """
    left_out = defects.count if defects else 0
    if partial or published - left_out <= found <= published:
        return
    raise DataError(where, f'expected {published} {what}, found {found}',
                    'complete the download, or accept a part of it with '
                    '--partial')


def tell_empty_splits(items: Iterable[ConversionItem], splits: Iterable[str],
                      where: str | os.PathLike) -> None:
    """Say on the console which splits have nothing, and what to do then.

    Args:
        items: What was found.
        splits: Those that a config uses; classes are not looked at.
        where: Folder of the download, for the message.
    """
    there = {item.split for item in items}
    empty = [split for split in splits
             if split in _SPLITS and split not in there]
    if empty:
        print_log(
            f'{os.fspath(where)}: nothing of {", ".join(empty)}; in the '
            'config set the dataloader, cfg and evaluator of what is not '
            'there to None (val_dataloader=None val_cfg=None '
            'val_evaluator=None)',
            'current', logging.WARNING)


def keep_once(found: dict[str, _Path], name: str, path: _Path) -> None:
    """Note a file or folder under its name, unless the name is taken.

    Args:
        found: Name -> path; changed in place.
        name: Image, scene, site or area.
        path: Where it is.

    Raises:
        DataError: It is there already. Which of two counts is for the user
            to say.
    """
    if name in found:
        raise DataError(path, f"'{name}' is there twice, also as "
                        f'{os.fspath(found[name])}', 'remove one of them')
    found[name] = path


def match_files(files: Mapping[str, Mapping[str, _File]],
                where: str | os.PathLike,
                defects: Defects | None = None) -> list[str]:
    """Names that have a file of every kind.

    Args:
        files: Kind (``'image'``, ``'label'``) -> name -> file.
        where: Folder, for the message.
        defects: Takes files without their partners; raises by default.

    Returns:
        The names that have all, sorted.

    Raises:
        DataError: A file without one of its partners, unless ``defects``
            leaves it out.

    Example:
        >>> match_files({'image': {'a': 'a.tif', 'b': 'b.tif'},
        ...              'label': {'a': 'a.png'}}, 'scenes', Defects(True))
        ['a']
    """
    defects = defects or Defects()
    every = sorted(set().union(*files.values()))
    matched = [name for name in every
               if all(name in found for found in files.values())]
    alone = len(every) - len(matched)
    for name in every:
        lacking = [kind for kind, found in files.items() if name not in found]
        if not lacking:
            continue
        file = next(found[name] for found in files.values() if name in found)
        defects.add(DataError(
            file, f'expected its {" and its ".join(lacking)} in '
            f'{os.fspath(where)}, found none ({alone} such files)',
            'complete the download or remove the file'))
    return matched


def check_label_values(label: np.ndarray, allowed: Sequence[int],
                       file: str | os.PathLike) -> None:
    """Refuse class ids that the dataset does not have.

    Args:
        label: Integers, any shape.
        allowed: Every value that may occur.
        file: For the message.

    Raises:
        DataError: Names the values and the number of pixels.
    """
    if label.dtype == np.uint8:  # without sorting millions of pixels
        all_counts = np.bincount(label.ravel(), minlength=256)
        values = np.flatnonzero(all_counts)
        counts = all_counts[values]
    else:
        values, counts = np.unique(label, return_counts=True)
    wrong = ~np.isin(values, np.asarray(allowed))
    if wrong.any():
        raise DataError(
            file, 'expected class ids '
            f'{_ranges(allowed)}, found '
            f'{", ".join(str(v) for v in values[wrong][:5])} in '
            f'{int(counts[wrong].sum())} pixels',
            'this is no label of this dataset, or it is damaged')


def _ranges(values: Sequence[int]) -> str:
    values = sorted(values)
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f'{values[0]} to {values[-1]}'
    return ', '.join(str(value) for value in values)


def decode_colours(image: np.ndarray,
                   colours: Mapping[int, Sequence[int]],
                   file: str | os.PathLike) -> np.ndarray:
    """Turn a label of colours into class ids.

    Args:
        image: uint8 (3, H, W) or (4, H, W), red, green, blue first.
        colours: Class id -> red, green, blue; several ids may not share one.
        file: For the message.

    Returns:
        uint8 (H, W).

    Raises:
        DataError: A colour that no class has, or not three channels.
    """
    if image.ndim != 3 or image.shape[0] not in (3, 4):
        raise DataError(
            file, 'expected a label of colours (3 channels), found '
            f'{image.shape[0] if image.ndim == 3 else 1}',
            'take the coloured labels of the download')
    table = {(int(r) << 16) | (int(g) << 8) | int(b): name
             for name, (r, g, b) in colours.items()}
    keys = np.array(sorted(table), dtype=np.uint32)
    ids = np.array([table[int(key)] for key in keys], dtype=np.uint8)
    label = np.empty(image.shape[1:], np.uint8)
    # A few rows at a time: scenes have up to 100 million pixels.
    for row in range(0, len(label), _ROWS):
        red, green, blue = image[:3, row:row + _ROWS].astype(np.uint32)
        code = (red << 16) | (green << 8) | blue
        place = np.searchsorted(keys, code).clip(max=len(keys) - 1)
        known = keys[place] == code
        if not known.all():
            wrong = int(code[~known][0])
            first = int((~known).any(1).argmax())
            raise DataError(
                file, 'expected the colours of the classes, found '
                f'({wrong >> 16}, {wrong >> 8 & 255}, {wrong & 255}), which '
                f'no class has, in row {row + first}',
                'the label is damaged, or was saved with loss')
        label[row:row + _ROWS] = ids[place]
    return label
