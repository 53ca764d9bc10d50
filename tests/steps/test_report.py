"""The report: one file that shows every recording with its true counts and pictures, and that may move anywhere."""

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecogpipe.errors import EcogpipeError, SettingsError
from ecogpipe.figures.page import FIGURES, read_page
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.steps.report import report
from finished_study import Faults, draw_page, finished_recording, interrupted_recording

HOSTILE = '<script>alert("x")</script> & "notes"'


class Page(HTMLParser):
    """The words of a page, its pictures, and the addresses that it points at."""

    def __init__(self, text):
        super().__init__()
        self.words, self.pictures, self.addresses, self.scripts = [], [], [], []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        values = dict(attrs)
        if tag in ("img", "image"):
            self.pictures.append(values.get("src") or values["href"])
        self.addresses += [values[name] for name in ("href", "src", "action") if name in values]
        if tag == "script":
            self.scripts.append(values.get("type"))

    def handle_data(self, data):
        if self._inside not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    results = tmp_path_factory.mktemp("study") / "results"
    first = finished_recording(results / "s1" / "a" / "test_001", seconds=5, notes=[HOSTILE])
    second = finished_recording(results / "s1" / "a" / "test_002", seconds=5, seed=1, faults=Faults(dead_columns=(2,)))
    for done in (first, second):
        draw_page(done)
    return {f"s1/a/{done.folder.name}": done for done in (first, second)}


@pytest.fixture(scope="module")
def written(study):
    folders = {name: done.folder for name, done in study.items()}
    results = folders["s1/a/test_001"].parents[2]
    return report(folders, results / "report.html", mirrors=["Fs200"], title="Recordings of <the> study")


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text(encoding="utf-8"))


def test_every_figure_is_in_the_page_with_its_caption(study, page):
    embedded = [base64.b64decode(picture.removeprefix("data:image/png;base64,")) for picture in page.pictures]
    figures = [figure for done in study.values() for figure in read_page(done.page)[1]]
    assert embedded == [done.page.read_bytes() for done in study.values()]
    assert [figure.name for figure in figures] == [kind.name for kind in FIGURES] * 2
    for figure in figures:
        assert figure.caption in page.text


def test_the_page_needs_no_network_and_no_other_file(page):
    for address in page.addresses:
        assert address.startswith(("#", "data:image/png;base64,")), address[:80]


def test_text_of_files_cannot_act(page, written):
    assert page.scripts == ["application/json"]
    assert 'alert("x")' in page.text
    assert "Recordings of <the> study" in page.text
    assert "<script>alert" not in written.read_text(encoding="utf-8")


def test_the_table_counts_what_is_there(study, page):
    assert "Recordings 2 in 1 session" in page.text
    assert "Recorded 10 s at 1000 Hz" in page.text
    assert "Good sites 93.8 % 120 of 128 kept" in page.text
    assert "64 of 64 100.0 %" in page.text
    assert "56 of 64 87.5 %" in page.text
    for name, done in study.items():
        assert name in page.text
        assert f"10: {len(done.truth.trigger_samples)} rising edges" in page.text


def test_notes_say_what_is_unusual_of_which_recording(page):
    notes = page.text.partition(" Notes s1/a/")[2]
    assert notes.startswith("test_001 : " + HOSTILE + ".")
    assert "test_002 : column 2 of the array is masked as a whole (8 sites)." in notes


def test_diagnostic_columns_gaps_and_what_was_cropped_are_noted_with_the_recording(tmp_path):
    done = interrupted_recording(tmp_path / "test_003")
    text = Page(
        report({"s1/a/test_003": done.folder}, tmp_path / "report.html", mirrors=[], title="t").read_text()
    ).text
    glance, _, section = text.partition("Set-up")
    for note in ("p1.tdms starts 10.000000 s after", "p2.tdms starts 0.500000 s before", "p2.tdms: truncated"):
        assert note in glance
        assert note in section
    assert "diagnostic column 3: level 0.0267 V" in section
    assert "diagnostic column" not in glance  # it is of every recording, and nothing that is unusual


def test_time_and_memory_are_those_of_the_benchmarks(study, tmp_path):
    first, second = tmp_path / "scan.tsv", tmp_path / "mirror.tsv"
    first.write_text("s\th:m:s\tmax_rss\n10.5\t0:00:10\t300.25\n")
    second.write_text("s\th:m:s\tmax_rss\n100\t0:01:40\tNA\n")
    benchmarks = {"s1/a/test_001": [first, second, tmp_path / "none.tsv"]}
    folders = {name: done.folder for name, done in study.items()}
    page = report(folders, tmp_path / "report.html", mirrors=[], title="t", benchmarks=benchmarks)
    text = Page(page.read_text()).text
    assert "110 s 300 MB" in text
    assert "Computed in 110 s" in text


def test_a_large_study_is_folded_and_its_report_stays_small(study, written):
    folder = study["s1/a/test_001"].folder
    target = written.with_name("large.html")
    folders = {f"s{number}/a/test_001": folder for number in range(13)}
    text = report(folders, target, mirrors=["Fs200"], title="t").read_text(encoding="utf-8")
    assert text.count('<details class="recording">') == text.count('loading="lazy"') == 13
    large = Page(text)
    assert set(large.pictures) == {"s1/a/test_001/test_001_Fs200_qc.png"}
    assert (written.parent / large.pictures[0]).is_file()
    assert len(text) / 13 < 50_000
    for figure in read_page(study["s1/a/test_001"].page)[1]:
        assert figure.caption in large.text


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("chromium is not installed")
    return found


