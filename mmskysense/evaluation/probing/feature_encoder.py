# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""An encoder out of any config, and the features it gives."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.models.necks import pool_mean_deviation
from mmskysense.registry import MODELS
from mmskysense.utils.encoder_checkpoint import load_checkpoint_strictly
from mmskysense.utils.part_checkpoint import load_part_strictly

FEATURES = ('last', 'stages', 'blocks', 'fused')
POOLINGS = ('mean', 'mean_deviation')


class FeatureEncoder(nn.Module):
    """Wraps an encoder, which it does not change, to give its features.

    Args:
        backbone: With ``forward(images)`` to a tuple of maps.
        features: ``'last'``: the last map; ``'stages'``: the output of each
            stage; ``'blocks'``: of chosen blocks; ``'fused'``: the last
            map behind the fusion transformer, one sensor and one date, and
            before geo-context, if the model has that. The
            maps of intermediate stages and blocks pass a layer norm without
            parameters, since pre-training trains a norm for the last alone.
        blocks: Numbers of blocks, from 0 over all stages; negative ones
            count from the end; empty means all.
        sensor: Sensor of images that come as a plain tensor.
        fusion: A :class:`MultiModalTemporalFusion`, for ``'fused'``.
        pooling: How a map becomes features of the image: ``'mean'`` over
            places, or ``'mean_deviation'``, the standard deviation over
            places beside it (ours): how much an image varies is texture,
            and a mean does not show it.

    Raises:
        ValueError: Unknown features, blocks or pooling, or no fusion.
    """

    def __init__(self,
                 backbone: nn.Module,
                 features: str = 'last',
                 blocks: Sequence[int] = (),
                 sensor: str = 'hr_rgb',
                 fusion: nn.Module | None = None,
                 pooling: str = 'mean') -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling='{pooling}': expected one of "
                             f'{POOLINGS}')
        if features not in FEATURES:
            raise ValueError(f"features='{features}': expected one of "
                             f'{FEATURES}')
        if features == 'fused' and fusion is None:
            raise ValueError("features='fused' needs a pre-training config, "
                             'with model.fusion')
        self.backbone, self.fusion, self.sensor = backbone, fusion, sensor
        self.features, self.pooling = features, pooling
        self.taps: dict[str, nn.Module] = {}
        self.num_prompts: dict[str, int] = {}
        if features in ('stages', 'blocks'):
            self._find_taps(blocks)

    def _find_taps(self, wanted: Sequence[int]) -> None:
        stages = getattr(self.backbone, 'stages', None)
        if stages is None:
            raise ValueError(f"features='{self.features}' needs a SkySenseV2 "
                             f'encoder, found {type(self.backbone).__name__}')
        if self.features == 'stages':
            self.taps = {f'stage {i}': stage
                         for i, stage in enumerate(stages)}
            self.num_prompts = dict.fromkeys(self.taps, 0)
            return
        blocks = [(block, stage) for stage in stages
                  for block in stage.blocks]
        for number in wanted or range(len(blocks)):
            if not -len(blocks) <= number < len(blocks):
                raise ValueError(f'block {number}: the encoder has blocks 0 '
                                 f'to {len(blocks) - 1}')
            number %= len(blocks)
            block, stage = blocks[number]
            self.taps[f'block {number}'] = block
            prompts = getattr(stage, 'prompts', None)
            self.num_prompts[f'block {number}'] = (
                0 if prompts is None else prompts.num_prompts)

    @contextmanager
    def _listening(self) -> Iterator[dict[str, Tensor]]:
        """Outputs of the taps during the next forward pass."""
        heard: dict[str, Tensor] = {}

        def listener(name: str) -> Any:
            def listen(module: nn.Module, inputs: Any, output: Tensor
                       ) -> None:
                heard[name] = output
            return listen

        handles = [tap.register_forward_hook(listener(name))
                   for name, tap in self.taps.items()]
        try:
            yield heard
        finally:
            for handle in handles:
                handle.remove()

    def _last_map(self, images: Tensor) -> Tensor:
        """Last map (N, D, h, w) of images (N, C, H, W) of ``sensor``."""
        if getattr(self.backbone, 'sensor', self.sensor) == self.sensor:
            return self.backbone(images)[-1]
        # Of several sensors a plain tensor means the encoder's own.
        return self.backbone({self.sensor: images[:, None]})[
            self.sensor][-1][:, 0]

    def dense(self, images: Tensor | Mapping[str, Tensor]) -> Tensor:
        """A map of features: the last, the fused, or all stages.

        Args:
            images: Normalised (N, C, H, W), or sensor -> (N, T, C, H, W).
                Without fusion, maps are averaged over dates and put side by
                side over sensors.

        Returns:
            (N, D, h, w), at the finest of the maps that it is made of.

        Raises:
            ValueError: Features of blocks, or of stages of several sensors.
        """
        if self.features == 'fused':
            assert self.fusion is not None
            if isinstance(images, Tensor):
                images = {self.sensor: images[:, None]}
            maps = self.backbone(images)
            return self.fusion({s: levels[-1] for s, levels in maps.items()})
        if self.features == 'last':
            if isinstance(images, Tensor):
                return self._last_map(images)
            return _side_by_side([levels[-1].mean(1) for levels in
                                  self.backbone(images).values()])
        if self.features == 'blocks' or not isinstance(images, Tensor):
            raise ValueError(f"features='{self.features}' have no map here; "
                             "use 'last', 'fused', or 'stages' of one sensor")
        with self._listening() as heard:
            self._last_map(images)
        return _side_by_side([
            F.layer_norm(tokens, tokens.shape[-1:]).permute(0, 3, 1, 2)
            for tokens in heard.values()])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Pooled features by name.

        Args:
            images: Normalised (N, C, H, W).

        Returns:
            ``'last'``, ``'fused'``, or a name for each stage or block ->
            (N, D), or (N, 2 D) with deviations: means, then deviations.
        """
        if not self.taps:
            return {self.features: self._pool(
                self.dense(images).flatten(2).transpose(1, 2))}
        with self._listening() as heard:
            self._last_map(images)
        pooled = {}
        for name in self.taps:
            tokens = heard[name].flatten(1, -2)[:, self.num_prompts[name]:]
            pooled[name] = self._pool(
                F.layer_norm(tokens, tokens.shape[-1:]))
        return pooled

    def _pool(self, tokens: Tensor) -> Tensor:
        """Features of images out of tokens (N, L, D)."""
        if self.pooling == 'mean':
            return tokens.mean(1)
        return pool_mean_deviation(tokens)


def build_encoder(config: Mapping[str, Any],
                  checkpoint: str | os.PathLike | None = None,
                  branch: str | None = None,
                  features: str = 'last',
                  blocks: Sequence[int] = (),
                  sensor: str | None = None,
                  seed: int = 0,
                  pooling: str = 'mean'
                  ) -> tuple[FeatureEncoder, MultiSensorDataPreprocessor]:
    """Build the encoder of a config, with weights, and its normalisation.

    Args:
        config: Of pre-training, of any host with ``model.backbone``, or
            with a backbone alone (``backbone=dict(...)``).
        checkpoint: Loaded strictly; None for random weights.
        branch: ``'teacher'`` (default where there is one) or
            ``'student'`` of a pre-training checkpoint.
        features: See :class:`FeatureEncoder`.
        blocks: Likewise.
        sensor: Sensor of the images; the backbone's own by default.
        seed: Of random weights.
        pooling: See :class:`FeatureEncoder`.

    Returns:
        The encoder on the CPU, frozen, in evaluation mode, and the
        preprocessor that normalises for it.

    Raises:
        ValueError: No backbone in the config, or the checkpoint does not
            fit.
        FileNotFoundError: No such checkpoint.
    """
    if branch not in (None, 'teacher', 'student'):
        raise ValueError(f"branch='{branch}': expected 'teacher' or "
                         "'student'")
    model, backbone = _find_backbone(config)
    backbone = {key: value for key, value in backbone.items()
                if key != 'init_cfg'}
    if sensor is not None:
        known = backbone.get('sensors') or (backbone.get('sensor'), )
        if sensor not in known:
            raise ValueError(f"sensor '{sensor}': the config's backbone has "
                             f'{list(known)}; give one of them')
        backbone['sensor'] = sensor
    if str(backbone.get('type', '')).split('.')[-1] == 'SkySenseV2':
        backbone['drop_path_rate'] = 0.0
        backbone['out_indices'] = (3, )
        sensor = backbone.get('sensor', 'hr_rgb')
    sensor = sensor or 'hr_rgb'
    with torch.random.fork_rng(devices=[]), \
            DefaultScope.overwrite_default_scope(
                config.get('default_scope') or 'mmskysense'):
        torch.manual_seed(seed)
        encoder = MODELS.build(backbone)
        encoder.init_weights()
        fusion = None
        if features == 'fused' and model.get('fusion'):
            fusion = MODELS.build(dict(model['fusion']))
            fusion.init_weights()
    if checkpoint is not None:
        load_checkpoint_strictly(encoder, checkpoint, branch=branch)
        if fusion is not None:
            load_part_strictly(fusion, checkpoint,
                               f"{branch or 'teacher'}.fusion")
    statistics = (model.get('data_preprocessor')
                  or config.get('data_preprocessor') or {})
    preprocessor = MultiSensorDataPreprocessor(
        sensor=sensor,
        **{key: statistics[key] for key in ('mean', 'std')
           if statistics.get(key) is not None
           and 'MultiSensorDataPreprocessor' in str(statistics.get('type'))})
    wrapped = FeatureEncoder(encoder, features, blocks, sensor, fusion,
                             pooling)
    return wrapped.requires_grad_(False).eval(), preprocessor


def _side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Maps (N, D_i, h_i, w_i) joined on the finest of their grids."""
    height, width = max(tuple(level.shape[-2:]) for level in maps)
    return torch.cat([
        F.interpolate(level, (height, width), mode='bilinear',
                      align_corners=False)
        if level.shape[-2:] != (height, width) else level for level in maps
    ], dim=1)


def _find_backbone(config: Mapping[str, Any]
                   ) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's and the backbone's part of a config."""
    model = dict(config.get('model') or {})
    if model.get('backbone'):
        return model, dict(model['backbone'])
    if str(model.get('type', '')).split('.')[-1] == 'SkySenseV2':
        return {}, model
    if config.get('backbone'):
        return model, dict(config['backbone'])
    raise ValueError(
        f"config {getattr(config, 'filename', '')}: expected model.backbone "
        'or backbone, found neither; give a pre-training config, one of '
        'configs/classification, or a file with backbone = dict(type='
        "'mmskysense.SkySenseV2', ...)")
