# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Hooks."""

from .qsacl_hook import QSACLHook

__all__ = ['QSACLHook']
