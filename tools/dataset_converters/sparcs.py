#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Turn SPARCS (Landsat-8) into reflectance and cut it into tiles.

ROOT holds the unpacked archive: ``*_data.tif``, ``*_mtl.txt`` and
``*_labels.tif`` (or ``*_mask.png``) of each scene::

    python tools/dataset_converters/sparcs.py downloads/sparcs \
        --out data/sparcs
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.datasets.conversion.sparcs import convert_sparcs
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=512, overlap=24)
    args = parser.parse_args(argv)
    with plain_refusal('sparcs.py'):
        report, summary = convert_sparcs(**vars(args))
    print(f'{args.out}: {report}')
    print('--cfg-options', statistics_options(summary, 'landsat8'))


if __name__ == '__main__':
    main()
