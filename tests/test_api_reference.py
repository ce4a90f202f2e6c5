"""docs/api/ says what the docstrings say, of every public name."""

from __future__ import annotations

import ast
import builtins
import inspect
import pathlib
import re
import sys

import pytest

import tfrobust
from tfrobust import registries

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ROOT / "docs/api"
MODULES = {
    **{name: getattr(tfrobust, name) for name in tfrobust.__all__ if name != "__version__"},
    "registries": registries,
}


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import api_reference

    return api_reference


def entries(module):
    """Name to what the page of a module says of it."""
    parts = re.split(r"^### (.+)\n", (PAGES / f"{module}.md").read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def test_pages_are_up_to_date(tool, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["api_reference.py", "--check"])
    assert tool.main() is None


def test_stale_missing_and_extra_pages_are_named(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tool, "PAGES", tmp_path / "api")
    monkeypatch.setattr(sys, "argv", ["api_reference.py"])
    assert tool.main() is None
    assert f"{len(MODULES) + 1} of them changed" in capsys.readouterr().out
    for page in ("rows.md", "gone.md"):
        (tmp_path / "api" / page).write_text("old", "utf-8")
    (tmp_path / "api/saving.md").unlink()
    monkeypatch.setattr(sys, "argv", ["api_reference.py", "--check"])
    assert "gone.md, rows.md, saving.md; run" in tool.main()
    monkeypatch.setattr(sys, "argv", ["api_reference.py"])
    assert tool.main() is None
    assert not (tmp_path / "api/gone.md").exists()
    assert (tmp_path / "api/rows.md").read_text("utf-8") == (PAGES / "rows.md").read_text("utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_with_the_arguments_that_it_takes(name):
    module, said = MODULES[name], entries(name)
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        if inspect.ismodule(thing):
            assert any(entry.startswith(f"{public}.") for entry in said)
            continue
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            assert public in said
            continue
        code = re.search(r"```python\n(.*?)\n```", said[public], re.DOTALL)[1]
        call = re.sub(r"\) -> .*$", ")", code, flags=re.DOTALL)
        written = ast.parse(f"def {call}: pass").body[0].args
        written = [a.arg for a in (*written.args, *written.kwonlyargs)]
        taken = inspect.signature(thing).parameters.values()
        assert written == [p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def test_examples_are_python_and_import_what_they_use():
    found = 0
    for page in PAGES.glob("*.md"):
        pattern = r"\*\*Example\*\*\n\n```python\n(.*?)\n```"
        for code in re.findall(pattern, page.read_text("utf-8"), re.DOTALL):
            tree = list(ast.walk(ast.parse(code)))
            names = [n for n in tree if isinstance(n, ast.Name)]
            known = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | set(dir(builtins))
            for node in tree:
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    known |= {(a.asname or a.name).split(".")[0] for a in node.names}
                known |= {getattr(node, "name", None), getattr(node, "arg", None)}
            assert {n.id for n in names} <= known, code
            found += 1
    assert found > 100


def test_a_docstring(tool):
    from docstring_markdown import as_markdown

    def f():
        """One line about `x`,
        and another where a <b.

            L = a
                · b

        - first
          point
        - second

        Args:
            x: A number
                (any).
            *more, **options: The rest.

        Raises (when called):
            ValueError: No.

        Returns:
            Two numbers.

        Example:

        >>> def twice(x):
        ...     return 2 * x
        >>> twice(2)
        4
        >>> twice()
        Traceback (most recent call last):
        ...
        TypeError: no x

        Reference: a paper.
        """

    expected = """\
One line about `x`, and another where a \\<b.

```text
L = a
    · b
```

- first point
- second

**Args**

- `x`: A number (any).
- `*more`, `**options`: The rest.

**Raises** (when called)

- `ValueError`: No.

**Returns**

Two numbers.

**Example**

```python
def twice(x):
    return 2 * x
twice(2)
# 4
twice()
# TypeError: no x
```

Reference: a paper."""
    assert as_markdown(f.__doc__) == expected
