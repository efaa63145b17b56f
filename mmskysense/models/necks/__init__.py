# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Necks: what stock heads take, out of several sensors, dates or stages."""

from .date_difference_neck import DateDifferenceNeck
from .mean_deviation_pooling import MeanDeviationPooling, pool_mean_deviation
from .multi_sensor_fusion import MultiSensorFusionNeck
from .temporal_fusion_neck import TemporalFusionNeck

__all__ = [
    'DateDifferenceNeck', 'MeanDeviationPooling', 'MultiSensorFusionNeck',
    'TemporalFusionNeck', 'pool_mean_deviation'
]
