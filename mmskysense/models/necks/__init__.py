# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Necks: one pyramid for stock heads out of several sensors."""

from .multi_sensor_fusion import MultiSensorFusionNeck
from .temporal_fusion_neck import TemporalFusionNeck

__all__ = ['MultiSensorFusionNeck', 'TemporalFusionNeck']
