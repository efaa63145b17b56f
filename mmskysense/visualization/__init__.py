# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a person looks at."""

from .quick_look import save_quick_look, stretch

__all__ = ['save_quick_look', 'stretch']
