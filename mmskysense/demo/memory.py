# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Memory of a process together with its children."""

from __future__ import annotations

from pathlib import Path


def tree_memory(pid: int) -> int:
    """Proportional set size of a process and all its descendants in bytes.

    Pages that forked workers share count once, so this is what the machine
    must have. Linux only; elsewhere, and for processes that are gone, 0.

    Args:
        pid: Process id.
    """
    total = 0
    try:
        for line in Path(f'/proc/{pid}/smaps_rollup').read_text().split('\n'):
            if line.startswith('Pss:'):
                total = 1024 * int(line.split()[1])
                break
    except (OSError, ValueError):
        pass
    try:
        for task in Path(f'/proc/{pid}/task').iterdir():
            for child in (task / 'children').read_text().split():
                total += tree_memory(int(child))
    except OSError:
        pass
    return total
