"""The report: one file that shows every recording with its true counts and pictures, and that may move anywhere."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ecogpipe.errors import SettingsError
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.steps.report import report
from finished_study import Faults, finished_recording, interrupted_recording, write_page

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
        write_page(done)
    return {f"s1/a/{done.folder.name}": done for done in (first, second)}


@pytest.fixture(scope="module")
def written(study):
    folders = {name: done.folder for name, done in study.items()}
    results = folders["s1/a/test_001"].parents[2]
    return report(folders, results / "report.html", mirrors=["Fs200"], title="Recordings of <the> study")


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text(encoding="utf-8"))


def test_each_recording_leads_to_its_page(study, written, page):
    links = [address for address in page.addresses if address.endswith(".html")]
    assert set(links) == {f"{name}/{name[-8:]}_Fs200_qc.html" for name in study}
    for link in links:
        assert (written.parent / link).is_file()


def test_the_page_needs_no_network(page):
    for address in page.addresses:
        assert not re.match(r"\w+:|//", address), address[:80]


def test_text_of_files_cannot_act(page, written):
    assert page.scripts == ["application/json", None]
    assert 'alert("x")' in page.text
    assert "Recordings of <the> study" in page.text
    assert "<script>alert" not in written.read_text(encoding="utf-8")


def test_the_table_counts_what_is_there(study, page):
    assert "Recordings 2 all made" in page.text
    assert "Recorded 10 s at 1000 Hz" in page.text
    assert "Good sites 93.8 % 120 of 128 kept" in page.text
    assert "100.0 % 64 of 64" in page.text
    assert "87.5 % 56 of 64" in page.text
    for name, done in study.items():
        assert name in page.text
        assert f"10: {len(done.truth.trigger_samples)} rising edges" in page.text


def row_of(page, name):
    """Return the words of a recording's row."""
    return page.text.partition(f" {name} made ")[2].partition(" s1/a/")[0]


def test_warnings_say_what_is_unusual_of_which_recording_and_facts_do_not(study, page):
    assert HOSTILE in row_of(page, "s1/a/test_001")
    assert "column 2 of the array is masked as a whole (8 sites)" in row_of(page, "s1/a/test_002")
    assert "With warnings 2 of 2" in page.text


def test_what_is_declared_is_a_fact_and_no_warning(tmp_path):
    done = finished_recording(tmp_path / "test_001", seconds=3, overrides={"line_frequency": 60})
    text = Page(
        report({"s1/a/test_001": done.folder}, tmp_path / "report.html", mirrors=[], title="t").read_text()
    ).text
    assert "With warnings 0 of 1" in text
    assert "declared by hand: line_frequency = 60" in text


def test_a_mirror_too_short_for_its_filter_is_a_warning_and_channels_in_one_row_a_fact(tmp_path):
    """Of a recording in parts, the note of each begins with its name."""
    row = "a.tdms: says nothing of a multiplexer: 64 channels in one row, in the order of the file"
    done = finished_recording(tmp_path / "test_001", seconds=0.3, notes=[row])
    write_page(done)
    target = tmp_path / "report.html"
    text = Page(report({"s1/a/test_001": done.folder}, target, mirrors=["Fs200"], title="t").read_text()).text
    warnings, _, facts = text.partition(" facts ")
    assert "mirror Fs200: No sample of the mirror is free of the filter's settling" in warnings
    assert row not in warnings
    assert row in facts


def test_diagnostic_columns_gaps_and_what_was_cropped_are_said_with_the_recording(tmp_path):
    done = interrupted_recording(tmp_path / "test_003")
    text = Page(
        report({"s1/a/test_003": done.folder}, tmp_path / "report.html", mirrors=[], title="t").read_text()
    ).text
    warnings, _, facts = text.partition(" facts ")
    for note in ("p1.tdms starts 10.000000 s after", "p2.tdms starts 0.500000 s before", "p2.tdms: truncated"):
        assert note in warnings
    assert "diagnostic column 3: level 0.0267 V" in facts
    assert "diagnostic column" not in warnings  # it is of every recording, and nothing that is unusual


