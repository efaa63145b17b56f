# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Models: the encoder, fusion, pre-training and what stock hosts lack."""

from .backbones import *  # noqa: F403
from .data_preprocessors import *  # noqa: F403
from .fusion import *  # noqa: F403
from .necks import *  # noqa: F403
from .pretrain import *  # noqa: F403
