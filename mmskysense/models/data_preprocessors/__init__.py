# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Normalisation, padding and batching."""

from .multi_sensor import MultiSensorDataPreprocessor

__all__ = ['MultiSensorDataPreprocessor']
