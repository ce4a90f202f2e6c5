"""The docs site: the pages by hand as they stand in Git, and the API from the docstrings.

The project's root is the folder of sources, so that the links of a page lead to the same place here
and where the code is hosted. What is not in Git is made here: the table of contents, from the links
of docs/README.md, and docs/api/, a page for each public package.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pathlib
import pydoc
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Optional

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.inspect import signature as inspect_signature
from sphinx.util.inspect import stringify_signature
from sphinx.util.nodes import make_refnode

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tfrobust  # noqa: E402
from tfrobust.registries import Registry  # noqa: E402

project = "tfrobust"
html_title = f"tfrobust {tfrobust.__version__}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/README"
include_patterns = [
    "*.md",
    "docs/**",
    "savedmodels/README.md",
    "savedmodels/digits_small_cnn/**/card.md",
]
exclude_patterns = [  # not even looked through: some are large
    folder.name
    for folder in ROOT.iterdir()
    if folder.is_dir() and folder.name not in ("docs", "savedmodels")
]

myst_heading_anchors = 6
default_role = "code"  # in a docstring `x` is code, as in Markdown
highlight_language = "none"  # doctests, and blocks that name their language, have colours
autodoc_inherit_docstrings = False  # those of Keras are not written for Sphinx
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
smartquotes_action = "D"  # dashes only: x' is not a quotation
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_copy_source = False

logger = logging.getLogger(__name__)

#: Longer values of constants are left to the source.
LONGEST_VALUE = 200


# Pages of the API ---------------------------------------------------------------------------


def write_api_pages(app: Sphinx) -> None:
    """Writes docs/api/: a page for all that `tfrobust` offers, and for the registries."""
    names = sorted({*tfrobust.__all__, "registries"} - {"__version__"})
    packages = {name: importlib.import_module(f"tfrobust.{name}") for name in names}
    pages = {name: "\n".join(api_page(package)) for name, package in packages.items()}
    pages["index"] = "\n".join(
        [
            *heading("API reference", "="),
            *["Every public name, from its docstring.", ""],
            *(f"- `tfrobust.{name}`: {first(doc(packages[name]))}" for name in names),
            *["", ".. toctree::", "   :hidden:", "", *(f"   {name}" for name in names), ""],
        ]
    )
    folder = ROOT / "docs/api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, page in pages.items():
        (folder / f"{name}.rst").write_text(page, encoding="utf-8")


def api_page(package: ModuleType) -> Iterator[str]:
    """The lines of a package's page: a list of its public names, then what each of them is."""
    groups: dict[str, list[tuple[str, str, list[str]]]] = {}
    for name in public_names(package):
        thing = getattr(package, name)
        if inspect.ismodule(thing):
            inner = [name for name in public_names(thing) if callable(getattr(thing, name))]
            group, said = "Modules", doc(thing)
            lines = [f".. automodule:: {thing.__name__}", f"   :members: {', '.join(inner)}"]
        elif inspect.isclass(thing):
            group, said = "Classes", doc(thing)
            lines = [f".. autoclass:: {name}", "   :members:"]
            if public_base(thing) is not object:
                lines.append("   :show-inheritance:")
        elif callable(thing):
            group, said, lines = "Functions", doc(thing), [f".. autofunction:: {name}"]
        else:
            group, said = "Constants", comment(package, name)
            lines = [f".. data:: {name}", *indented(constant(thing, said))]
        if not said:
            logger.warning("%s.%s does not say what it is", package.__name__, name)
        groups.setdefault(group, []).append((name, first(said), lines))

    order = [name for name in ("Classes", "Functions", "Constants", "Modules") if name in groups]
    yield from heading(package.__name__, "=")
    yield from (f".. automodule:: {package.__name__}", "")
    for group in order:
        yield from (f"**{group}**", "")
        yield from (f"- `{name}`: {said}" for name, said, _ in groups[group])
        yield ""
    for group in order:
        yield from heading(group, "-")
        for _, _, lines in groups[group]:
            yield from (*lines, "")


