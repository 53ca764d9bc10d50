"""A window of a mirror's samples, for a page that asks for it."""

from collections.abc import Sequence
from fractions import Fraction
from math import isfinite
from pathlib import Path

import numpy as np

from ecogpipe.errors import SettingsError
from ecogpipe.figures.levels import to_levels
from ecogpipe.figures.page import Traces
from ecogpipe.figures.page_inputs import Signals
from ecogpipe.results.channels import read_channels
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.recording import open_raw

MOST_SECONDS, _MOST_SITES, _LEAST_SAMPLES = 10.0, 64, 2


def window_of_mirror(folder: Path, mirror: str, first_second: float, seconds: float, sites: Sequence[int]) -> Traces:
    """Read some sites of a mirror around a time, as the traces of a page.

    Parameters
    ----------
    folder : Path
        Results of the recording.
    mirror : str
        Name of the mirror.
    first_second, seconds : float
        Where the window begins in the recording, and its length; it is moved into the recording.
    sites : sequence of int
        Positions among the electrode channels.

    Raises
    ------
    SettingsError
        If the window is longer than 10 s, or a site is not on the array, or there are too many.
    """
    files = RecordingFiles(folder)
    table = read_channels(files.channels)
    n_sites = len(table.electrode_channels)
    if not (isfinite(first_second) and 0 < seconds <= MOST_SECONDS):
        raise SettingsError(
            f"A window of {seconds:g} s from {first_second:g} s cannot be shown; at most {MOST_SECONDS:g} s."
        )
    if not 0 < len(sites) <= _MOST_SITES or not all(0 <= site < n_sites for site in sites):
        raise SettingsError(f"1 to {_MOST_SITES} sites can be shown at once, each from 0 to {n_sites - 1}.")
    with open_raw(files.mirror(mirror)) as made:
        signals = Signals(made, table.electrode_channels, 1.0)
        rate, length = signals.rate, signals.n_samples
        n_wanted = min(length, max(_LEAST_SAMPLES, round(Fraction(seconds) * rate)))
        first = min(max(0, round(Fraction(first_second) * rate)), length - n_wanted)
        chosen = np.array(sorted(set(sites)), dtype=np.intp)
        values = signals.read(chosen, slice(first, first + n_wanted))
        gaps = tuple(float(begin / rate) for begin, _ in signals.gap_free[1:] if first < begin < first + n_wanted)
    begin = float(first / rate)
    return Traces(
        title=f"Mirror {mirror}, {begin:.6g} to {float((first + n_wanted) / rate):.6g} s",
        first_second=begin,
        seconds_each=float(1 / rate),
        microvolts=to_levels(values, bits=16),
        sites=chosen,
        rising=np.array([]),
        falling=np.array([]),
        settling=(),
        gaps=gaps,
    )
