# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The sizes of SkySense V2."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of an encoder.

    Args:
        embed_dims: Width of stage 1; it doubles at each transition.
        depths: Blocks of the four stages.
        head_dims: Channels of an attention head, a multiple of four.
        window_size: Side of the windows of stages 1-2 in tokens.
    """

    embed_dims: int
    depths: tuple[int, int, int, int]
    head_dims: int = 32
    window_size: int = 8

    def __post_init__(self) -> None:
        if self.embed_dims % self.head_dims:
            raise ValueError(
                f'embed_dims={self.embed_dims} is no multiple of '
                f'head_dims={self.head_dims}')
        if len(self.depths) != 4 or min(self.depths) < 1:
            raise ValueError(f'depths={self.depths}: expected the number of '
                             'blocks, at least 1, of each of 4 stages')

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        width = self.embed_dims
        return width, 2 * width, 4 * width, 8 * width


#: Only huge is the paper's (spec section 1); the others are ours, with the
#: widths and depths of Swin V2 tiny, base and large, and a toy for CPUs.
ARCHITECTURES: dict[str, Architecture] = {
    'tiny': Architecture(48, (2, 2, 2, 2), head_dims=16),
    'small': Architecture(96, (2, 2, 6, 2)),
    'base': Architecture(128, (2, 2, 18, 2)),
    'large': Architecture(192, (2, 2, 18, 2)),
    'huge': Architecture(352, (2, 2, 18, 2)),
}


def get_architecture(arch: str | dict[str, Any]) -> Architecture:
    """Look a size up, or build one from its fields.

    Args:
        arch: A name of :data:`ARCHITECTURES` or the keyword arguments of
            :class:`Architecture`.

    Raises:
        ValueError: Unknown name or fields.
    """
    if isinstance(arch, str):
        if arch not in ARCHITECTURES:
            raise ValueError(f"arch='{arch}' is unknown; expected one of "
                             f"{', '.join(ARCHITECTURES)} or a dict")
        return ARCHITECTURES[arch]
    try:
        fields = {**arch, 'depths': tuple(arch['depths'])}
        return Architecture(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'arch={arch}: expected the keys embed_dims and depths, and '
            f'optionally head_dims and window_size ({error})') from None
