# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Convert many items in parallel; go on where a killed run stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .defects import Defects
from .errors import DataError
from .files import remove_leftovers, write_text
from .journal import Journal, fingerprint, remove_stale

#: What a bad file raises; anything else is a defect of the converter.
BAD_FILE = (OSError, ValueError, KeyError)
#: Name of the list that ``skip_bad`` leaves in the output folder.
BAD_LIST = 'bad_items.txt'


@dataclass(frozen=True)
class ConversionItem:
    """One unit of work: an image, a scene, a patch folder.

    Args:
        key: Unique and the same in every run; names the item in messages.
        source: The file or folder that an error about the item names.
        split: Split it belongs to; counted apart.
        payload: Anything else that ``convert_one`` needs; must pickle. The
            item is converted again when it changes, or a file or folder that
            it names as a ``Path`` does.
    """

    key: str
    source: Path
    split: str = ''
    payload: Any = None


@dataclass(frozen=True)
class ItemResult:
    """What converting one item gave.

    Args:
        outputs: Files written, relative to the output folder.
        record: Anything that JSON can hold: annotations, pixel counts.
    """

    outputs: tuple[str, ...] = ()
    record: Any = None


@dataclass
class ConversionReport:
    """What a whole conversion gave.

    Args:
        results: Key -> result, in the order of the items.
        bad: Key -> error message of the items that were left out.
        resumed: Number of items that an earlier run had finished.
        removed: Number of files of an earlier run that were deleted, since
            their items changed or are gone.
    """

    results: dict[str, ItemResult] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    resumed: int = 0
    removed: int = 0

    @property
    def outputs(self) -> int:
        """Number of files written, those of earlier runs included."""
        return sum(len(result.outputs) for result in self.results.values())

    def __str__(self) -> str:
        text = (f'{len(self.results)} items, {self.outputs} files, '
                f'{self.resumed} of the items from an earlier run')
        if self.removed:
            text += f'; {self.removed} files of an earlier run removed'
        if self.bad:
            text += f'; {len(self.bad)} left out, see {BAD_LIST}'
        return text


def run_conversion(
    items: Sequence[ConversionItem],
    convert_one: Callable[[ConversionItem, Path], ItemResult],
    out_dir: str | os.PathLike,
    workers: int = 1,
    skip_bad: bool = False,
    options: Mapping[str, Any] | None = None,
    title: str = 'converting',
    defects: Defects | None = None,
) -> ConversionReport:
    """Convert every item once, in processes, with a progress bar.

    A journal in ``out_dir`` notes each finished item, so a run that was
    killed goes on where it stopped: an item is done again only if it is not
    noted, its payload, source or another of its files changed, or one of its
    outputs is missing or has another size. Outputs of items that changed, or
    are gone, are deleted first. Afterwards every file that was reported must
    be there.

    Args:
        items: What to convert; keys are unique.
        convert_one: ``(item, out_dir) -> ItemResult``, a function of a
            module (or a ``functools.partial`` of one) so that it reaches
            other processes; writes with :func:`.files.atomic_path`.
        out_dir: Output folder; made if missing.
        workers: Processes; 1 converts in this one.
        skip_bad: Leave items out whose files are bad, write their list
            (``bad_items.txt``: key, message) and go on.
        options: What the outputs depend on (tile size, overlap). A folder
            that was converted with other options is refused.
        title: In front of the progress bar.
        defects: Entries that were left out before; listed with the bad
            items.

    Returns:
        Results of all items.

    Raises:
        DataError: No items, a key twice, the first bad item (unless
            ``skip_bad``), nothing left, or other options than before.
        RuntimeError: A worker process died.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> def shout(item, out_dir):
        ...     text = item.source.read_text().upper()
        ...     write_text(out_dir / item.key, text)
        ...     return ItemResult((item.key, ))
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / 'a.txt').write_text('field')
        5
        >>> report = run_conversion(
        ...     [ConversionItem('b.txt', folder / 'a.txt')], shout,
        ...     folder / 'out')
        >>> report.outputs, (folder / 'out/b.txt').read_text()
        (1, 'FIELD')
    """
    root = Path(out_dir)
    defects = defects or Defects()
    _check_items(items, root, workers, defects)
    root.mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    report = ConversionReport(bad=dict(defects.messages))
    with Journal(root, dict(options or {})) as journal:
        todo = []
        inputs = {item.key: fingerprint(item.source, item.split, item.payload)
                  for item in tqdm(items, 'comparing with an earlier run',
                                   leave=False, delay=2)}
        for item in items:
            known = journal.finished(item.key, inputs[item.key])
            if known is None:
                todo.append(item)
            else:
                report.results[item.key] = ItemResult(*known)
        report.resumed = len(report.results)
        report.removed = remove_stale(root, journal.noted, (
            name for result in report.results.values()
            for name in result.outputs))
        bar = tqdm(total=len(items), initial=report.resumed, desc=title,
                   unit='item', mininterval=0.5, dynamic_ncols=True)
        with bar:
            for item, result in _convert_all(todo, convert_one, root,
                                             workers):
                bar.update()
                if isinstance(result, ItemResult):
                    journal.note(item.key, inputs[item.key], result.outputs,
                                 result.record)
                    report.results[item.key] = result
                    continue
                if not skip_bad:
                    raise _named(item, result) from result
                report.bad[item.key] = str(result)
    _finish(items, report, root)
    return report


