# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The progress bar of a map."""

from __future__ import annotations

from types import TracebackType

from tqdm import tqdm


class MapProgress:
    """Windows done, windows and megapixels a second, time left.

    Args:
        name: In front of the bar.
        windows: Of the whole map.
        pixels: Of the whole map.
        disable: Show nothing.
    """

    def __init__(self, name: str, windows: int, pixels: int,
                 disable: bool = False) -> None:
        self._share = pixels / max(windows, 1) / 1e6
        self._bar = tqdm(total=windows, unit='window', desc=name,
                         disable=disable)

    def update(self, count: int) -> None:
        """So many more windows are done."""
        bar = self._bar
        seconds = bar.format_dict['elapsed']
        if seconds and not bar.disable:
            speed = (bar.n + count) * self._share / seconds
            bar.set_postfix_str(f'{speed:.3g} Mpx/s', refresh=False)
        bar.update(count)

    def __enter__(self) -> MapProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()
