"""Picture of the spectra of many sites, before and after a filter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from ecogpipe.figures.style import AFTER, BEFORE, INK, MASKED, PALE, QUIET
from ecogpipe.statistics.psd import Spectrum

Bools = npt.NDArray[np.bool_]

_LEGEND_ROOM = 0.3
"""Share of the picture's height that is kept free below the raw spectrum."""


@dataclass(frozen=True)
class Spectra:
    """Spectra before and after; `nyquist` (Hz) of both; the band's corners (None is open) and the notches in Hz."""

    before: Spectrum
    after: Spectrum
    nyquist_before: float
    nyquist_after: float
    band: tuple[float | None, float | None]
    notches: tuple[float, ...]


def draw_spectra(ax: Axes, spectra: Spectra) -> None:
    """Draw the median and the 10 to 90 % band over the active sites, before and after, and the filter's corners."""
    ax.set_title("Spectrum of the kept sites, before and after")
    ax.set(xlabel="frequency (Hz)", ylabel="power density (µV² / Hz)")
    if not _has_power(spectra.before).any():
        ax.text(0.5, 0.5, "no kept site has power", color=QUIET, ha="center", transform=ax.transAxes)
        return
    ax.set(xscale="log", yscale="log")
    for spectrum, colour, name in ((spectra.before, BEFORE, "raw"), (spectra.after, AFTER, "mirror")):
        shown = _has_power(spectrum)
        frequencies, low, high = spectrum.frequencies[shown], spectrum.low[shown], spectrum.high[shown]
        ax.fill_between(frequencies, low, high, color=colour, alpha=0.25, linewidth=0)
        ax.plot(frequencies, spectrum.median[shown], color=colour, linewidth=1.3, label=f"{name}, median of sites")
    ax.plot([], [], color=PALE, linewidth=6, label="10 to 90 % of sites")
    _limit(ax, spectra)
    _mark_filter(ax, spectra)
    ax.grid(which="major", color="0.92")
    ax.set_axisbelow(True)
    ax.legend(loc="lower left", ncols=2, frameon=True, edgecolor="none", framealpha=0.9)


def _mark_filter(ax: Axes, spectra: Spectra) -> None:
    corners = [corner for corner in spectra.band if corner is not None]
    for corner in corners:
        ax.axvline(corner, color=INK, linewidth=0.9, linestyle="--")
    if corners:
        low, high = (corner or end for corner, end in zip(spectra.band, ax.get_xlim(), strict=True))
        ax.axvspan(low, high, color=AFTER, alpha=0.07, linewidth=0, zorder=0)
        ax.plot([], [], color=INK, linewidth=0.9, linestyle="--", label=f"pass band, {band_text(spectra.band)}")
    nyquist = f"new Nyquist, {spectra.nyquist_after:.6g} Hz"
    ax.axvline(spectra.nyquist_after, color=AFTER, linewidth=1.1, linestyle=":", label=nyquist)
    if spectra.notches:
        heights = np.full(len(spectra.notches), 0.015)
        label = "notches, " + ", ".join(f"{notch:g}" for notch in spectra.notches) + " Hz"
        at_bottom = ax.get_xaxis_transform()
        ax.plot(spectra.notches, heights, "^", color=MASKED, transform=at_bottom, label=label)


def band_text(band: Sequence[float | None]) -> str:
    """Say which frequencies a band-pass keeps.

    Examples
    --------
    >>> band_text([2, 200]), band_text([None, 200]), band_text([2, None]), band_text([None, None])
    ('2 to 200 Hz', 'up to 200 Hz', 'from 2 Hz', 'none')
    """
    low, high = band
    if low is not None and high is not None:
        return f"{low:g} to {high:g} Hz"
    if low is not None:
        return f"from {low:g} Hz"
    return "none" if high is None else f"up to {high:g} Hz"


def _has_power(spectrum: Spectrum) -> Bools:
    """Return frequencies that logarithmic axes can show."""
    shown: Bools = (spectrum.frequencies > 0) & (spectrum.median > 0)
    return shown


def _limit(ax: Axes, spectra: Spectra) -> None:
    """Show all of the raw spectrum, and leave room for the legend; what the filter took away may go below."""
    before, shown = spectra.before, _has_power(spectra.before)
    ax.set_xlim(before.frequencies[shown][0], spectra.nyquist_before)
    lows = before.low[shown]
    lowest = np.log10(lows[lows > 0].min(initial=before.median[shown].min()))
    highest = np.log10(max(before.high[shown].max(), np.nanmax(spectra.after.high, initial=0.0))) + 0.3
    ax.set_ylim(10 ** (lowest - (highest - lowest) * _LEGEND_ROOM / (1 - _LEGEND_ROOM)), 10**highest)
