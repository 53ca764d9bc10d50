"""A recording as a scientist uses it: signals, map, mask and triggers that belong together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.results.events import EventsTable
from ecogpipe.signal.rates import seconds_of

Edges = npt.NDArray[np.int64]


@dataclass
class Dataset:
    """A recording, or a mirror of one, as a scientist uses it.

    Attributes
    ----------
    path : Path
        The file.
    data : ElectrodeDataSource
        Electrode signals in microvolts, (electrode channels, time).
    chan_map : ChannelMap
        The site of each active channel, in the order of `data`.
    rate : Fraction
        Sampling rate in Hz, exact; `Fs` is the same as a float.
    ratio : int
        Samples of the recording to one sample of `data`.
    channel_mask : ndarray of bool
        The stored mask, one bool per electrode channel, True where it is kept (MNE's ``bads`` and NumPy's masked arrays
        are the other way round). It is not applied until it is handed to ``set_channel_mask``.
    mask_reasons : tuple of str
        Why a channel is masked, one text per electrode channel; empty where the mask's table is not at hand.
    bnc : MappedSource
        The BNC lines in volts, (lines times row copies, time).
    bnc_columns : tuple of int
        DAQ column of each row of `bnc`.
    trigger : int or None
        DAQ column of the trigger line; None where no line is digital.
    full_map : ChannelMap
        The site of each electrode channel, masked or not.
    find_events : callable
        Reads or finds the edges of the digital lines, when they are first asked for.
    """

    path: Path
    data: ElectrodeDataSource
    rate: Fraction
    ratio: int
    channel_mask: npt.NDArray[np.bool_]
    mask_reasons: tuple[str, ...]
    bnc: MappedSource
    bnc_columns: tuple[int, ...]
    trigger: int | None
    full_map: ChannelMap = field(repr=False)
    find_events: Callable[[], EventsTable] = field(repr=False)

    def __post_init__(self) -> None:
        self.chan_map = self.full_map

    @property
    def Fs(self) -> float:  # noqa: N802  # the name that the lab's tools use
        """Sampling rate in Hz."""
        return float(self.rate)

    @cached_property
    def events(self) -> EventsTable:
        """Edges of the digital lines."""
        return self.find_events()

    @property
    def trig_chan(self) -> npt.NDArray[Any]:
        """The row copies of the trigger line in volts, (copies, time)."""
        return np.asarray(self.bnc[[row for row, column in enumerate(self.bnc_columns) if column == self.trigger]])

    @property
    def pos_edge_full(self) -> Edges:
        """Samples of the recording, at its full rate, at which the trigger rises."""
        if self.trigger is None:
            return np.empty(0, dtype=np.int64)
        return self.events.rising[self.trigger]

    @property
    def pos_edge(self) -> Edges:
        """Samples of `data` at which the trigger rises: floor(full / ratio)."""
        return self.pos_edge_full // self.ratio

    @property
    def pos_edge_time(self) -> npt.NDArray[np.float64]:
        """Seconds from the recording's first frame at which the trigger rises."""
        return seconds_of(self.pos_edge_full, self.rate * self.ratio)

    @property
    def pos_edge_fine_time(self) -> npt.NDArray[np.float64]:
        """Seconds from the recording's first frame at which a row copy of the trigger line first saw it rise.

        The copies are sampled one after the other, so this is finer than `pos_edge_time`, and never before it: by up to
        (n_rows - 1) / n_rows of a frame.
        """
        if self.trigger is None:
            return np.empty(0)
        return seconds_of(self.events.fine_rising[self.trigger], self.rate * self.ratio * self.events.n_rows)

    def set_channel_mask(self, mask: npt.ArrayLike | None) -> None:
        """Choose the active channels of `data` and `chan_map` at once: those where the mask is True; None for all.

        Examples
        --------
        ``recording.set_channel_mask(recording.channel_mask)`` leaves the bad channels out.
        """
        self.data.set_channel_mask(mask)
        self.chan_map = self.full_map.subset(self.data.binary_channel_mask)

    def close(self) -> None:
        """Close the files; temporary ones are removed."""
        self.data.close()
        self.bnc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
