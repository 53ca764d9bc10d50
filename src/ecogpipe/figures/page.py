"""The quality page of a recording and one of its mirrors."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ecogpipe.figures.array import Sites, draw_array
from ecogpipe.figures.spectrum import Spectra, draw_spectra
from ecogpipe.figures.style import QUIET
from ecogpipe.figures.traces import Traces, draw_traces

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Page:
    """What the quality page of one mirror shows.

    Attributes
    ----------
    title, subtitle : str
        The recording, and its mirror.
    sites : Sites
        Where the electrode channels sit.
    rms_before, rms_after : ndarray
        Microvolts, one per electrode channel: of all raw samples, and of the mirror in some windows.
    windows : str
        Which windows, in words.
    spectra : Spectra
        Of the active sites.
    traces : Traces
        A stretch of the mirror.
    facts : sequence of (str, str)
        Names and what is to be said of them.
    """

    title: str
    subtitle: str
    sites: Sites
    rms_before: Floats
    rms_after: Floats
    windows: str
    spectra: Spectra
    traces: Traces
    facts: Sequence[tuple[str, str]]


def qc_figure(page: Page) -> Figure:
    """Draw the quality page of a recording and one of its mirrors.

    Returns
    -------
    matplotlib.figure.Figure
        Landscape, 14 x 9 inches, without a pyplot window.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, rect=(0.005, 0.01, 0.99, 0.93))
    figure = Figure(figsize=(14, 9), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.014, 0.966, page.title, size=15, weight="bold", va="center")
    figure.text(0.986, 0.966, page.subtitle, size=10, color=QUIET, va="center", ha="right")
    halves = figure.add_gridspec(2, 1, height_ratios=[1, 1.12])
    maps = halves[0].subgridspec(1, 3, width_ratios=[1, 1, 1.35])
    below = halves[1].subgridspec(1, 2, width_ratios=[2.35, 1])
    n_masked = int((~page.sites.keep).sum())
    crossed = f"{n_masked} of {len(page.sites.keep)} sites masked (crossed)" if n_masked else "no site masked"
    draw_array(figure.add_subplot(maps[0]), page.sites, page.rms_before, f"Raw, {crossed}", "RMS (µV), all samples")
    draw_array(
        figure.add_subplot(maps[1]), page.sites, page.rms_after, f"Mirror, {crossed}", f"RMS (µV), {page.windows}"
    )
    draw_spectra(figure.add_subplot(maps[2]), page.spectra)
    draw_traces(figure.add_subplot(below[0]), page.traces)
    draw_facts(figure.add_subplot(below[1]), page.facts)
    _settle(figure)
    return figure


def _settle(figure: Figure) -> None:
    """Fix where the layout put everything, rounded: its solver's last bits differ from run to run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        left, bottom, width, height = (round(edge, 5) for edge in ax.get_position(original=True).bounds)
        ax.set_position((left, bottom, width, height))


def draw_facts(ax: Axes, facts: Sequence[tuple[str, str]]) -> None:
    """Write (name, text) pairs below each other, as far as there is room."""
    ax.set_axis_off()
    ax.set_title("Settings and counts")
    room = 25
    lines: list[tuple[str, str]] = []
    for name, text in facts:
        wrapped = textwrap.wrap(text, 44, break_on_hyphens=False) or [""]
        lines += zip([name, *[""] * (len(wrapped) - 1)], wrapped, strict=True)
    if len(lines) > room:
        lines = [*lines[: room - 1], ("", "… (more in the report)")]
    for number, (name, text) in enumerate(lines):
        y = 1 - (number + 0.5) / room
        ax.text(0.0, y, name, color=QUIET, transform=ax.transAxes, va="center", size=9)
        ax.text(0.25, y, text, transform=ax.transAxes, va="center", size=9)
