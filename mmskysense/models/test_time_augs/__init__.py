# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Merging of views that the hosts lack; each module needs its host."""
