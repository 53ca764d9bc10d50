"""Colours of the mask: one for each kind of reason, the same on every page and in every small picture."""

from collections.abc import Sequence

KEPT = "#CFE0EC"

_KINDS = {"dead": "#1F2428", "noisy": "#D55E00", "railed": "#F0E442", "not finite": "#CC79A7", "by hand": "#0072B2"}
"""The colours of the commonest reasons."""

_OTHER_KINDS = ("#009E73", "#E69F00", "#56B4E9", "#888888")


def mask_colours(kinds: Sequence[str]) -> list[str]:
    """Return a colour for each reason; the commonest have their own, the others share the rest in turn."""
    others = [kind for kind in kinds if kind not in _KINDS]
    return [_KINDS.get(kind) or _OTHER_KINDS[others.index(kind) % len(_OTHER_KINDS)] for kind in kinds]
