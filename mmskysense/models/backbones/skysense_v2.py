# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SkySense V2: one transformer for every remote-sensing modality.

Zhang et al., SkySense V2: A Unified Foundation Model for Multi-modal Remote
Sensing, ICCV 2025, arXiv 2507.13812.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.sensors import get_sensor
from mmskysense.utils.encoder_checkpoint import load_checkpoint_strictly

from ..layers import (
    AdaptivePatchMerging,
    Tokenizer,
    WavelengthTokenizer,
    share_balance,
)
from .architectures import get_architecture
from .stages import GlobalStage, WindowStage

_POSITIONS = ('rotary', 'rotary_metres', 'none')
_TOKENIZERS = ('conv', 'wavelength')
_LINEAR_INITS = ('truncated_normal', 'glorot')
# Key of the tokenizer that optical sensors share.
_SHARED = 'wavelength'
_PATCH_SIZE = 4
# With positions in metres, tokens this far apart are one unit apart.
_REFERENCE_METRES = 10.0

Merge = Sequence[int] | Mapping[str, Sequence[int]] | None


@MODELS.register_module()
class SkySenseV2(BaseModule):
    """The encoder: shared blocks; tokenizers and prompts per modality.

    Per-sensor tokenizer, two stages of Swin V2 blocks, two stages of global
    attention with modality prompts and, if asked for, mixtures of experts;
    adaptive patch merging between stages. Every block weight is shared by
    all modalities.

    A map of stage i has ceil(H / stride_i) x ceil(W / stride_i) places for
    any H and W: sides are padded inside at the right and the bottom, where
    a patch, a window or a merge needs it, and cropped back; padding of
    windows takes no part in attention.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'large'``, ``'huge'``
            (the paper's), or a dict of :class:`Architecture`'s fields.
        sensors: Modalities that the model can take; default: ``sensor``.
        sensor: Modality of a plain tensor input.
        merge: Stages (a subset of 2, 3, 4) at whose entry the resolution is
            halved, for all sensors or in a dict by sensor; default: the
            sensor table's, (2, 3, 4) for high-resolution RGB and none for
            10 m sensors.
        moe: ``None``, or ``dict(blocks=6, num_experts=8, top_k=1, ...)``:
            the last ``blocks`` blocks get :class:`MixtureOfExperts`; an
            encoder with fewer global blocks gets them in all of those.
        num_prompts: Prompt tokens per modality in each of stages 3 and 4.
        position: Positions in stages 3-4: ``'rotary'`` in tokens,
            ``'rotary_metres'``: the same ground distance is the same angle
            in all modalities, or ``'none'``. Unpublished, so ours.
        layer_scale: Initial LayerScale of stages 3-4, 0 for none. Default by
            depth as in CaiT (arXiv 2103.17239): 0.1 for up to 18 blocks
            (tiny, small), 1e-5 beyond. Unpublished, so ours.
        out_indices: Stages (0 to 3) whose maps are returned, shallow to deep
            whatever their order here. Stages behind
            the last of them are not built.
        frozen_stages: Stages up to this one (1 to 4) are frozen, with the
            tokenizers; 0 freezes the tokenizers alone, -1 nothing.
        with_cp: Recompute activations in the backward pass to save memory.
        drop_path_rate: Of the last block; it grows linearly with depth.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` loads a
            checkpoint strictly, or raises an error that names what differs.
            The type may be left out; no other is accepted. A key ``adapt``,
            dict(NEW_SENSOR=KNOWN_SENSOR), starts the tokenizer of a sensor
            that the checkpoint lacks from the bands of one that it has.
        tokenizer: ``'conv'``, the paper's: one convolution a sensor; or
            ``'wavelength'``, ours: one :class:`WavelengthTokenizer` for all
            optical sensors, while radar keeps convolutions of its own.
        post_norm_scale: Initial weight of the residual post-norms of stages
            1-2. Default 0 as in Swin V2: each of their blocks starts as the
            identity. 1 lets them take part from the start (ours).
        linear_init: Initial weights of linear layers; experts have a start
            of their own:
            ``'truncated_normal'``, of deviation 0.02 as in Swin V2, or
            ``'glorot'``, by fan-in and fan-out, which for narrow encoders
            is several times larger. Ours.

    Example:
        >>> import torch
        >>> from mmskysense import SkySenseV2
        >>> model = SkySenseV2('tiny', sensors=('hr_rgb', 's2_l2a'))
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 64))]
        [(1, 48, 16, 16), (1, 96, 8, 8), (1, 192, 4, 4), (1, 384, 2, 2)]
        >>> maps = model({'s2_l2a': torch.rand(1, 5, 10, 16, 16)})
        >>> maps['s2_l2a'][3].shape
        torch.Size([1, 5, 384, 4, 4])
    """

    def __init__(self,
                 arch: str | dict[str, Any] = 'base',
                 sensors: Sequence[str] | None = None,
                 sensor: str = 'hr_rgb',
                 merge: Merge = None,
                 moe: dict[str, Any] | None = None,
                 num_prompts: int = 4,
                 position: str = 'rotary',
                 layer_scale: float | None = None,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 drop_path_rate: float = 0.0,
                 init_cfg: dict | None = None,
                 tokenizer: str = 'conv',
                 post_norm_scale: float = 0.0,
                 linear_init: str = 'truncated_normal') -> None:
        super().__init__(_initialisation(init_cfg))
        self.post_norm_scale, self.linear_init = post_norm_scale, linear_init
        self.arch = get_architecture(arch)
        self.sensors = tuple(sensors or (sensor, ))
        self.sensor = sensor
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.position = position
        self.merge = _merging_stages(merge, self.sensors)
        self._check_arguments()
        if tokenizer not in _TOKENIZERS:
            raise ValueError(f"tokenizer='{tokenizer}': expected one of "
                             f'{_TOKENIZERS}')

        widths, depths = self.arch.widths, self.arch.depths
        if layer_scale is None:
            layer_scale = 0.1 if sum(depths) <= 18 else 1e-5
        num_stages = max(self.out_indices) + 1
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.tokenizers = _tokenizers(tokenizer, self.sensors, widths[0])
        drop_path = torch.linspace(0, drop_path_rate, sum(depths),
                                   device='cpu').tolist()
        experts = _experts_of_blocks(moe, depths)
        self.mergings = nn.ModuleList(
            AdaptivePatchMerging(width) for width in widths[:num_stages - 1])
        self.stages = nn.ModuleList()
        for index in range(num_stages):
            first = sum(depths[:index])
            blocks = slice(first, first + depths[index])
            heads = widths[index] // self.arch.head_dims
            if index < 2:
                stage: BaseModule = WindowStage(
                    widths[index], depths[index], heads,
                    self.arch.window_size, drop_path[blocks], with_cp)
            else:
                stage = GlobalStage(
                    widths[index], depths[index], heads, self.sensors,
                    num_prompts, experts[blocks], position != 'none',
                    layer_scale, drop_path[blocks], with_cp)
            self.stages.append(stage)
        #: Forward passes of a training step, such as kinds of views: they
        #: and the sensors share the weight of the experts' balance.
        self.passes_per_step = 1
        self.norms = nn.ModuleDict({
            str(index): nn.LayerNorm(widths[index])
            for index in self.out_indices
        })
        self._freeze()

    def forward(
        self, inputs: Tensor | Mapping[str, Tensor]
    ) -> tuple[Tensor, ...] | dict[str, tuple[Tensor, ...]]:
        """Encode one sensor's images, or time series of several sensors.

        Args:
            inputs: Normalised pixels. Either (N, C, H, W) of ``sensor``, or
                a dict from sensor to (N, T, C, H, W), T dates; dates are
                encoded as images of their own. A sensor with T = 0 counts as
                absent.

        Returns:
            For a tensor, a tuple of maps (N, C_i, H_i, W_i), one for each
            of ``out_indices``. For a dict, a dict from sensor to a tuple of
            maps (N, T, C_i, H_i, W_i).

        Raises:
            ValueError: Unknown sensor, wrong shape or number of channels.
        """
        if isinstance(inputs, Tensor):
            _check_input(inputs, self.sensor, self.sensors, 4)
            absent = self._absent_parameters({self.sensor})
            share_balance(self, self.passes_per_step)
            return self._encode(inputs, self.sensor, absent)
        present = {
            sensor: images
            for sensor, images in inputs.items() if images.numel()
        }
        if not present:
            shapes = {s: tuple(i.shape) for s, i in inputs.items()}
            raise ValueError('every sensor is absent from the inputs, whose '
                             f'shapes are {shapes}')
        absent = self._absent_parameters(set(present))
        share_balance(self, self.passes_per_step * len(present))
        maps = {}
        for sensor, images in present.items():
            _check_input(images, sensor, self.sensors, 5)
            size = images.shape[:2]
            maps[sensor] = tuple(
                level.unflatten(0, size)
                for level in self._encode(images.flatten(0, 1), sensor,
                                          absent))
            absent = None  # once is enough
        return maps

    def _encode(self, images: Tensor, sensor: str,
                absent: Tensor | None) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) of one sensor to a tuple of maps."""
        if sensor in self.tokenizers:
            x = self.tokenizers[sensor](images)
        else:
            x = self.tokenizers[_SHARED](images, sensor)
        if absent is not None:
            x = x + absent.to(x.dtype)
        metres = _PATCH_SIZE * get_sensor(sensor).ground_sample_distance
        maps = []
        for index, stage in enumerate(self.stages):
            if index:
                merge = index + 1 in self.merge[sensor]
                x = self.mergings[index - 1](x, merge)
                metres *= 2 if merge else 1
            spacing = (metres / _REFERENCE_METRES
                       if self.position == 'rotary_metres' else 1.0)
            x = stage(x, sensor, spacing)
            if index in self.out_indices:
                level = self.norms[str(index)](x)
                maps.append(level.permute(0, 3, 1, 2).contiguous())
        return tuple(maps)

    def _absent_parameters(self, present: set[str]) -> Tensor | None:
        """Zero, but connected to the parameters of absent sensors.

        Without it, a batch that lacks a sensor leaves parameters without a
        gradient, which DistributedDataParallel does not allow.
        """
        if not (self.training and torch.is_grad_enabled()):
            return None
        parameters: list[nn.Parameter] = []
        used = {sensor if sensor in self.tokenizers else _SHARED
                for sensor in present}
        for name in set(self.tokenizers) - used:
            parameters += self.tokenizers[name].parameters()
        for sensor in set(self.sensors) - present:
            parameters += [
                stage.prompts.tokens[sensor] for stage in self.stages[2:]
                if stage.prompts.num_prompts
            ]
        zeros = [0.0 * p.sum() for p in parameters if p.requires_grad]
        return torch.stack(zeros).sum() if zeros else None

    @staticmethod
    def sensor_of_parameter(name: str) -> str | None:
        """The sensor that owns a parameter, ``None`` for a shared one."""
        parts = name.split('.')
        if 'tokenizers' in parts:
            owner = parts[parts.index('tokenizers') + 1]
            return None if owner == _SHARED else owner
        if 'prompts' in parts:
            return parts[parts.index('prompts') + 2]
        return None

    def stride(self, index: int, sensor: str | None = None) -> int:
        """Pixels along a side of a token of stage ``index`` (0 to 3)."""
        merging = self.merge[sensor or self.sensor]
        return _PATCH_SIZE * 2**sum(2 <= i <= index + 1 for i in merging)

    def init_weights(self) -> None:
        """Random weights, zero biases; or the given checkpoint.

        See ``linear_init`` and ``post_norm_scale``.
        """
        if (self.init_cfg or {}).get('type') == 'Pretrained':
            load_checkpoint_strictly(self, self.init_cfg['checkpoint'],
                                     adapt=self.init_cfg.get('adapt'))
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                if (self.linear_init == 'glorot'
                        and isinstance(module, nn.Linear)):
                    nn.init.xavier_uniform_(module.weight)
                else:
                    nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d):
                # A patch without data is zero; the bias is all that its
                # norm has to scale, so it must not be zero as well.
                nn.init.trunc_normal_(module.bias, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                post_norm = name.startswith(('stages.0.blocks',
                                             'stages.1.blocks'))
                nn.init.constant_(
                    module.weight,
                    self.post_norm_scale if post_norm else 1.0)
                nn.init.zeros_(module.bias)
        if _SHARED in self.tokenizers:
            self.tokenizers[_SHARED].init_weights()
        self._is_init = True

    def train(self, mode: bool = True) -> 'SkySenseV2':
        """Set the mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen: list[nn.Module] = [self.tokenizers]
        frozen += self.stages[:self.frozen_stages]
        frozen += self.mergings[:max(self.frozen_stages - 1, 0)]
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    def get_layer_depth(self, param_name: str,
                        prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter, for layer-wise learning-rate decay.

        The contract of mmpretrain's ``LearningRateDecayOptimWrapperConstructor
        ``: 0 for tokenizers, then one layer a block, the transition before a
        stage with its first block, norms of outputs with their stage's last.

        Args:
            param_name: Name of the parameter in the whole model.
            prefix: Name of the backbone in it, for example ``'backbone.'``.

        Returns:
            The layer's number and the number of layers.
        """
        depths = self.arch.depths[:len(self.stages)]
        num_layers = sum(depths) + 2
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        parts = param_name[len(prefix):].split('.')
        first = [sum(depths[:i]) + 1 for i in range(len(depths))]
        if parts[0] == 'tokenizers':
            return 0, num_layers
        if parts[0] == 'mergings':
            return first[int(parts[1]) + 1], num_layers
        stage = int(parts[1])
        if parts[0] == 'norms':
            return first[stage] + depths[stage] - 1, num_layers
        block = int(parts[3]) if parts[2] == 'blocks' else 0
        return first[stage] + block, num_layers

    def _check_arguments(self) -> None:
        if self.sensor not in self.sensors:
            raise ValueError(f"sensor='{self.sensor}' is not in "
                             f'sensors={self.sensors}; add it there')
        if self.position not in _POSITIONS:
            raise ValueError(f"position='{self.position}': expected one of "
                             f'{_POSITIONS}')
        if self.linear_init not in _LINEAR_INITS:
            raise ValueError(f"linear_init='{self.linear_init}': expected one "
                             f'of {_LINEAR_INITS}')
        if self.post_norm_scale < 0:
            raise ValueError(f'post_norm_scale={self.post_norm_scale}: '
                             'expected 0 or more')
        if not self.out_indices or not set(self.out_indices) <= {0, 1, 2, 3}:
            raise ValueError(f'out_indices={self.out_indices}: expected '
                             'stages from 0 to 3')
        if not -1 <= self.frozen_stages <= 4:
            raise ValueError(f'frozen_stages={self.frozen_stages}: expected '
                             '-1 (none) to 4 (all stages)')


def _initialisation(init_cfg: dict | None) -> dict | None:
    """The only one there is, in full: a checkpoint that must not be missed.

    ``--cfg-options model.backbone.init_cfg.checkpoint=FILE`` gives no type.
    """
    if init_cfg is None:
        return None
    if isinstance(init_cfg, Mapping):
        full = {'type': 'Pretrained', **init_cfg}
        if full['type'] == 'Pretrained' and full.get('checkpoint'):
            return full
    raise ValueError(
        "init_cfg: expected dict(type='Pretrained', checkpoint=FILE) or None "
        f'(SkySenseV2 starts its own weights), found {init_cfg}')


def _tokenizers(kind: str, sensors: Sequence[str],
                embed_dims: int) -> nn.ModuleDict:
    """A tokenizer for each sensor, or one for all that have wavelengths."""
    made: dict[str, nn.Module] = {}
    optical: dict[str, list[float | None]] = {}
    for name in sensors:
        wavelengths = [b.wavelength for b in get_sensor(name).bands]
        if kind == 'wavelength' and any(wavelengths):
            optical[name] = wavelengths
        elif name == _SHARED:
            raise ValueError(f"sensor '{name}': the name is taken by the "
                             'tokenizer that sensors share; choose another')
        else:
            made[name] = Tokenizer(len(wavelengths), embed_dims, _PATCH_SIZE)
    if optical:
        made[_SHARED] = WavelengthTokenizer(optical, embed_dims, _PATCH_SIZE)
    return nn.ModuleDict(made)


def _merging_stages(merge: Merge,
                    sensors: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Stages at whose entry each sensor's resolution is halved."""
    if merge is not None and not isinstance(merge, Mapping):
        merge = dict.fromkeys(sensors, tuple(merge))
    merge = merge or {}
    unknown = sorted(set(merge) - set(sensors))
    if unknown:
        raise ValueError(f'merge names {unknown}, which are not among '
                         f'sensors={tuple(sensors)}')
    stages = {
        sensor: tuple(merge.get(sensor, get_sensor(sensor).merge))
        for sensor in sensors
    }
    for sensor, merging in stages.items():
        if not set(merging) <= {2, 3, 4}:
            raise ValueError(f"merge={merging} of sensor '{sensor}': expected "
                             'a subset of the stages (2, 3, 4)')
    return stages


def _experts_of_blocks(moe: dict[str, Any] | None,
                       depths: Sequence[int]) -> list[dict | None]:
    """For each block, the arguments of its mixture of experts or None."""
    num_blocks = sum(depths)
    if moe is None:
        return [None] * num_blocks
    options = dict(moe)
    global_blocks = depths[2] + depths[3]
    blocks = options.pop('blocks', min(6, global_blocks))
    if not 0 <= blocks <= global_blocks:
        raise ValueError(
            f'moe.blocks={blocks}: experts live in the global stages, which '
            f'have {global_blocks} blocks in this architecture')
    return [None] * (num_blocks - blocks) + [options] * blocks


def _check_input(images: Tensor, sensor: str, sensors: Sequence[str],
                 dims: int) -> None:
    """Refuse what cannot be an image, or a series, of the sensor."""
    if sensor not in sensors:
        raise ValueError(f"inputs hold sensor '{sensor}', the model was built "
                         f'for sensors={tuple(sensors)}')
    names = get_sensor(sensor).band_names
    form = '(N, C, H, W)' if dims == 4 else '(N, T, C, H, W)'
    if (images.dim() != dims or images.shape[-3] != len(names)
            or not images.numel()):
        raise ValueError(
            f"sensor '{sensor}': expected {form} with C = {len(names)} bands "
            f"({', '.join(names)}), found shape {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(
            f"sensor '{sensor}': expected normalised floating-point pixels, "
            f'found {images.dtype}; use MultiSensorDataPreprocessor')
