"""Writes docs/api/: a page for each public package, from its docstrings.

Run: python tools/api_reference.py          writes the pages
     python tools/api_reference.py --check  fails if they are not what it would write

The sources are read, not imported: so it needs neither TensorFlow nor Keras, and writes the same
with every Python. What a package offers is its `__all__`; modules without one offer what has no
underscore in front.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import dataclasses
import functools
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Optional

from docstring_markdown import as_markdown, summary, text

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ROOT / "docs/api"
Function = ast.FunctionDef
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)

#: Longer values of constants are left to the source.
LONGEST_VALUE = 12


@dataclasses.dataclass(eq=False)
class Module:
    """A module's source and where its names come from."""

    name: str
    path: pathlib.Path
    lines: list[bytes]
    tree: ast.Module
    imported: dict[str, tuple[str, str]]  # name here -> (module, name there or "")
    imports: dict[str, str]  # name here -> the statement that imports it
    defined: dict[str, ast.stmt]

    def source(self, node: ast.AST) -> str:
        """The text of an expression on one line, as it was written."""
        first, last = node.lineno - 1, node.end_lineno  # type: ignore[attr-defined]
        lines = list(self.lines[first:last])
        lines[-1] = lines[-1][: node.end_col_offset]  # type: ignore[attr-defined]
        lines[0] = lines[0][node.col_offset :]  # type: ignore[attr-defined]
        joined = " ".join(line.decode().strip() for line in lines)
        return re.sub(r",? ([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", joined))

    def exports(self) -> list[str]:
        """The public names: those of `__all__`, else what is defined, constants if described."""
        listed = self.defined.get("__all__")
        if isinstance(listed, ast.Assign):
            return sorted(
                part.value
                for part in ast.walk(listed.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
        return [
            name
            for name, node in self.defined.items()
            if not name.startswith("_") and (isinstance(node, DEFINITIONS) or self.comment(node))
        ]

    def comment(self, node: ast.stmt) -> str:
        """The lines that begin with `#:` above a constant."""
        number, lines = node.lineno - 2, []
        while self.lines[number].startswith(b"#:"):
            lines.insert(0, self.lines[number][2:].decode())
            number -= 1
        return "\n\n".join(text(part.split("\n")) for part in re.split(r"\n *\n", "\n".join(lines)))


@functools.cache
def load(name: str) -> Optional[Module]:
    """A module of the package by its dotted name; None for one of another package."""
    stem = ROOT.joinpath(*name.split("."))
    path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    if not name.startswith("tfrobust") or not path.exists():
        return None
    source = path.read_bytes()
    module = Module(name, path, source.splitlines(), ast.parse(source), {}, {}, {})
    for node in _statements(module.tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            origin = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                here = alias.asname or alias.name
                module.imported[here] = (origin, alias.name) if origin else (alias.name, "")
                renamed = alias.name + (f" as {alias.asname}" if alias.asname else "")
                module.imports[here] = (f"from {origin} " if origin else "") + f"import {renamed}"
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            module.defined[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                module.defined[target.id] = node
    return module


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):  # if TYPE_CHECKING
            yield from _statements(node.body)


def find(module: Module, name: str) -> tuple[Optional[Module], Optional[ast.stmt]]:
    """Where a name of a module is defined, and its definition (None for a module)."""
    if name in module.defined:
        return module, module.defined[name]
    if name not in module.imported:
        return None, None
    origin, there = module.imported[name]
    inside = load(f"{origin}.{there}") if there else None
    if inside is not None:
        return inside, None
    source = load(origin)
    return find(source, there) if source is not None else (None, None)


# Signatures --------------------------------------------------------------------------------


def signature(module: Module, name: str, arguments: list[str], returns: str = "") -> str:
    """A signature as code, on one line where it fits."""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) > 88 and arguments:
        inner = "".join(f"    {argument},\n" for argument in arguments)
        line = f"{name}(\n{inner}){returns}"
    return f"```python\n{line}\n```"


def arguments_of(module: Module, node: Function) -> list[str]:
    """The arguments of a function, with annotations and defaults as in the source."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[Optional[ast.expr]] = [None] * (len(positional) - len(given.defaults))
    out = [_argument(module, *pair) for pair in zip(positional, [*defaults, *given.defaults])]
    if out and positional[0].arg in ("self", "cls"):
        del out[0]
    if given.vararg:
        out.append("*" + _argument(module, given.vararg, None))
    elif given.kwonlyargs:
        out.append("*")
    out += [_argument(module, *pair) for pair in zip(given.kwonlyargs, given.kw_defaults)]
    return out + (["**" + _argument(module, given.kwarg, None)] if given.kwarg else [])


def _argument(module: Module, argument: ast.arg, default: Optional[ast.expr]) -> str:
    out = argument.arg
    if argument.annotation is not None:
        out += f": {module.source(argument.annotation)}"
    if default is not None:
        equals = " = " if argument.annotation is not None else "="
        out += equals + module.source(default)
    return out


def lineage(module: Module, node: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
    """A class and the classes of the package that it is made from, nearest first."""
    yield module, node
    for base in node.bases:
        if isinstance(base, ast.Name):
            where, definition = find(module, base.id)
            if where is not None and isinstance(definition, ast.ClassDef):
                yield from lineage(where, definition)


def class_arguments(module: Module, node: ast.ClassDef) -> list[str]:
    """The arguments of a class: those of `__init__`, or the fields of a data class."""
    fields: dict[str, str] = {}
    for where, ancestor in lineage(module, node):
        for part in ancestor.body:
            if isinstance(part, Function) and part.name == "__init__":
                return arguments_of(where, part)
    for where, ancestor in reversed(list(lineage(module, node))):
        for part in ancestor.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                name = part.target.id
                fields[name] = f"{name}: {where.source(part.annotation)}"
                if part.value is not None:
                    fields[name] += f" = {_field_default(where.source(part.value))}"
    return list(fields.values())


def _field_default(value: str) -> str:
    factory = re.search(r"default_factory=([\w.]+)", value)
    return f"{factory[1]}()" if factory else value


# Entries -----------------------------------------------------------------------------------


def entries(module: Module) -> list[tuple[str, Module, ast.stmt]]:
    """The public names of a module in the order of its page, and where each is defined.

    Of a module that it offers they are the classes and functions of that one.
    """
    found = []
    for name in module.exports():
        where, node = find(module, name)
        if where is None:
            raise ValueError(f"{module.name} exports {name!r}, which is defined nowhere")
        if node is not None:
            found.append((name, where, node))
            continue
        for inner in where.exports():
            if isinstance(where.defined[inner], DEFINITIONS):
                found.append((f"{name}.{inner}", where, where.defined[inner]))
    order = ["Classes", "Functions", "Constants"]
    return sorted(found, key=lambda entry: order.index(_group(entry[2])))


class Page:
    """The page of one public module or package."""

    def __init__(self, module: Module, places: dict[str, str]):
        self.module = module
        self.places = places
        self.name = module.name.partition(".")[2]

    def markdown(self) -> str:
        """The whole page."""
        said = {name: self.entry(where, node, name) for name, where, node in entries(self.module)}
        out = [f"# tfrobust.{self.name}", self.prose(self.module, self.module.tree)]
        groups = {name: _group(node) for name, _, node in entries(self.module)}
        for group in dict.fromkeys(groups.values()):
            items = [
                f"- {self.link(name)}: {summary(first)}"
                for name, (first, _) in said.items()
                if groups[name] == group
            ]
            out += [f"**{group}**", "\n".join(items)]
        for group in dict.fromkeys(groups.values()):
            out.append(f"## {group}")
            out += [text for name, (_, text) in said.items() if groups[name] == group]
        return "\n\n".join(out) + "\n"

    def entry(self, where: Module, node: ast.stmt, name: str) -> tuple[str, str]:
        """The summary of one public name, and what the page says of it."""
        path = where.path.relative_to(ROOT).as_posix()
        parts = [f"### {name}"]
        if isinstance(node, ast.ClassDef):
            parts.append(signature(where, name, class_arguments(where, node)))
            parts.append(self.bases(where, node))
            parts.append(self.prose(where, node, own=name))
        elif isinstance(node, Function):
            returns = f" -> {where.source(node.returns)}" if node.returns else ""
            parts.append(signature(where, name, arguments_of(where, node), returns))
            parts.append(self.prose(where, node, own=name))
        else:
            parts.append(self.linked(where.comment(node)))
            parts.append(self.value(where, node, name))
        parts.append(f"Source: [{path}](../../{path})")
        if isinstance(node, ast.ClassDef):
            parts += self.members(where, node, name)
        first = _docstring(node) if isinstance(node, DEFINITIONS) else where.comment(node)
        if not first:
            line = where.lines[node.lineno - 1].decode()
            raise ValueError(f"{where.name} does not say what this is: {line}")
        return first, "\n\n".join(part for part in parts if part)

    def bases(self, where: Module, node: ast.ClassDef) -> str:
        """The nearest class that a class is made from and users know: ours, or Keras'."""
        for module, ancestor in lineage(where, node):
            if ancestor is not node and ancestor.name in self.module.exports():
                return f"A {self.link(ancestor.name)}."
            for base in ancestor.bases:
                if isinstance(base, ast.Attribute):
                    return f"A `{module.source(base)}`."
        return ""

    def members(self, where: Module, node: ast.ClassDef, name: str) -> list[str]:
        """The documented public methods and properties that a class defines itself."""
        out = []
        for part in node.body:
            if not isinstance(part, Function) or part.name.startswith("_") or not _docstring(part):
                continue
            marks = {where.source(mark).split(".")[-1] for mark in part.decorator_list}
            full = f"{name}.{part.name}"
            out.append(f"#### {full}")
            returns = f" -> {where.source(part.returns)}" if part.returns else ""
            if marks & {"property", "cached_property"}:
                out.append(f"```python\n{full}{returns.replace(' -> ', ': ')}\n```")
            else:
                out.append(signature(where, full, arguments_of(where, part), returns))
            out.append(self.prose(where, part, own=name))
        return out

    def value(self, where: Module, node: ast.stmt, name: str) -> str:
        """The value of a constant, unless it is long."""
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and where.source(value.func) == "Registry":
            registered = ast.literal_eval(value.args[1])
            return "\n".join(f"- `{key}`: {text([line])}" for key, (_, line) in registered.items())
        if isinstance(value, ast.Dict) and value.end_lineno - node.lineno >= LONGEST_VALUE:
            keys = [where.source(key) for key in value.keys if isinstance(key, ast.Constant)]
            return "Its keys: " + ", ".join(f"`{key}`" for key in keys) + "."
        if value.end_lineno - node.lineno >= LONGEST_VALUE:
            return f"A tuple of {len(value.elts)}."
        lines = [line.decode() for line in where.lines[value.lineno - 1 : value.end_lineno]]
        lines[0] = f"{name} = {lines[0].partition('= ')[2]}"
        return "```python\n" + "\n".join(lines) + "\n```"

    def prose(self, where: Module, node: ast.AST, own: str = "") -> str:
        """The docstring, with links to what else this reference has."""
        made = as_markdown(_docstring(node), complete=lambda code: self.completed(where, code))
        blocks = re.split(r"(^```.*?^```$)", made, flags=re.DOTALL | re.MULTILINE)
        return "".join(b if b.startswith("```") else self.linked(b, own) for b in blocks)

    def linked(self, prose: str, own: str = "") -> str:
        """Links from names in backticks to their entries."""

        def link(found: re.Match) -> str:
            name = found[1].partition("(")[0].removeprefix("tfrobust.")
            return found[0] if name == own else self.link(name, found[0])

        return re.sub(r"`([\w.]+(?:\([^`]*\))?)`(?!:)", link, prose)

    def link(self, name: str, shown: str = "") -> str:
        """A name as a link, where this reference has an entry for it."""
        shown = shown or f"`{name}`"
        place = self.places.get(f"{self.name}.{name}") or self.places.get(name)
        if place is None:
            return shown
        page, anchor = place
        return f"[{shown}]({'' if page == self.name else page + '.md'}#{anchor})"

    def completed(self, where: Module, code: str) -> str:
        """An example with the imports that it takes for granted where it stands."""
        tree = ast.parse(code)
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        made = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_made(n)}
        made |= {a.asname or a.name for n in ast.walk(tree) for a in _aliases(n)}
        made |= {n.name for n in ast.walk(tree) if isinstance(n, DEFINITIONS)}
        lines = code.splitlines()
        given = 0
        while given < len(lines) and re.match("import |from ", lines[given]):
            given += 1
        body, lines = lines[given:], lines[:given]
        for name in sorted(used - made - set(dir(builtins))):
            if name in self.module.exports() and name not in where.imports:
                lines.append(f"from {self.module.name} import {name}")
            elif name in where.defined:
                lines.append(f"from {where.name} import {name}")
            elif name in where.imports:
                lines.append(where.imports[name])
        lines.sort(key=lambda line: (line.startswith("from"), line))
        return "\n".join([*lines, "", *body] if lines and body else [*lines, *body])


def _is_made(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _aliases(node: ast.AST) -> Sequence[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ()


def _docstring(node: ast.AST) -> str:
    return ast.get_docstring(node) or ""  # type: ignore[arg-type]


def _group(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef):
        return "Classes"
    return "Functions" if isinstance(node, Function) else "Constants"


def slug(heading: str) -> str:
    """The anchor that code hosts give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Pages -------------------------------------------------------------------------------------


def public_modules() -> list[Module]:
    """What `tfrobust` offers, and the registries."""
    top = load("tfrobust")
    assert top is not None
    names = ast.literal_eval(top.defined["_SUBPACKAGES"].value)  # type: ignore[attr-defined]
    modules = [load(f"tfrobust.{name}") for name in sorted((*names, "registries"))]
    return [module for module in modules if module is not None]


def pages() -> dict[str, str]:
    """File name to text of all pages."""
    modules = public_modules()
    places: dict[str, tuple[str, str]] = {}
    for module in modules:
        page = module.name.partition(".")[2]
        names = [name for name, _, _ in entries(module)]
        for i, name in enumerate(names):
            before = sum(slug(other) == slug(name) for other in names[:i])  # `Train` and `train`
            places[f"{page}.{name}"] = (page, slug(name) + (f"-{before}" if before else ""))
    made = {module: Page(module, places) for module in modules}
    out = {f"{page.name}.md": page.markdown() for page in made.values()}
    lines = [
        f"- [`tfrobust.{page.name}`]({page.name}.md): {summary(_docstring(module.tree))}"
        for module, page in made.items()
    ]
    intro = (
        "# API reference\n\nEvery public name of the package, from its docstrings. These pages are "
        "written by `python tools/api_reference.py`.\n\n"
    )
    return {"README.md": intro + "\n".join(lines) + "\n", **out}


def main() -> Optional[str]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    stale = sorted(name for name in {*wanted, *there} if there.get(name) != wanted.get(name))
    if check:
        if stale:
            return (
                f"docs/api/ does not say what the docstrings say: {', '.join(stale)}; run "
                "`python tools/api_reference.py`"
            )
        return None
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (PAGES / name).write_text(wanted[name], encoding="utf-8")
        else:
            (PAGES / name).unlink()
    print(f"{len(wanted)} pages in docs/api/, {len(stale)} of them changed")
    return None


if __name__ == "__main__":
    sys.exit(main())
