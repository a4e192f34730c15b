"""Sphinx configuration: every code cell of the pages is executed when they are built."""

from __future__ import annotations

import os

project = "tailwag"
author = "The tailwag authors"
extensions = ["myst_nb"]
html_theme = "furo"
html_title = "tailwag"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
exclude_patterns = ["_build"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# tables in the pages: numbers only
os.environ |= {"POLARS_FMT_TABLE_HIDE_DATAFRAME_SHAPE_INFORMATION": "1", "POLARS_FMT_TABLE_HIDE_COLUMN_DATA_TYPES": "1"}
