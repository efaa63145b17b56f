# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Batch views where they are made: in the data loader's workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import pseudo_collate

from mmskysense.registry import FUNCTIONS
from mmskysense.structures import ViewBatch


@FUNCTIONS.register_module()
def collate_views(batch: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Batch what ``PackPretrainInputs`` has packed, for the preprocessor.

    mmengine's ``pseudo_collate`` leaves every tensor of every view on its
    own, and each costs a file descriptor on its way from a worker to the
    model: with 6 views of 64 tiles 2,304 of them. Here a batch has some
    tens of tensors, whatever its size.

    Args:
        batch: N packed tiles.

    Returns:
        ``inputs``, dict(global=:class:`ViewBatch`, local=:class:`ViewBatch`
        or None), or dict(tile=:class:`ViewBatch`) of whole tiles, not
        normalised; and ``data_samples``, a list.

    Raises:
        ValueError: Tiles that do not fit into one batch, see
            :meth:`ViewBatch.from_views`.
    """
    inputs: dict[str, ViewBatch | None] = {}
    for kind in batch[0]['inputs']:
        views = [sample['inputs'][kind] for sample in batch]
        inputs[kind] = ViewBatch.from_views(views) if any(views) else None
    return dict(
        inputs=inputs,
        data_samples=pseudo_collate(
            [sample['data_samples'] for sample in batch]))
