# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Cut the encoder out of a pre-training checkpoint.

    python tools/model_converters/pretrain_to_backbone.py \
        work_dirs/skysense_v2_tiny_1xb8-2k_sample-world/iter_2000.pth \
        backbone.pth

Downstream: backbone=dict(type='mmskysense.SkySenseV2', arch=...,
init_cfg=dict(type='Pretrained', checkpoint='backbone.pth')).
"""

import argparse

from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.encoder_checkpoint import package_backbone


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of pre-training')
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--branch', choices=('teacher', 'student'), default='teacher')
    parser.add_argument(
        '--sensors', nargs='+', help='sensors to keep (default: all)')
    parser.add_argument('--half', action='store_true',
                        help='store float16: half the size')
    parser.add_argument(
        '--without-config', action='store_true',
        help='leave out the text of the run\'s config, which has its paths')
    return parser.parse_args()


def main() -> None:
    """Package and say what was written."""
    args = parse_args()
    with plain_refusal('pretrain_to_backbone.py'):
        meta = package_backbone(args.checkpoint, args.out, args.branch,
                                args.sensors, args.half,
                                not args.without_config)
    print(f"{args.out}: {meta['branch']} encoder, arch {meta['arch']}, "
          f"sensors {', '.join(meta['sensors'])}, iteration {meta['iter']}")


if __name__ == '__main__':
    main()
