"""Measure the filters with tones, and draw docs/images/filters.png, or the picture that is named.

    .venv/bin/python docs/make_filter_figure.py [PICTURE]

Each tone goes in twice, as cosine and as sine; what comes out of the two, taken as one complex number, is the gain and
the phase at that frequency, free of the aliases of a lower rate.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.signal.decimate import Decimator, decimation_fir
from ecogpipe.signal.filters import FilterSettings, design_sos

PICTURE = Path(__file__).parent / "images" / "filters.png"

RATIOS = (2, 3, 5, 7, 10, 20, 25, 50)
PASS_EDGE, STOP_EDGE = 0.8, 1.2
"""In units of the new Nyquist frequency, as all frequencies at the decimation filters."""

FLATNESS_DB, ATTENUATION_DB = 0.01, 80.0
STEP = 0.01
TONES_AT_ONCE = 256

FILTER = FilterSettings(bandpass=(2.0, 200.0), order=3, notches=(60.0,), notch_width=2.0)
FILTER_RATE = 1000.0
FILTER_SECONDS = 40

# Colours of Okabe and Ito, which people with any colour vision can tell apart.
INK, QUIET, AFTER, MASKED = "#222222", "#666666", "#0072B2", "#D55E00"

_DPI = 130
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.dpi": _DPI,
    "savefig.dpi": _DPI,
    "path.simplify": True,
}

Complex = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]


@contextmanager
def own_style() -> Iterator[None]:
    """Draw in the project's own style, whatever a person's matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


@dataclass(frozen=True)
class Response:
    """Complex gain at frequencies."""

    frequencies: Floats
    gains: Complex

    @property
    def decibels(self) -> Floats:
        """Size of the gains."""
        return 20 * np.log10(np.maximum(np.abs(self.gains), 1e-12))

    def between(self, low: float, high: float) -> "Response":
        """Return the part between two frequencies."""
        inside = (self.frequencies >= low - STEP / 10) & (self.frequencies <= high + STEP / 10)
        return Response(self.frequencies[inside], self.gains[inside])


