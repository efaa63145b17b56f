# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Encoder checkpoints: cut out of pre-training, load without silence.

mmengine's ``Pretrained`` loads non-strictly: a wrong checkpoint leaves the
encoder random and a note in the log. Here everything that does not fit is
an error, and what may legitimately differ is reported.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from .checkpoint import CheckpointError, name_a_few, read_checkpoint
from .tokenizer_adaptation import (
    AdaptationReport,
    adapt_tokenizer,
    report_adaptation,
)

# Where encoders lie in the checkpoints people have, tried in this order.
_PREFIXES = ('teacher.backbone.', 'student.backbone.', 'backbone.', '')
_TOKENIZER = re.compile(r'tokenizers\.([^.]+)\.')
_PROMPT = re.compile(r'stages\.\d+\.prompts\.tokens\.([^.]+)$')


def load_checkpoint_strictly(module: nn.Module,
                             path: str | os.PathLike,
                             allow_missing_sensors: bool = True,
                             branch: str | None = None,
                             adapt: Mapping[str, Any] | None = None) -> None:
    """Load an encoder's weights; refuse a checkpoint that does not fit.

    Takes packaged encoders, checkpoints of pre-training (the teacher's
    encoder is taken) and of any model with a ``backbone``. Dense weights
    load into mixtures of experts. Reported, not refused: sensors that only
    one side has, output norms that the checkpoint lacks (pre-training has
    only the last), stages that the module does not build.

    Args:
        module: A :class:`SkySenseV2`.
        path: File, or an address that mmengine can open.
        allow_missing_sensors: Start tokenizer and prompts of a sensor that
            the checkpoint lacks anew, with a warning, instead of refusing.
        branch: ``'student'`` or ``'teacher'``: take the encoder of this
            branch of pre-training, or refuse.
        adapt: Sensors that the checkpoint lacks -> the known sensor, or
            sensors, whose bands start their tokenizer; or a dict of
            :func:`adapt_tokenizer`'s arguments. Which band took which
            weights is reported.

    Raises:
        FileNotFoundError: No such file.
        ValueError: ``adapt`` names a sensor that the checkpoint or the
            encoder does not have.
        CheckpointError: Unreadable, or sizes or keys differ; one line that
            names both sizes and the remedy.
    """
    content = read_checkpoint(os.fspath(path))
    state = encoder_state(content, path, branch)
    own = module.state_dict()
    for new, sources in (adapt or {}).items():
        if f'tokenizers.{new}.projection.weight' not in own:
            raise ValueError(f"adapt: the encoder has no sensor '{new}'; "
                             'add it to sensors= of the backbone')
        made, report = _adapted(state, path, new, sources)
        state.update(made)
        report_adaptation(report, str(path))
    _refuse_other_size(module, state, own, content, path)
    result = module.load_state_dict(
        {k: v for k, v in state.items()
         if k not in own or v.shape == own[k].shape}, strict=False)
    missing, unexpected = list(result.missing_keys), list(
        result.unexpected_keys)

    sensors = {_sensor_of(key) for key in own} - {None}
    dropped = sorted({
        sensor for key in unexpected
        if (sensor := _sensor_of(key)) and sensor not in sensors
    })
    stages = sum(1 for key in own if re.fullmatch(
        r'mergings\.\d+\.reduction\.weight', key)) + 1
    unbuilt = [key for key in unexpected if _stage_beyond(key, stages)]
    unexpected = [
        key for key in unexpected
        if _sensor_of(key) not in dropped and key not in unbuilt
        and not key.startswith('norms.')
    ]
    new_sensors = sorted({
        sensor for key in missing if (sensor := _sensor_of(key))
        and not any(_sensor_of(other) == sensor for other in state)
    })
    if allow_missing_sensors:
        missing = [key for key in missing
                   if _sensor_of(key) not in new_sensors]
    new_norms = [key for key in missing if key.startswith('norms.')]
    missing = [key for key in missing if key not in new_norms]
    if missing or unexpected:
        raise CheckpointError(
            f'checkpoint {path} does not fit {type(module).__name__}: '
            f'{len(missing)} keys missing{name_a_few(missing)}, '
            f'{len(unexpected)} unexpected{name_a_few(unexpected)}; '
            'build the encoder as the '
            f'checkpoint says ({_describe(content, state)})')
    module._is_init = True
    if dropped:
        print_log(f'{path}: dropped (sensor not used): {", ".join(dropped)}',
                  'current')
    if unbuilt:
        print_log(f'{path}: dropped (the model has stages 0 to {stages - 1} '
                  f'only): {len(unbuilt)} keys{name_a_few(unbuilt)}',
                  'current')
    if new_norms:
        print_log(f'{path}: output norms start anew: '
                  f'{", ".join(new_norms)}', 'current')
    if allow_missing_sensors and new_sensors:
        print_log(
            f'{path} has never seen {", ".join(new_sensors)}: prompts and '
            'tokenizers of their own start anew', 'current', level=30)


