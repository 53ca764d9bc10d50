"""The quality page of a recording and one of its mirrors: a few figures, one below the other, in one picture."""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecogpipe.errors import FormatError
from ecogpipe.figures.array import SiteMap, Sites, draw_array, draw_mask
from ecogpipe.figures.spectrum import Spectra, draw_spectra
from ecogpipe.figures.style import QUIET
from ecogpipe.figures.traces import Traces, draw_traces, trace_legend
from ecogpipe.figures.triggers import Timeline, draw_intervals, draw_timeline

Pixels = npt.NDArray[np.uint8]

DPI = 200
"""Twice what a report shows on a screen, so that it stays sharp on fine screens and on paper."""

WIDTH = 12.0
"""Inches."""

_FIGURES = "figures"


@dataclass(frozen=True)
class Page:
    """What the quality page of one mirror shows.

    Attributes
    ----------
    title, subtitle : str
        The recording, and its mirror.
    sites : Sites
        Where the electrode channels sit.
    maps : sequence of SiteMap
        Numbers per site.
    spectra : Spectra
        Of the kept sites.
    traces : sequence of Traces
        Stretches of the same sites, before and after.
    timeline : Timeline
        Triggers over the whole recording.
    facts : sequence of (str, str)
        Names and what is to be said of them.
    captions : mapping of str to str
        What is to be said of the figures 'maps', 'spectra', 'traces' and 'triggers'.
    """

    title: str
    subtitle: str
    sites: Sites
    maps: Sequence[SiteMap]
    spectra: Spectra
    traces: Sequence[Traces]
    timeline: Timeline
    facts: Sequence[tuple[str, str]]
    captions: Mapping[str, str]


@dataclass(frozen=True)
class FigureKind:
    """A figure of quality pages: its name, its title in a report, and how it is drawn.

    It draws nothing, None, of a page that holds nothing for it.
    """

    name: str
    title: str
    draw: Callable[[Page], Figure | None]


@dataclass(frozen=True)
class PageFigure:
    """One figure of a quality page: its name, what is to be said of it, its first row of pixels and their number."""

    name: str
    caption: str
    top: int
    height: int


def qc_figures(page: Page) -> dict[str, Figure]:
    """Draw the figures of a quality page, by the names in `FIGURES`, without a pyplot window."""
    drawn = {kind.name: kind.draw(page) for kind in FIGURES}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save_page(page: Page, path: Path, texts: Mapping[str, str]) -> None:
    """Write the figures of a page one below the other as one PNG; the same bytes for the same page.

    The PNG holds `texts`, and where each figure is with its caption, for `read_page`.
    """
    bands = {"title": _pixels(_title_figure(page))}
    bands |= {name: _pixels(figure) for name, figure in qc_figures(page).items()}
    places, top = [], 0
    for name, band in bands.items():
        if name in page.captions:
            places.append({"name": name, "top": top, "height": len(band), "caption": page.captions[name]})
        top += len(band)
    info = PngInfo()
    for name, text in {**texts, _FIGURES: json.dumps(places, ensure_ascii=False)}.items():
        info.add_itxt(name, text)
    Image.fromarray(np.concatenate(list(bands.values()))).save(path, format="PNG", dpi=(DPI, DPI), pnginfo=info)


def read_page(path: Path) -> tuple[tuple[int, int], list[PageFigure]]:
    """Read the size in pixels of a page that `save_page` wrote, (width, height), and where its figures are.

    Raises
    ------
    FormatError
        If the file is missing or is not a quality page.
    """
    with _open_page(path) as picture:
        places = _places(picture, path)
        return picture.size, [
            PageFigure(place["name"], place["caption"], place["top"], place["height"]) for place in places
        ]


def _open_page(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=["PNG"])
    except OSError as error:
        raise FormatError(f"{path}: cannot be read as a quality page ({error}); run qc for it again.") from error


