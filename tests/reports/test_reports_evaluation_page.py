"""The page of an evaluation: what it says, in which order, escaped, and what it refuses."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re

import numpy as np
import pytest

from tfrobust import rows as result_rows
from tfrobust.reports import write_report
from tfrobust.reports.protocols import protocol_table, sentences

EVIL = '<script>alert("x")</script>&amp;\'"$_{}'
SECTIONS = [
    "Summary",
    "Differences between models",
    "Accuracy on each corruption",
    "Accuracy at rising strength",
    "Is a model right as often as it is sure?",
    "Changed predictions in slowly changing pictures",
    "Attacks",
    "Worst examples",
    "How it was measured",
    "Settings",
]


class Page(html.parser.HTMLParser):
    """The tags and the words of a page whose tags must balance."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.tags, self.words = [], [], []
        self.feed(self.source)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def headings(self, level=2):
        return re.findall(rf"<h{level}>(.*?)</h{level}>", self.source)

    def images(self):
        return [attrs["alt"] for tag, attrs in self.tags if tag == "img"]


def change_rows(folder, change):
    path = folder / "rows.jsonl"
    result_rows.write([r for r in map(change, result_rows.read(path)) if r], path)


@pytest.mark.usefixtures("undrawn")
def test_everything_in_the_order_in_which_a_reader_asks(write_evaluation, tmp_path):
    page = Page(write_report(write_evaluation(tmp_path / "run")))
    assert [html.unescape(h) for h in page.headings()] == SECTIONS
    assert (
        "3 models on cifar10/test, 10000 images. Clean images: 95.00 % right at best (baseline). "
        "Corrupted images (15 corruptions at 5 severities): 83.82 % right at best (FMA/CA). "
        "Predictions that flip: 2.50 % at best (FMA/CA)." in page.text
    )
    alts = page.images()
    assert len(alts) == 3 + 1 + 6 + 1 + 3
    assert alts[0].startswith("Accuracy of baseline in percent") and "fog: 74.62" in alts[0]
    assert "baseline, tilt: 7.0" in alts[10]
    assert "Note on cifar10: a sample." in page.text and "can be chance" in page.text


def test_no_network_and_no_script(write_evaluation, tmp_path):
    page = Page(write_report(write_evaluation(tmp_path / "run")))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert attrs.get("src", "data:").startswith("data:") and "href" not in attrs
        assert not any(key.startswith("on") for key in attrs)
    assert not re.search(r"https?://|@import|url\(", page.source)


@pytest.mark.usefixtures("undrawn")
def test_the_protocol_says_what_is_not_normalised(write_evaluation, tmp_path):
    plain = Page(write_report(write_evaluation(tmp_path / "plain"))).text
    assert plain.count("Mean error on corrupted images is a plain mean in percent: it is not") == 2
    assert "Frost textures: made." in plain and "Table of severities: cifar, 32 pixels." in plain
    assert "mCE is divided" not in plain
    named = Page(write_report(write_evaluation(tmp_path / "named", baseline="alexnet"))).text
    assert named.count("mCE is divided by the numbers of alexnet; 100 is as bad as those.") == 4
    assert "Mean corruption error (alexnet = 100): 27.51 at best (FMA/CA)." in named
    for text in (
        "protocol: frost made",
        "made with: keras 2.15.0",
        "seed 0 0 0",
        "images (n) 10000",
    ):
        assert text in named


def test_protocol_table_lists_what_differs(sample_rows):
    frost = dict(sample_rows[0].protocol, frost="other")
    rows = [dataclasses.replace(sample_rows[0], protocol=frost, n=7), *sample_rows]
    rows += [dataclasses.replace(sample_rows[-1], model="old", protocol=None, provenance=None)]
    table = protocol_table(rows)
    cells = dict(zip(table.labels, table.texts))
    assert table.columns == ("baseline", "AugMix", "FMA/CA", "old")
    assert cells["images (n)"] == ("7; 10000", "10000", "10000", "10000")
    assert cells["protocol: frost"] == ("other; made", "made", "made", "not given")
    assert cells["made with: model"] == (
        "000000000000",
        "000000000001",
        "000000000002",
        "not given",
    )
    many = [dataclasses.replace(sample_rows[0], seed=seed) for seed in range(9)]
    assert dict(zip(protocol_table(many).labels, protocol_table(many).texts))["seed"] == (
        "0; 1; 2; 3; 5 more",
    )
    said = " ".join(sentences(rows))
    assert "have no protocol, so how they were measured is unknown: old." in said


def test_rows_that_do_not_say_their_frost(sample_rows):
    rows = [dataclasses.replace(r, protocol={}) for r in sample_rows]
    said = list(sentences(rows))
    assert "Frost textures: the rows do not say." in said
    assert "The rows do not say by what mCE was divided." in said


def test_strings_are_escaped(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "a<b>&", name=lambda text: text + EVIL)
    page = Page(write_report(folder))
    assert "<script" not in page.source and not any(tag == "script" for tag, _ in page.tags)
    assert page.text.count('<script>alert("x")</script>&amp;') > 20
    assert any('<script>alert("x")</script>' in alt for alt in page.images())


@pytest.mark.usefixtures("undrawn")
def test_one_model(write_evaluation, tmp_path):
    page = Page(write_report(write_evaluation(tmp_path / "run", models=("net",))))
    assert (
        "net on cifar10/test, 10000 images. Clean images: 95.00 % right. Corrupted images "
        "(15 corruptions at 5 severities): 76.79 % right." in page.text
    )
    assert "<strong>" not in page.source and "Differences between models" not in page.headings()


