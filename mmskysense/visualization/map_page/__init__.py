# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The interactive page of a map."""

from .page import check_page_folder, save_map_page

__all__ = ['check_page_folder', 'save_map_page']
