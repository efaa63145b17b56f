# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The demonstration: every step of the line as a command of its own."""

from .line import demo_line
from .steps import Line, Step, StepFailed

__all__ = ['Line', 'Step', 'StepFailed', 'demo_line']
