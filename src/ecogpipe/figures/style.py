"""The look of the project's pictures: one style, whatever a person's matplotlib settings are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Colours of Okabe and Ito, which people with any colour vision can tell apart.
INK, QUIET, PALE = "#222222", "#666666", "#BBBBBB"
BEFORE, AFTER, MASKED, PULSE = "#666666", "#0072B2", "#D55E00", "#009E73"
TRIGGERS = (PULSE, "#CC79A7", "#56B4E9", "#E69F00")
SETTLING = "#DDDDDD"

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


@contextmanager
def own_style() -> Iterator[None]:
    """Draw in the project's own style, whatever a person's matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def save_png(figure: Figure, path: Path, texts: Mapping[str, str]) -> None:
    """Write a figure as PNG, with `texts` in the file; the same bytes for the same figure."""
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None, **texts})
