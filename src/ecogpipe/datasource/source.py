"""Array-like electrode signals, (channels, time): what every source can do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource import blocks, reductions
from ecogpipe.errors import JoinError, MaskError
from ecogpipe.signal.decimate import LineKind
from ecogpipe.signal.filters import FilterSettings, checked_band, checked_notches, design_sos

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]


class ElectrodeDataSource(ABC):
    """Electrode signals as an array of (active channels, time).

    Attributes
    ----------
    electrode_channels : list of int
        Rows of the underlying array that carry the electrode channels, in the order of the source.
    aligned_arrays : tuple of str
        Names of the attributes that hold signals on the same time axis.
    """

    electrode_channels: list[int]
    aligned_arrays: tuple[str, ...]
    _mask: Mask
    _cached: Future[Array] | None = None

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Data type of what indexing returns."""

    @property
    @abstractmethod
    def n_samples(self) -> int:
        """Number of samples of each channel."""

    @property
    @abstractmethod
    def writeable(self) -> bool:
        """Whether values can be assigned."""

    @abstractmethod
    def __getitem__(self, key: Any) -> Any: ...

    @abstractmethod
    def __setitem__(self, key: Any, values: npt.ArrayLike) -> None: ...

    @property
    @abstractmethod
    def n_file_rows(self) -> int:
        """Rows of the underlying array, those that carry no electrode included."""

    @property
    @abstractmethod
    def file_dtype(self) -> np.dtype[Any]:
        """Data type of the underlying array."""

    @property
    def aligned_rows(self) -> dict[str, list[int]]:
        """Aligned arrays that are rows of the underlying array, by name."""
        return {}

    @property
    def units_scale(self) -> tuple[float, float] | None:
        """(offset, scale) with value = (raw + offset) * scale; None where the source is not scaled."""
        return None

    @abstractmethod
    def of_rows(self, rows: Sequence[int], in_file_numbers: bool = False) -> "ElectrodeDataSource":
        """Return a source of other rows of the same array, scaled as this one is unless `in_file_numbers`."""

    def in_double(self) -> "ElectrodeDataSource":
        """Return the source with its values in float64 where they are computed, so that what follows rounds once."""
        return self

    @abstractmethod
    def block_bytes(self, n_channels: int, n_samples: int) -> int:
        """Return the bytes that reading a block of this shape takes at its peak, result included."""

    @property
    def shape(self) -> tuple[int, int]:
        """(active channels, samples)."""
        return len(self.active_channels), self.n_samples

    @property
    def ndim(self) -> int:
        """Number of axes: two."""
        return 2

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("A source becomes an array by reading it; it cannot be viewed without a copy.")
        return np.asarray(self[:, :], dtype=dtype)

    # -- channels

    @property
    def active_channels(self) -> list[int]:
        """Electrode channels whose mask is True."""
        return [channel for channel, keep in zip(self.electrode_channels, self._mask, strict=True) if keep]

    @property
    def _electrode_channels(self) -> list[int]:
        return self.electrode_channels

    @property
    def _active_channels(self) -> list[int]:
        return self.active_channels

    @property
    def binary_channel_mask(self) -> Mask:
        """The channel mask: one bool per electrode channel, True where it is kept; a copy."""
        return self._mask.copy()

    def set_channel_mask(self, mask: npt.ArrayLike | None) -> None:
        """Choose the active channels.

        Parameters
        ----------
        mask
            One bool per electrode channel, True where it is kept (NumPy's masked arrays and MNE's ``bads`` are the
            other way round); None activates all.

        Raises
        ------
        MaskError
            If the mask is not one bool per electrode channel.
        """
        self._mask = checked_mask(mask, len(self.electrode_channels))

    # -- iteration

    def iter_blocks(
        self,
        block_length: int | None = None,
        overlap: int = 0,
        start_offset: int = 0,
        return_slice: bool = False,
        reverse: bool = False,
        partial_block: bool = True,
    ) -> "blocks.BlockIterator":
        """Iterate over blocks of time, (channels, block_length), the next one always being read in the background.

        Parameters
        ----------
        block_length
            Samples of a block; None chooses it from the memory limit.
        overlap
            Samples that a block shares with the one before it.
        start_offset
            Sample at which the first block begins.
        return_slice
            Yield ``(block, key)`` with the key that selects the block.
        reverse
            Yield the last block first; the samples of a block stay in their order.
        partial_block
            Whether a last block that is shorter than `block_length` is yielded.
        """
        n_channels = len(self)
        length = block_length or blocks.affordable(self.n_samples, lambda n: self.block_bytes(n_channels, n))
        keys = blocks.time_keys(self.n_samples, length, overlap, start_offset, partial_block)
        return blocks.BlockIterator(self, keys[::-1] if reverse else keys, return_slice)

    def iter_channels(
        self, chans_per_block: int | None = None, use_max_memory: bool = True, return_slice: bool = False
    ) -> "blocks.BlockIterator":
        """Iterate over blocks of whole channels, (chans_per_block, time).

        Parameters
        ----------
        chans_per_block
            Channels of a block; None chooses as many as the memory limit allows, or one at a time without
            `use_max_memory`.
        use_max_memory
            Whether to choose the largest blocks that the memory limit allows.
        return_slice
            Yield ``(block, key)`` with the key that selects the block.
        """
        n_channels = len(self)
        if chans_per_block is None:
            whole = self.n_samples
            chans_per_block = (
                blocks.affordable(n_channels, lambda n: self.block_bytes(n, whole)) if use_max_memory else 1
            )
        return blocks.BlockIterator(self, blocks.channel_keys(n_channels, chans_per_block), return_slice)

    def cache_slice(self, key: Any) -> None:
        """Begin to read ``source[key]`` in the background; `get_cached_slice` waits for it."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="cache_slice")
        self._cached = executor.submit(self.__getitem__, key)
        executor.shutdown(wait=False)

    def get_cached_slice(self) -> Array:
        """Return what the last `cache_slice` asked for.

        Raises
        ------
        LookupError
            If nothing was asked for.
        """
        if self._cached is None:
            raise LookupError("No slice is being cached; call cache_slice(key) first.")
        cached, self._cached = self._cached, None
        return cached.result()

    # -- reductions

    def min(self, axis: int | None = None, out: Array | None = None, keepdims: bool = False) -> Any:
        """Return the minimum over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.extreme(self, np.minimum, axis, out, keepdims)

    def max(self, axis: int | None = None, out: Array | None = None, keepdims: bool = False) -> Any:
        """Return the maximum over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.extreme(self, np.maximum, axis, out, keepdims)

    def sum(
        self,
        axis: int | None = None,
        dtype: npt.DTypeLike | None = None,
        out: Array | None = None,
        keepdims: bool = False,
    ) -> Any:
        """Sum over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.total(self, axis, dtype, out, keepdims)

    def mean(
        self,
        axis: int | None = None,
        dtype: npt.DTypeLike | None = None,
        out: Array | None = None,
        keepdims: bool = False,
    ) -> Any:
        """Mean over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.mean(self, axis, dtype, out, keepdims)

    def var(
        self,
        axis: int | None = None,
        dtype: npt.DTypeLike | None = None,
        out: Array | None = None,
        ddof: int = 0,
        keepdims: bool = False,
    ) -> Any:
        """Return the variance over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.variance(self, axis, dtype, out, ddof, keepdims)

    def std(
        self,
        axis: int | None = None,
        dtype: npt.DTypeLike | None = None,
        out: Array | None = None,
        ddof: int = 0,
        keepdims: bool = False,
    ) -> Any:
        """Return the standard deviation over an axis (0 channels, 1 time) or all; masked channels are left out."""
        return reductions.deviation(self, axis, dtype, out, ddof, keepdims)

    # -- new sources

    @property
    def _join_facts(self) -> dict[str, Any]:
        """What has to be the same in sources that are joined."""
        return {
            "dtype": self.dtype,
            "electrode channels": self.electrode_channels,
            "channel mask": self._mask.tolist(),
            "aligned arrays": self.aligned_arrays,
        }

    @abstractmethod
    def join(self, other: Self) -> "ElectrodeDataSource":
        """Return a source of this one's samples followed by those of `other`."""

    def mirror(
        self,
        new_rate_ratio: int | None = None,
        writeable: bool = True,
        mapped: bool = True,
        channel_compatible: bool = False,
        filename: str | Path = "",
        copy: str = "",
        new_sources: Mapping[str, Array] | None = None,
    ) -> "ElectrodeDataSource":
        """Return a mirror of the source, empty or filled; see `ecogpipe.datasource.mirror.mirror`."""
        from ecogpipe.datasource.mirror import mirror

        return mirror(self, new_rate_ratio, writeable, mapped, channel_compatible, filename, copy, new_sources)

    def filter_array(
        self,
        rate: float,
        bandpass: tuple[float | None, float | None],
        order: int = 3,
        out: "ElectrodeDataSource | Array | None" = None,
    ) -> "ElectrodeDataSource | Array":
        """Band-pass the active channels with zero phase, equal to SciPy's sosfiltfilt on the whole.

        Parameters
        ----------
        rate
            Sampling rate of the source in Hz.
        bandpass
            (low, high) corners in Hz, -6 dB each; None leaves a side open.
        order
            Order of the Butterworth filter, per pass.
        out
            A writeable source or an array that takes the result; None filters in place.

        Returns
        -------
        ElectrodeDataSource or ndarray
            Where the result is.

        Raises
        ------
        FilterError
            If the filter cannot be built, or the source is shorter than its padding.
        SettingsError
            If `out` has another shape, or nothing can be written to it.
        """
        return self._filtered(FilterSettings(checked_band(bandpass), order), rate, out)

    def notch_filter(
        self,
        rate: float,
        frequencies: float | Sequence[float],
        width: float = 2.0,
        out: "ElectrodeDataSource | Array | None" = None,
    ) -> "ElectrodeDataSource | Array":
        """Take frequencies (Hz) out of the active channels with zero phase; see `filter_array` for `rate` and `out`."""
        return self._filtered(FilterSettings(notches=checked_notches(frequencies), notch_width=width), rate, out)

    def batch_change_rate(
        self,
        ratio: int,
        new_source: "ElectrodeDataSource | Array | None" = None,
        aligned: "LineKind | Mapping[str, LineKind] | None" = None,
    ) -> "ElectrodeDataSource | Array":
        """Bring the active channels to a rate lower by an integer ratio, without aliasing and without delay.

        Everything is computed in float64 and rounded once, to the dtype of where it goes.

        Parameters
        ----------
        ratio
            Integer ratio of the rates.
        new_source
            A writeable source or an array that takes the result, e.g. ``source.mirror(new_rate_ratio=ratio)``; None
            makes a mirror in float64, so that what is filtered next loses nothing.
        aligned
            How aligned arrays that the result has too are brought to its rate, for all of them or by name: 'ttl_high'
            keeps the maximum of what a sample stands for, 'ttl_low' the minimum, 'analog' the first.

        Returns
        -------
        ElectrodeDataSource or ndarray
            Where the result is.

        Raises
        ------
        SettingsError
            If the ratio is not an integer of 1 or more, the result has another shape or cannot be written, or it has
            aligned arrays of which `aligned` does not say how they are lowered.
        """
        from ecogpipe.datasource.filtering import decimate_source
        from ecogpipe.datasource.mirror import checked_ratio, mirror

        ratio = checked_ratio(ratio, "ratio")
        target = mirror(self, ratio, dtype=np.float64) if new_source is None else new_source
        decimate_source(self, ratio, target, aligned)
        return target

    def _filtered(
        self, settings: FilterSettings, rate: float, out: "ElectrodeDataSource | Array | None"
    ) -> "ElectrodeDataSource | Array":
        from ecogpipe.datasource.filtering import filter_source

        target = self if out is None else out
        filter_source(self, design_sos(settings, rate), target)
        return target

    def close(self) -> None:  # noqa: B027  # most sources hold no file
        """Let go of files that the source itself opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shape[0]} x {self.shape[1]} {self.dtype}>"


def check_joinable(first: ElectrodeDataSource, other: ElectrodeDataSource, claim: str) -> None:
    """Refuse to join sources that differ in more than their samples.

    Raises
    ------
    JoinError
        With the `claim` that they cannot be joined, and the first thing in which they differ.
    """
    for what, one in first._join_facts.items():
        two = other._join_facts[what]
        if one != two:
            raise JoinError(f"{claim}: {what} {two} in place of {one}; make them the same first.")


def checked_mask(mask: npt.ArrayLike | None, n_electrodes: int) -> Mask:
    """Return a channel mask as one bool per electrode channel.

    Raises
    ------
    MaskError
        If it has another length, or values that are not bools.
    """
    if mask is None:
        return np.ones(n_electrodes, dtype=bool)
    array = np.array(mask)
    if array.shape != (n_electrodes,) or array.dtype != bool:
        raise MaskError(
            f"The channel mask has shape {array.shape} of {array.dtype}; it needs one bool for each of the "
            f"{n_electrodes} electrode channels."
        )
    return array
