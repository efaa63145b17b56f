# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Necks: one pyramid for stock heads out of several sensors or dates."""

from .date_difference_neck import DateDifferenceNeck
from .multi_sensor_fusion import MultiSensorFusionNeck
from .temporal_fusion_neck import TemporalFusionNeck

__all__ = ['DateDifferenceNeck', 'MultiSensorFusionNeck', 'TemporalFusionNeck']
