"""The settings of the documentation site, whose source folder is the root of the repository."""

from __future__ import annotations

import pathlib
import pydoc
import re
import sys
from types import ModuleType
from typing import Any, Optional

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import inspect

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tfrobust  # noqa: E402

project = "tfrobust"
html_title = f"tfrobust {tfrobust.__version__}"
built_in = ("autodoc", "autosummary", "napoleon", "viewcode")
extensions = ["myst_parser", *(f"sphinx.ext.{name}" for name in built_in)]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*", "docs/*/*"]
include_patterns += ["savedmodels/README.md", "savedmodels/digits_small_cnn/**/card.md"]
folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
exclude_patterns = sorted(folders - {"docs", "savedmodels"})  # not searched: some are large
templates_path = [str(ROOT / "docs/_templates")]
html_additional_pages = {"index": "index.html"}
html_theme = "furo"

myst_heading_anchors = 6
default_role = "code"  # in a docstring `x` is code, as in Markdown
highlight_language = "none"  # doctests and blocks that name their language are highlighted
smartquotes_action = "D"  # dashes only: x' is not a quotation
suppress_warnings = ["ref.python"]  # a registry is offered by two modules; either will do

autosummary_ignore_module_all = False
autodoc_default_options = {"show-inheritance": True}
autodoc_inherit_docstrings = False  # those of Keras are not written for Sphinx
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def comments(module: ModuleType) -> dict[tuple[str, str], list[str]]:
    """The `#:` comments of a module by (class or "", name), which autodoc looks up in this dict."""
    return ModuleAnalyzer.for_module(module.__name__).find_attr_docs()


def adopt_constants(app: Sphinx) -> None:
    """Give the constants that a package imports their comments, and leave out long values."""
    packages = [getattr(tfrobust, name) for name in tfrobust.__all__]  # this imports them
    loaded = [module for name, module in sys.modules.items() if name.startswith("tfrobust.")]
    for module in [module for module in loaded if module not in packages]:
        for (owner, name), lines in comments(module).items():
            value = vars(module).get(owner or name)
            if isinstance(value, tfrobust.registries.Registry) or len(repr(value)) > 400:
                lines += ["", ":meta hide-value:", ""]
            for package in packages:
                if name in getattr(package, "__all__", ()) and vars(package)[name] is value:
                    comments(package)["", name] = lines


def show_init(app: Sphinx, what: str, name: str, thing: Any, *_: Any) -> Optional[tuple[str, str]]:
    """Show what `__init__` takes: Keras has a `__new__` that takes anything."""
    if what != "class":
        return None
    app.emit("autodoc-before-process-signature", thing.__init__, True)  # defaults as written
    taken = inspect.signature(thing.__init__, bound_method=True)
    return inspect.stringify_signature(taken, unqualified_typehints=True), ""


def show_formulas(app: Sphinx, what: str, name: str, thing: Any, _: Any, lines: list[str]) -> None:
    """Show formulas as they are; they are indented and stand above the first section."""
    end = next((i for i, line in enumerate(lines) if re.fullmatch(r"[A-Z]\w+:", line)), len(lines))
    for i in reversed(range(1, end)):
        if lines[i].startswith("    ") and not lines[i - 1]:
            lines[i:i] = ["::", ""]


def show_constants(app: Sphinx, what: str, name: str, thing: Any, _: Any, lines: list[str]) -> None:
    """Undo what napoleon does to comments with a colon; list the entries of a registry."""
    module, _, name = name.rpartition(".")
    if what == "data":
        lines[:] = comments(sys.modules[module]).get(("", name), lines)
    if isinstance(thing, tfrobust.registries.Registry):
        lines += ["", *(f"- `{entry}`: {thing.describe(entry)}" for entry in thing)]


def link_code(app: Sphinx, tree: nodes.document) -> None:
    """Let code that names something public refer to it, in docstrings and in pages."""
    page = app.env.docname
    for node in list(tree.findall(nodes.literal)):
        name = node.astext().partition("(")[0]
        linked = isinstance(node.parent, (nodes.reference, pending_xref))
        if linked or not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", name):
            continue
        link = pending_xref("", refdomain="py", reftype="obj", reftarget=name, refdoc=page)
        link["refwarn"] = name.startswith("tfrobust.") and pydoc.locate(name) is None
        link["py:module"] = page.rpartition("/")[2]
        if "." in name or name[0].isupper():
            link["refspecific"] = True  # below any module
        node.replace_self(link)
        link += node


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", adopt_constants, priority=400)  # before autosummary
    app.connect("autodoc-process-signature", show_init)
    app.connect("autodoc-process-docstring", show_formulas, priority=400)  # before napoleon's
    app.connect("autodoc-process-docstring", show_constants, priority=600)  # after it
    app.connect("doctree-read", link_code)
