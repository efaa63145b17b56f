# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Reading a config with the command line's overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from .command_line import check_file
from .config_sensors import register_config_sensors
from .diagnosis import PROVIDERS, install_command
from .strides import follow_merge


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config and merge ``--cfg-options`` into it.

    One option means more than in mmengine: ``data_root=DIR`` moves every path
    of the config that lies under its old ``data_root``, of all data sets and
    metrics. mmengine would change the variable alone, which nothing reads
    any more once the config is evaluated. Likewise options of the top-level
    ``data_preprocessor`` reach the model's. Strides of detection heads follow
    the encoder's merges (:func:`.strides.follow_merge`). Sensors that the
    config lists as ``new_sensors`` are registered.

    Args:
        path: Config file.
        options: Overrides, keys with dots.

    Returns:
        The merged config.

    Raises:
        FileNotFoundError: There is no config.
        ModuleNotFoundError: Its base is a config of a host that is not
            installed.
        ValueError: ``data_root`` is overridden in a config without one, or
            an entry of ``new_sensors`` is no sensor.
    """
    check_file(path, 'config', 'the configs are in configs/')
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        host = str(error).partition(' is not installed')[0]
        if host not in PROVIDERS:
            raise
        raise ModuleNotFoundError(
            f'config {path}: its base is a config of {host}, which is not '
            f'installed; run `{install_command()} {PROVIDERS[host][0]}`'
        ) from error
    options = _also_of_the_model(cfg, options or {})
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


def _also_of_the_model(cfg: Config, options: dict[str, Any]
                       ) -> dict[str, Any]:
    """Options of the variable ``data_preprocessor`` for the model's, too."""
    options = dict(options)
    model = cfg.get('model')
    if not hasattr(model, 'get') or model.get('data_preprocessor') is None:
        return options
    for key in list(options):
        if key.split('.')[0] == 'data_preprocessor':
            options.setdefault(f'model.{key}', options[key])
    return options


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
