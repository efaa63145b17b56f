# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Necks between the encoder and stock heads."""

from .multi_sensor_fusion import MultiSensorFusionNeck

__all__ = ['MultiSensorFusionNeck']
