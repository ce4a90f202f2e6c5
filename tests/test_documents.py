"""The pages' Python blocks and commands, as a user would run them, and what they link to."""

import functools
import inspect
import pathlib
import re
import shlex

import pytest
import tensorflow as tf

import tfrobust
from tests.documented_code import Reader
from tests.small_runs import few_augmentations  # noqa: F401
from tfrobust import cli
from tfrobust.registries import EXPERIMENTS

ROOT = pathlib.Path(__file__).parents[1]
METHOD_PAGES = sorted(ROOT.glob("docs/methods/*.md"))
GUIDE = ROOT / "docs/GUIDE.md"
#: Short pages that run as one session each.
RUN = ("CALLBACKS", "MIXED_PRECISION", "TENSORBOARD", "TF_SERVING")
RUN_PAGES = [ROOT / f"docs/{name}.md" for name in RUN]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *METHOD_PAGES]


def blocks_of(path, language="python"):
    text = path.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def run(code, epochs):
    short, count = re.subn(r"\bepochs ?= ?\d+", "epochs=1", code)
    assert count == epochs  # so that a test never trains for minutes
    exec(compile(short, "document", "exec"), {})


def is_slow(block):
    """Whether it makes nets, or compiles the operators of augmentations."""
    return "nets" in block or "augment" in block


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:25])
    for word in (
        "docs/pictures/report.png",
        "make quickstart",
        "evaluate model.keras",
        "Apache-2.0",
    ):
        assert word in first


def test_short_blocks_of_the_guide(capsys):
    shown = [block for block in blocks_of(GUIDE) if not is_slow(block)]
    assert len(shown) >= 3
    for block in shown:
        run(block, epochs=0)
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("few_augmentations")
def test_readme(tmp_path, monkeypatch, capsys):
    (job,), others = blocks_of(ROOT / "README.md"), filter(is_slow, blocks_of(GUIDE))
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
    text = GUIDE.read_text(encoding="utf-8")
    assert f"<!-- augmentations -->\n{table}<!-- end of augmentations -->" in text


@pytest.mark.slow
@pytest.mark.usefixtures("few_augmentations")
@pytest.mark.parametrize("path", METHOD_PAGES, ids=lambda p: p.stem)
def test_method_page(path, tmp_path, monkeypatch):
    """All blocks of a page, one after the other as in one session, two steps of each training."""
    short = r"epochs=1, steps_per_epoch=2, validation_steps=1"
    code, count = re.subn(r"\bepochs=\d+", short, "\n".join(blocks_of(path)))
    assert count > 0
    monkeypatch.chdir(tmp_path)
    exec(compile(code, path.name, "exec"), {})


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN_PAGES, ids=lambda p: p.stem)
def test_run_page(path, tmp_path, monkeypatch, capsys):
    """Whole, as it stands."""
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks_of(path)), path.name, "exec"), {})
    assert capsys.readouterr().out


def test_code_of_pages_names_what_there_is():
    """Whether a page's code runs or not: what it takes from the package, and gives it, exists."""
    checked = {}
    for page in PAGES:
        blocks = blocks_of(page)
        # Each block of README and guide stands alone, the blocks of another page are one session;
        # those under docs/ leave out what the reader has.
        sessions = blocks if page.stem in ("README", "GUIDE") else ["\n".join(blocks)]
        for code in sessions:
            fragments = page.parent.name == "docs" and page not in (GUIDE, *RUN_PAGES)
            reader = Reader(fragments=fragments).read(code)
            assert not reader.wrong, (page.name, reader.wrong)
            checked[page.stem] = checked.get(page.stem, 0) + reader.checked
    assert checked["README"] + checked["GUIDE"] > 100 and checked["TF_SLIM"] > 50
    for page in METHOD_PAGES:
        assert checked[page.stem] > 15, page.name


def test_reader_finds_what_is_not_there():
    code = """
import tfrobust
from tfrobust import datasets, nets, nowhere
from tfrobust.methods import StabilityTraining
data = datasets.load("digits", batches=3, seeds=1)
net = nets.small_cnn(data.image_shape, data.class_count)
for images, _ in data.training:
    print([missing(image) for image in images])
model = StabilityTraining(net, augment=tfrobust.augment.GaussianBlurr(), alfa=1.0)
model.fit(data.train, epoch=3, validation_data=data.validation)
evaluate = lambda given: tfrobust.evaluation.benchmark(given, data, [], verbos=False)
"""
    assert Reader().read(code).wrong == [
        "tfrobust has no nowhere",
        "data has no class_count",
        "data has no training",
        "missing is not defined",
        "tfrobust.augment has no GaussianBlurr",
        "StabilityTraining takes no alfa",
        "model.fit: got an unexpected keyword argument 'epoch'",
        "tfrobust.evaluation.benchmark: got an unexpected keyword argument 'verbos'",
    ]
    assert Reader(fragments=True).read("model.fit(data)").wrong == []


def test_commands_of_pages_are_taken(capsys):
    """Whole commands in blocks are parsed; of those within a line the command and its options."""
    (commands,) = (a for a in cli.parser()._actions if hasattr(a, "add_parser"))
    parsed = named = 0
    for page in (*PAGES, ROOT / "savedmodels/README.md"):
        for block in blocks_of(page, language=""):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("tfrobust "):
                    arguments = shlex.split(line, comments=True)[1:]
                    cli.parser().parse_args(arguments)  # ends the test where one is wrong
                    parsed += 1
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for line in re.findall(r"`tfrobust ([a-z][^`]*)`", text):
            command, *words = line.split()
            options = commands.choices[command]._option_string_actions
            assert {word for word in words if word.startswith("--")} <= set(options), (page, line)
            named += 1
    assert parsed > 40 and named > 20


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


def public_names():
    """(where, name, thing) of all that the packages offer."""
    for package in [getattr(tfrobust, name) for name in tfrobust.__all__]:
        for name in getattr(package, "__all__", ()):
            yield package.__name__, name, getattr(package, name)


def test_every_public_module_is_in_the_api_reference():
    listed = (ROOT / "docs/index.rst").read_text(encoding="utf-8").split()
    found = [getattr(tfrobust, name) for name in tfrobust.__all__]
    packages = {thing.__name__ for thing in found if inspect.ismodule(thing)}
    inner = {thing.__name__ for _, _, thing in public_names() if inspect.ismodule(thing)}
    assert packages | inner <= set(listed)


def test_every_public_name_says_what_it_is():
    """Constants say so in a comment that begins with `#:`."""
    sources = [path.read_text(encoding="utf-8") for path in ROOT.glob("tfrobust/**/*.py")]
    for where, name, thing in public_names():
        if inspect.ismodule(thing) or callable(thing):
            assert vars(thing).get("__doc__", thing.__doc__), f"{where}.{name}"
        else:
            comment = re.compile(rf"^#: .*\n(#:.*\n)*{name}\b", re.MULTILINE)
            assert any(comment.search(source) for source in sources), f"{where}.{name}"


def test_every_experiment_has_its_cost():
    """The docstrings of the experiments refer to the page; the toy problem takes seconds."""
    page = (ROOT / "docs/SCALE.md").read_text(encoding="utf-8")
    for name in set(EXPERIMENTS) - {"noisymix_toy"}:
        assert re.search(rf"^\| .*`{name}`.*\d.* \|$", page, re.MULTILINE), name
