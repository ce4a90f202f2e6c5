"""The page in a real browser: drawn, with every section, and never wider than the window.

Skipped where Chromium is not installed. It is not among what the tests install: it is large, comes
from the system's packages and not from Python's, and the page itself does not need it.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from tfrobust.reports import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium in the path")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--disable-dev-shm-usage"),
)
MEASURE = """<script>
const root = document.documentElement;
const wide = [...document.querySelectorAll("main *")].filter(e => !e.closest(".scroll")
  && e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.tagName);
parent.postMessage([root.scrollWidth, root.clientWidth, innerWidth, wide.join(" ")].join("|"), "*");
</script>"""
# A frame, because a window narrower than 500 pixels is only had for screenshots.
FRAME = """<!DOCTYPE html><title>none</title><body style="margin: 0">
<script>addEventListener("message", event => { document.title = event.data; });</script>
<iframe src="measured.html" style="width: WIDTHpx; height: 2600px; border: 0"></iframe>"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    def run(page, *flags, width=1280):
        profile = tmp_path_factory.mktemp("profile")  # new and empty, so that no state is shared
        command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},2600"]
        command += [*flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return run


@pytest.fixture(scope="module")
def page(write_evaluation, tmp_path_factory):
    models = ("baseline", "AugMix with a name as long as a line of text", "<script>", "d", "e")
    return write_report(write_evaluation(tmp_path_factory.mktemp("run"), models=models))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_drawn_light_and_dark(browse, page, tmp_path, width):
    grounds = {}
    for scheme, number in (("dark", 0), ("light", 1)):
        picture = tmp_path / f"{scheme}.png"
        flags = (f"--blink-settings=preferredColorScheme={number}", f"--screenshot={picture}")
        browse(page, *flags, width=width)
        pixels = matplotlib.image.imread(picture)[..., :3]
        assert pixels.shape[:2] == (2600, width)
        grounds[scheme] = pixels[2, 2].mean()
        ink = np.abs(pixels - pixels[2, 2]).max(axis=2) > 0.3
        assert 0.01 < ink.mean() < 0.9  # neither blank nor covered
        assert all(part.any() for part in np.array_split(ink, 8))  # from top to bottom
    assert grounds["dark"] < 0.2 and grounds["light"] > 0.95


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_nothing_is_wider_than_the_window(browse, page, tmp_path, width):
    frame, copy = tmp_path / "frame.html", tmp_path / "measured.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    source = page.read_text(encoding="utf-8")
    copy.write_text(source.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    dom = browse(frame, "--dump-dom", "--virtual-time-budget=2000").stdout
    scrolled, inner, window, wide = re.search(r"<title>(.*?)</title>", dom).group(1).split("|")
    assert int(window) == width and int(scrolled) <= int(inner) and wide == ""


@pytest.mark.parametrize(
    ("width", "fold"), [pytest.param(1280, 720, marks=pytest.mark.slow), (390, 660)]
)
def test_the_answer_is_above_the_fold(browse, page, tmp_path, width, fold):
    """The answer for the first model; the console has nothing to say."""
    frame, copy = tmp_path / "frame.html", tmp_path / "measured.html"
    measure = """<script>const first = document.querySelector(".answer dd");
    parent.postMessage(Math.ceil(first.getBoundingClientRect().bottom), "*");</script>"""
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    source = page.read_text(encoding="utf-8").replace("</body>", f"{measure}</body>")
    copy.write_text(source, encoding="utf-8")
    done = browse(frame, "--dump-dom", "--virtual-time-budget=2000", "--enable-logging=stderr")
    assert int(re.search(r"<title>(.*?)</title>", done.stdout).group(1)) < fold
    assert "CONSOLE" not in done.stderr


def test_the_browser_finds_the_sections(browse, page):
    dom = browse(page, "--dump-dom").stdout
    for heading in (
        "Summary",
        "Accuracy on each corruption",
        "Worst examples",
        "How it was measured",
    ):
        assert f"<h2>{heading}</h2>" in dom
    assert dom.count("<img") == 5 + 1 + 10 + 1 + 5 and "<script" not in dom
