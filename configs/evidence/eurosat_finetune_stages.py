# Fine-tuning on EuroSAT as in eurosat_finetune.py, the head on the mean and
# the deviation over places of all stages in place of the last one's mean.
_base_ = ['eurosat_finetune.py']

channels = (48, 96, 192, 384)
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(
        _delete_=True,
        type='mmskysense.MeanDeviationPooling',
        in_channels=channels),
    head=dict(in_channels=2 * sum(channels)))