def public_names(module: ModuleType) -> list[str]:
    """Those of `__all__`, else what is defined here; constants if a comment says what they are."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (comment(module, name) or getattr(thing, "__module__", "") == module.__name__)
    ]


def public_base(thing: type) -> type:
    """Of the classes that a class is made from, the nearest one that users know."""
    for base in thing.__mro__[1:]:
        package = base.__module__.split(".")[:2]
        public = getattr(importlib.import_module(".".join(package)), base.__name__, None)
        if package[0] != "tfrobust" or public is base:
            return base
    return object


def doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def comment(module: ModuleType, name: str) -> str:
    """The comment `#:` of a constant, where it is assigned: autodoc does not follow imports."""
    for node in ast.parse(inspect.getsource(module)).body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if name == (alias.asname or alias.name):
                return comment(importlib.import_module(node.module), alias.name)
    comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    return "\n".join(comments.get(("", name), ()))


def constant(value: Any, said: str) -> Iterator[str]:
    """Its value, unless it is long; what it says; the names in it."""
    if len(repr(value)) <= LONGEST_VALUE and not isinstance(value, Registry):
        yield f":value: {value!r}"
    yield from ("", *said.splitlines(), "")
    if isinstance(value, Registry):
        yield from (f"- `{name}`: {value.describe(name)}" for name in value)
    elif isinstance(value, Mapping) and len(repr(value)) > LONGEST_VALUE:
        yield f"Its keys: {', '.join(f'`{key!r}`' for key in value)}."


def first(said: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(said.split("\n\n")[0].split())


def heading(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"   {line}" for line in lines)


# What Sphinx is told while it builds ---------------------------------------------------------


def show_init(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> Optional[tuple[str, str]]:
    """A class takes what its `__init__` takes, also where Keras has a `__new__` that takes all."""
    if what != "class" or not signature:
        return None
    app.emit("autodoc-before-process-signature", thing.__init__, True)  # defaults as written
    taken = inspect_signature(thing.__init__, bound_method=True)
    made = {
        field.name: field.default_factory()
        for field in (dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ())
        if field.default_factory is not dataclasses.MISSING
    }
    arguments = [a.replace(default=made.get(a.name, a.default)) for a in taken.parameters.values()]
    taken = inspect.Signature(arguments)
    return stringify_signature(taken, unqualified_typehints=True), returns


def show_public_base(app: Sphinx, name: str, thing: type, options: Any, bases: list[type]) -> None:
    bases[:] = [public_base(thing)]


def prepare(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Formulas, which stand indented above the first section, are shown as they are.

    Examples are not indented, so that they are not sections for napoleon. Settings of recipes are
    listed with the help that the command line shows.
    """
    fields = (
        dataclasses.fields(thing) if what == "class" and dataclasses.is_dataclass(thing) else ()
    )
    if helped := [field for field in fields if "help" in field.metadata]:
        lines += ["Args:", *(f"    {one.name}: {one.metadata['help']}." for one in helped), ""]
    end = next((i for i, line in enumerate(lines) if re.fullmatch(r"[A-Z]\w+:", line)), len(lines))
    lines[end:] = [".. rubric:: Example" if line == "Example:" else line for line in lines[end:]]
    for i in reversed(range(1, end)):
        if lines[i].startswith("    ") and not lines[i - 1]:
            lines[i:i] = ["::", ""]


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The table of contents, which code hosts would not know, has the order of the index."""
    if page.endswith("/card"):
        source[0] = "---\norphan: true\n---\n" + source[0]
    if page != root_doc:
        return
    linked = list(dict.fromkeys(re.findall(r"\]\(([\w./]+)\.md\b", source[0])))
    methods = [name for name in linked if name.startswith("methods/")]
    others = [name for name in linked if not name.startswith("methods/")]
    for caption, names in ("Guide", others), ("Methods", methods), ("API", ["api/index"]):
        options = f":hidden:\n:caption: {caption}"
        source[0] += "\n\n```{toctree}\n" + "\n".join([options, "", *names]) + "\n```\n"


def link_code(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Makes links of code that names something public, in docstrings and in pages by hand."""
    known = app.env.get_domain("py").objects
    package = page.replace("docs/api/", "tfrobust.")
    for node in list(tree.findall(nodes.literal)):
        name = node.astext().partition("(")[0]
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name) or isinstance(node.parent, nodes.reference):
            continue
        full = full_name(name, package, known)
        if full is None:
            if name.startswith("tfrobust.") and pydoc.locate(name) is None:
                logger.warning("there is no %s", name, location=node)
        else:
            entry = known[full]
            code = node.deepcopy()
            node.replace_self(
                make_refnode(app.builder, page, entry.docname, entry.node_id, code, full)
            )


def full_name(name: str, package: str, known: Mapping[str, Any]) -> Optional[str]:
    """The public thing that a name stands for: in full, below a package, or a class by itself."""
    if f"{package}.{name}" in known:
        return f"{package}.{name}"
    if "." in name:
        return next((full for full in (name, f"tfrobust.{name}") if full in known), None)
    classes = (full for full, entry in known.items() if entry.objtype == "class")
    return next((full for full in classes if re.fullmatch(rf"tfrobust\.\w+\.{name}", full)), None)


def lead_to_index(app: Sphinx, error: Optional[Exception]) -> None:
    """The first page stands where its Markdown does; `index.html` leads there."""
    target = f"{root_doc}.html"
    page = f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">tfrobust</a>'
    (pathlib.Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_api_pages)
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-signature", show_init)
    app.connect("autodoc-process-bases", show_public_base)
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before napoleon's
    app.connect("doctree-resolved", link_code)
    app.connect("build-finished", lead_to_index)
