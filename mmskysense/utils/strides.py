# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Detection heads that follow the encoder's choice of merges.

Segmentation heads compare maps by their size and need nothing. Anchors and
regions of interest are placed by strides that a config spells out: with
another ``merge``, or a sensor whose default keeps the resolution, they would
look at the wrong place without any error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmskysense.sensors import get_sensor

_BACKBONES = ('SkySenseV2', 'LoRASkySenseV2')
_PATCH_SIZE = 4


def encoder_strides(backbone: Mapping[str, Any]) -> list[int]:
    """Pixels along a side of a token, for each map that comes out.

    Args:
        backbone: Arguments of :class:`SkySenseV2`.

    Returns:
        One stride for each of ``out_indices``.

    Example:
        >>> encoder_strides(dict(merge=(2, 3)))
        [4, 8, 16, 16]
    """
    sensor = backbone.get('sensor') or 'hr_rgb'
    merge = backbone.get('merge')
    if isinstance(merge, Mapping):
        merge = merge.get(sensor)
    if merge is None:
        merge = get_sensor(sensor).merge
    return [
        _PATCH_SIZE * 2**sum(2 <= stage <= index + 1 for stage in merge)
        for index in sorted(backbone.get('out_indices') or (0, 1, 2, 3))
    ]


def follow_merge(cfg: Config) -> None:
    """Set the strides of mmdet's heads behind an FPN to the encoder's.

    Sizes of anchors stay what they were (``base_sizes``): only their
    distance follows. Nothing is done for other backbones and necks, and
    for heads with another number of levels.

    Args:
        cfg: Changed in place: ``strides`` of anchor and point generators,
            ``featmap_strides`` of region extractors.
    """
    model = cfg.get('model') or {}
    if not hasattr(model, 'get'):
        return
    backbone, neck = model.get('backbone') or {}, model.get('neck') or {}
    name = str(backbone.get('type', '')).rpartition('.')[2]
    if name not in _BACKBONES or \
            not isinstance(neck, Mapping) or neck.get('type') != 'FPN':
        return
    strides = encoder_strides(backbone)[neck.get('start_level', 0):]
    while len(strides) < neck.get('num_outs', len(strides)):
        strides.append(2 * strides[-1])
    for part in _nodes(model):
        for key in ('strides', 'featmap_strides'):
            old = part.get(key)
            if not isinstance(old, (list, tuple)) or not old:
                continue
            # A region extractor takes the first levels only.
            new = strides[:len(old)]
            if len(new) != len(old) or list(old) == new or \
                    not all(isinstance(stride, int) for stride in old):
                continue
            if key == 'strides' and part.get('type', '').endswith(
                    'AnchorGenerator'):
                part.setdefault('base_sizes', list(old))
            part[key] = new
            print_log(f"{part.get('type')}: {key} {list(old)} follow the "
                      f"encoder's merges: {new}", 'current')


def _nodes(node: Any) -> Iterator[Any]:
    """Every dict below a node, itself included."""
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _nodes(value)
    elif hasattr(node, 'items'):
        yield node
        for value in list(node.values()):
            yield from _nodes(value)
