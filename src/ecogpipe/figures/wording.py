"""What was done to a recording, in words: the same on its quality pages and in the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MANUAL, MaskTable, diagnostic_text
from ecogpipe.results.mirror import read_mirror
from ecogpipe.statistics.channel_statistics import Floats
from ecogpipe.storage import canonical

_TOLD = frozenset((
    "rate", "ratio", "bandpass", "order", "notches", "notch_width", "design", "phase", "transition", "reference",
    "correct_skew", "masked", "compression", "least_active",
))  # fmt: skip
"""Settings of a mirror that have words of their own."""


@dataclass(frozen=True)
class MirrorFacts:
    """How a mirror was made, as it says of itself.

    Attributes
    ----------
    name : str
        Name of its settings.
    rate : Fraction
        Its sampling rate in Hz, exact.
    ratio : int
        Samples of the recording per sample of the mirror.
    settling_samples : int
        Samples at each end, and on both sides of a gap, in which the filter's padding shows.
    n_settled : int
        Samples that are free of it.
    settings : dict
        What was asked for.
    """

    name: str
    rate: Fraction
    ratio: int
    settling_samples: int
    n_settled: int
    settings: Mapping[str, Any]

    @property
    def band(self) -> tuple[float | None, float | None]:
        """Corners of the band-pass in Hz; None where open."""
        low, high = self.settings["bandpass"]
        return low, high

    @property
    def notches(self) -> tuple[float, ...]:
        """Frequencies of the notches in Hz."""
        return tuple(self.settings["notches"])

    @property
    def rate_text(self) -> str:
        """The rate, and how it follows from the recording's."""
        return f"{rate_text(self.rate)} ({rate_text(self.rate * self.ratio)} / {self.ratio})"

    @property
    def filter_text(self) -> str:
        """The band-pass."""
        if self.band == (None, None):
            return "none"
        if self.settings["design"] == "fir":
            return f"{band_text(self.band)}, FIR with transitions of {self.settings['transition']:g} Hz, zero phase"
        phase = "zero phase" if self.settings["phase"] == "zero" else "causal"
        return f"{band_text(self.band)}, Butterworth of order {self.settings['order']} per pass, {phase}"

    @property
    def row_text(self) -> str:
        """What was done to rows: the skew of the multiplexer, masked ones; and settings that are told nowhere else."""
        skew = "corrected" if self.settings["correct_skew"] else "not corrected"
        masked = "NaN" if self.settings["masked"] == "nan" else "kept"
        others = [f"{name} {value}" for name, value in self.settings.items() if name not in _TOLD]
        return ", ".join([f"row skew {skew}", f"masked rows {masked}", *others])

    @property
    def notch_text(self) -> str:
        """The notches."""
        if not self.notches:
            return "none"
        frequencies = ", ".join(f"{notch:g}" for notch in self.notches)
        return f"{frequencies} Hz, {self.settings['notch_width']:g} Hz wide"

    @property
    def reference_text(self) -> str:
        """The reference."""
        reference = self.settings["reference"]
        return str(reference) if reference == "none" else f"{reference} of the active channels"

    @property
    def settling_text(self) -> str:
        """How long the filter's padding shows."""
        seconds = float(self.settling_samples / self.rate)
        return f"{self.settling_samples} samples ({seconds:.3g} s) at each end"


def read_mirror_facts(mirror: Path) -> MirrorFacts:
    """Read how a mirror was made.

    Raises
    ------
    FormatError
        If the file is missing or is not a mirror.
    """
    read = read_mirror(mirror)
    settings = dict(read.settings)
    name = str(settings.pop("name", mirror.stem))
    settling = read.settling_samples
    n_settled = sum(max(0, stop - first - 2 * settling) for first, stop in canonical.gap_free_ranges(read.segments))
    return MirrorFacts(name, read.acquisition.rate, read.ratio, settling, n_settled, settings)


UNSETTLED = (
    "No sample of the mirror is free of the filter's settling: the recording, or each stretch of it without a gap, is "
    "too short for this band."
)
"""The warning on a mirror whose `n_settled` is 0."""


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


def rate_text(rate: Fraction) -> str:
    """Write a rate in as many digits as tell it from its neighbours.

    Examples
    --------
    >>> rate_text(Fraction(3125)), rate_text(Fraction(3125, 3))
    ('3125 Hz', '1041.666667 Hz')
    """
    return f"{float(rate):.10g} Hz"