def package_backbone(checkpoint: str | os.PathLike,
                     out: str | os.PathLike,
                     branch: str = 'teacher',
                     sensors: Sequence[str] | None = None,
                     half: bool = False,
                     with_config: bool = True) -> dict[str, Any]:
    """Write the encoder of a pre-training checkpoint to a file of its own.

    Args:
        checkpoint: What ``tools/train.py`` wrote for a pre-training config.
        out: File to write, whole or not at all.
        branch: ``'teacher'`` or ``'student'``.
        sensors: Sensors to keep; all by default.
        half: Store weights in float16: half the size for passing on. They
            load into float32 with errors below a thousandth of a weight.
        with_config: Keep the text of the run's config, paths of the machine
            included.

    Returns:
        The ``meta`` that was written: ``arch``, ``sensors``, ``branch``,
        ``iter`` and the ``config`` (text) of the run.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: It is none of pre-training, or lacks a sensor.
    """
    if branch not in ('teacher', 'student'):
        raise ValueError(f"branch='{branch}': expected 'teacher' or "
                         "'student'")
    content = read_checkpoint(os.fspath(checkpoint))
    prefix = f'{branch}.backbone.'
    state = _strip(content, prefix)
    if not state:
        raise ValueError(
            f"checkpoint {checkpoint}: expected keys that begin with "
            f"'{prefix}', found none; give a checkpoint of a pre-training "
            'run (configs/skysense_v2)')
    present = sorted({s for key in state if (s := _sensor_of(key))})
    keep = list(sensors or present)
    absent = sorted(set(keep) - set(present))
    if absent:
        raise ValueError(f'checkpoint {checkpoint} has sensors {present}, '
                         f'not {absent}; leave them out of --sensors')
    state = {
        key: value.clone() for key, value in state.items()
        if _sensor_of(key) is None or _sensor_of(key) in keep
    }
    if half:
        state = {key: value.half() if value.is_floating_point() else value
                 for key, value in state.items()}
        lost = [key for key, value in state.items()
                if not bool(value.isfinite().all())]
        if lost:
            raise ValueError(f'checkpoint {checkpoint}: weights of {lost[0]} '
                             'are too large for float16; leave half out')
    meta = content.get('meta') or {}
    packaged = dict(
        arch=_backbone_config(content).get('arch') or _width(state),
        sensors=keep, branch=branch, iter=meta.get('iter'),
        config=meta.get('cfg') if with_config else None)
    write_encoder(out, state, packaged)
    return packaged


def adapt_checkpoint(checkpoint: str | os.PathLike,
                     out: str | os.PathLike,
                     sensor: str,
                     sources: str | Sequence[str] | Mapping[str, Any],
                     keep: bool = False) -> AdaptationReport:
    """Write an encoder with a tokenizer for a sensor it has never seen.

    Args:
        checkpoint: Any checkpoint with an encoder.
        out: File to write, whole or not at all.
        sensor: The new sensor, of the table.
        sources: As for :func:`load_checkpoint_strictly`'s ``adapt``.
        keep: Keep the other sensors too.

    Returns:
        Which band took which weights; also in the ``meta`` of the file.

    Raises:
        FileNotFoundError: No such checkpoint.
        KeyError: A sensor is not in the table.
        ValueError: The checkpoint holds no encoder, has the sensor already
            or lacks a source.
    """
    content = read_checkpoint(os.fspath(checkpoint))
    state = encoder_state(content, checkpoint)
    made, report = _adapted(state, checkpoint, sensor, sources)
    if not keep:
        state = {key: value for key, value in state.items()
                 if _sensor_of(key) is None}
    state = {key: value.clone() for key, value in {**state, **made}.items()}
    before = content.get('meta') or {}
    write_encoder(out, state, dict(
        arch=_backbone_config(content).get('arch') or _width(state),
        sensors=sorted({s for key in state if (s := _sensor_of(key))}),
        branch=before.get('branch'), iter=before.get('iter'),
        config=before.get('config') or before.get('cfg'),
        adaptation=report.to_dict()))
    return report


