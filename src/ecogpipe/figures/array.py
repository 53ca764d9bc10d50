"""Pictures of the electrode array: one number per site, and the mask with its reasons."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from ecogpipe.figures.style import INK, MASKED

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

_NO_VALUE = "#E6E6E6"
_KEPT = "#CFE0EC"
_KINDS = {"dead": INK, "noisy": MASKED, "railed": "#F0E442", "not finite": "#CC79A7", "by hand": "#0072B2"}
"""The colours of the commonest reasons, the same in every picture."""
_OTHER_KINDS = ("#009E73", "#E69F00", "#56B4E9", "#888888")
_HATCH = "////"
_LEAST_SPAN = 0.1
"""Share of the largest value that colours span at least: differences that are smaller look small."""


@dataclass(frozen=True)
class Sites:
    """Where the electrode channels sit: one element per channel, the grid, (dy, dx) in mm or None, and the mask.

    `kinds` says in a word or two why a site is masked; '' where it is kept.
    """

    rows: Ints
    columns: Ints
    grid: tuple[int, int]
    pitch_mm: tuple[float, float] | None
    keep: Bools
    kinds: Sequence[str]


@dataclass(frozen=True)
class SiteMap:
    """One number per site: its title, what the colours are in which unit, their map, and their ends where fixed."""

    title: str
    label: str
    values: Floats
    colours: str = "viridis"
    limits: tuple[float | None, float | None] = (None, None)


def draw_array(ax: Axes, sites: Sites, shown: SiteMap) -> None:
    """Draw one number per site on the array, row 0 on top, in mm where the pitch is known.

    Masked sites are crossed, sites without a value grey, places without a channel hatched. The colours span the sites
    that are kept, so that a faulty one does not hide the others.
    """
    values = shown.values
    lowest, highest = colour_limits(values, sites.keep, shown.limits)
    image = ax.imshow(
        _on_grid(sites, values),
        extent=_extent(sites),
        vmin=lowest,
        vmax=highest,
        cmap=shown.colours,
        interpolation="nearest",
    )
    _cross_masked(ax, sites)
    _draw_places(ax, sites, shown.title)
    figure = ax.get_figure(root=True)
    assert figure is not None, "an Axes belongs to a figure until it is removed from it"
    beside = ax.inset_axes((1.04, 0.0, 0.05, 1.0))
    bar = figure.colorbar(image, cax=beside, extend=_beyond(values, lowest, highest), ticks=MaxNLocator(5))
    bar.set_label(shown.label)
    bar.outline.set_visible(False)


def draw_mask(ax: Axes, sites: Sites) -> None:
    """Draw which sites are kept, and why not the others, on the array."""
    counts = Counter(kind for kind, keep in zip(sites.kinds, sites.keep, strict=True) if not keep)
    kinds = [kind for kind, _ in counts.most_common()]
    colours = [_KEPT, *mask_colours(kinds)]
    codes = [0 if keep else 1 + kinds.index(kind) for kind, keep in zip(sites.kinds, sites.keep, strict=True)]
    ax.imshow(
        _on_grid(sites, np.array(codes, dtype=np.float64)),
        extent=_extent(sites),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        cmap=ListedColormap(colours),
        interpolation="nearest",
    )
    n_places = sites.grid[0] * sites.grid[1]
    _draw_places(ax, sites, f"Mask: {int(sites.keep.sum())} of {len(sites.keep)} sites kept")
    handles = [Patch(color=_KEPT, label=f"kept ({int(sites.keep.sum())})")]
    handles += [
        Patch(color=colour, label=f"{kind} ({counts[kind]})") for kind, colour in zip(kinds, colours[1:], strict=True)
    ]
    if n_places > len(sites.keep):
        unused = Patch(facecolor="white", edgecolor="0.6", hatch=_HATCH, label=f"no channel ({n_places - len(codes)})")
        handles.append(unused)
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.0, handleheight=1.0)


def mask_colours(kinds: Sequence[str]) -> list[str]:
    """Return a colour for each reason; the commonest have their own, the others share those that are left in turn."""
    others = [kind for kind in kinds if kind not in _KINDS]
    return [_KINDS.get(kind) or _OTHER_KINDS[others.index(kind) % len(_OTHER_KINDS)] for kind in kinds]


def _on_grid(sites: Sites, values: Floats) -> Floats:
    picture = np.full(sites.grid, np.nan)
    picture[sites.rows, sites.columns] = values
    return picture


def _extent(sites: Sites) -> tuple[float, float, float, float]:
    dy, dx = sites.pitch_mm or (1.0, 1.0)
    n_rows, n_columns = sites.grid
    return -dx / 2, (n_columns - 0.5) * dx, (n_rows - 0.5) * dy, -dy / 2


def _cross_masked(ax: Axes, sites: Sites) -> None:
    dy, dx = sites.pitch_mm or (1.0, 1.0)
    x, y = sites.columns[~sites.keep] * dx, sites.rows[~sites.keep] * dy
    n_most = max(sites.grid)
    size, thickness = min(60.0, 5000.0 / n_most**2), min(1.0, 12.0 / n_most)
    for colour, width in (("white", 2.6), (INK, 1.2)):
        ax.scatter(x, y, size, color=colour, marker="x", linewidths=width * thickness)


def _draw_places(ax: Axes, sites: Sites, title: str) -> None:
    """Hatch the places without a channel; name the axes."""
    dy, dx = sites.pitch_mm or (1.0, 1.0)
    used = np.zeros(sites.grid, dtype=bool)
    used[sites.rows, sites.columns] = True
    for row, column in np.argwhere(~used):
        corner = ((column - 0.5) * dx, (row - 0.5) * dy)
        ax.add_patch(Rectangle(corner, dx, dy, facecolor="white", edgecolor="0.6", hatch=_HATCH, linewidth=0))
    unit = "mm" if sites.pitch_mm else "site"
    ax.set(title=title, xlabel=f"column ({unit})", ylabel=f"row ({unit})", facecolor=_NO_VALUE)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=not sites.pitch_mm))
    ax.spines[:].set_visible(False)


def colour_limits(
    values: Floats, keep: Bools, fixed: tuple[float | None, float | None] = (None, None)
) -> tuple[float, float]:
    """Return the values at the ends of the colours: those that are fixed, else the extremes of the sites kept."""
    kept = values[keep & np.isfinite(values)]
    if not len(kept):
        kept = values[np.isfinite(values)]
    if not len(kept):
        kept = np.array([0.0, 1.0])
    lowest, highest = float(kept.min()), float(kept.max())
    least = _LEAST_SPAN * max(abs(lowest), abs(highest)) or 1.0
    if highest - lowest < least:
        middle = (lowest + highest) / 2
        lowest, highest = middle - least / 2, middle + least / 2
    low, high = (end if given is None else given for given, end in zip(fixed, (lowest, highest), strict=True))
    return (low, high) if low < high else (low, low + least)


def _beyond(values: Floats, lowest: float, highest: float) -> Any:
    below, above = bool(np.any(values < lowest)), bool(np.any(values > highest))
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both")
