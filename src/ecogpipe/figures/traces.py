"""Picture of a stretch of traces, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ecogpipe.figures.style import INK, MASKED, PULSE, SETTLING

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Traces:
    """A stretch of some sites' signals.

    Attributes
    ----------
    title : str
        Which signals, and when.
    seconds : ndarray
        Time of each sample in the recording.
    microvolts : ndarray
        (sites, time).
    labels : tuple of str
        Name of each site.
    keep : ndarray of bool
        The sites' mask.
    rising, falling : ndarray
        Seconds of the trigger edges in the stretch.
    settling : tuple of (float, float)
        Seconds from and until which the filter's padding shows, where they reach into the stretch.
    gaps : tuple of float
        Seconds at which the signal does not go on from what is before, in the stretch.
    """

    title: str
    seconds: Floats
    microvolts: Floats
    labels: tuple[str, ...]
    keep: Bools
    rising: Floats
    falling: Floats
    settling: tuple[tuple[float, float], ...]
    gaps: tuple[float, ...] = ()


def draw_traces(ax: Axes, traces: Traces) -> None:
    """Draw traces one below the other, each about its own median.

    All have one scale, but for masked sites, in red: one that does not fit between its neighbours is divided by the
    number that its label says.
    """
    n_sites, step = len(traces.labels), _trace_step(traces)
    shrunk = np.ones(n_sites)
    for number, (trace, keep) in enumerate(zip(traces.microvolts, traces.keep, strict=True)):
        height = (trace - _median(trace)) / step
        if not keep:
            shrunk[number] = max(1.0, np.ceil(np.abs(height[np.isfinite(height)]).max(initial=0.0) / 0.45))
        ax.plot(traces.seconds, height / shrunk[number] - number, color=INK if keep else MASKED, linewidth=0.6)
    for begin, end in traces.settling:
        ax.axvspan(begin, end, color=SETTLING, zorder=0, linewidth=0)
    for gap in traces.gaps:
        ax.axvline(gap, color=INK, linewidth=1.0, linestyle="--")
    for seconds, style in ((traces.rising, "-"), (traces.falling, ":")):
        for edge in seconds:
            ax.axvline(edge, color=PULSE, linewidth=1.1, linestyle=style, zorder=0.5)
    ax.set(title=traces.title, xlabel="time in the recording (s)")
    labels = [
        f"÷{factor:.0f}   {label}" if factor > 1 else label for label, factor in zip(traces.labels, shrunk, strict=True)
    ]
    ax.set_yticks(-np.arange(n_sites), labels, fontsize=8)
    for tick, keep in zip(ax.get_yticklabels(), traces.keep, strict=True):
        tick.set_color(INK if keep else MASKED)
    ax.set_ylim(-max(1, n_sites) + 0.2, 0.8)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if len(traces.seconds) > 1:
        ax.set_xlim(traces.seconds[0], traces.seconds[-1])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        _draw_scale(ax, step)


def _trace_step(traces: Traces) -> float:
    """Return microvolts between neighbouring traces: the usual swing of those that are kept."""
    kept = traces.microvolts[traces.keep] if traces.keep.any() else traces.microvolts
    kept = kept[np.isfinite(kept).all(axis=1)] if kept.size else kept
    if not kept.size:
        return 1.0
    low, high = np.quantile(kept, [0.005, 0.995], axis=1)
    return float(np.median(high - low)) * 1.1 or 1.0


def _median(trace: Floats) -> float:
    finite = trace[np.isfinite(trace)]
    return float(np.median(finite)) if len(finite) else 0.0


def _draw_scale(ax: Axes, step: float) -> None:
    """Draw a bar of microvolts beside the axes, between the first two traces."""
    size = nice_below(step)
    x, at_side = 1.01, ax.get_yaxis_transform()
    ax.plot([x, x], [-size / step, 0], color=INK, linewidth=2.0, transform=at_side, clip_on=False)
    ax.text(x + 0.012, -size / step / 2, f"{size:g} µV", transform=at_side, rotation=90, va="center", size=8)


def nice_below(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a positive value.

    Examples
    --------
    >>> nice_below(0.7), nice_below(230.0), nice_below(20.0)
    (0.5, 200.0, 20.0)
    """
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= value))


def trace_legend(several: Sequence[Traces]) -> list[Artist]:
    """Return the entries of one legend for some pictures of traces."""
    entries: list[Artist] = [Line2D([], [], color=INK, label="kept site")]
    if not all(traces.keep.all() for traces in several):
        entries.append(Line2D([], [], color=MASKED, label="masked site (÷ n: drawn smaller)"))
    if any(len(traces.rising) for traces in several):
        entries.append(Line2D([], [], color=PULSE, linewidth=1.1, label="trigger, rising edge"))
    if any(len(traces.falling) for traces in several):
        entries.append(Line2D([], [], color=PULSE, linewidth=1.1, linestyle=":", label="falling edge"))
    if any(traces.settling for traces in several):
        entries.append(Patch(color=SETTLING, label="filter still settling"))
    if any(traces.gaps for traces in several):
        entries.append(Line2D([], [], color=INK, linewidth=1.0, linestyle="--", label="gap"))
    return entries
