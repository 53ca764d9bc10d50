"""Pictures: what is drawn is what was given, in true proportions, masked sites marked, the same bytes each time."""

import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from ecogpipe.figures.array import Sites, draw_array
from ecogpipe.figures.page import Page, qc_figure
from ecogpipe.figures.spectrum import Spectra, draw_spectra
from ecogpipe.figures.style import INK, MASKED, own_style, save_png
from ecogpipe.figures.traces import Traces, draw_traces
from ecogpipe.spectra import Spectrum

GRID = (4, 3)
PITCH = (0.5, 0.25)


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def sites(masked=(2, 7), pitch=PITCH):
    rows, columns = np.divmod(np.arange(12), 3)
    return Sites(rows, columns, GRID, pitch, ~np.isin(np.arange(12), masked))


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
    return Traces(seconds, microvolts, labels, keep, np.array([3.5, 4.5]), np.array([3.6]), settling)


def page(**changes):
    rms = np.linspace(10, 60, 12)
    content = Page("s/a/r", "mirror", sites(), rms, rms / 2, "8 windows of 4 s", spectra(), traces(), [("raw", "1 Hz")])
    return replace(content, **changes)


def drawn(figure_page, path):
    with own_style():
        save_png(qc_figure(figure_page), path, {"Title": "t"})
    return path.read_bytes()


def crosses(ax):
    return {tuple(place) for place in ax.collections[0].get_offsets().tolist()}


def test_values_are_on_their_sites_in_millimetres_and_masked_sites_are_crossed(ax):
    values = np.arange(12.0)
    draw_array(ax, sites(), values, "title", "RMS (µV)")
    (picture,) = ax.images
    np.testing.assert_array_equal(picture.get_array(), values.reshape(GRID))
    assert picture.get_extent() == [-0.125, 0.625, 1.75, -0.25]
    assert ax.get_aspect() == 1
    assert crosses(ax) == {(2 * 0.25, 0.0), (0.25, 2 * 0.5)}
    assert "mm" in ax.get_xlabel()


def test_an_array_of_unknown_pitch_is_counted_in_sites(ax):
    draw_array(ax, sites(pitch=None), np.arange(12.0), "title", "RMS (µV)")
    assert crosses(ax) == {(2.0, 0.0), (1.0, 2.0)}
    assert "mm" not in ax.get_xlabel() + ax.get_ylabel()


def test_a_faulty_site_does_not_hide_the_others(ax):
    values = np.linspace(10, 20, 12)
    values[[2, 7]] = 0.0, 1e6
    draw_array(ax, sites(), values, "title", "RMS (µV)")
    assert ax.images[0].get_clim() == (10.0, 20.0)


@pytest.mark.parametrize("values", [np.full(12, np.nan), np.zeros(12), np.r_[np.nan, np.arange(11.0)]])
def test_arrays_of_nan_or_one_value_are_drawn(values, tmp_path):
    everything_masked = sites(masked=range(12))
    assert drawn(page(rms_before=values, rms_after=values, sites=everything_masked), tmp_path / "page.png")


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
def test_spectra_without_power_say_so(scale, tmp_path, ax):
    draw_spectra(ax, spectra(scale))
    assert ax.texts[0].get_text() == "no active site has power"
    assert drawn(page(spectra=spectra(scale)), tmp_path / "page.png")


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


def test_traces_of_nan_or_none_at_all_are_drawn(tmp_path):
    nothing = Traces(*(np.empty(0), np.empty((0, 0)), (), np.ones(0, bool), np.empty(0), np.empty(0), ()))
    broken = replace(traces(), microvolts=np.full((5, 200), np.nan))
    for number, content in enumerate((nothing, broken)):
        assert drawn(page(traces=content), tmp_path / f"{number}.png")


def test_long_facts_stay_on_the_page(tmp_path):
    figure = qc_figure(page(facts=[("notes", "a long story " * 300)]))
    texts = [text.get_text() for text in figure.axes[-1].texts]
    assert any("more in the report" in text for text in texts)


def test_the_same_page_gives_the_same_bytes_whatever_the_matplotlib_settings(tmp_path):
    content = page()
    first = drawn(content, tmp_path / "first.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 5}):
        assert drawn(content, tmp_path / "second.png") == first
        assert mpl.rcParams["font.size"] == 20


def test_drawing_opens_no_window():
    program = "import sys, ecogpipe.figures.page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
