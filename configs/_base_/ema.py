# A moving average of the weights, which is what is validated, kept as the
# checkpoint and tested; the trained weights are beside it (ema_state_dict).
# Batch norm's statistics are averaged too. Momentum: 1 / 0.001 iterations.
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.001,
        update_buffers=True,
        priority='ABOVE_NORMAL')
]
