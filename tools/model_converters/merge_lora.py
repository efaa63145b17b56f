#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Merge low-rank adapters into the weights they adapt.

    python tools/model_converters/merge_lora.py work_dirs/RUN/iter_2000.pth \
        merged.pth --config merged.py

The result is a checkpoint of the same model with a plain SkySenseV2, and
with --config its config: test, predict and export them as any other.
"""

import argparse
from pathlib import Path

from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.lora_checkpoint import merge_lora


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint with adapters')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--config', help='also write the config, as FILE.py')
    parser.add_argument(
        '--base', help='the encoder that was adapted, for checkpoints of '
        "adapters alone (default: what the run's config names)")
    return parser.parse_args()


def main() -> None:
    """Merge and say what was written."""
    args = parse_args()
    with plain_refusal('merge_lora.py'):
        merged = merge_lora(args.checkpoint, args.out, args.base)
        if args.config:
            Path(args.config).write_text(merged['config'], encoding='utf-8')
    print(f"{args.out}: {merged['layers']} adapters merged")


if __name__ == '__main__':
    main()
