# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Change detectors on mmseg's heads; import this package in a config.

Not imported by ``mmskysense.models``: mmseg is optional, and slow to import.
"""

from .siamese_semantic_change import SiameseSemanticChange

__all__ = ['SiameseSemanticChange']
