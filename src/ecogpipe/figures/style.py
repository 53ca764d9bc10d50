"""The look of the project's pictures: one style, whatever a person's matplotlib settings are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

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