def look(browser, page, folder, *what):
    """Open a page in headless Chromium."""
    quiet = ["background-networking", "component-update", "sync", "quic", "gpu"]
    arguments = ["--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--window-size=1400,9000"]
    arguments += [f"--disable-{thing}" for thing in quiet] + [f"--user-data-dir={folder / 'profile'}"]
    run = subprocess.run([browser, *arguments, *what, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


WHERE = """<script>addEventListener("load", () => {
  const places = [...document.querySelectorAll("svg.figure")].map(figure => {
    const box = figure.getBoundingClientRect();
    const page = document.documentElement;
    return [figure.viewBox.baseVal.width, box.left, box.top, box.right, box.bottom, page.scrollWidth];
  });
  document.body.setAttribute("data-places", JSON.stringify(places));
});</script>"""


def test_a_browser_shows_every_figure(browser, study, written, tmp_path):
    measured = tmp_path / "measured.html"
    measured.write_text(written.read_text(encoding="utf-8").replace("</body>", WHERE + "</body>"), encoding="utf-8")
    what = "--virtual-time-budget=10000", "--dump-dom", f"--screenshot={tmp_path / 'page.png'}"
    dom = look(browser, measured, tmp_path, *what)
    places = json.loads(html.unescape(re.search('data-places="([^"]*)"', dom)[1]))
    assert len(places) == len(FIGURES) * len(study)
    with Image.open(tmp_path / "page.png") as screenshot:
        assert screenshot.size == (1400, 9000)
        for width, left, top, right, bottom, page_width in places:
            assert width == 600
            assert 1000 < right - left <= page_width <= 1400
            seen = screenshot.crop((round(left), round(top), round(right), round(bottom))).convert("L")
            ink = np.mean(np.asarray(seen) < 200)
            assert 0.01 < ink < 0.9


def test_captions_quote_the_settings(page):
    assert "200 Hz (1000 Hz / 5); band-pass 2 to 80 Hz, Butterworth of order 3 per pass, zero phase" in page.text
    assert "notches 60 Hz, 2 Hz wide; reference none" in page.text


def test_masked_sites_are_listed_with_their_reason(page):
    assert "Masked sites: dead column 2 (8)" in page.text
    assert page.text.count("dead column 2: ") == 8
    assert "Masked sites: none" in page.text


def test_manual_reasons_are_shown(study, tmp_path):
    done = study["s1/a/test_001"]
    for name in ("scan", "channels", "events"):
        (tmp_path / getattr(done, name).name).write_bytes(getattr(done, name).read_bytes())
    mask = read_mask(done.mask)
    mask.keep[5] = False
    reasons = ["cracked <lead>" if site == 5 else "" for site in range(len(mask))]
    write_mask(tmp_path / "mask.tsv", replace(mask, reasons=tuple(reasons), origins=("manual",) * len(mask)))
    text = Page(report({"s": tmp_path}, tmp_path / "report.html", mirrors=[], title="t").read_text()).text
    assert "cracked <lead>" in text
    assert "There is no quality page in this folder." in text


def test_no_path_of_the_machine_is_in_the_page(study, written):
    text = written.read_text(encoding="utf-8")
    assert str(written.parent) not in text
    assert "s1/a/test_001" in text
    made_by = json.loads(re.search(r'id="provenance">(.*)</script>', text)[1])
    assert made_by["step"] == "report"
    assert all(not Path(described["name"]).is_absolute() for described in made_by["inputs"])
    assert len(made_by["inputs"]) == 2 * 6


def test_two_runs_give_the_same_bytes(study, written, tmp_path):
    before = written.read_bytes()
    folders = {name: done.folder for name, done in study.items()}
    report(folders, written, mirrors=["Fs200"], title="Recordings of <the> study")
    assert written.read_bytes() == before


def test_a_missing_result_is_named_and_leaves_nothing(study, tmp_path):
    with pytest.raises(EcogpipeError, match=r"channels\.tsv"):
        report({"s1/a/none": tmp_path}, tmp_path / "report.html", mirrors=["Fs200"], title="t")
    assert not (tmp_path / "report.html").exists()


def test_a_study_of_nothing_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="at least one recording"):
        report({}, tmp_path / "report.html", mirrors=[], title="t")


def test_many_masked_sites_of_one_kind_share_a_line_and_the_picture_names_each_place(study, tmp_path):
    done = study["s1/a/test_001"]
    for name in ("scan", "channels", "events"):
        (tmp_path / getattr(done, name).name).write_bytes(getattr(done, name).read_bytes())
    mask = read_mask(done.mask)
    mask.keep[:] = np.arange(len(mask)) >= 30
    reasons = tuple("" if keep else f"dead: std is {site / 1000}" for site, keep in enumerate(mask.keep))
    origins = tuple("" if keep else "automatic" for keep in mask.keep)
    write_mask(tmp_path / "mask.tsv", replace(mask, reasons=reasons, origins=origins))
    written = report({"s": tmp_path}, tmp_path / "report.html", mirrors=[], title="t").read_text()
    [cells] = re.findall(r"<td>([\d, ;]+)</td><td>30</td><td>dead \(the number of each is in mask.tsv\)</td>", written)
    places = {tuple(map(int, place.split(", "))) for place in cells.split("; ")}
    assert places == set(zip(mask.site_row[:30].tolist(), mask.site_column[:30].tolist(), strict=True))
    [_, path] = re.findall(r'<path fill="[^"]+" d="([^"]+)"', written)
    squares = {
        (int(row), int(column) + step)
        for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)v1", path)
        for step in range(int(length))
    }
    assert squares == places
