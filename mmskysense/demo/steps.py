# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Steps that run as processes, are stamped, and are not run twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from .memory import tree_memory

# mmengine's "Iter(train) [ 50/300] ... loss: 1.2" and tqdm's "12/60 [00:05".
_TRAINING = re.compile(r'Iter\((\w+)\)\s+\[\s*(\d+)/(\d+)\].*?'
                       r'(?:\bloss: ([\d.]+)|$)')
_TQDM = re.compile(r'(\d+)/(\d+) \[')
_SILENCE = 20.0  # seconds between lines where there is no terminal


class StepFailed(RuntimeError):
    """A step's process ended with an error."""


@dataclass(frozen=True)
class Step:
    """One command of the line.

    Args:
        name: Folder-safe key.
        title: What a person reads.
        hint: What there is to do and how long it takes on two cores.
        commands: Command lines, run in this order.
        inputs: Files whose content the result depends on.
        outputs: Files that exist afterwards.
    """

    name: str
    title: str
    hint: str
    commands: tuple[tuple[str, ...], ...]
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...] = ()

    def shell(self) -> list[str]:
        """The commands as a person would type them."""
        return [
            shlex.join(('python', *command)) for command in self.commands
        ]


@dataclass
class StepRecord:
    """What is remembered of a finished step.

    Args:
        name: Of the step.
        title: Of the step.
        digest: Of its commands, its inputs and the step before it.
        seconds: Wall time.
        cpu_seconds: Processor time of all its processes.
        peak_memory: Largest memory of all its processes at once in bytes, 0
            if unknown.
        commands: As typed.
    """

    name: str
    title: str
    digest: str
    seconds: float
    cpu_seconds: float
    peak_memory: int
    commands: list[str]


class Line:
    """Runs steps in order; a step whose inputs did not change is skipped.

    Args:
        folder: Where stamps and logs go.
        root: Folder the commands run in.
        say: Takes a finished line for the user.
        force: Run every step.
    """

    def __init__(self, folder: Path, root: Path,
                 say: Callable[[str], None] = print,
                 force: bool = False) -> None:
        self.folder, self.root = folder, root
        self.say, self.force = say, force
        self.records: list[StepRecord] = []
        self.ran = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, steps: Sequence[Step]) -> list[StepRecord]:
        """Run what has to be run.

        Returns:
            A record for each step, in order.

        Raises:
            StepFailed: With one line that names the step and its log.
        """
        before = ''
        for number, step in enumerate(steps, 1):
            digest = self._digest(step, before)
            label = f'[{number}/{len(steps)}] {step.title}'
            record = None if self.force else self._finished(step, digest)
            if record is not None:
                self.say(f'{label}: done before, {record.seconds:.0f} s')
            else:
                self.say(f'{label}: {step.hint}')
                for command in step.shell():
                    self.say(f'      {command}')
                record = self._execute(step, digest, label)
                self.say(f'      {_duration(record.seconds)}'
                         + (f', {record.peak_memory / 2**30:.1f} GiB'
                            if record.peak_memory else ''))
                self.ran += 1
            self.records.append(record)
            before = digest
        return self.records

    def _stamp(self, step: Step) -> Path:
        return self.folder / f'{step.name}.json'

    def log(self, step: Step) -> Path:
        """Where a step's output goes."""
        return self.folder / f'{step.name}.log'

    def _digest(self, step: Step, before: str) -> str:
        content = hashlib.sha256(before.encode())
        content.update(json.dumps(step.commands).encode())
        for path in step.inputs:
            content.update(path.read_bytes())
        return content.hexdigest()[:16]

    def _finished(self, step: Step, digest: str) -> StepRecord | None:
        try:
            record = StepRecord(**json.loads(self._stamp(step).read_text()))
        except (OSError, ValueError, TypeError):
            return None  # never ran, or was written by another version
        there = all(path.exists() for path in step.outputs)
        return record if record.digest == digest and there else None

    def _execute(self, step: Step, digest: str, label: str) -> StepRecord:
        self._stamp(step).unlink(missing_ok=True)
        start, cpu, peak = time.perf_counter(), 0.0, 0
        with self.log(step).open('wb') as log:
            for command in step.commands:
                log.write(f'$ {shlex.join(command)}\n'.encode())
                log.flush()
                used, memory = self._process(command, log, label)
                cpu, peak = cpu + used, max(peak, memory)
        missing = [str(p) for p in step.outputs if not p.exists()]
        if missing:
            raise StepFailed(f'{label} wrote no {missing[0]}; its log is '
                             f'{self.log(step)}')
        record = StepRecord(step.name, step.title, digest,
                            time.perf_counter() - start, cpu, peak,
                            step.shell())
        aside = self._stamp(step).with_suffix('.part')
        aside.write_text(json.dumps(asdict(record), indent=1))
        os.replace(aside, self._stamp(step))
        return record

    def _process(self, command: Sequence[str], log: BinaryIO,
                 label: str) -> tuple[float, int]:
        environment = dict(os.environ, MPLBACKEND='Agg', PYTHONUNBUFFERED='1')
        # The tools work in a clone that is not installed, too.
        environment['PYTHONPATH'] = os.pathsep.join(
            [str(self.root), *filter(None, [os.environ.get('PYTHONPATH')])])
        cpu = _children_time()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=self.root, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        meter = _MemoryMeter(process.pid)
        try:
            tail = _follow(process, log, label)
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            peak = meter.stop()
        if status:
            raise StepFailed(f'{label} failed with status {status}: {tail}; '
                             f'the whole log is {log.name}')
        return _children_time() - cpu, peak


def _follow(process: subprocess.Popen, log: BinaryIO,
            label: str) -> str:
    """Copy a process's output to the log; show how far it is."""
    terminal = sys.stdout.isatty()
    shown, tail, text = 0.0, '', b''
    assert process.stdout is not None
    while piece := process.stdout.read1(65536):  # type: ignore[attr-defined]
        log.write(piece)
        log.flush()
        *lines, text = re.split(rb'[\r\n]', text + piece)
        for raw in lines:
            line = raw.decode(errors='replace').strip()
            tail = line or tail
            state = progress_of(line)
            now = time.monotonic()
            if state and now - shown > (0.2 if terminal else _SILENCE):
                shown = now
                print(f'\r\x1b[K      {state}' if terminal
                      else f'      {state}', end='' if terminal else '\n',
                      flush=True)
    if terminal:
        print('\r\x1b[K', end='', flush=True)
    return ' '.join((text.decode(errors='replace').strip() or tail).split())


def progress_of(line: str) -> str | None:
    """How far a process is, from one line of its output.

    Example:
        >>> progress_of('Iter(train) [ 50/200]  lr: 1e-3  loss: 0.7')
        '50/200 iterations, loss 0.7'
    """
    if match := _TRAINING.search(line):
        kind, done, total, loss = match.groups()
        what = 'iterations' if kind == 'train' else f'{kind} batches'
        return f'{done}/{total} {what}' + (f', loss {loss}' if loss else '')
    if match := _TQDM.search(line):
        return f'{match[1]}/{match[2]}'
    return None


class _MemoryMeter:
    """Largest memory of a process and its children, sampled."""

    def __init__(self, pid: int, every: float = 1.0) -> None:
        self.peak, self._pid, self._every = 0, pid, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(self._every):
            self.peak = max(self.peak, tree_memory(self._pid))

    def stop(self) -> int:
        """End the sampling; return the peak in bytes."""
        self._end.set()
        self._thread.join()
        return self.peak


def _children_time() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes} min {rest:02d} s' if minutes else f'{rest} s'