def decimation_response(ratio: int) -> Response:
    """Send tones up to the old Nyquist frequency through a decimator."""
    frequencies = np.arange(0, ratio + STEP / 2, STEP)
    groups = np.array_split(frequencies, -(-len(frequencies) // TONES_AT_ONCE))
    return Response(frequencies, np.concatenate([_decimated_gains(ratio, group) for group in groups]))


def _decimated_gains(ratio: int, frequencies: Floats) -> Complex:
    reach = len(decimation_fir(ratio)) // (2 * ratio) + 1
    n_samples = ratio * (2 * reach + 16)
    tones = np.exp(1j * np.pi / ratio * np.outer(frequencies, np.arange(n_samples)))
    outputs = Decimator(ratio, n_samples).push(np.concatenate([tones.real, tones.imag]))
    inside = slice(reach, -reach)
    cosines, sines = np.split(outputs[:, inside], 2)
    return np.asarray(((cosines + 1j * sines) / tones[:, ::ratio][:, inside]).mean(axis=1))


def filter_response() -> Response:
    """Send tones through the band-pass and the notch, forwards and backwards; the gain is that in the middle."""
    around_notch = np.linspace(54, 66, 481)
    frequencies = np.unique(np.concatenate([np.geomspace(0.4, 498, 240), around_notch, [2.0, 200.0]]))
    n_samples = int(FILTER_SECONDS * FILTER_RATE)
    tones = np.exp(2j * np.pi / FILTER_RATE * np.outer(frequencies, np.arange(n_samples)))
    outputs = np.empty((2 * len(tones), n_samples))

    def write(first: int, block: np.ndarray) -> None:
        outputs[:, first : first + block.shape[1]] = block

    with StreamedFilter(design_sos(FILTER, FILTER_RATE), write) as filtering:
        filtering.push(np.concatenate([tones.real, tones.imag]))
        filtering.finish()
    middle = slice(n_samples // 2 - 500, n_samples // 2 + 500)
    cosines, sines = np.split(outputs[:, middle], 2)
    return Response(frequencies, np.asarray(((cosines + 1j * sines) / tones[:, middle]).mean(axis=1)))


def draw_decimation(ax: Axes, responses: dict[int, Response], colours: dict[int, tuple[float, ...]]) -> None:
    """Draw the gain up to three times the new Nyquist frequency, with what is promised."""
    ax.axhspan(-ATTENUATION_DB, 5, xmin=STOP_EDGE / 3, color="0.93", linewidth=0)
    ax.plot([STOP_EDGE, STOP_EDGE, 3], [5, -ATTENUATION_DB, -ATTENUATION_DB], color=QUIET, linewidth=0.8)
    ax.text(2.1, -38, "promised: nothing in here", color=QUIET, ha="center", fontsize=8)
    ax.axvline(1, color=MASKED, linewidth=1.1, linestyle=":")
    ax.text(0.97, -50, "new Nyquist frequency", color=MASKED, rotation=90, ha="right", va="center", fontsize=8)
    for ratio, response in responses.items():
        shown = response.between(0, 3)
        ax.plot(shown.frequencies, shown.decibels, color=colours[ratio], linewidth=0.7, label=str(ratio))
    ax.set(title="a  Decimation", xlabel="frequency / new Nyquist frequency", ylabel="gain (dB)")
    ax.set(xlim=(0, 3), ylim=(-130, 5))
    ax.legend(title="ratio", loc="lower left", ncols=2, handlelength=1.2, columnspacing=1.0, title_fontsize=8)


def draw_pass_band(ax: Axes, responses: dict[int, Response], colours: dict[int, tuple[float, ...]]) -> None:
    """Draw the gain in the pass-band, magnified."""
    for sign in (-1, 1):
        ax.fill_between([0, PASS_EDGE], sign * FLATNESS_DB, sign, color="0.93", linewidth=0)
        ax.plot([0, PASS_EDGE], [sign * FLATNESS_DB] * 2, color=QUIET, linewidth=0.8)
    ax.plot([PASS_EDGE] * 2, [-1, 1], color=QUIET, linewidth=0.8)
    ax.text(0.4, 1.12 * FLATNESS_DB, "promised: nothing in here", color=QUIET, ha="center", va="center", fontsize=8)
    for ratio, response in responses.items():
        shown = response.between(0, 0.9)
        ax.plot(shown.frequencies, shown.decibels, color=colours[ratio], linewidth=1.0)
    ax.set(title="b  Decimation, the pass-band magnified", xlabel="frequency / new Nyquist frequency")
    ax.set(ylabel="gain (dB)", xlim=(0, 0.9), ylim=(-0.0125, 0.0125))
    ax.set_yticks([-0.01, -0.005, 0, 0.005, 0.01])


def draw_band(ax: Axes, response: Response) -> None:
    """Draw the gain of the band-pass with its notch."""
    ax.plot(response.frequencies, response.decibels, color=AFTER, linewidth=1.2)
    mark(ax, response, [float(corner or 0) for corner in FILTER.bandpass])
    ax.set(xscale="log", xlim=(0.4, 500), ylim=(-80, 8), xlabel="frequency (Hz)", ylabel="gain (dB)")
    ax.set_title("c  Band-pass, 2 to 200 Hz, with a notch at 60 Hz")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw_notch(ax: Axes, response: Response) -> None:
    """Draw the gain around the notch."""
    ax.plot(response.frequencies, response.decibels, color=AFTER, linewidth=1.2)
    mark(ax, response, [FILTER.notches[0] + side * FILTER.notch_width / 2 for side in (-1, 1)])
    ax.set(title="d  The notch magnified, 2 Hz wide", xlabel="frequency (Hz)", ylabel="gain (dB)")
    ax.set(xlim=(54, 66), ylim=(-40, 4))


def mark(ax: Axes, response: Response, corners: list[float]) -> None:
    """Mark two corners with the gains that were measured there."""
    for corner, side in zip(corners, ("right", "left"), strict=True):
        decibels = float(response.between(corner, corner).decibels[0])
        text = f"{decibels:.2f} dB".replace("-", "\N{MINUS SIGN}")
        ax.plot(corner, decibels, "o", color=AFTER, markersize=5)
        place = (-8 if side == "right" else 8, -1)
        ax.annotate(text, (corner, decibels), place, textcoords="offset points", ha=side, color=INK, fontsize=8)


def print_worst(responses: dict[int, Response]) -> None:
    """Print the table of docs/filters.md: the worst tone of every ratio."""
    print("| ratio | taps | largest deviation up to 0.8 | least attenuation from 1.2 on | largest phase up to 0.8 |")
    print("| --- | --- | --- | --- | --- |")
    for ratio, response in responses.items():
        passed = response.between(0, PASS_EDGE)
        deviation, phase = np.abs(passed.decibels).max(), np.abs(np.angle(passed.gains, deg=True)).max()
        attenuation = -response.between(STOP_EDGE, np.inf).decibels.max()
        cells = (f"{deviation:.4f} dB", f"{attenuation:.1f} dB", "below 1e-9°" if phase < 1e-9 else f"{phase:.1e}°")
        print(f"| {ratio} | {len(decimation_fir(ratio))} | {' | '.join(cells)} |")


def main(picture: Path = PICTURE) -> None:
    """Measure and draw."""
    responses = {ratio: decimation_response(ratio) for ratio in RATIOS}
    with own_style():
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(RATIOS)))
        colours = dict(zip(RATIOS, map(tuple, shades), strict=True))
        figure = Figure(figsize=(9.5, 7), layout="constrained")
        axes = figure.subplots(2, 2)
        draw_decimation(axes[0, 0], responses, colours)
        draw_pass_band(axes[0, 1], responses, colours)
        measured = filter_response()
        draw_band(axes[1, 0], measured)
        draw_notch(axes[1, 1], measured)
        for ax in axes.flat:
            ax.set_axisbelow(True)
        texts = {"Software": None, "Title": "Measured responses of the decimation filters and of the band-pass"}
        figure.savefig(picture, format="png", metadata=texts)
    print_worst(responses)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
