"""Sphinx settings: MyST pages, the API from docstrings, commands and settings from the code itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extension"))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from bindtune import __version__

project = "bindtune"
author = "the bindtune authors"
copyright = "2026, the bindtune authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
exclude_patterns = ["_build", "_extension"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = f"bindtune {version}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
smartquotes = False  # they would make one dash of the two that an option begins with