_SKIP = 'leave such items out with --skip-bad'


def _named(item: ConversionItem, error: BaseException) -> DataError:
    """The error of an item with its name, and the way to go on."""
    if isinstance(error, DataError):
        return DataError(
            error.file, f"{error.problem} (of item '{item.key}')",
            f'{error.remedy}; or {_SKIP}' if error.remedy else _SKIP,
            error.line)
    text = ' '.join(str(error).split()) or type(error).__name__
    return DataError(item.source, f"cannot convert '{item.key}': {text}",
                     f'repair or download it again, or {_SKIP}')


def _check_items(items: Sequence[ConversionItem], root: Path,
                 workers: int, defects: Defects) -> None:
    if workers < 1:
        raise ValueError(f'workers={workers}: expected at least 1 process')
    if not items and defects.count:
        raise DataError(root, f'all {defects.count} entries are bad; the '
                        f'first: {next(iter(defects.messages.values()))}')
    if not items:
        raise DataError(root, 'expected something to convert, found nothing',
                        'correct the folder of the download')
    seen: dict[str, Path] = {}
    for item in items:
        if item.key in seen:
            other = seen[item.key]
            raise DataError(
                item.source, f"item '{item.key}' is there twice" +
                (f', also as {other}' if other != item.source else ''),
                'remove one of them' if other != item.source else
                'remove one of the two entries of the list that names it')
        seen[item.key] = item.source


def _convert_all(
    items: Sequence[ConversionItem],
    convert_one: Callable[[ConversionItem, Path], ItemResult],
    root: Path,
    workers: int,
) -> Iterator[tuple[ConversionItem, ItemResult | BaseException]]:
    """Pairs of an item and its result or error, as they finish."""
    if workers == 1 or len(items) < 2:
        for item in items:
            try:
                yield item, convert_one(item, root)
            except BAD_FILE as error:
                yield item, error
        return
    waiting = iter(items)
    running: dict[Future, ConversionItem] = {}
    with ProcessPoolExecutor(min(workers, len(items))) as pool:
        try:
            # A few ahead of the workers: memory stays bounded, and an error
            # stops the run soon.
            while True:
                for item in waiting:
                    running[pool.submit(convert_one, item, root)] = item
                    if len(running) >= 4 * workers:
                        break
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    item = running.pop(future)
                    yield item, _outcome(future, item)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future,
             item: ConversionItem) -> ItemResult | BaseException:
    try:
        return future.result()
    except BrokenProcessPool:
        raise RuntimeError(
            f'a worker process died near {item.source}, probably for lack of '
            'memory; use fewer --workers and run again: finished items are '
            'kept') from None
    except BAD_FILE as error:
        return error


def _finish(items: Sequence[ConversionItem], report: ConversionReport,
            root: Path) -> None:
    """Write the list of bad items; make sure that every file is there."""
    bad_list = root / BAD_LIST
    if report.bad:
        write_text(
            bad_list, ''.join(
                f'{key}\t{" ".join(message.split())}\n'
                for key, message in sorted(report.bad.items())))
        if not report.results:
            first = next(iter(report.bad.values()))
            raise DataError(bad_list, f'all {len(report.bad)} items are bad; '
                            f'the first: {first}')
    else:
        bad_list.unlink(missing_ok=True)
    report.results = {
        item.key: report.results[item.key]
        for item in items if item.key in report.results
    }
    for result in report.results.values():
        for name in result.outputs:
            if not (root / name).is_file():
                raise DataError(root / name, 'was converted, but is no '
                                'longer there', 'run the converter again')
