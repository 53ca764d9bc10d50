"""Pictures: what is drawn is what was given, in true proportions, masked sites marked, the same bytes each time."""

import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from PIL import Image

import ecogpipe.figures.page as page_module
from ecogpipe.errors import FormatError
from ecogpipe.figures.array import SiteMap, Sites, draw_array, draw_mask
from ecogpipe.figures.page import Page, draw_facts, read_page, save_page
from ecogpipe.figures.spectrum import Spectra, draw_spectra
from ecogpipe.figures.style import INK, MASKED, own_style
from ecogpipe.figures.traces import Traces, draw_traces
from ecogpipe.figures.triggers import Line, Timeline, draw_intervals, draw_timeline
from ecogpipe.statistics.psd import Spectrum

GRID = (4, 3)
PITCH = (0.5, 0.25)
FIGURES = ("maps", "spectra", "traces", "triggers")


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Draw small pictures, which is faster."""
    monkeypatch.setattr(page_module, "DPI", 50)


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def sites(masked=(2, 7), pitch=PITCH):
    rows, columns = np.divmod(np.arange(12), 3)
    keep = ~np.isin(np.arange(12), masked)
    return Sites(rows, columns, GRID, pitch, keep, ["" if kept else "dead" for kept in keep])


def shown(values, **settings):
    return SiteMap("title", "RMS (µV)", values, **settings)


def spectra(scale=1.0, notches=(60.0,)):
    frequencies = np.arange(501.0)
    level = scale * 1000 / (1 + frequencies)
    before = Spectrum(frequencies, level, level / 2, level * 2)
    after = Spectrum(frequencies[:101], level[:101], level[:101] / 2, level[:101] * 2)
    return Spectra(before, after, 500.0, 100.0, (2.0, 80.0), notches)


def traces(settling=(), n_sites=5):
    seconds = 3 + np.arange(200) / 100
    microvolts = 20 * np.sin(2 * np.pi * np.outer(1 + np.arange(n_sites), seconds))
    keep = np.arange(n_sites) != 3
    microvolts[~keep] *= 50
    labels = tuple(f"{site}, 0" for site in range(n_sites))
    return Traces("Mirror", seconds, microvolts, labels, keep, np.array([3.5, 4.5]), np.array([3.6]), settling)


def timeline(rising=(0.5, 1.5, 2.75), parts=((0.0, "a"), (2.0, "b"))):
    lines = [Line(10, "pulses", np.array(rising)), Line(11, "analog: no edges are looked for", None)]
    return Timeline(4.0, lines, parts, [(0.0, 0.25)])


def page(**changes):
    rms = np.linspace(10, 60, 12)
    maps = [shown(rms), shown(rms / 2), shown(rms / 100)]
    captions = {name: f"what {name} shows" for name in FIGURES}
    content = Page("s/a/r", "mirror", sites(), maps, spectra(), [traces()] * 3, timeline(), [("raw", "1 Hz")], captions)
    return replace(content, **changes)


def drawn(figure_page, path):
    with own_style():
        save_page(figure_page, path, {"Title": "t"})
    return path.read_bytes()


def crosses(ax):
    return {tuple(place) for place in ax.collections[0].get_offsets().tolist()}


def test_values_are_on_their_sites_in_millimetres_and_masked_sites_are_crossed(ax):
    values = np.arange(12.0)
    draw_array(ax, sites(), shown(values))
    (picture,) = ax.images
    np.testing.assert_array_equal(picture.get_array(), values.reshape(GRID))
    assert picture.get_extent() == [-0.125, 0.625, 1.75, -0.25]
    assert ax.get_aspect() == 1
    assert crosses(ax) == {(2 * 0.25, 0.0), (0.25, 2 * 0.5)}
    assert "mm" in ax.get_xlabel()


def test_an_array_of_unknown_pitch_is_counted_in_sites(ax):
    draw_array(ax, sites(pitch=None), shown(np.arange(12.0)))
    assert crosses(ax) == {(2.0, 0.0), (1.0, 2.0)}
    assert "mm" not in ax.get_xlabel() + ax.get_ylabel()


def test_a_faulty_site_does_not_hide_the_others(ax):
    values = np.linspace(10, 20, 12)
    values[[2, 7]] = 0.0, 1e6
    draw_array(ax, sites(), shown(values))
    assert ax.images[0].get_clim() == (10.0, 20.0)


@pytest.mark.parametrize("values", [np.full(12, np.nan), np.zeros(12), np.r_[np.nan, np.arange(11.0)]])
def test_arrays_of_nan_or_one_value_are_drawn(values, ax):
    everything_masked = sites(masked=range(12))
    draw_array(ax, everything_masked, shown(values))
    draw_mask(ax, everything_masked)
    ax.get_figure().draw_without_rendering()


def test_small_differences_look_small(ax):
    draw_array(ax, sites(), shown(np.linspace(50, 50.1, 12)))
    low, high = ax.images[0].get_clim()
    assert high - low == pytest.approx(5, rel=0.01)


def test_colours_may_have_fixed_ends(ax):
    draw_array(ax, sites(), shown(np.linspace(5, 10, 12), limits=(0.0, None)))
    assert ax.images[0].get_clim() == (0.0, 10.0)


def test_places_without_a_channel_are_hatched_and_masked_sites_are_not(ax):
    some = sites()
    some = replace(some, rows=some.rows[:10], columns=some.columns[:10], keep=some.keep[:10], kinds=some.kinds[:10])
    draw_mask(ax, some)
    assert [patch.get_hatch() for patch in ax.patches] == ["////"] * 2
    assert {patch.get_xy() for patch in ax.patches} == {(0.125, 1.25), (0.375, 1.25)}
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == ["kept (8)", "dead (2)", "no channel (2)"]
    picture = ax.images[0].get_array()
    assert np.ma.getmaskarray(picture).sum() + np.isnan(picture.filled(0)).sum() == 2


def test_every_reason_has_its_own_colour_in_the_mask(ax):
    kinds = ["", "dead", "noisy", "railed", "by hand", "dead column", *[""] * 6]
    draw_mask(ax, replace(sites(masked=range(1, 6)), kinds=kinds))
    handles = ax.get_legend().legend_handles
    assert len({handle.get_facecolor() for handle in handles}) == len(handles) == 6


def test_spectra_show_medians_corners_and_the_new_nyquist(ax):
    draw_spectra(ax, spectra())
    labels = " | ".join(text.get_text() for text in ax.get_legend().get_texts())
    for words in ("raw", "mirror", "10 to 90 %", "2 to 80 Hz", "100 Hz", "60 Hz"):
        assert words in labels
    verticals = {line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1}
    assert {2.0, 80.0, 100.0} <= verticals
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), spectra().before.median[1:])
    assert ax.get_xlim() == (1.0, 500.0)


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_spectra_without_power_say_so(scale, ax):
    draw_spectra(ax, spectra(scale))
    assert ax.texts[0].get_text() == "no kept site has power"
    ax.get_figure().draw_without_rendering()


def test_kept_traces_have_one_scale_and_masked_ones_are_red_and_say_theirs(ax):
    draw_traces(ax, traces())
    kept, masked = ax.lines[0], ax.lines[3]
    assert same_color(kept.get_color(), INK)
    assert same_color(masked.get_color(), MASKED)
    swings = [np.ptp(line.get_ydata()) for line in ax.lines[:5]]
    np.testing.assert_allclose(np.delete(swings, 3), swings[0], rtol=0.01)
    assert swings[3] <= 0.9 + 1e-9
    label = ax.get_yticklabels()[3].get_text()
    assert label.startswith("÷")
    shrunk_by = float(label.removeprefix("÷").split()[0])
    assert swings[3] * shrunk_by == pytest.approx(50 * swings[0], rel=0.01)


def test_trigger_edges_and_settling_are_where_they_were(ax):
    draw_traces(ax, traces(settling=((4.5, 5.0),)))
    edges = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]]
    assert [line.get_xdata()[0] for line in edges if line.get_linestyle() == "-"][:2] == [3.5, 4.5]
    assert [line.get_xdata()[0] for line in edges if line.get_linestyle() == ":"] == [3.6]
    assert [(patch.get_x(), patch.get_width()) for patch in ax.patches] == [(4.5, 0.5)]


def test_a_gap_between_traces_is_dashed(ax):
    draw_traces(ax, replace(traces(), gaps=(4.0,)))
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [4.0]


def test_traces_of_nan_or_none_at_all_are_drawn(ax):
    nothing = Traces("t", *(np.empty(0), np.empty((0, 0)), (), np.ones(0, bool), np.empty(0), np.empty(0), ()))
    broken = replace(traces(), microvolts=np.full((5, 200), np.nan))
    for stretch in (nothing, broken):
        draw_traces(ax, stretch)
        ax.get_figure().draw_without_rendering()


def test_long_facts_stay_on_the_page(ax):
    draw_facts(ax, [("notes", "a long story " * 300)])
    assert any("more in the report" in text.get_text() for text in ax.texts)
    assert min(text.get_position()[1] for text in ax.texts) > 0


def test_triggers_are_ticks_on_their_line_and_borders_between_parts_are_dashed(ax):
    draw_timeline(ax, timeline())
    (ticks,) = [found for found in ax.collections if len(found.get_segments()) > 1]
    assert [segment[0][0] for segment in ticks.get_segments()] == [0.5, 1.5, 2.75]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [2.0]
    assert [(patch.get_x(), patch.get_width()) for patch in ax.patches] == [(0.0, 0.25)]
    assert [text.get_text() for text in ax.texts] == ["analog: no edges are looked for"]
    assert ax.get_xlim() == (0.0, 4.0)


def test_intervals_are_counted_and_their_median_said(ax):
    draw_intervals(ax, timeline().lines)
    assert sum(patch.get_height() for patch in ax.patches) == 2
    assert ax.get_legend().get_texts()[0].get_text() == "line 10: median 1.125 s"


@pytest.mark.parametrize("content", [timeline(()), timeline((1.0,)), timeline((1.0, 2.0)), Timeline(0.0, [], [], [])])
def test_lines_of_few_edges_are_drawn(content, ax):
    draw_timeline(ax, content)
    draw_intervals(ax, content.lines)
    ax.get_figure().draw_without_rendering()


def test_a_page_gives_its_figures_back_with_their_captions(tmp_path):
    drawn(page(), tmp_path / "page.png")
    size, figures = read_page(tmp_path / "page.png")
    assert [figure.name for figure in figures] == list(FIGURES)
    assert [figure.caption for figure in figures] == [f"what {name} shows" for name in FIGURES]
    with Image.open(tmp_path / "page.png") as whole:
        assert size == whole.size
        assert [figure.top for figure in figures[1:]] == [figure.top + figure.height for figure in figures[:-1]]
        assert figures[-1].top + figures[-1].height == whole.height
        for figure in figures:
            cut = whole.crop((0, figure.top, whole.width, figure.top + figure.height))
            assert len(cut.convert("RGB").getcolors(10**6)) > 10


def test_a_picture_that_is_no_page_is_refused(tmp_path):
    Image.new("RGB", (10, 10)).save(tmp_path / "other.png")
    with pytest.raises(FormatError, match="is not a quality page"):
        read_page(tmp_path / "other.png")
    with pytest.raises(FormatError, match="none.png"):
        read_page(tmp_path / "none.png")


def test_the_same_page_gives_the_same_bytes_whatever_the_matplotlib_settings(tmp_path):
    content = page()
    first = drawn(content, tmp_path / "first.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 5}):
        assert drawn(content, tmp_path / "second.png") == first
        assert mpl.rcParams["font.size"] == 20


def test_drawing_opens_no_window():
    program = "import sys, ecogpipe.figures.page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