def write_encoder(out: str | os.PathLike, state: Mapping[str, Tensor],
                  meta: Mapping[str, Any]) -> None:
    """Write an encoder to a file, whole or not at all.

    Args:
        out: File; its folder is made.
        state: State dict of a :class:`SkySenseV2`.
        meta: What :func:`package_backbone` returns, or more.
    """
    out = os.fspath(out)
    folder = os.path.dirname(out)
    if folder:
        os.makedirs(folder, exist_ok=True)
    aside = f'{out}.{os.getpid()}.part'
    try:
        torch.save(dict(state_dict=dict(state), meta=dict(meta)), aside)
        os.replace(aside, out)
    finally:
        if os.path.exists(aside):
            os.remove(aside)


def _adapted(state: Mapping[str, Tensor], path: str | os.PathLike,
             sensor: str, sources: Any
             ) -> tuple[dict[str, Tensor], AdaptationReport]:
    """Tensors of a new sensor; refuses one that the checkpoint has."""
    if f'tokenizers.{sensor}.projection.weight' in state:
        raise ValueError(f"checkpoint {path}: has a tokenizer of '{sensor}' "
                         'already, nothing is to adapt; leave the sensor out')
    options = dict(sources) if isinstance(sources, Mapping) else dict(
        sources=sources)
    return adapt_tokenizer(state, sensor, **options)


def _strip(content: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    state = content.get('state_dict', content)
    plain = {key.removeprefix('module.'): value
             for key, value in state.items()}
    return {
        key.removeprefix(prefix): value for key, value in plain.items()
        if key.startswith(prefix) and isinstance(value, Tensor)
    }


def encoder_state(content: dict[str, Any], path: str | os.PathLike,
                  branch: str | None = None) -> dict[str, Tensor]:
    """Take the encoder out of a checkpoint, wherever it lies.

    Args:
        content: Of :func:`read_checkpoint`.
        path: File, for messages.
        branch: As for :func:`load_checkpoint_strictly`.

    Raises:
        CheckpointError: There is none.
    """
    prefixes = _PREFIXES if branch is None else (f'{branch}.backbone.', )
    for prefix in prefixes:
        state = _strip(content, prefix)
        if any(_TOKENIZER.match(key) for key in state):
            return state
    if branch is not None:
        raise CheckpointError(
            f"checkpoint {path}: has no '{prefixes[0]}*'; give a checkpoint "
            'of a pre-training run, or name no branch')
    raise CheckpointError(
        f'checkpoint {path}: holds no SkySenseV2 encoder (no key '
        "'tokenizers.*', alone or behind 'backbone.', 'student.backbone.' or "
        "'teacher.backbone.'); give a checkpoint of this project")


def _sensor_of(key: str) -> str | None:
    match = _TOKENIZER.match(key) or _PROMPT.match(key)
    # The tokenizer made of wavelengths belongs to no sensor.
    return match.group(1) if match and match.group(1) != 'wavelength' \
        else None


def _stage_beyond(key: str, stages: int) -> bool:
    """Whether a key belongs to a stage that the module does not build."""
    match = re.match(r'(stages|mergings)\.(\d+)\.', key)
    if not match:
        return False
    last = stages - 1 if match.group(1) == 'stages' else stages - 2
    return int(match.group(2)) > last


def _width(state: dict[str, Tensor]) -> int | None:
    """Width of stage 1, from the first tokenizer's weight."""
    for key, value in state.items():
        if _TOKENIZER.match(key) and key.endswith('.norm.weight'):
            return value.shape[0]
    return None


def _backbone_config(content: dict[str, Any]) -> dict[str, Any]:
    """The encoder's config, as far as the checkpoint tells it."""
    meta = content.get('meta') or {}
    if 'arch' in meta:
        return dict(arch=meta['arch'])
    try:
        config = Config.fromstring(meta['cfg'], '.py')
        return dict(config.model.backbone)
    except Exception:  # a foreign checkpoint may hold anything, or nothing
        return {}


def _describe(content: dict[str, Any], state: dict[str, Tensor]) -> str:
    arch = _backbone_config(content).get('arch')
    width = f'width {_width(state)}'
    return f'arch={arch!r}, {width}' if arch else width


def _refuse_other_size(module: nn.Module, state: dict[str, Tensor],
                       own: dict[str, Tensor], content: dict[str, Any],
                       path: str | os.PathLike) -> None:
    for key, value in state.items():
        if key in own and value.shape != own[key].shape:
            raise CheckpointError(
                f'checkpoint {path} holds an encoder of another size '
                f'({_describe(content, state)}), the model has width '
                f'{_width(own)}: {key} is {tuple(value.shape)}, expected '
                f'{tuple(own[key].shape)}; set arch (or num_prompts, moe) of '
                "the backbone to the checkpoint's")
