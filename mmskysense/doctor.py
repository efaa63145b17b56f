# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""``python -m mmskysense.doctor``: the state of this installation."""

import sys

from mmskysense.utils.doctor import main

if __name__ == '__main__':
    sys.exit(main())
