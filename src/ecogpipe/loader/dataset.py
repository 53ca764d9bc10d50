"""A recording as a scientist uses it: signals, map, mask and triggers that belong together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.errors import EcogpipeError
from ecogpipe.loader.optional import needs
from ecogpipe.results.events import EventsTable
from ecogpipe.signal.rates import seconds_of

if TYPE_CHECKING:
    import xarray

    from ecogpipe.loader.mne_raw import RawEcogpipe
    from ecogpipe.loader.spikeinterface_recording import EcogpipeRecording

Edges = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Samples [first, stop) without a gap among them, and the seconds from the first sample of the recording to theirs.

    `seconds` is None after a gap of unknown length.
    """

    first: int
    stop: int
    seconds: float | None


@dataclass(repr=False)
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
    start_time : str
        Of the first sample, ISO 8601 with zone; '' where not known.
    stretches : tuple of Stretch
        The samples between gaps, in order; a recording without gaps has one.
    sample_delays : ndarray of float64 or None
        Seconds by which the multiplexer samples each electrode channel after the first one of its frame, 0 where that
        was corrected; None where not known.
    series : str or None
        Of an NWB file: the series that was named to open it.
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
    start_time: str = ""
    stretches: tuple[Stretch, ...] = field(default=(), repr=False)
    sample_delays: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    series: str | None = None

    def __post_init__(self) -> None:
        self.chan_map = self.full_map

    def __repr__(self) -> str:
        n_samples, n_good = self.data.n_samples, int(self.active_mask.sum())
        return (
            f"<Dataset {len(self.data)} channels x {n_samples} samples, {self.Fs:.10g} Hz, "
            f"{n_samples / self.Fs:.6g} s, {n_good} of {len(self.active_mask)} good, {self.path.name}>"
        )

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

    def to_spikeinterface(self) -> "EcogpipeRecording":
        """Return the active channels as a recording of SpikeInterface, which reads samples when they are asked for.

        Microvolts; a segment for each stretch without a gap; the probe where the pitch is known; properties ``is_bad``,
        ``bad_reason`` and ``inter_sample_shift``. It can be pickled, saved in several processes, and dumped to JSON.

        Raises
        ------
        EcogpipeError
            If SpikeInterface is not installed.
        """
        with needs("spikeinterface"):
            from ecogpipe.loader.spikeinterface_recording import EcogpipeRecording
        try:
            return EcogpipeRecording(str(self.path.absolute()), self.series, self._active_positions())
        except EcogpipeError as error:
            raise EcogpipeError(
                f"{self.path}: cannot be opened by its name alone, as SpikeInterface does in each of its processes; "
                "open a mirror, a raw.h5 or an NWB file of the recording."
            ) from error

    def to_mne(self, *, bnc: bool = True) -> "RawEcogpipe":
        """Return the active channels as a raw object of MNE, in volts, which reads samples when they are asked for.

        Channels are of the type ``ecog``, and in ``info["bads"]`` where the mask drops them; sites are the montage,
        where the pitch is known; trigger edges and gaps are annotations.

        Parameters
        ----------
        bnc
            Whether the first row copy of each BNC line is a channel too, of the type ``misc``.

        Raises
        ------
        EcogpipeError
            If MNE is not installed.
        """
        with needs("mne"):
            from ecogpipe.loader.mne_raw import RawEcogpipe
        return RawEcogpipe(self, bnc=bnc)

    def to_xarray(self) -> "xarray.DataArray":
        """Return the active channels as a DataArray of xarray, backed by dask, in microvolts.

        Dimensions are channel and time (seconds); coordinates row, column and good. ``unstack`` makes a grid of it:
        ``array.set_index(channel=["row", "column"]).unstack("channel")``.

        Raises
        ------
        EcogpipeError
            If xarray or dask is not installed.
        """
        with needs("xarray", "dask"):
            from ecogpipe.loader.xarray_array import to_xarray
        return to_xarray(self)

    @property
    def site_names(self) -> list[str]:
        """The site of each active channel as "row,column", by which other programs name the channel."""
        rows, columns = self.chan_map.to_mat()
        return [f"{row},{column}" for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]

    @property
    def active_mask(self) -> npt.NDArray[np.bool_]:
        """The stored mask of the active channels, True where a channel is kept."""
        return self.channel_mask[self.data.binary_channel_mask]

    @property
    def active_reasons(self) -> list[str]:
        """Why each active channel is masked; '' where it is not, or where reasons are not known."""
        reasons = self.mask_reasons or ("",) * len(self.channel_mask)
        return [reasons[position] for position in np.flatnonzero(self.data.binary_channel_mask)]

    @property
    def active_delays(self) -> npt.NDArray[np.float64] | None:
        """The `sample_delays` of the active channels."""
        return None if self.sample_delays is None else self.sample_delays[self.data.binary_channel_mask]

    def _active_positions(self) -> list[int] | None:
        """Return the positions of the active channels among the electrode channels; None where all are."""
        active = self.data.binary_channel_mask
        return None if active.all() else np.flatnonzero(active).tolist()

    def close(self) -> None:
        """Close the files; temporary ones are removed."""
        self.data.close()
        self.bnc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
