"""The HTML templates of the reports."""

from __future__ import annotations

import functools
import pathlib

import jinja2

from tfrobust.reports.table import with_minus_signs


@functools.cache
def environment() -> jinja2.Environment:
    """The environment of the templates: everything is escaped, and a missing name is an error."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["minus"] = with_minus_signs
    return found
