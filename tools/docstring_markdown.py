"""Docstrings in Google style as Markdown."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Callable

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Example)( \(.+\))?:")
_ITEM = re.compile(r"(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_][\w.]*)*):(?: +|$)(.*)")
_BULLET = re.compile(r"(?:-|\d+\.) ")


def as_markdown(docstring: str, *, complete: Callable[[str], str] = str) -> str:
    """A docstring as Markdown, each paragraph and each item of a list on one line.

    Sections become a word in bold above a list, indented formulas and doctests blocks of code.

    Args:
        docstring: The docstring.
        complete: Makes of the code of an example one that runs by itself.
    """
    lines = inspect.cleandoc(docstring).splitlines()
    out: list[str] = []
    while lines:
        section = _SECTION.fullmatch(lines[0])
        if section:
            title, when = section.groups(default="")
            out.append(f"**{title}**{when}")
            del lines[0]
            body = inspect.cleandoc("\n".join(["", *_take_deeper(lines)])).splitlines()
            named = title in ("Args", "Attributes", "Raises")
            out += [_items(body)] if named else _blocks(body, complete)
        else:
            block = _take_until(lines, lambda line: bool(_SECTION.fullmatch(line)))
            out += _blocks(block, complete)
    return "\n\n".join(out)


def summary(docstring: str) -> str:
    """The first paragraph on one line."""
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())


def text(lines: list[str]) -> str:
    """Lines of prose as one line, in which Markdown sees no tags."""
    joined = " ".join(line.strip() for line in lines)
    parts = re.split(r"(`[^`]*`)", joined)
    return "".join(p if p.startswith("`") else re.sub(r"<(?=[\w/!])", r"\\<", p) for p in parts)


def runnable(example: str) -> str:
    """Doctests as code without prompts; what they print stands below it as comments."""
    out = []
    for part in doctest.DocTestParser().get_examples(example):
        out += part.source.rstrip("\n").splitlines()
        printed = part.want.rstrip("\n").splitlines()
        if printed and printed[0].startswith("Traceback"):
            printed = printed[-1:]
        out += [f"# {line}".rstrip() for line in printed]
    return "\n".join(out)


def _take_until(lines: list[str], end: Callable[[str], bool]) -> list[str]:
    """Takes lines off the front, up to one at which `end` is true."""
    taken = [lines.pop(0)]
    while lines and not end(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _take_deeper(lines: list[str]) -> list[str]:
    """Takes the lines of a section, which stand further in; those of an example need not."""
    deeper = []
    while lines and (not lines[0] or lines[0].startswith(" ")):
        deeper.append(lines.pop(0))
    return deeper


def _take_example(lines: list[str]) -> str:
    """Takes doctests, up to prose."""
    example = []
    while lines and not (example and not example[-1] and not lines[0].startswith(">>>")):
        example.append(lines.pop(0))
    return "\n".join(example)


def _items(lines: list[str]) -> str:
    """`name: text` with deeper lines that go on, as a list."""
    out = []
    while lines:
        item = _take_until(lines, lambda line: bool(line) and not line.startswith(" "))
        found = _ITEM.match(item[0])
        if not found:
            raise ValueError(f"expected `name: text`, received {item[0]!r}")
        names = ", ".join(f"`{name}`" for name in found[1].split(", "))
        out.append(f"- {names}: {text([found[2], *item[1:]])}")
    return "\n".join(out)


def _blocks(lines: list[str], complete: Callable[[str], str]) -> list[str]:
    """Paragraphs, lists, formulas and doctests."""
    out = []
    while lines:
        if not lines[0]:
            del lines[0]
        elif lines[0].startswith(">>>"):
            out.append(_fenced("python", complete(runnable(_take_example(lines)))))
        elif lines[0].startswith(" "):
            block = _take_until(lines, lambda line: bool(line) and not line.startswith(" "))
            out.append(_fenced("text", inspect.cleandoc("\n".join(["", *block]))))
        elif _BULLET.match(lines[0]):
            bullets = []
            while lines and _BULLET.match(lines[0]):
                item = _take_until(lines, lambda line: not line.startswith(" "))
                bullets.append(text(item))
            out.append("\n".join(bullets))
        else:
            out.append(text(_take_until(lines, lambda line: not line or bool(_BULLET.match(line)))))
    return out


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
