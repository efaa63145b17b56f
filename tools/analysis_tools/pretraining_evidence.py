#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Does pre-training pay: train, probe and fine-tune every row of a table.

Each row is a set of changes to one pre-training config, each seed a run of
its own; all runs have the same number of steps. Runs whose record is there
are not repeated, so the command can be stopped and started again.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmskysense.evaluation.probing.evidence import (
    Row,
    read_record,
    read_rows,
    table_of_rows,
)
from mmskysense.evaluation.probing.record import write_record
from mmskysense.utils import check_file, plain_refusal

_TOOLS = Path(__file__).parents[1]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', help='config with pretrain= and rows=, such '
                        'as configs/evidence/eurosat_rows.py')
    parser.add_argument('--data-root', required=True, metavar='DIR')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='folder of the JSON records')
    parser.add_argument('--work-dir', required=True, metavar='DIR',
                        help='folder of logs and checkpoints')
    parser.add_argument('--only', nargs='+', metavar='ROW',
                        help='names of rows; all by default')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--iters', type=int, metavar='N',
                        help="steps of a run; the config's by default")
    parser.add_argument('--amp', action='store_true', help='bfloat16')
    parser.add_argument('--cfg-options', nargs='+', default=[],
                        help='further changes, key=value, of every run')
    parser.add_argument('--table', metavar='FILE',
                        help='write the table as Markdown')
    return parser.parse_args(argv)


def run(command: Sequence[str], log: Path) -> None:
    """Run a tool of this project, its output to a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w', encoding='utf-8') as file:
        code = subprocess.run(
            [sys.executable, *command], stdout=file,
            stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise ValueError(f'{log}: {" ".join(command[:2])} ended with exit '
                         f'code {code}; its last lines:\n' +
                         ''.join(log.read_text().splitlines(True)[-5:]))


def pretrain(args: argparse.Namespace, config: str, row: Row, seed: int,
             iters: int) -> tuple[str, float]:
    """Pre-train a row; its checkpoint (or none) and the seconds it took."""
    if not row.trained:
        return 'none', 0.0
    folder = Path(args.work_dir) / f'{row.name}_seed{seed}'
    checkpoint = folder / f'iter_{iters}.pth'
    start = time.perf_counter()
    if not checkpoint.exists():
        # The schedule ends with the run.
        options = [
            f'data_root={args.data_root}', f'randomness.seed={seed}',
            f'train_cfg.max_iters={iters}', f'param_scheduler.1.end={iters}',
            f'default_hooks.checkpoint.interval={iters}',
            *row.options, *args.cfg_options
        ]
        run([str(_TOOLS / 'train.py'), config, '--work-dir', str(folder),
             *(['--amp'] if args.amp else []), '--cfg-options', *options],
            folder / 'train.log')
    return str(checkpoint), time.perf_counter() - start


def measure(args: argparse.Namespace, config: str, row: Row, seed: int,
            iters: int) -> None:
    """Pre-train and probe one run of a row, unless its record is there."""
    target = Path(args.out) / f'{row.name}_seed{seed}.json'
    known = read_record(target)
    if known is not None:
        print(f'{row.name}, seed {seed}: {target} is there')
        return
    print(f'{row.name}, seed {seed}: training', flush=True)
    checkpoint, seconds = pretrain(args, config, row, seed, iters)
    record: dict[str, Any] = dict(
        row=row.name, title=row.title, seed=seed, options=list(row.options),
        iterations=iters if row.trained else 0, train_seconds=seconds)
    lists = Path(args.data_root) / 'splits'
    for method in ('knn', 'linear'):
        aside = Path(args.work_dir) / f'{row.name}_seed{seed}_{method}.json'
        aside.unlink(missing_ok=True)
        run([
            str(_TOOLS / 'probe.py'), config, checkpoint, '--method', method,
            '--data-root', args.data_root,
            '--train-list', str(lists / 'subset5k_train.txt'),
            '--test-list', str(lists / 'subset5k_test.txt'),
            '--seed', str(seed), '--bfloat16', '--quiet',
            '--json', str(aside), '--cfg-options',
            f'data_root={args.data_root}', *row.options, *args.cfg_options
        ], aside.with_suffix('.log'))
        found = read_record(aside)
        assert found is not None
        record[method] = {
            key: found[key]
            for key in ('top1', 'ci95', 'n_train', 'n_test', 'versions')}
    write_record(target, record)
    print(f'{row.name}, seed {seed}: k-NN {record["knn"]["top1"]:.3f}, linear '
          f'{record["linear"]["top1"]:.3f}, {seconds:.0f} s', flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the rows and write the table."""
    args = parse_args(argv)
    with plain_refusal('pretraining_evidence.py'):
        check_file(args.rows, 'rows', 'see configs/evidence/eurosat_rows.py')
        config, rows = read_rows(args.rows, args.only)
        iters = args.iters or Config.fromfile(config).train_cfg.max_iters
        for seed in args.seeds:
            for row in rows:
                measure(args, config, row, seed, iters)
        table = table_of_rows(rows, args.out)
        if args.table:
            Path(args.table).write_text(table, encoding='utf-8')
    print(table)


if __name__ == '__main__':
    main()
