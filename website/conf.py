"""What Sphinx is told. The folder that it reads is what tree.py has laid."""

import rnn_jax

project = author = "rnn_jax"
copyright = "the rnn_jax authors, Apache-2.0"
version = release = rnn_jax.__version__

extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings in Google's style
    "sphinx.ext.viewcode",
    "website.links",
    "website.mathml",
]
exclude_patterns = ["docs/index.md"]  # it is the start page, which includes it

default_role = "code"  # docstrings write equations and names in single backticks
add_module_names = False
napoleon_use_rtype = False  # the signature has it
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

nb_execution_mode = "off"  # the tests run pages and notebooks; here is what they left
nb_output_stderr = "remove"  # progress bars
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 6  # a heading is linked to as on a repository's page

html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_title = "rnn_jax"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "use_download_button": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the sidebar has the search
}
