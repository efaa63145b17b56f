# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Regions of one map in several processes, each with the model."""

from __future__ import annotations

import multiprocessing.connection
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mmskysense.raster import Region

from .map_run import MapJob, RegionRun

if TYPE_CHECKING:
    from .map_inferencer import MapInferencer


def run_regions(inferencer: MapInferencer, job: MapJob,
                regions: Sequence[Region], scoring: dict[str, Any],
                processes: int, tell: Callable[[int], object]) -> int:
    """Make all regions of a map.

    Args:
        inferencer: Has the model; each process builds its own.
        job: What the rows are made from.
        regions: Parts of the map.
        scoring: Arguments of :class:`WindowScorer`.
        processes: Processes; with 1, this one. On GPUs, process i takes GPU
            i where the device is ``'cuda'``.
        tell: Called with the number of further windows that are done.

    Returns:
        Windows without a measured pixel.

    Raises:
        RuntimeError: A process failed; the message is its own.
    """
    if processes == 1:
        scorer = inferencer.scorer(**scoring)
        return sum(RegionRun(job, region, scorer, tell)()
                   for region in regions)
    # A fork would inherit locks of torch's threads, and open files.
    context = torch.multiprocessing.get_context('spawn')
    messages = context.Queue()
    threads = max(torch.get_num_threads() // processes, 1)
    workers = [
        context.Process(
            target=_work, daemon=True,
            args=(inferencer, job, regions[number::processes], scoring,
                  number, threads, messages))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        return _listen(workers, messages, tell)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
            worker.join()


def _listen(workers: Sequence[Any], messages: Any,
            tell: Callable[[int], object]) -> int:
    """Pass progress on until all processes have ended well."""
    skipped, running = 0, len(workers)
    while running:
        try:
            kind, value = messages.get(timeout=1.0)
        except queue.Empty:
            dead = [w for w in workers if w.exitcode not in (None, 0)]
            if dead:
                raise RuntimeError(
                    f'a process of the map died (exit code '
                    f'{dead[0].exitcode}), out of memory perhaps; use fewer '
                    'processes or a smaller batch') from None
            continue
        if kind == 'windows':
            tell(value)
        elif kind == 'error':
            raise value
        else:
            skipped += value
            running -= 1
    return skipped


def _die_with_parent() -> None:
    """End this process when its parent was killed and could not end it.

    Otherwise it would write on into rows that another run has taken over.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _work(inferencer: MapInferencer, job: MapJob, regions: Sequence[Region],
          scoring: dict[str, Any], number: int, threads: int,
          messages: Any) -> None:
    """The life of a process: its regions, one after the other."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    if inferencer.device == 'cuda':
        inferencer.device = f'cuda:{number % torch.cuda.device_count()}'
    try:
        scorer = inferencer.scorer(**scoring)
        skipped = sum(
            RegionRun(job, region, scorer,
                      lambda count: messages.put(('windows', count)))()
            for region in regions)
        messages.put(('done', skipped))
    except BaseException as error:  # told to the parent, then over
        # A type that pickles for sure and that tools know as bad input.
        kind = next((kind for kind in (ValueError, OSError)
                     if isinstance(error, kind)), RuntimeError)
        messages.put(('error', kind(str(error) or type(error).__name__)))
        messages.close()
        messages.join_thread()
        os._exit(0)
