"""Channel masks: which electrode channels to use, why not the others, and who says so: a person or the rule."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.results.identity import signal_hash_of
from ecogpipe.storage.tsv import read_tsv, write_tsv

MANUAL, AUTOMATIC = "manual", "automatic"

_COLUMNS = ("channel", "site_row", "site_column", "keep", "reason", "origin")
_HEADER = ("recording", "thresholds", "provenance")


@dataclass(frozen=True, eq=False)
class MaskTable:
    """A channel mask: one element per electrode channel, in the order of channels.tsv.

    Attributes
    ----------
    channel, site_row, site_column : array of int
        Which channel, and where it sits.
    keep : array of bool
        True where the channel is kept, False where it is not to be used.
    reasons : tuple of str
        Why a channel is dropped, or kept by hand; '' where there is nothing to say.
    origins : tuple of str
        Who decided: 'automatic', 'manual', or '' where nobody objected.
    numbers : dict
        The numbers that the automatic rule went by, arrays by name.
    header : dict
        Thresholds, hash of the signal, provenance.
    """

    channel: npt.NDArray[np.intp]
    site_row: npt.NDArray[np.intp]
    site_column: npt.NDArray[np.intp]
    keep: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    origins: tuple[str, ...]
    numbers: dict[str, npt.NDArray[np.float64]]
    header: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.channel)

    @property
    def signal_hash(self) -> str:
        """Hash of all samples that it goes by."""
        return signal_hash_of(self.header)

    @property
    def decisions_digest(self) -> str:
        """SHA-256 of which channels are kept: the same for masks that decide the same, whatever their reasons."""
        kept = ",".join(f"{channel}:{int(keep)}" for channel, keep in zip(self.channel, self.keep, strict=True))
        return hashlib.sha256(kept.encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the automatic rule would have a person look at; none in masks of versions that wrote none."""
        return tuple(self.header.get("notes", ()))


def write_mask(path: Path, mask: MaskTable) -> Path:
    """Write a channel mask; its `header` goes on top of it."""
    rows = zip(
        mask.channel,
        mask.site_row,
        mask.site_column,
        mask.keep.astype(int),
        mask.reasons,
        mask.origins,
        *(values.tolist() for values in mask.numbers.values()),
        strict=True,
    )
    return write_tsv(path, mask.header, (*_COLUMNS, *mask.numbers), rows)


def read_mask(path: Path, numbers: Collection[str] | None = None) -> MaskTable:
    """Read a mask that `mask_channels` wrote.

    Parameters
    ----------
    path
        mask.tsv of a recording.
    numbers
        Names of the numbers of each channel to read, as far as it holds them; all by default.

    Raises
    ------
    FormatError
        If the file is missing or is not a channel mask.
    """
    table = read_tsv(path)
    missing = [name for name in _HEADER if name not in table.header]
    missing += [] if signal_hash_of(table.header) else ["signal_hash"]
    if table.columns[: len(_COLUMNS)] != _COLUMNS or missing:
        raise FormatError(f"{path}: is not a channel mask (mask.tsv); run mask_channels for the recording again.")
    cells = {name: [row[name] for row in table.rows] for name in _COLUMNS}
    return MaskTable(
        channel=np.array(cells["channel"], dtype=np.intp),
        site_row=np.array(cells["site_row"], dtype=np.intp),
        site_column=np.array(cells["site_column"], dtype=np.intp),
        keep=np.array(cells["keep"]) == "1",
        reasons=tuple(cells["reason"]),
        origins=tuple(cells["origin"]),
        numbers={
            name: np.array([float(row[name]) for row in table.rows])
            for name in table.columns[len(_COLUMNS) :]
            if numbers is None or name in numbers
        },
        header=table.header,
    )


def diagnostic_text(line: Mapping[str, Any]) -> str:
    """Return one diagnostic column of a mask's header ``diagnostics`` in words."""
    units = line["units"]
    return (
        f"diagnostic column {line['daq_column']}: level {line['level']:.4g} {units} "
        f"({line['lowest']:.4g} to {line['highest']:.4g}), drift {line['drift_per_hour']:+.3g} {units} per hour"
    )