def _places(picture: Image.Image, path: Path) -> list[dict[str, Any]]:
    """Return where the figures of a page are; a picture of our own says it before its pixels."""
    places: list[dict[str, Any]] = json.loads(picture.info.get(_FIGURES, "[]"))
    if not places:
        raise FormatError(f"{path}: does not say which figures it holds, so it is not a quality page; run qc again.")
    return places


def _new_figure(height: float) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _title_figure(page: Page) -> Figure:
    figure = _new_figure(0.7)
    figure.text(0.01, 0.62, page.title, size=14, weight="bold", va="center")
    figure.text(0.01, 0.2, page.subtitle, size=9, color=QUIET, va="center")
    return figure


def _maps_figure(page: Page) -> Figure:
    figure = _new_figure(6.6)
    axes = figure.subplots(2, 3).ravel()
    for ax, shown in zip(axes, page.maps, strict=False):
        draw_array(ax, page.sites, shown)
    draw_mask(axes[len(page.maps)], page.sites)
    for ax in axes[len(page.maps) + 1 :]:
        ax.set_axis_off()
    return _settled(figure)


def _spectra_figure(page: Page) -> Figure:
    figure = _new_figure(4.0)
    left, right = figure.subplots(1, 2, width_ratios=[1.9, 1])
    draw_spectra(left, page.spectra)
    draw_facts(right, page.facts)
    return _settled(figure)


def _traces_figure(page: Page) -> Figure:
    figure = _new_figure(4.8)
    for ax, traces in zip(figure.subplots(1, len(page.traces), squeeze=False)[0], page.traces, strict=True):
        draw_traces(ax, traces)
    figure.axes[0].set_ylabel("site (row, column)")
    figure.legend(handles=trace_legend(page.traces), loc="outside lower center", ncols=6)
    return _settled(figure)


def _triggers_figure(page: Page) -> Figure:
    figure = _new_figure(1.5 + 0.3 * max(2, len(page.timeline.lines)))
    left, right = figure.subplots(1, 2, width_ratios=[2.4, 1])
    draw_timeline(left, page.timeline)
    draw_intervals(right, page.timeline.lines)
    return _settled(figure)


FIGURES = (
    FigureKind("maps", "The array", _maps_figure),
    FigureKind("spectra", "Spectra before and after", _spectra_figure),
    FigureKind("traces", "Traces before and after", _traces_figure),
    FigureKind("triggers", "Triggers", _triggers_figure),
)
"""The figures of a page, from top to bottom."""


def _settled(figure: Figure) -> Figure:
    """Fix where the layout put everything, rounded: its solver's last bits differ from run to run."""
    engine = figure.get_layout_engine()
    assert engine is not None, "figures of a page are made with one"
    engine.execute(figure)
    figure.set_layout_engine("none")
    for ax in figure.axes:
        left, bottom, width, height = (round(edge, 5) for edge in ax.get_position(original=True).bounds)
        ax.set_position((left, bottom, width, height))
    return figure


def _pixels(figure: Figure) -> Pixels:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels: Pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return pixels


def draw_facts(ax: Axes, facts: Sequence[tuple[str, str]]) -> None:
    """Write (name, text) pairs below each other, as far as there is room."""
    ax.set_axis_off()
    ax.set_title("Settings and counts")
    room = 22
    lines: list[tuple[str, str]] = []
    for name, text in facts:
        wrapped = textwrap.wrap(text, 44, break_on_hyphens=False) or [""]
        lines += zip([name, *[""] * (len(wrapped) - 1)], wrapped, strict=True)
    if len(lines) > room:
        lines = [*lines[: room - 1], ("", "… (more in the report)")]
    for number, (name, text) in enumerate(lines):
        y = 1 - (number + 0.5) / room
        ax.text(0.0, y, name, color=QUIET, transform=ax.transAxes, va="center", size=8)
        ax.text(0.22, y, text, transform=ax.transAxes, va="center", size=8)
