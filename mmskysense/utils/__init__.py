# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
from .command_line import check_file, plain_refusal, tidy_termination
from .setup_env import register_all_modules, require

__all__ = ['check_file', 'plain_refusal', 'register_all_modules', 'require',
           'tidy_termination']
