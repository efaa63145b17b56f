"""Land cover of 0.5 m RGB with UPerNet and averaged weights (EMA).

Two lines for any config: ``../_base_/ema.py`` is mmengine's ``EMAHook``.
Data: ``python tools/make_sample_data.py`` writes data/sample_world.
"""
_base_ = [
    'skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256.py',
    '../_base_/ema.py',
]
