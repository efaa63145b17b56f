# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The version of mmskysense, in one place."""

__version__ = '0.1.0'
