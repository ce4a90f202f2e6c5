"""The report of a run: whole, self-contained, escaped, and clear about what is wrong."""

from __future__ import annotations

import base64
import html.parser
import json
import re

import numpy as np
import pytest

from tfrobust import rows as result_rows
from tfrobust.reports import write_report
from tfrobust.reports.results import ORDER
from tfrobust.rows import Row

VOID = {"meta", "img", "br", "hr", "link", "input"}
EVIL = '<script>alert("x")</script>&amp;\'"$_{}'


class Page(html.parser.HTMLParser):
    """Checks that the tags balance and keeps tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def write_run(folder, *, models=("baseline", "AT/CA", "ST/CA", "FMA/CA"), name=str):
    folder.mkdir()
    tested, history = [], []
    for k, model in enumerate(map(name, models)):
        for i, corruption in enumerate(ORDER):
            common = (model, name("digits/test"), corruption, None, "accuracy")
            tested.append(Row(*common, 0.9 - 0.05 * i + 0.01 * k, n=400, seed=0))
            common = (model, name("digits/validation"), corruption, None, "accuracy")
            for epoch in range(3) if k else ():
                value = 0.9 - 0.05 * i + 0.01 * epoch
                history.append(Row(*common, value, n=400, seed=0, epoch=epoch))
    result_rows.write(tested, folder / "rows.jsonl")
    result_rows.write(history, folder / "history.jsonl")
    record = {
        "augmentation": name("B+"),
        "parameter": name("delta"),
        "strength": 0.41,
        "reached": False,
        "clean_accuracy": 0.96,
        "accuracy": 0.861,
        "drop": 0.099,
        "target_drop": 0.1,
        "n": 360,
        "note": name("end of range"),
    }
    (folder / "strengths.json").write_text(json.dumps([record]))
    pictures = np.full((2, len(ORDER), 8, 8, 3), 0.5, np.float32)
    np.savez(folder / "pictures.npz", names=np.array([name(c) for c in ORDER]), pictures=pictures)
    settings = {
        name("seed"): 0,
        "net": {"widths": [8, 16], "pool": None, "deep": [{"a": True}]},
        "versions": {"keras": name("2.15.0")},
        "empty": {},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "quick")


def read_page(path):
    return Page(path.read_text(encoding="utf-8"))


def test_report_has_every_section(run):
    path = write_report(run)
    assert path == run / "report.html"
    page = read_page(path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert re.findall(r"<h2>(.*?)</h2>", path.read_text(encoding="utf-8")) == [
        "Accuracy on digits/test",
        "Strength of the augmentations",
        "What the augmentations look like",
        "Accuracy while finetuning",
        "Settings",
    ]
    assert len(page.all("img")) == 1 + 3 and len(page.all("table")) == 3
    # Models differ by 1, 2 and 3 points everywhere; the largest error is at 0.5.
    assert "Largest average improvement on augmented images: FMA/CA, +3.00 points." in page.text
    assert "One standard error is at most ±2.50 points, n = 400 images." in page.text
    assert "Combined−" in page.words and "Combined-" not in page.words
    for attrs in page.all("th"):
        assert attrs["scope"] in ("col", "row")


def test_settings_are_flat(run):
    page = read_page(write_report(run))
    words = [word for word in page.words[page.words.index("seed") :] if word.strip()]
    cells = dict(zip(words[::2], words[1::2]))
    assert cells["seed"] == "0" and cells["net.widths"] == "[8, 16]" and cells["net.pool"] == "null"
    assert cells["net.deep.0.a"] == "true" and cells["versions.keras"] == "2.15.0"
    assert cells["empty"] == "{}"


def test_report_needs_no_network_and_no_script(run):
    path = write_report(run)
    page = read_page(path)
    assert not page.all("script") and not page.all("link")
    for _, attrs in page.tags:
        assert "href" not in attrs
        assert attrs.get("src", "data:").startswith("data:")
        assert not any(key.startswith("on") for key in attrs)
    assert not re.search(r"https?://|@import|url\(", path.read_text(encoding="utf-8"))


def test_figures_are_whole_and_described(run):
    images = read_page(write_report(run)).all("img")
    starts = [image["src"].split(",")[0] for image in images]
    assert starts == ["data:image/png;base64"] + 3 * ["data:image/svg+xml;base64"]
    first, second = (base64.b64decode(image["src"].split(",")[1]) for image in images[:2])
    assert first.startswith(b"\x89PNG") and second.rstrip().endswith(b"</svg>")
    assert "B+" in images[0]["alt"] and images[0]["alt"].startswith("Pictures in 2 rows")
    assert images[1]["alt"].startswith("Accuracy of AT/CA on digits/validation in percent")
    assert "Clean: 90.0 to 92.0;" in images[1]["alt"]


def test_same_run_same_file(run, tmp_path):
    first = write_report(run).read_bytes()
    assert write_report(run, path=tmp_path / "new" / "r.html").read_bytes() == first


def test_strings_are_escaped(tmp_path):
    folder = write_run(tmp_path / "a<b>&", name=lambda text: text + EVIL)
    path = write_report(folder)
    page = read_page(path)
    assert not page.all("script") and "<script" not in path.read_text(encoding="utf-8")
    assert page.text.count('<script>alert("x")</script>&amp;') >= 8
    assert any("Robustness report: a<b>&" in words for words in page.words)


def test_missing_files_leave_their_sections_out(run):
    for name in ("history.jsonl", "strengths.json", "pictures.npz", "settings.json"):
        (run / name).unlink()
    page = read_page(write_report(run))
    assert len(page.all("h2")) == 1 and len(page.all("table")) == 1 and not page.all("img")


def test_several_data_sets_have_a_table_each(run):
    rows = [Row("net", d, "fog", 3, "accuracy", 0.5, n=10, seed=0) for d in ("a/test", "b/test")]
    rows += [Row("net", "a/test", "fog", 3, "loss", 2.5, n=10, seed=0)]
    result_rows.write(rows, run / "rows.jsonl")
    page = read_page(write_report(run))
    assert "Accuracy on a/test" in page.words and "Accuracy on b/test" in page.words
    assert "1 model on a/test." in page.words
    assert "Average improvement" not in page.text


def test_half_a_surrogate_pair_is_no_obstacle(run):
    (run / "settings.json").write_text('{"name": "\\ud800"}')
    assert "?" in read_page(write_report(run)).words


def test_folder_without_rows(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no rows\.jsonl"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("rows.jsonl", "", "no row with the metric accuracy"),
        ("rows.jsonl", "{}", "line 1, is not a result row"),
        ("strengths.json", "[", "is not JSON"),
        ("strengths.json", '[{"augmentation": "B+"}]', "list of strength records"),
        ("strengths.json", '{"B+": 1}', "list of strength records"),
        ("pictures.npz", "PK", "names and pictures"),
        ("settings.json", "{", "is not JSON"),
    ],
)
def test_broken_files_are_named(run, name, content, message):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_pictures_without_names_or_with_objects(run):
    np.savez(run / "pictures.npz", pictures=np.zeros([1, 1, 2, 2, 3]))
    with pytest.raises(ValueError, match=r"pictures\.npz must hold names and pictures"):
        write_report(run)
    np.savez(run / "pictures.npz", names=np.array(["clean"], object), pictures=np.zeros(1))
    with pytest.raises(ValueError, match=r"pictures\.npz must hold names and pictures"):
        write_report(run)


def test_a_folder_is_not_overwritten(run, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(IsADirectoryError, match="must be a file"):
        write_report(run, path=kept)
    assert kept.is_dir()


def test_an_older_report_is_replaced_whole(run):
    (run / "report.html").write_text("old")
    write_report(run)
    assert "old" not in read_page(run / "report.html").words
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_note_on_the_data(tmp_path):
    """What must stand beside every number stands in the page."""
    row = Row("a", "cifar10/test", "clean", 0.0, "accuracy", 0.5, n=10, seed=0)
    result_rows.write([row], tmp_path / "rows.jsonl")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Note on" not in page
    data = {"name": "cifar10", "note": "copies <of> the images"}
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Note on cifar10: copies &lt;of&gt; the images." in page
