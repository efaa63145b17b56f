#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Write PASTIS, PASTIS-R or PASTIS-HD as rasters by date, and an index.

ROOT holds ``metadata.geojson``, ``ANNOTATIONS``, ``DATA_S2`` and, for the
other sensors, ``DATA_S1A``, ``DATA_S1D`` and ``DATA_SPOT``::

    python tools/dataset_converters/pastis.py downloads/PASTIS-HD \
        --out data/pastis --sensors s2_l2a s1_grd hr_rgb
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.pastis import convert_pastis
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument(
        '--sensors', nargs='+', default=['s2_l2a'],
        choices=('s2_l2a', 's1_grd', 'hr_rgb'),
        help='Sentinel-2, Sentinel-1 (PASTIS-R), SPOT (PASTIS-HD)')
    args = parser.parse_args(argv)
    args.sensors = tuple(args.sensors)
    with plain_refusal('pastis.py'):
        print(f'{args.out}: {convert_pastis(**vars(args))}')


if __name__ == '__main__':
    main()
