"""A person opens the pages: every figure shows the planted truth, and clicks become the command that makes the mask."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from ecogpipe.cli.commands import read_study
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.review.server import ReviewedStudy, ReviewServer
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.report import report
from finished_study import Faults, finished_recording, write_page
from reviewed_study import make_study
from shipped import AUTOMATIC

HOSTILE = """it's a "loose" $HOME `cable`	</script><script>document.title='x'</script><b>&"""
FAULTS = Faults(dead_sites=((1, 2),), noisy_sites=((5, 5),), dead_columns=(3,), saturated=((3, 6),))
FIGURES = ["maps", "over_time", "spectra", "traces", "response", "triggers"]


_HERE = "file:", "data:", "blob:"


@pytest.fixture(scope="session")
def chromium():
    """Start Chromium; skip without it, unless the tests are required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if not found:
        if os.environ.get("ECOGPIPE_BROWSER_TESTS") == "required":
            pytest.fail("the tests need Chromium and Playwright")
        pytest.skip("Chromium or Playwright is not installed")
    quiet = ["background-networking", "component-update", "sync", "quic", "gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", *(f"--disable-{thing}" for thing in quiet)]
        )
        yield browser
        browser.close()


@pytest.fixture
def show(chromium):
    """Return a function that opens a file; whatever the page asks for or complains of fails the test at its end."""
    contexts, troubles = [], []

    def note(said):
        if "willReadFrequently" not in said:  # of the tests themselves, which look at pixels
            troubles.append(said)

    def opened(path, **settings):
        context = chromium.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(f"dialog {dialog.message}"))
        page.on(
            "request",
            lambda request: request.url.startswith(_HERE) or troubles.append(request.url),
        )
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    done = finished_recording(
        tmp_path_factory.mktemp("study") / "results" / "s1" / "a" / "test_001", seconds=20, faults=FAULTS
    )
    write_page(done)
    return done


CENTRE = """(canvas, [row, column]) => {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const [nRows, nColumns] = numbers.sites.grid;
  const box = canvas.getBoundingClientRect();
  return {
    x: 30 + (column + 0.5) * (box.width - 34) / nColumns,
    y: row < 0 ? 8 : 18 + (row + 0.5) * (box.height - 38) / nRows,
  };
}"""
COLOUR = """(canvas, place) => {
  const ratio = canvas.width / canvas.getBoundingClientRect().width;
  const x = (place.x + 0.34 * place.cell) * ratio;
  return [...canvas.getContext("2d").getImageData(x, place.y * ratio, 1, 1).data].slice(0, 3);
}"""


def click(page, row, column, which=0):
    canvas = page.locator(".map canvas[role=img]").nth(which)
    canvas.click(position=canvas.evaluate(CENTRE, [row, column]))


def colour(page, which, row, column):
    """Return the colour of a site beside the marks in its middle."""
    canvas = page.locator(".map canvas[role=img]").nth(which)
    place = canvas.evaluate(CENTRE, [row, column])
    return canvas.evaluate(COLOUR, {**place, "cell": 22})


def test_every_figure_is_there_and_has_ink(show, recording):
    page = show(recording.page)
    assert page.locator("figure").evaluate_all("all => all.map(each => each.id)") == FIGURES
    assert page.locator(".map").count() == 6
    for name in FIGURES:
        figure = page.locator(f"#{name}")
        assert len(figure.locator("figcaption").inner_text()) > 40
        for canvas in figure.locator("canvas").all():
            ink = canvas.evaluate(
                "canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, "
                "canvas.height).data.buffer)).size"
            )
            assert ink > 3, name
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400


def test_planted_faults_are_at_their_places_in_the_maps(show, recording):
    page = show(recording.page)
    usual = colour(page, 0, 7, 7)
    assert colour(page, 0, 1, 2) != usual  # dead: no RMS
    assert colour(page, 0, 0, 3) == colour(page, 0, 1, 2)  # the dead column too
    kept, mask = colour(page, 5, 7, 7), 5
    assert kept == [0xCF, 0xE0, 0xEC]
    assert colour(page, mask, 1, 2) == [0x1F, 0x24, 0x28]  # dead
    assert colour(page, mask, 5, 5) == [0xD5, 0x5E, 0x00]  # noisy
    assert colour(page, mask, 3, 6) == [0xF0, 0xE4, 0x42]  # railed
    assert len({tuple(colour(page, mask, row, 3)) for row in range(8)}) == 1


def test_a_chosen_site_is_told_and_stands_out_everywhere(show, recording):
    page = show(recording.page)
    before = page.locator("#spectra .uplot canvas").evaluate("canvas => canvas.toDataURL()")
    click(page, 3, 6, which=2)
    card = page.locator("#site").inner_text()
    mask = read_mask(recording.mask)
    site = next(place for place in range(64) if (mask.site_row[place], mask.site_column[place]) == (3, 6))
    assert "Site 3,6" in card
    assert f"channel\n{mask.channel[site]}" in card
    assert f"masked by the automatic rule ({mask.reasons[site]})" in card
    page.locator("#spectra .u-legend").get_by_text("site 3,6, mirror").wait_for()
    assert page.locator("#spectra .uplot canvas").evaluate("canvas => canvas.toDataURL()") != before
    page.locator("#over_time").get_by_text("Mirror of site 3,6").wait_for()
    page.keyboard.press("ArrowLeft")
    assert "Site 3,5" in page.locator("#site").inner_text()


def plan(page, reason):
    """Turn three sites over, and drop a column."""
    for row, column in ((0, 0), (6, 7), (1, 2)):
        click(page, row, column)
        click(page, row, column)
    click(page, -1, 4)
    page.fill("#reason", reason)
    return page.input_value("#command")


def test_the_command_as_printed_gives_the_mask_that_was_clicked(show, recording, tmp_path):
    page = show(recording.page)
    command = plan(page, HOSTILE)
    study = tmp_path / "study folder"
    results = study / "results" / "s1" / "a" / "test_001"
    make_study(study)
    shutil.rmtree(results)
    shutil.copytree(recording.folder, results)
    shell = command.replace("ecogpipe", f"'{sys.executable}' -m ecogpipe.cli", 1)
    run = subprocess.run(["bash", "-c", shell], cwd=study, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    mask_channels(
        results / "scan.h5", results / "channels.tsv", results / "mask.tsv", recording="test_001",
        manual=study / "config" / "masks" / "s1" / "a.tsv", automatic=AUTOMATIC,
    )  # fmt: skip
    before, after = read_mask(recording.mask), read_mask(results / "mask.tsv")
    places = list(zip(after.site_row.tolist(), after.site_column.tolist(), strict=True))
    for place, was, now, reason in zip(places, before.keep, after.keep, after.reasons, strict=True):
        expected = {(0, 0): False, (6, 7): False, (1, 2): True}.get(place, False if place[1] == 4 else was)
        assert now == expected, place
        if place in ((0, 0), (6, 7)) or place[1] == 4:
            assert " ".join(HOSTILE.split()) in reason


def test_each_step_can_be_taken_back(show, recording):
    page = show(recording.page)
    plan(page, "because")
    assert page.locator("#decide li").all_inner_texts() == [
        "drop column 4",
        "keep site 1,2",
        "drop site 0,0",
        "drop site 6,7",
    ]
    page.get_by_role("button", name="Undo").click()
    assert "drop column 4" not in page.locator("#decide li").all_inner_texts()
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    assert page.locator("#decide li").all_inner_texts() == ["nothing is changed"]
    assert page.input_value("#command") == ""
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_to_drop_needs_a_reason(show, recording):
    page = show(recording.page)
    click(page, 0, 0)
    page.keyboard.press("Space")
    assert page.input_value("#command") == ""
    page.fill("#reason", "x")
    assert page.input_value("#command") == "ecogpipe mask 's1/a/test_001' --drop 'site 0,0' --reason='x'"


def test_a_figure_is_saved_as_png(show, recording):
    page = show(recording.page)
    with page.expect_download() as saved:
        page.locator("#maps").get_by_role("button", name="save as PNG").click()
    assert saved.value.suggested_filename == "s1_a_test_001_Fs200_maps.png"
    assert saved.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_hostile_names_and_reasons_do_nothing(show, tmp_path):
    done = finished_recording(tmp_path / "results" / "test_001", seconds=3, notes=[HOSTILE])
    mask = read_mask(done.mask)
    mask.keep[5] = False
    write_mask(done.mask, replace(mask, reasons=(HOSTILE,) * len(mask), origins=("manual",) * len(mask)))
    page = show(write_page(done, recording=f"s/{HOSTILE}"))
    click(page, 2, 2)
    assert "<b>" in page.locator("#site").inner_text()
    assert page.title() != "x"
    index = report({f"s/{HOSTILE}": done.folder}, tmp_path / "report.html", mirrors=["Fs200"], title=HOSTILE)
    assert show(index).title() != "x"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_index_sorts_and_filters(show, recording, tmp_path, scheme):
    other = finished_recording(tmp_path / "results" / "test_002", seconds=3)
    write_page(other)
    folders = {"s1/a/test_001": recording.folder, "s1/a/test_002": other.folder, "s1/a/none": tmp_path / "none"}
    page = show(
        report(folders, tmp_path / "report.html", mirrors=["Fs200"], title="Study", failed={"s1/a/none": "why <not>"}),
        color_scheme=scheme,
    )
    names = page.locator("#recordings tbody tr:visible td.name")
    assert names.all_inner_texts() == ["s1/a/test_001", "s1/a/test_002", "s1/a/none"]
    page.get_by_role("button", name="Good sites").click()
    assert names.all_inner_texts() == ["s1/a/test_001", "s1/a/test_002", "s1/a/none"]
    page.get_by_role("button", name="Good sites").click()
    assert names.all_inner_texts() == ["s1/a/none", "s1/a/test_002", "s1/a/test_001"]
    page.select_option("#state", "failed")
    assert names.all_inner_texts() == ["s1/a/none"]
    assert "why <not>" in page.locator("#recordings").inner_text()
    page.select_option("#state", "")
    page.fill("#words", "test_002")
    assert names.all_inner_texts() == ["s1/a/test_002"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400


def test_what_is_saved_in_review_is_the_mask_that_was_clicked(chromium, tmp_path):
    """The rows are those of the command, the page asks its own server alone, and keys lead to the next recording."""
    study = tmp_path / "study"
    make_study(study)
    read = read_study(study)
    with ReviewServer(ReviewedStudy(study, read.recordings, read.config["mirrors"])) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        page = chromium.new_page()
        troubles = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.on("request", lambda request: request.url.startswith(server.address) or troubles.append(request.url))
        page.goto(server.first_address)
        page.get_by_role("link", name="s1/a/test_001").first.click()
        page.locator("#over_time canvas[role=img]").first.click(position={"x": 400, "y": 60})
        page.locator("#traces .asked").get_by_text("Mirror Fs200, ").wait_for()
        command = plan(page, HOSTILE)
        page.locator("#save").click()
        page.get_by_text("Saved. The next run makes again").wait_for()
        assert page.locator("#decide li").all_inner_texts() == ["nothing is changed"]
        page.close()
        server.shutdown()
        thread.join()
    assert not troubles
    saved = (study / "config" / "masks" / "s1" / "a.tsv").read_text()
    other = tmp_path / "other"
    make_study(other)
    shell = command.replace("ecogpipe", f"'{sys.executable}' -m ecogpipe.cli", 1)
    subprocess.run(["bash", "-c", shell], cwd=other, check=True, capture_output=True)
    assert saved == (other / "config" / "masks" / "s1" / "a.tsv").read_text()
    assert len(saved.splitlines()) >= 5
