# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Timing of candidates in turn, the same way in every benchmark."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from tqdm import tqdm


def machine(device: str = 'cpu') -> str:
    """What a figure was measured on, in one line."""
    if device.startswith('cuda'):
        where = torch.cuda.get_device_name(device)
    else:
        where = f'{platform.machine()}, {torch.get_num_threads()} threads'
    return f'{where}, torch {torch.__version__}'


def interleave(candidates: Mapping[str, Callable[[], None]], rounds: int,
               device: str, label: str,
               clock: Callable[[], float] = time.perf_counter
               ) -> dict[str, list[float]]:
    """Time candidates in turn (A B C A B C ...), after one warm-up each.

    A drift of the machine's speed meets all of them.

    Args:
        candidates: Name -> what to run once.
        rounds: Timed runs of each.
        device: Waited for before the clock is read.
        label: Of the progress bar.
        clock: ``time.process_time`` for seconds of all threads of this
            process, which another job on the machine hardly changes.

    Returns:
        Name -> seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for index in tqdm(range(rounds + 1), desc=label):
        for name, run in candidates.items():
            start = clock()
            run()
            if device.startswith('cuda'):
                torch.cuda.synchronize()
            if index:
                seconds[name].append(clock() - start)
    return seconds


def print_medians(label: str, seconds: Mapping[str, list[float]]) -> None:
    """Medians in milliseconds, and as ratios to the first candidate's."""
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    first = next(iter(medians.values()))
    print(label)
    for name, median in medians.items():
        print(f'  {name:20s} {median * 1e3:9.1f} ms   '
              f'{median / first:5.2f} x')


def write_json(path: str, report: Mapping[str, Any]) -> None:
    """Write a report aside, then rename: never half a file."""
    with open(f'{path}.part', 'w', encoding='utf-8') as file:
        json.dump(report, file, indent=1)
    os.replace(f'{path}.part', path)
