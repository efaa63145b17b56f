# Base, all three sensors: QSACL and MGCL.
_base_ = [
    '../_base_/models/skysense_v2_base_pretrain.py',
    '../_base_/datasets/pretrain_rgb-s2-s1.py',
    '../_base_/schedules/pretrain_600k.py',
]

train_dataloader = dict(batch_size=16)  # of 64 GPUs: 1024
