"""Which mirrors cannot be made of which recordings, by their rates, filters and references, as far as headers tell."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from ecogpipe.errors import FilterError, RateError
from ecogpipe.mirroring.settings import MirrorSettings
from ecogpipe.signal.filters import check_filter
from ecogpipe.storage.canonical import Acquisition
from ecogpipe.study.recordings import Recording


def find_impossible_mirrors(
    acquisitions: Iterable[tuple[Recording, Acquisition]], mirrors: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return a sentence for each mirror that some recordings cannot have, with their names.

    Parameters
    ----------
    acquisitions
        Rows of the recordings table, each with what is known of its acquisition.
    mirrors
        Settings of the mirrors, by name.
    """

    @cache
    def refusal(name: str, rate: Fraction, n_sites: int) -> str:
        try:
            wanted = MirrorSettings.from_mapping(mirrors[name])
            check_filter(wanted.filter, rate / wanted.ratio_from(rate))
        except (RateError, FilterError) as error:
            return str(error)
        if n_sites < wanted.needed_active:
            there = "there is 1" if n_sites == 1 else f"there are {n_sites}"
            return (
                f"Its reference is the {wanted.reference} of at least {wanted.needed_active} active channels, and "
                f"{there}; lower least_active, or choose the reference 'none'."
            )
        return ""

    refused: dict[tuple[str, str], list[str]] = {}
    for recording, acquisition in acquisitions:
        for name in recording.mirrors_of(mirrors):
            if why := refusal(name, acquisition.rate, acquisition.n_rows * acquisition.n_columns):
                refused.setdefault((name, why), []).append(recording.full_name)
    return [
        f"The mirror {name!r} cannot be made of {', '.join(names)}. {why} Or leave it out of the column mirrors of the "
        "recordings table."
        for (name, why), names in refused.items()
    ]
