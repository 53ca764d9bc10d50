"""The source that lives in memory."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.slicing import as_slice, check_one_list, compose, outer, parse_key
from ecogpipe.datasource.source import Array, ElectrodeDataSource, check_joinable, checked_mask


class ArraySource(ElectrodeDataSource):
    """Electrode signals in memory.

    Parameters
    ----------
    data
        (channels, time).
    electrode_channels
        Rows of `data` that carry the electrode channels; None for all rows.
    channel_mask
        One bool per electrode channel, True where it is kept; None for all True.
    aligned_arrays
        Arrays on the same time axis, by the name of the attribute that they become.
    """

    def __init__(
        self,
        data: Array,
        electrode_channels: Sequence[int] | None = None,
        channel_mask: npt.ArrayLike | None = None,
        aligned_arrays: Mapping[str, Array] | None = None,
    ) -> None:
        if data.ndim != 2:
            raise ValueError(f"The signals have shape {data.shape}; a source needs (channels, time).")
        self.data_buffer = data
        self.electrode_channels = list(range(len(data)) if electrode_channels is None else electrode_channels)
        self._mask = checked_mask(channel_mask, len(self.electrode_channels))
        aligned = dict(aligned_arrays or {})
        self.aligned_arrays = tuple(aligned)
        for name, array in aligned.items():
            setattr(self, name, array)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the array."""
        return self.data_buffer.dtype

    @property
    def n_samples(self) -> int:
        """Number of samples of each channel."""
        return int(self.data_buffer.shape[1])

    @property
    def writeable(self) -> bool:
        """Whether values can be assigned."""
        return bool(self.data_buffer.flags.writeable)

    @property
    def is_direct_map(self) -> bool:
        """Whether channel k is row k of the array."""
        return self.active_channels == list(range(len(self.data_buffer)))

    @property
    def n_file_rows(self) -> int:
        """Rows of the array."""
        return len(self.data_buffer)

    @property
    def file_dtype(self) -> np.dtype[Any]:
        """Data type of the array."""
        return self.dtype

    def of_rows(self, rows: Sequence[int], in_file_numbers: bool = False) -> "ArraySource":
        """Return a source of other rows of the same array."""
        return ArraySource(self.data_buffer, rows)

    def block_bytes(self, n_channels: int, n_samples: int) -> int:
        """Return the bytes of a block of this shape."""
        return n_channels * n_samples * self.dtype.itemsize

    def __getitem__(self, key: Any) -> Any:
        return self.data_buffer[self._array_key(key)]

    def __setitem__(self, key: Any, values: npt.ArrayLike) -> None:
        self.data_buffer[self._array_key(key)] = values

    def join(self, other: Self) -> "ArraySource":
        """Return a source of this one's samples followed by those of `other`, in memory."""
        check_joinable(self, other, "The second source cannot follow the first")
        aligned = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], -1) for name in self.aligned_arrays
        }
        joined = np.concatenate([self.data_buffer, other.data_buffer], axis=1)
        return ArraySource(joined, self.electrode_channels, self._mask, aligned)

    def _array_key(self, key: Any) -> tuple[Any, Any]:
        rows, time = parse_key(key, self.shape)
        check_one_list((rows, time))
        row_key = compose(rows, np.array(self.active_channels, dtype=np.intp))
        time_key = as_slice(time) if isinstance(time, range) else time
        return (
            (row_key, time_key) if isinstance(row_key, int) or isinstance(time_key, int) else outer(row_key, time_key)
        )
