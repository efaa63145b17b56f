# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The smallest thing mmengine can train: one linear layer on a line.

The samples are points of y = 2x + 1; each process of a distributed run sees
other points, so processes that did not exchange gradients would differ.
"""

custom_imports = dict(imports=['toy_parts'], allow_failed_imports=False)
default_scope = 'mmengine'

model = dict(type='ToyLine')
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ToyPoints', points=8),
    sampler=dict(type='DefaultSampler', shuffle=False))
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ToyPoints', points=4),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_cfg = dict()
test_evaluator = dict(type='ToyError')
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    logger=dict(type='LoggerHook', interval=1))
custom_hooks = [dict(type='ToySaveEveryRank')]
randomness = dict(seed=0)
