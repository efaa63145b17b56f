# Small, all three sensors: QSACL and MGCL.
_base_ = [
    '../_base_/models/skysense_v2_small_pretrain.py',
    '../_base_/datasets/pretrain_rgb-s2-s1.py',
    '../_base_/schedules/pretrain_600k.py',
]

train_dataloader = dict(batch_size=32)  # of 32 GPUs: 1024
