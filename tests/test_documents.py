"""The README's Python blocks, as a user would run them, and what the pages name and link to."""

import ast
import functools
import pathlib
import re

import pytest
import tensorflow as tf

import tfrobust
from tfrobust import cli

ROOT = pathlib.Path(__file__).parents[1]


def run(code, epochs):
    short, count = re.subn(r"\bepochs ?= ?\d+", "epochs=1", code)
    assert count == epochs  # so that a test never trains for minutes
    exec(compile(short, "document", "exec"), {})


def test_readme(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    job, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for block in others:
        run(block, epochs=0)
    # After one epoch the accuracy may still be that of chance, at which an evaluation stops.
    run(job.replace("epochs=12", "epochs=int(4)"), epochs=1)
    printed = capsys.readouterr().out
    for column in ("clean", "B+", "Combined-"):
        assert re.search(rf"^{re.escape(column)} +\d+\.\d%$", printed, re.MULTILINE)
    served = tf.saved_model.load("savedmodels/digits").signatures["serving_default"]
    assert served(images=tf.zeros([1, 32, 32, 3]))["logits"].shape == [1, 10]


def test_table_of_augmentations_is_the_registry(capsys):
    cli.main(["list", "augments", "--markdown"])
    table = capsys.readouterr().out
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- augmentations -->\n{table}<!-- end of augmentations -->" in text


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/methods/*.md")), ids=lambda p: p.stem)
def test_method_page(path, tmp_path, monkeypatch):
    """All blocks of a page, one after the other as in one session, two steps of each training."""
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    short = r"epochs=1, steps_per_epoch=2, validation_steps=1"
    code, count = re.subn(r"\bepochs=\d+", short, "\n".join(blocks))
    assert count > 0
    monkeypatch.chdir(tmp_path)
    exec(compile(code, path.name, "exec"), {})


@functools.cache
def anchors(page):
    """The anchors that code hosts give to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    headings = [heading.lower() for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    plain = [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings]
    earlier = [plain[:i].count(anchor) for i, anchor in enumerate(plain)]
    return {anchor + (f"-{n}" if n else "") for anchor, n in zip(plain, earlier)}


def test_local_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "savedmodels/README.md"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name} links to {target}"
            if anchor:
                assert anchor in anchors(found), f"{page.name} links to {target}#{anchor}"
        for target in re.findall(r"`((?:docs|tests|tfrobust|tools|constraints)/[\w./-]+)`", text):
            assert (ROOT / target).exists(), f"{page.name} names {target}"


def test_every_page_is_found_from_the_index():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/methods/*.md")]:
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index, (
            f"docs/README.md does not link to {name}"
        )


def test_pages_use_names_that_exist():
    """Code that is too slow to run here: what it takes from the package is there."""
    found = 0
    for page in ROOT.glob("docs/**/*.md"):
        for block in re.findall(
            r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        ):
            for node in ast.walk(ast.parse(block)):
                name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                if name.startswith("tfrobust."):
                    thing = tfrobust
                    for part in name.split(".")[1:]:
                        thing = getattr(thing, part)
                    found += 1
    assert found > 5
