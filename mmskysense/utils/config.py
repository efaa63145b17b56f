# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Reading a config with the command line's overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from .command_line import check_file
from .config_sensors import register_config_sensors
from .strides import follow_merge


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config and merge ``--cfg-options`` into it.

    One option means more than in mmengine: ``data_root=DIR`` moves every path
    of the config that lies under its old ``data_root``, of all data sets and
    metrics. mmengine would change the variable alone, which nothing reads
    any more once the config is evaluated. Strides of detection heads follow
    the encoder's merges (:func:`.strides.follow_merge`). Sensors that the
    config lists as ``new_sensors`` are registered.

    Args:
        path: Config file.
        options: Overrides, keys with dots.

    Returns:
        The merged config.

    Raises:
        FileNotFoundError: There is no config.
        ValueError: ``data_root`` is overridden in a config without one, or
            an entry of ``new_sensors`` is no sensor.
    """
    check_file(path, 'config', 'the configs are in configs/')
    cfg = Config.fromfile(path)
    options = dict(options or {})
    new_root = options.pop('data_root', None)
    if new_root is not None:
        old_root = cfg.get('data_root')
        if not old_root:
            raise ValueError(
                f"config {path}: --cfg-options data_root={new_root}, but it "
                "has no variable 'data_root'; set train_dataloader.dataset."
                'data_root (val_, test_ alike) instead')
        _replace(cfg, _moved(old_root.rstrip('/'), str(new_root)))
    cfg.merge_from_dict(options)
    register_config_sensors(cfg)
    follow_merge(cfg)
    return cfg


def _moved(old: str, new: str) -> Callable[[str], str]:
    """Change of a path from below one folder to below another."""

    def move(text: str) -> str:
        if text.rstrip('/') == old:
            return new
        if text.startswith(old + '/'):
            return new.rstrip('/') + text[len(old):]
        return text

    return move


def _replace(node: Any, change: Callable[[str], str]) -> Any:
    """Apply a change to every string below a dict or list, in place."""
    if isinstance(node, str):
        return change(node)
    if isinstance(node, tuple):
        return tuple(_replace(value, change) for value in node)
    if isinstance(node, list):
        node[:] = [_replace(value, change) for value in node]
    elif hasattr(node, 'items'):
        for key in list(node):
            node[key] = _replace(node[key], change)
    return node
