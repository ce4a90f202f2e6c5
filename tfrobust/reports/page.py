"""Building blocks of an HTML report: template, style, paragraphs, scroll boxes, figures."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from tfrobust.reports import figures

STYLE = """
:root { color-scheme: light dark; --text: #1c1d1f; --soft: #55585e; --page: #fff; --line: #d5d7db;
  --band: #f3f4f6; }
@media (prefers-color-scheme: dark) { :root { --text: #e7e8ea; --soft: #a9adb5; --page: #17181b;
  --line: #3b3e45; --band: #222429; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p, figcaption { max-width: 44rem; margin: .6rem 0; }
.lead { font-size: 1.1rem; }
.note, figcaption { color: var(--soft); font-size: .93rem; }
.scroll { overflow-x: auto; margin: 1rem 0 .5rem; }
table { border-collapse: collapse; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; }
thead th { font-weight: 600; border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody.summary tr:first-child > * { border-top: 2px solid var(--soft); }
tbody.summary > tr > * { background: var(--band); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
thead .number { white-space: normal; max-width: 9rem; }
.long th[scope=row] { min-width: 15rem; }
th[scope=row] { position: sticky; left: 0; background: var(--page); }
td:not(.number) { min-width: 8rem; }
.settings { table-layout: fixed; width: 100%; max-width: 48rem; }
.settings :is(th, td) { overflow-wrap: anywhere; }
.settings thead th:first-child { width: 40%; }
figure { margin: 1rem 0 1.75rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; }
.card img { display: block; width: 100%; height: auto; }
.wide img { min-width: 46rem; }
.grid { display: grid; gap: 1rem 1.25rem; margin: 1rem 0 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.grid figure { margin: 0; min-width: 0; max-width: 31rem; }
.grid .scroll { margin-top: 0; }
summary { cursor: pointer; color: var(--soft); }
h3 { font-size: 1.08rem; margin: 2rem 0 .4rem; }
tbody + tbody tr:first-child > * { border-top: 2px solid var(--soft); }
.plot { max-width: 48rem; }
.plot img { min-width: 34rem; }
@media (max-width: 40rem) { table { font-size: .84rem; } th, td { padding: .3rem .28rem; }
  th[scope=row] { max-width: 6.6rem; } .long th[scope=row] { min-width: 8rem;
  max-width: 10rem; }
  .settings thead th:first-child { width: 55%; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Flattens nested settings to dotted names; a list without dicts stays on one line."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        yield from flat(dict(enumerate(value)), name)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def details(summary: str, content: str) -> str:
    """A collapsible section, initially closed."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def read_records(path: pathlib.Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Reads the mappings of a JSON file, each with the keys; empty if there is no file.

    Raises:
        ValueError: The file has the wrong content; the message names it.
    """
    records = read_json(path)
    if records is None:
        return []
    if not isinstance(records, list):
        raise ValueError(f"{path} must hold a list; got {type(records).__name__}")
    for i, record in enumerate(records):
        missing = [k for k in keys if k not in record] if isinstance(record, dict) else list(keys)
        if missing:
            raise ValueError(f"{path}, entry {i}, lacks {', '.join(missing)}")
    return records


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file; None if it does not exist."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def paragraph(text: str, *, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def scroll(content: str, *, kind: str = "") -> str:
    # Focusable by the tab key, so that it can be scrolled without a mouse.
    return f'<div class="scroll {kind}" tabindex="0">\n{content}</div>'


def grid(figures: Sequence[str]) -> str:
    """Figures side by side where there is room."""
    return '<div class="grid">\n' + "\n".join(figures) + "\n</div>"


def figure(drawn: figures.Figure, media: str, alt: str, caption: str, *, kind: str) -> str:
    code = base64.b64encode(figures.encoded(drawn, media)).decode("ascii")
    image = f'<img src="data:image/{media};base64,{code}" alt="{escape(alt)}">'
    box = scroll(image, kind=f"card {kind}")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{box}{below}</figure>"