def length_text(n_samples: int, rate: Fraction) -> str:
    """Write a length in seconds, and in minutes where it is long.

    Examples
    --------
    >>> length_text(250_000, Fraction(1000))
    '250 s (4.2 min)'
    """
    seconds = float(n_samples / rate)
    return f"{seconds:.6g} s" + (f" ({seconds / 60:.1f} min)" if seconds >= 120 else "")


def array_text(table: ChannelTable) -> str:
    """Describe the array: its name, grid, pitch and gain."""
    rows, columns = table.grid
    pitch = "pitch not known"
    if table.pitch_mm is not None:
        dy, dx = table.pitch_mm
        pitch = f"pitch {dy:g} mm" if dy == dx else f"pitch {dy:g} mm between rows, {dx:g} mm between columns"
    return f"{table.electrode}, {rows} x {columns} sites, {pitch}, gain {table.gain:g}"


def sites_text(mask: MaskTable) -> str:
    """Say how many sites are kept."""
    return f"{int(mask.keep.sum())} of {len(mask)} kept"


def masked_text(mask: MaskTable) -> str:
    """Count the masked sites by reason, the most frequent first."""
    dropped = [reason for reason, keep in zip(mask.reasons, mask.keep, strict=True) if not keep]
    counts = Counter(reason.partition(":")[0] or "no reason given" for reason in dropped)
    return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common()) or "none"


def mask_kinds(mask: MaskTable) -> tuple[str, ...]:
    """Say of each site in a word or two why it is masked, without numbers; '' where it is kept."""
    return tuple(
        "" if keep else "by hand" if origin == MANUAL else _kind(reason)
        for keep, origin, reason in zip(mask.keep, mask.origins, mask.reasons, strict=True)
    )


def _kind(reason: str) -> str:
    """Return what stands before the evidence of an automatic reason, without the number of a row or column.

    Examples
    --------
    >>> _kind("noisy: std is 9.66 times the typical one"), _kind("dead column 3: 8 of 8 sites")
    ('noisy', 'dead column')
    """
    return reason.partition(":")[0].rstrip(" 0123456789") or "no reason given"


def whole_lines_masked(mask: MaskTable) -> list[str]:
    """Say which rows and columns of the array have no kept site.

    Examples
    --------
    >>> sites = np.divmod(np.arange(4), 2)
    >>> keep = np.array([True, False, True, False])
    >>> whole_lines_masked(MaskTable(np.arange(4), *sites, keep, ("",) * 4, ("",) * 4, {}))
    ['column 1 of the array is masked as a whole (2 sites)']
    """
    found = []
    for name, places in (("row", mask.site_row), ("column", mask.site_column)):
        for place in np.unique(places):
            here = places == place
            if here.sum() > 1 and not mask.keep[here].any():
                found.append(f"{name} {place} of the array is masked as a whole ({int(here.sum())} sites)")
    return found


def diagnostics_texts(mask: MaskTable) -> list[str]:
    """Say of each diagnostic column at which level it is, and how that drifts."""
    return [diagnostic_text(column) for column in mask.header.get("diagnostics", [])]


def lines_text(events: EventsTable) -> str:
    """Say what was found on each BNC line."""
    return "; ".join(f"line {column}: {facts['note']}" for column, facts in events.facts.items()) or "no BNC lines"


def overrides_text(overrides: Mapping[str, Any]) -> str:
    """Write declared values."""
    return ", ".join(f"{name} = {value}" for name, value in overrides.items())


def gaps_text(segments: Sequence[canonical.Segment], rate: Fraction) -> str:
    """Say where a recording has gaps and overlaps, and how long they are; '' where it has none.

    Examples
    --------
    >>> parts = canonical.Segment(0, 50, "", "a"), canonical.Segment(50, 70, "", "b", -0.5, after_gap=True)
    >>> gaps_text(parts, Fraction(10))
    'at 5 s an overlap of 0.5 s'
    """
    return ", ".join(
        f"at {float(segment.first_sample / rate):.6g} s {'a gap' if segment.gap_seconds > 0 else 'an overlap'} of "
        f"{abs(segment.gap_seconds):.3g} s"
        for segment in segments
        if segment.after_gap
    )


def cropped_text(cropped: Sequence[Mapping[str, Any]]) -> str:
    """Say which parts were cropped, and to what; '' where none was."""
    return ", ".join(f"{part['part']} to {part['samples_kept']} samples ({part['reason']})" for part in cropped)


def bad_samples_text(n_nonfinite: Floats) -> str:
    """Count the samples that are not finite; '' where all are."""
    total = int(np.nansum(n_nonfinite))
    n_channels = int(np.count_nonzero(n_nonfinite))
    return f"{total} NaN or infinite, in {n_channels} of {len(n_nonfinite)} channels" if total else ""
