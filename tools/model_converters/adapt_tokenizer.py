# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Give an encoder a tokenizer for a sensor that it has never seen.

    python tools/model_converters/adapt_tokenizer.py backbone.pth \
        landsat8.pth --sensor landsat8 --source s2_l2a

Prints which band took which weights. A sensor that is not in the table comes
with --config, whose new_sensors describe it.
"""

import argparse
import json
import os
from pathlib import Path

from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.config import read_config
from mmskysense.utils.encoder_checkpoint import adapt_checkpoint
from mmskysense.utils.tokenizer_adaptation import MAX_DISTANCE, METHODS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint with an encoder')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--sensor', required=True, help='the new sensor')
    parser.add_argument(
        '--source', nargs='+', required=True, metavar='SENSOR',
        help='known sensors to take bands from; earlier ones win, and the '
        'first gives bias, norm and prompts')
    parser.add_argument(
        '--by', nargs='+', choices=(*METHODS, 'fresh'), default=METHODS,
        help='how bands are matched, in order (default: name wavelength)')
    parser.add_argument(
        '--max-distance', type=float, default=MAX_DISTANCE, metavar='NM',
        help=f'greatest difference of wavelengths ({MAX_DISTANCE:g} nm)')
    parser.add_argument('--seed', type=int, default=0,
                        help='of bands that start fresh')
    parser.add_argument('--keep', action='store_true',
                        help='keep the tokenizers of other sensors too')
    parser.add_argument('--config', help='config with new_sensors')
    parser.add_argument('--report', metavar='FILE', help='report as JSON')
    return parser.parse_args()


def main() -> None:
    """Adapt, and say which band took which weights."""
    args = parse_args()
    with plain_refusal('adapt_tokenizer.py'):
        if args.config:
            read_config(args.config)
        report = adapt_checkpoint(
            args.checkpoint, args.out, args.sensor,
            dict(sources=args.source,
                 methods=[how for how in args.by if how != 'fresh'],
                 max_distance=args.max_distance, seed=args.seed), args.keep)
        if args.report:
            aside = f'{args.report}.part'
            Path(aside).write_text(json.dumps(report.to_dict(), indent=1))
            os.replace(aside, args.report)
    print(f'{args.out}: {report}')
    if report.fresh:
        print(f'{len(report.fresh)} of {len(report.matches)} bands start '
              f"from random weights: {', '.join(report.fresh)}")


if __name__ == '__main__':
    main()
