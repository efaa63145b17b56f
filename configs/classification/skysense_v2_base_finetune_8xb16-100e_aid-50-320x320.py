"""AID, trained on 50 % of each class: overall accuracy."""
_base_ = './skysense_v2_base_finetune_8xb16-100e_aid-20-320x320.py'
train_dataloader = dict(dataset=dict(ann_file='splits/train_50.txt'))
val_dataloader = dict(dataset=dict(ann_file='splits/test_50.txt'))
test_dataloader = dict(dataset=dict(ann_file='splits/test_50.txt'))