@pytest.mark.usefixtures("undrawn")
def test_mixed_protocols_are_refused_unless_asked(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    changed = {"data": "other"}
    change_rows(
        folder,
        lambda r: dataclasses.replace(r, protocol=changed) if r.model == "AugMix" else r,
    )
    message = r"rows\.jsonl: models .* measured alike; .* data is 9f2c41d7e0b3 for baseline and FMA"
    with pytest.raises(ValueError, match=message):
        write_report(folder)
    assert not (folder / "report.html").exists()
    page = Page(write_report(folder, mixed_protocols=True))
    assert "Not all models were measured alike" in page.text
    assert "Not measured alike: data is 9f2c41d7e0b3 for baseline and FMA/CA, other for AugMix" in (
        page.text
    )


@pytest.mark.usefixtures("undrawn")
def test_several_data_sets_have_sections_each(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    rows = result_rows.read(folder / "rows.jsonl")
    other = [dataclasses.replace(r, dataset="b/test", n=50) for r in rows if r.model == "AugMix"]
    result_rows.write([*rows, *other], folder / "rows.jsonl")
    page = Page(write_report(folder))
    assert page.headings() == ["cifar10/test", "b/test", *SECTIONS[-3:]]
    assert page.headings(3)[:2] == SECTIONS[:2] and page.headings(3).count("Summary") == 2
    assert "AugMix on b/test, 50 images." in page.text


@pytest.mark.usefixtures("undrawn")
def test_missing_cells_and_files(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    for name in ("worst.npz", "worst.json", "reliability.json", "differences.json", "data.json"):
        (folder / name).unlink()
    keep = ("accuracy", "flip_probability")
    change_rows(
        folder,
        lambda r: None if r.metric not in keep or (r.model, r.severity) == ("AugMix", 5) else r,
    )
    page = Page(write_report(folder))
    kept = [SECTIONS[i] for i in (0, 2, 3, 5, 6, 8, 9)]
    assert page.headings() == kept and "–" in page.words
    assert "lacks some of the severities" in page.text


@pytest.mark.usefixtures("undrawn")
def test_only_augmentations_at_one_strength_and_attacks(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    change_rows(folder, lambda r: r if r.severity in (0.0, 0.1, 8 / 255) else None)
    page = Page(write_report(folder))
    assert "Accuracy on augmented images" in page.headings() and "Attacks" in page.headings()
    assert "Accuracy at rising strength" not in page.headings()


def test_same_run_same_file(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run", models=("net",))
    first = write_report(folder).read_bytes()
    assert write_report(folder, path=tmp_path / "again.html").read_bytes() == first


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("rows.jsonl", "\n{", "line 2, is not a result row"),
        ("reliability.json", "{", "is not JSON"),
        ("reliability.json", "{}", "must hold a list; got dict"),
        ("reliability.json", '[{"model": "a"}]', "entry 0, lacks dataset, corruption, severity"),
        ("differences.json", "[3]", "entry 0, lacks model"),
        ("worst.json", '[{"model": "a"}]', "entry 0, lacks corruption"),
        ("worst.npz", "PK", "must hold clean and changed pictures"),
        ("data.json", "[]", "must hold an object; it holds"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_damaged_files_are_named(write_evaluation, tmp_path, name, content, message):
    folder = write_evaluation(tmp_path / "run", models=("net",))
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=f"{re.escape(name)}.*{message}"):
        write_report(folder)
    assert not (folder / "report.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_damaged_numbers_name_their_file(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run", models=("a", "b"))
    for name, key, value in (("reliability", "count", []), ("differences", "low", 7)):
        path = folder / f"{name}.json"
        kept = path.read_text()
        path.write_text(json.dumps([{**json.loads(kept)[0], key: value}]))
        with pytest.raises(ValueError, match=rf"{name}\.json: a "):
            write_report(folder)
        path.write_text(kept)
    np.savez(folder / "worst.npz", clean=np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"worst\.npz must hold clean and changed"):
        write_report(folder)
    np.savez(folder / "worst.npz", **dict.fromkeys(("clean", "changed"), np.zeros((12, 4, 4, 3))))
    with pytest.raises(ValueError, match=r"worst\.json and worst\.npz: needs .*uint8"):
        write_report(folder)
    np.savez(folder / "worst.npz", **dict.fromkeys(("clean", "changed"), np.zeros((2, 4, 4, 3))))
    with pytest.raises(ValueError, match=r"worst\.npz .*hold 2, 2 and 12 examples"):
        write_report(folder)


def write_maps(folder, models, count=2):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, [count, 8, 8, 3]).astype("uint8")
    np.savez(folder / "maps.npz", images=images, maps=random.random([models, count, 2, 8, 8]))
    told = {"models": ["a", "<b>"], "maps": ["utility", "sensitivity"]}
    (folder / "maps.json").write_text(json.dumps(told))


@pytest.mark.usefixtures("undrawn")
def test_maps_are_shown(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run", models=("net",))
    assert "What the models look at" not in Page(write_report(folder)).headings()
    write_maps(folder, 2)
    page = Page(write_report(folder))
    assert "What the models look at" in page.headings()
    assert page.images()[-2:] == [f"Utility and sensitivity of {name}." for name in ("a", "<b>")]


@pytest.mark.usefixtures("undrawn")
def test_damaged_maps_name_their_file(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run", models=("net",))
    write_maps(folder, 3)
    with pytest.raises(ValueError, match=r"maps\.npz must hold .*3 sets of maps and 2 models"):
        write_report(folder)
    (folder / "maps.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"maps\.npz must hold images and maps"):
        write_report(folder)
