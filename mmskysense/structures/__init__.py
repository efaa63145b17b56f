# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Structures that travel from the data side to the models."""

from .view_batch import ViewBatch

__all__ = ['ViewBatch']
