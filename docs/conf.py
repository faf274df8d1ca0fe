"""Settings of Sphinx; `make docs` builds the site into docs/_build/html."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from pathlib import Path

import matplotlib
from docutils import nodes
from sphinx import addnodes
from sphinx.ext import autosummary

matplotlib.use("Agg")

import mcsc

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "mcsc"
author = "The mcsc developers"
copyright = "The mcsc developers, BSD-3-Clause"
version = release = mcsc.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    # The site opens from its folder, also without a network: MathJax comes along.
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
# Inventories of other projects are read from the network, which a build must not depend on.
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "matplotlib": ("https://matplotlib.org/stable/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "python": ("https://docs.python.org/3/", None),
    "scipy": ("https://docs.scipy.org/doc/scipy/", None),
    "skimage": ("https://scikit-image.org/docs/stable/", None),
    "torch": ("https://docs.pytorch.org/docs/stable/", None),
}

exclude_patterns = ["reference/commands_help.md", "_build", "gallery/*", "**/GALLERY_HEADER.rst"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
# A name between single backticks leads to its entry, if it has one; anything else is code.
default_role = "py:obj"
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# Beside a class its members stand by their own names: there is no room for more.
toc_object_entries_show_parents = "hide"
autosummary_generate = True
# A summary is the first sentence of a docstring, and these do not end one.
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.", "Fig.")
# Types of parameters stand in the docstrings, those of fields beside their names.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_type_aliases = {"Array": "mcsc.backend.Array"}
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

templates_path = ["_templates"]


def classes_without_bases() -> list[str]:
    """Names of the reference's classes that are derived from `object` alone, which is no news."""
    pages = "".join(p.read_text(encoding="utf-8") for p in (HERE / "reference").glob("*.rst"))
    return [
        f"{module}.{name}"
        for module in re.findall(r"^\.\. currentmodule:: (\S+)", pages, re.MULTILINE)
        for name in importlib.import_module(module).__all__
        if isinstance(entry := getattr(importlib.import_module(module), name), type)
        and entry.__bases__ == (object,)
    ]


autosummary_context = {"without_bases": classes_without_bases()}

html_theme = "pydata_sphinx_theme"
html_title = f"mcsc {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"five_minutes": [], "index": [], "answers": []}

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": True,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 0,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "matplotlib_animations": False,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "strict.refuse_warnings"),
    "plot_gallery": "True",
    "notebook_images": False,
    # What a block prints and draws, not the value of its last line.
    "capture_repr": (),
    "image_srcset": ["2x"],
}
warnings.filterwarnings("ignore", message="Matplotlib is currently using agg")


def write_help(app: object) -> None:
    """Write what `mcsc COMMAND --help` says into the page on the command line."""
    import click
    from click.testing import CliRunner

    from mcsc.cli import cli

    context = click.Context(cli, info_name="mcsc")
    parts = []
    for name in cli.list_commands(context):
        shown = CliRunner().invoke(cli, [name, "--help"], terminal_width=84, prog_name="mcsc")
        parts.append(f"## mcsc {name}\n\n```text\n{shown.output.rstrip()}\n```\n")
    (HERE / "reference" / "commands_help.md").write_text("\n".join(parts), encoding="utf-8")


def hide_signature(
    app: object, what: str, name: str, thing: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave out the arguments of what nobody calls: a protocol would show ``*args, **kwargs``."""
    return ("", "") if getattr(thing, "_is_protocol", False) else None


# What Sphinx writes out of an annotation, and what a reader knows it as.
WRITTEN = {
    r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)(?:\[Any\])?\]\]": r"ndarray[\1]",
    r"NDArray\[np\.(\w+?)_?\]": r"ndarray[\1]",
    r"TypeAliasForwardRef\('mcsc\.backend\.(\w+)'\)": r"\1",
    r"\b(ndarray|dtype)\[Any\]": r"\1",
}


def shorten_types(app: object, domain: str, kind: str, content: nodes.Element) -> None:
    """Show arrays by their dtype, and aliases by their names."""
    for node in content.parent.findall(addnodes.desc_annotation):
        words = node.astext()
        for pattern, short in WRITTEN.items():
            words = re.sub(pattern, short, words)
        if words != node.astext():
            node[:] = [nodes.Text(words)]


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("object-description-transform", shorten_types)  # type: ignore[attr-defined]
    app.connect("autodoc-process-signature", hide_signature)  # type: ignore[attr-defined]
    app.connect("builder-inited", write_help)  # type: ignore[attr-defined]
