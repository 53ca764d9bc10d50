"""Picture of when the trigger lines have edges over a whole recording, and of the intervals between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ecogpipe.figures.style import INK, QUIET, SETTLING, TRIGGERS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A BNC line: its DAQ column, what it says of itself, and its rising edges in seconds (None: not looked for)."""

    column: int
    note: str
    rising: Floats | None


@dataclass(frozen=True)
class Timeline:
    """A whole recording: its length in seconds, its BNC lines, where its parts begin, and where the filter settles."""

    seconds: float
    lines: Sequence[Line]
    parts: Sequence[tuple[float, str]]
    settling: Sequence[tuple[float, float]]


def draw_timeline(ax: Axes, timeline: Timeline) -> None:
    """Draw a tick per rising edge over the whole recording, a row per line; part borders and settling marked."""
    n_lines = len(timeline.lines)
    for row, line in enumerate(timeline.lines):
        colour = TRIGGERS[row % len(TRIGGERS)]
        if line.rising is not None and len(line.rising):
            width = 1.2 if len(line.rising) < 400 else 0.4
            ax.vlines(line.rising, -row - 0.3, -row + 0.3, color=colour, linewidth=width)
        else:
            ax.text(0.5, -row, line.note, transform=ax.get_yaxis_transform(), color=QUIET, ha="center", va="center")
    for begin, end in timeline.settling:
        ax.axvspan(begin, end, color=SETTLING, zorder=0, linewidth=0)
    for begin, _ in timeline.parts[1:]:
        ax.axvline(begin, color=INK, linewidth=1.0, linestyle="--")
    if n_lines == 0:
        ax.text(0.5, 0.5, "no BNC line is declared", transform=ax.transAxes, color=QUIET, ha="center", va="center")
    ax.set_yticks(-np.arange(n_lines), [f"line {line.column}" for line in timeline.lines])
    ax.set(title="Rising edges over the recording", xlabel="time in the recording (s)")
    ax.set_ylim(-max(1, n_lines) + 0.4, 0.6)
    ax.set_xlim(0, timeline.seconds or 1.0)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def draw_intervals(ax: Axes, lines: Sequence[Line]) -> None:
    """Draw how many intervals between successive rising edges are how long, each line in its colour."""
    ax.set(title="Intervals between rising edges", xlabel="interval (s)", ylabel="count")
    intervals = {
        row: np.diff(line.rising) for row, line in enumerate(lines) if line.rising is not None and len(line.rising) > 1
    }
    if not intervals:
        ax.text(0.5, 0.5, "no line has two edges", transform=ax.transAxes, color=QUIET, ha="center", va="center")
        ax.set(xticks=[], yticks=[])
        return
    everything = np.concatenate(list(intervals.values()))
    low, high = float(everything.min()), float(everything.max())
    room = max(0.05 * high, 0.5 * (high - low) / 24)
    bins = np.linspace(max(0.0, low - room), high + room, 25)
    for row, values in intervals.items():
        label = f"line {lines[row].column}: median {np.median(values):.4g} s"
        ax.hist(values, bins=bins.tolist(), color=TRIGGERS[row % len(TRIGGERS)], alpha=0.75, label=label)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.margins(y=0.25)
    ax.legend(loc="upper right")
