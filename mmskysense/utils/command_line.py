# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How the commands in ``tools/`` refuse bad input."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class UsageError(ValueError):
    """An option or an input is wrong, told only once something runs.

    The tools print it as one line, where other errors while running keep
    their traceback.
    """


# What bad input raises; anything else is a defect and keeps its traceback.
BAD_INPUT = (OSError, ValueError, KeyError, ImportError, SyntaxError)


def as_options(text: str, names: Sequence[str]) -> str:
    """Say Python arguments in a message as options of the command line.

    Args:
        text (str): Such as ``"pass scale= or bands=['VV', 'VH']"``.
        names (Sequence[str]): Arguments that are options too.

    Returns:
        str: Such as ``'pass --scale or --bands VV,VH'``. Folders named
        ``scale=10`` inside a path stay as they are.
    """
    def option(match: re.Match[str]) -> str:
        value = next((part for part in match.groups()[1:] if part), '')
        value = value.replace("'", '').replace(' ', '')
        return f'--{match[1]} {value}'.strip()

    if not names:
        return text
    value = r"(?:\[([^\]]*)\]|'([^']*)'|([\w.+-]*))"
    return re.sub(rf"(?<![^\s(])({'|'.join(names)})={value}", option, text)


@contextmanager
def tidy_termination() -> Iterator[None]:
    """Let SIGTERM, with which schedulers end a run, tidy up as Ctrl-C does.

    What was there before is set again: a process that is forked later must
    end by SIGTERM at once.

    Raises:
        SystemExit: On SIGTERM, with the status that a shell would see.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def plain_refusal(program: str,
                  options: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error about the user's input into one line and status 1.

    Args:
        program (str): Name printed in front of the message.
        options (Sequence[str]): Python arguments that the program has as
            options; messages name them as such, see :func:`as_options`.

    Raises:
        SystemExit: With the message, for the exceptions in ``BAD_INPUT``.
            With ``MMSKYSENSE_TRACEBACK=1`` in the environment the original
            exception passes through instead.
    """
    try:
        yield
    except (*BAD_INPUT, TypeError) as error:
        # A config's unknown argument; other type errors are defects.
        if (isinstance(error, TypeError)
                and 'unexpected keyword argument' not in str(error)):
            raise
        if os.environ.get('MMSKYSENSE_TRACEBACK', '0') not in ('', '0'):
            raise
        # str(KeyError('x')) is "'x'": its argument reads better.
        text = error.args[0] if isinstance(error, KeyError) and error.args \
            else error
        line = as_options(' '.join(str(text).split()), options) \
            or type(error).__name__
        sys.exit(f'{program}: error: {line} (MMSKYSENSE_TRACEBACK=1 shows '
                 'where)')


def check_file(path: str, what: str, remedy: str) -> None:
    """Refuse a path at which there is no readable, non-empty file.

    Args:
        path (str): A local path; addresses such as ``https://...`` are left
            to the library that opens them.
        what (str): What the file is, e.g. ``'checkpoint'``.
        remedy (str): What the user should do about it.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it has no bytes.
    """
    if '://' in path:
        return
    if not Path(path).is_file():
        found = 'a directory' if Path(path).is_dir() else 'nothing'
        raise FileNotFoundError(
            f'{what} {path}: expected a file, found {found}; {remedy}')
    if Path(path).stat().st_size == 0:
        raise ValueError(f'{what} {path}: the file is empty; {remedy}')
