# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scenes in class folders, checked, with seeded stratified split lists.

The papers say which share of each class is trained on, but publish no lists:
two groups that report "20 %" have trained on different images. Here the rule
is fixed by a seed, and a smaller share is a part of every larger one.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .defects import Defects
from .errors import DataError
from .files import atomic_path, read_image, write_json, write_text
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .verification import verify_counts

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.tif', '.tiff')


@dataclass(frozen=True)
class SceneCollection:
    """What a publisher says about scenes in class folders.

    Args:
        title: Name of the dataset.
        counts: Class folder -> published number of images, in order of ids.
        size: Height and width of each image in pixels.
        ratios: Per cent of each class to train on, one a row of the paper.
    """

    title: str
    counts: Mapping[str, int]
    size: int
    ratios: tuple[int, ...]


def find_scenes(root: Path, collection: SceneCollection,
                defects: Defects | None = None) -> list[ConversionItem]:
    """One item an image; its split is its class.

    Args:
        root: Folder of the download.
        collection: What is published.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: No class folder, or a folder that is none of the classes.
    """
    defects = defects or Defects()
    found = {path.name: path for path in sorted(root.iterdir())
             if path.is_dir() and not path.name.startswith('.')
             } if root.is_dir() else {}
    names = list(collection.counts)
    if not set(found) & set(names):
        raise DataError(
            root, f'expected the {len(names)} class folders of '
            f'{collection.title} ({names[0]}, {names[1]}, ...), found '
            f'{", ".join(list(found)[:3]) or "no folder"}',
            'name the folder that holds them')
    for name, path in found.items():
        if name not in collection.counts:
            defects.add(DataError(
                path, f'expected a class of {collection.title}, found the '
                f"folder '{name}'", 'remove it or correct its name'))
    return [
        ConversionItem(f'{name}/{path.name}', path, name) for name in names
        if name in found for path in sorted(found[name].iterdir())
        if path.suffix.lower() in EXTENSIONS
    ]


def check_scene(item: ConversionItem, out_dir: Path,
                size: int) -> ItemResult:
    """Decode a scene, check its form and put it below ``images``.

    Raises:
        DataError: Not three bands of 8 bits, or of another size.
        RasterContractError: Damaged.
    """
    image = read_image(item.source)
    if image.shape != (3, size, size) or image.dtype != np.uint8:
        bands, height, width = image.shape
        raise DataError(
            item.source, f'expected 3 bands of uint8, {size} x {size} pixels, '
            f'found {bands} of {image.dtype}, {height} x {width}',
            'download it again')
    target = os.path.join('images', item.key)
    with atomic_path(out_dir / target) as partial:
        try:
            os.link(item.source.resolve(), partial)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(item.source, partial)
    return ItemResult((target, ))


def stratified_lists(names: Mapping[str, Sequence[str]],
                     ratios: Sequence[int],
                     seed: int = 0) -> dict[str, list[str]]:
    """Draw the same share of every class.

    Args:
        names: Class -> its images.
        ratios: Per cent to train on, 1 to 99; the rest is tested.
        seed: Of the draw; each class has a stream of its own, so that a
            class more or less does not change the others.

    Returns:
        ``train_20`` and ``test_20`` for 20 and so on -> sorted names. Of a
        class with two images or more both lists have one at least.

    Raises:
        ValueError: A ratio out of range, or a class without two images.

    Example:
        >>> lists = stratified_lists({'a': '12345', 'b': '6789X'}, [20])
        >>> [len(lists[name]) for name in ('train_20', 'test_20')]
        [2, 8]
    """
    lists: dict[str, list[str]] = {}
    for ratio in ratios:
        if not 1 <= ratio <= 99:
            raise ValueError(f'ratio {ratio}: expected 1 to 99 per cent')
    for label, members in names.items():
        if len(members) < 2:
            raise ValueError(
                f"class '{label}': expected 2 images or more to split, found "
                f'{len(members)}; complete the class or remove its folder')
        stream = np.random.default_rng([seed, *label.encode()])
        order = [sorted(members)[i] for i in stream.permutation(len(members))]
        for ratio in ratios:
            count = round(len(order) * ratio / 100)
            count = min(max(count, 1), len(order) - 1)
            lists.setdefault(f'train_{ratio}', []).extend(order[:count])
            lists.setdefault(f'test_{ratio}', []).extend(order[count:])
    return {name: sorted(members) for name, members in lists.items()}


def convert_scenes(root: str, out: str, collection: SceneCollection,
                   workers: int = 1, skip_bad: bool = False,
                   partial: bool = False,
                   seed: int = 0) -> tuple[ConversionReport, dict]:
    """Check the download, link its images and write the lists.

    Args:
        root: Folder of the class folders.
        out: Folder to write, ``data_root`` of the config: ``images``,
            ``splits/{train,test}_RATIO.txt``, ``conversion.json``.
        collection: What is published.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.
        seed: Of the lists.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``.
    """
    defects = Defects(skip_bad)
    items = find_scenes(Path(root), collection, defects)
    verify_counts(items, collection.counts, root, partial, defects)
    report = run_conversion(
        items, functools.partial(check_scene, size=collection.size), out,
        workers, skip_bad, dict(dataset=collection.title), collection.title,
        defects)
    names: dict[str, list[str]] = {}
    for key in report.results:
        names.setdefault(key.split('/')[0], []).append(key)
    lists = stratified_lists(names, collection.ratios, seed)
    for name, members in lists.items():
        write_text(Path(out) / 'splits' / f'{name}.txt',
                   ''.join(f'{member}\n' for member in members))
    summary = dict(
        dataset=collection.title, seed=seed, bad=len(report.bad),
        splits={name: len(members) for name, members in lists.items()},
        classes={label: len(members) for label, members in names.items()})
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
