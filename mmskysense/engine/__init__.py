# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What runs around a model: launching, optimisers, hooks."""

from .hooks import *  # noqa: F403
from .launch import *  # noqa: F403
from .optimizers import *  # noqa: F403
from .preflight import *  # noqa: F403
from .test_time_augmentation import *  # noqa: F403
