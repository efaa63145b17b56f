# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Stock configs of the hosts, and all that is changed in them.

``python tests/test_host_drop_in/matrix.py`` prints the table of
docs/user_guides/drop_in.md; a test holds the page against it.
"""

from dataclasses import dataclass, field
from typing import Any

#: Channels of the tiny encoder's four stages.
TINY = (48, 96, 192, 384)


@dataclass(frozen=True)
class Row:
    """A stock config.

    Args:
        host: Package that has it.
        config: Path under the package's configs.
        stages: Stages of the encoder that heads or neck take, from 0.
        channels: Key of a config -> stages whose channels it is set to: one
            number for an int, several for a list.
        other: Further changes, key -> value. They say what the new backbone
            cannot have in common with the old one.
    """

    host: str
    config: str
    stages: tuple[int, ...]
    channels: dict[str, Any]
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the config, without folder and suffix."""
        return self.config.rpartition('/')[2].removesuffix('.py')

    @property
    def changes(self) -> str:
        """What a user writes beside import and backbone."""
        parts = [f'`{key}={self.widths(stages)}`'
                 for key, stages in self.channels.items()]
        parts += [f'`{key}={value!r}`' for key, value in self.other.items()]
        return ', '.join(parts)

    @staticmethod
    def widths(stages: Any, channels: tuple[int, ...] = TINY) -> Any:
        """Channels of stages, for an encoder of these channels."""
        return channels[stages] if isinstance(stages, int) else [
            channels[stage] for stage in stages]


_DILATED = {'decode_head.in_channels': 3, 'auxiliary_head.in_channels': 2}
_ALL = (0, 1, 2, 3)
# mmseg's ResNet configs name weights beside the backbone.
_NO_WEIGHTS = {'pretrained': None}
_LAST = (3, )
ROWS = (
    Row('mmseg', 'fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py', _ALL, _DILATED,
        _NO_WEIGHTS),
    Row('mmseg', 'pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py', _ALL,
        _DILATED,
        _NO_WEIGHTS),
    Row('mmseg', 'deeplabv3plus/'
        'deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512.py', _ALL,
        {**_DILATED, 'decode_head.c1_in_channels': 0}, _NO_WEIGHTS),
    Row('mmseg', 'danet/danet_r50-d8_4xb4-80k_ade20k-512x512.py', _ALL,
        _DILATED,
        _NO_WEIGHTS),
    Row('mmseg', 'upernet/upernet_r50_4xb4-80k_ade20k-512x512.py', _ALL,
        {'decode_head.in_channels': _ALL, 'auxiliary_head.in_channels': 2},
        _NO_WEIGHTS),
    Row('mmseg', 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
        _ALL, {'decode_head.in_channels': _ALL}),
    Row('mmseg', 'sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py', _ALL,
        {'neck.in_channels': _ALL}, _NO_WEIGHTS),
    Row('mmdet', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'retinanet/retinanet_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'atss/atss_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'gfl/gfl_r50_fpn_1x_coco.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmdet', 'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
        (1, 2, 3), {'neck.in_channels': (1, 2, 3)}),
    Row('mmrotate', 'oriented_rcnn/oriented-rcnn-le90_r50_fpn_1x_dota.py',
        _ALL, {'neck.in_channels': _ALL}),
    Row('mmrotate', 'rotated_retinanet/'
        'rotated-retinanet-rbox-le90_r50_fpn_1x_dota.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmrotate', 'rotated_faster_rcnn/'
        'rotated-faster-rcnn-le90_r50_fpn_1x_dota.py', _ALL,
        {'neck.in_channels': _ALL}),
    Row('mmpretrain', 'swin_transformer_v2/'
        'swinv2-tiny-w8_16xb64_in1k-256px.py', _LAST,
        {'head.in_channels': 3}),
    Row('mmpretrain', 'resnet/resnet50_8xb32_in1k.py', _LAST,
        {'head.in_channels': 3}),
    Row('mmpretrain', 'efficientnet/efficientnet-b0_8xb32_in1k.py', _LAST,
        {'head.in_channels': 3}),
    Row('mmpretrain', 'convnext/convnext-tiny_32xb128_in1k.py', _LAST,
        {'head.in_channels': 3},
        # ConvNeXt pools by itself.
        {'neck': {'type': 'GlobalAveragePooling'}}),
)


def table() -> str:
    """The rows in Markdown."""
    lines = ['| host | config | changed beside import and backbone |',
             '|---|---|---|']
    lines += [f'| {row.host} | `{row.config}` | {row.changes} |'
              for row in ROWS]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    print(table())
