#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Write a list file with a share of every class of another list file."""

import argparse
from collections.abc import Sequence

from mmskysense.evaluation.probing import write_few_shot_list
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('list', help='lines Class/name.jpg')
    parser.add_argument('out', help='list to write')
    parser.add_argument('--fraction', type=float, required=True,
                        help='e.g. 0.01; at least one image of each class')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    with plain_refusal('make_fewshot_list.py'):
        counts = write_few_shot_list(args.list, args.out, args.fraction,
                                     args.seed)
    print(f'{args.out}: {sum(counts.values())} images, ' + ', '.join(
        f'{name} {count}' for name, count in counts.items()))


if __name__ == '__main__':
    main()
