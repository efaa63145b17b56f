# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Values as pure functions of the iteration, so that resuming is exact."""

import math


def linear_warmup(start: float, end: float, step: int, length: int) -> float:
    """From ``start`` at step 0 to ``end`` at step ``length``, then constant.

    Args:
        start: First value.
        end: Last value.
        step: From 0.
        length: Steps of the ramp; 0 gives ``end`` at once.
    """
    if length <= 0 or step >= length:
        return end
    return start + (end - start) * step / length


def cosine(start: float, end: float, step: int, length: int) -> float:
    """From ``start`` at step 0 to ``end`` at step ``length``, half a cosine.

    Args:
        start: First value.
        end: Last value.
        step: From 0.
        length: Steps of the whole schedule.
    """
    if length <= 0 or step >= length:
        return end
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / length))