def test_every_recording_has_a_row_whatever_was_made_of_it(study, tmp_path):
    folders = {name: done.folder for name, done in study.items()} | {
        f"s1/a/{name}": tmp_path / name for name in ("failed", "gone", "later")
    }
    said = {"failed": {"s1/a/failed": "ingest: no such <thing>"}, "absent": {"s1/a/gone": "gone.mat is missing"}}
    said["absent"]["s1/a/test_001"] = "test_001.mat is missing"
    text = report(folders, tmp_path / "report.html", mirrors=["Fs200"], title="t", **said).read_text()
    page = Page(text)
    assert re.findall(r'<tr data-state="([^"]*)">', text) == [
        "raw files absent",
        "made",
        "failed",
        "raw files absent",
        "not made yet",
    ]
    assert "ingest: no such <thing>" in page.text
    assert "Recordings 5 1 failed, 2 raw files absent, 1 not made yet" in page.text
    assert "s1/a/test_001 raw files absent why test_001.mat is missing 100.0 %" in page.text  # what was made stays
    nothing = report({"s1/a/later": tmp_path / "later"}, tmp_path / "report.html", mirrors=["Fs200"], title="t")
    assert "nothing is made yet" in nothing.read_text()


def test_time_and_memory_are_those_of_the_benchmarks(study, tmp_path):
    logs = tmp_path / "s1" / "a" / "test_001"
    logs.mkdir(parents=True)
    (logs / "scan.tsv").write_text("s\th:m:s\tmax_rss\n10.5\t0:00:10\t300.25\n")
    (logs / "mirror_Fs200.tsv").write_text("s\th:m:s\tmax_rss\n100\t0:01:40\tNA\n")
    folders = {name: done.folder for name, done in study.items()}
    page = report(folders, tmp_path / "report.html", mirrors=["Fs200"], title="t", logs=tmp_path)
    text = Page(page.read_text()).text
    assert "110 s 300 MB" in text
    assert "Computed in 110 s" in text


def test_the_index_of_a_large_study_stays_small(study, written):
    folder = study["s1/a/test_002"].folder
    target = written.with_name("large.html")
    folders = {f"s{number}/a/test_002": folder for number in range(40)}
    assert report(folders, target, mirrors=["Fs200"], title="t").stat().st_size / 40 < 6_000


def test_captions_of_links_quote_the_settings(written):
    text = written.read_text(encoding="utf-8")
    assert "200 Hz (1000 Hz / 5); band-pass 2 to 80 Hz, Butterworth of order 3 per pass, zero phase" in text
    assert "notches 60 Hz, 2 Hz wide; reference none" in text


def test_decisions_by_hand_are_a_fact(study, tmp_path):
    done = study["s1/a/test_001"]
    for name in ("scan", "channels", "events"):
        (tmp_path / getattr(done, name).name).write_bytes(getattr(done, name).read_bytes())
    mask = read_mask(done.mask)
    mask.keep[5] = False
    origins = tuple("manual" if site == 5 else "" for site in range(len(mask)))
    write_mask(tmp_path / "mask.tsv", replace(mask, reasons=("cracked <lead>",) * len(mask), origins=origins))
    text = Page(report({"s": tmp_path}, tmp_path / "report.html", mirrors=[], title="t").read_text()).text
    assert "1 site is masked or kept by hand" in text


def test_no_path_of_the_machine_is_in_the_page(study, written):
    text = written.read_text(encoding="utf-8")
    assert str(written.parent) not in text
    assert "s1/a/test_001" in text
    made_by = json.loads(re.search(r'id="provenance">(.*)</script>', text)[1])
    assert made_by["step"] == "report"
    assert all(not Path(described["name"]).is_absolute() for described in made_by["inputs"])
    assert len(made_by["inputs"]) == 2 * 5


def test_two_runs_give_the_same_bytes(study, written, tmp_path):
    before = written.read_bytes()
    folders = {name: done.folder for name, done in study.items()}
    report(folders, written, mirrors=["Fs200"], title="Recordings of <the> study")
    assert written.read_bytes() == before


def test_a_study_of_nothing_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="at least one recording"):
        report({}, tmp_path / "report.html", mirrors=[], title="t")


def test_the_small_picture_of_a_mask_marks_each_place(study, tmp_path):
    done = study["s1/a/test_001"]
    for name in ("scan", "channels", "events"):
        (tmp_path / getattr(done, name).name).write_bytes(getattr(done, name).read_bytes())
    mask = read_mask(done.mask)
    mask.keep[:] = np.arange(len(mask)) >= 30
    reasons = tuple("" if keep else f"dead: std is {site / 1000}" for site, keep in enumerate(mask.keep))
    origins = tuple("" if keep else "automatic" for keep in mask.keep)
    write_mask(tmp_path / "mask.tsv", replace(mask, reasons=reasons, origins=origins))
    written = report({"s": tmp_path}, tmp_path / "report.html", mirrors=[], title="t").read_text()
    places = set(zip(mask.site_row[:30].tolist(), mask.site_column[:30].tolist(), strict=True))
    [_, path] = re.findall(r'<path fill="[^"]+" d="([^"]+)"', written)
    squares = {
        (int(row), int(column) + step)
        for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)v1", path)
        for step in range(int(length))
    }
    assert squares == places
