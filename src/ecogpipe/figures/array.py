"""Picture of one number per site on the electrode array."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ecogpipe.figures.style import INK

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sites:
    """Where the electrode channels sit: one element per channel, the grid, (dy, dx) in mm or None, and the mask."""

    rows: Ints
    columns: Ints
    grid: tuple[int, int]
    pitch_mm: tuple[float, float] | None
    keep: Bools


def draw_array(ax: Axes, sites: Sites, values: Floats, title: str, label: str) -> None:
    """Draw one number per site on the array, row 0 on top, in mm where the pitch is known; masked sites are crossed.

    The colours span the sites that are kept, so that a faulty one does not hide the others.
    """
    dy, dx = sites.pitch_mm or (1.0, 1.0)
    n_rows, n_columns = sites.grid
    picture = np.full(sites.grid, np.nan)
    picture[sites.rows, sites.columns] = values
    extent = (-dx / 2, (n_columns - 0.5) * dx, (n_rows - 0.5) * dy, -dy / 2)
    lowest, highest = _colour_limits(values, sites.keep)
    image = ax.imshow(picture, extent=extent, vmin=lowest, vmax=highest, cmap="viridis", interpolation="nearest")
    x, y = sites.columns[~sites.keep] * dx, sites.rows[~sites.keep] * dy
    size = min(90.0, 9000.0 / max(n_rows, n_columns) ** 2)
    for colour, width in (("white", 2.8), (INK, 1.3)):
        ax.scatter(x, y, size, color=colour, marker="x", linewidths=width)
    unit = "mm" if sites.pitch_mm else "site"
    ax.set(title=title, xlabel=f"column ({unit})", ylabel=f"row ({unit})", facecolor="0.9")
    if not sites.pitch_mm:
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.spines[:].set_visible(False)
    figure = ax.get_figure(root=True)
    assert figure is not None, "an Axes belongs to a figure until it is removed from it"
    bar = figure.colorbar(image, ax=ax, extend=_beyond(values, lowest, highest), fraction=0.05, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)


def _colour_limits(values: Floats, keep: Bools) -> tuple[float, float]:
    kept = values[keep & np.isfinite(values)]
    if not len(kept):
        kept = values[np.isfinite(values)]
    if not len(kept):
        return 0.0, 1.0
    lowest, highest = float(kept.min()), float(kept.max())
    return (lowest, highest) if lowest < highest else (lowest - 0.5, highest + 0.5)


def _beyond(values: Floats, lowest: float, highest: float) -> Any:
    below, above = bool(np.any(values < lowest)), bool(np.any(values > highest))
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both")
