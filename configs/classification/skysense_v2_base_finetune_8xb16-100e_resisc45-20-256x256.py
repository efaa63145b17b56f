"""RESISC-45, trained on 20 % of each class: overall accuracy."""
_base_ = './skysense_v2_base_finetune_8xb16-100e_resisc45-10-256x256.py'
train_dataloader = dict(dataset=dict(ann_file='splits/train_20.txt'))
val_dataloader = dict(dataset=dict(ann_file='splits/test_20.txt'))
test_dataloader = dict(dataset=dict(ann_file='splits/test_20.txt'))
