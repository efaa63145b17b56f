# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Metrics and probing."""

from .metrics import *  # noqa: F403
