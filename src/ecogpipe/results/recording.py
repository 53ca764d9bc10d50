"""Opening a canonical recording: its own or linked signals as one source of all channels, in raw numbers."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.in_turn import open_parts
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.windows import Made, Work, in_windows, window_borders
from ecogpipe.errors import FormatError
from ecogpipe.runtime.threads import read_ahead
from ecogpipe.storage.canonical import (
    MICROVOLTS_PER,
    SEGMENTS,
    Acquisition,
    Part,
    Segment,
    read_acquisition,
    read_segments,
    signal_parts,
)
from ecogpipe.storage.hdf5_files import open_hdf5

Array: TypeAlias = npt.NDArray[Any]

_CACHE_LINE_BYTES = 64


@dataclass(frozen=True)
class RawRecording:
    """An open recording.

    Attributes
    ----------
    path : Path
        The canonical file.
    acquisition : Acquisition
        How its channels were acquired.
    parts : sequence of Part
        Where its signals are, in order.
    segments : sequence of Segment
        The stretches that its files hold.
    source : MappedSource
        All channels, (channels, time), in the raw numbers of the file.
    """

    path: Path
    acquisition: Acquisition
    parts: Sequence[Part]
    segments: Sequence[Segment]
    source: MappedSource

    @property
    def n_samples(self) -> int:
        """Number of frames."""
        return self.source.n_samples

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame of all channels, as they are in the file."""
        return len(self.source) * int(self.source.dtype.itemsize)

    @property
    def n_bytes(self) -> int:
        """Bytes of all frames."""
        return self.n_samples * self.frame_bytes

    def blocks(self, length: int) -> Iterator[tuple[int, Array]]:
        """Yield the first sample of each block of all channels, and the block; the next one is read meanwhile.

        Two arrays take turns, so that memory does not depend on when one is given back: a block is filled anew when
        the next one is asked for.

        Parameters
        ----------
        length
            Samples of a block; the last one may be shorter.
        """
        return read_ahead(self._filled_in_turn(length))

    def _filled_in_turn(self, length: int) -> Iterator[tuple[int, Array]]:
        source, buffer = self.source, self.source.data_buffer
        shape = (length, len(source)) if source.transposed else (len(source), length)
        arrays = cycle([np.empty(shape, source.dtype) for _ in range(2)])
        for first, array in zip(range(0, self.n_samples, length), arrays, strict=False):
            time = range(first, min(first + length, self.n_samples))
            filled = array[: len(time)] if source.transposed else array[:, : len(time)]
            axes = (time, range(len(source))) if source.transposed else (range(len(source)), time)
            buffer.read_into(axes, filled)
            yield first, filled.T if source.transposed else filled

    @property
    def chunk_length(self) -> int:
        """Samples of the longest chunks that the recording lies in, 1 where it lies in none."""
        return max(chunk for _, chunk in self._part_lengths())

    def in_windows(self, work: Work[Made], history: int, longest: int, n_at_once: int) -> Generator[Made]:
        """Yield what `work` makes of consecutive windows of all channels, in order; see `windows.in_windows`.

        Parameters
        ----------
        work
            What is done with each window, in threads.
        history
            Samples before a window that `work` gets with it.
        longest
            Samples of a window; it ends where a chunk does, unless chunks are longer, and where a part does.
        n_at_once
            How many windows are worked on at once.
        """
        buffer, channels, time_first = self.source.data_buffer, range(len(self.source)), self.source.transposed

        def new_array(n_samples: int) -> Array:
            if time_first:
                return np.empty((len(channels), n_samples), buffer.dtype, order="F")
            return np.empty((len(channels), _spread(n_samples, buffer.dtype)), buffer.dtype)[:, :n_samples]

        def read(start: int, stop: int, out: Array) -> None:
            axes, on_disk = (channels, range(start, stop)), out
            if time_first:
                axes, on_disk = axes[::-1], out.T
            buffer.read_into(axes, on_disk, in_threads=n_at_once == 1)

        return in_windows(self.window_borders(longest), read, new_array, history, n_at_once, work)

    def window_borders(self, longest: int) -> list[tuple[int, int]]:
        """Return the windows of `in_windows`: the first sample of each, and the one after its last."""
        return window_borders(self._part_lengths(), longest)

    def _part_lengths(self) -> list[tuple[int, int]]:
        """Return the samples of each part, and those of its chunks."""
        buffer, time_axis = self.source.data_buffer, 0 if self.source.transposed else 1
        parts = buffer.buffers if isinstance(buffer, BufferBinder) else [buffer]
        return [(part.shape[time_axis], part.decoded_chunks[time_axis] if part.decoded_chunks else 1) for part in parts]

    def close(self) -> None:
        """Close the files."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _spread(n_samples: int, dtype: np.dtype[Any]) -> int:
    """Return a length of rows, of so many samples at least, whose neighbours do not compete for places in a cache.

    Rows that lie a power of two apart do: going through them sample by sample then takes several times as long. Here
    they lie an odd number of cache lines apart.
    """
    in_line = _CACHE_LINE_BYTES // dtype.itemsize
    return (-(-n_samples // in_line) | 1) * in_line


def values_of(raw: Array, acquisition: Acquisition) -> npt.NDArray[np.float64]:
    """Return raw numbers as values in the unit of the acquisition: slope * raw + intercept, in float64."""
    values: npt.NDArray[np.float64] = acquisition.slope * raw.astype(np.float64) + acquisition.intercept
    return values


def units_per(acquisition: Acquisition, unit: str) -> float:
    """Return how many of a unit ('V', 'mV', 'uV') make one of the unit of the acquisition.

    Examples
    --------
    >>> from fractions import Fraction
    >>> units_per(Acquisition(Fraction(1000), 1, 1, 0, units="mV"), "uV")
    1000.0
    """
    return MICROVOLTS_PER[acquisition.units] / MICROVOLTS_PER[unit]


def offset_and_scale(acquisition: Acquisition, units_per_value: float) -> tuple[float, float]:
    """Return the `units_scale` of a source, (offset, scale), that brings raw numbers to `units_per_value` of a unit."""
    return acquisition.intercept / acquisition.slope, acquisition.slope * units_per_value


def open_raw(path: str | Path, **settings: Any) -> RawRecording:
    """Open a canonical recording for reading.

    Parameters
    ----------
    path
        A file that `ingest` or `mirror_recording` wrote.
    **settings
        Settings of `MappedSource`, where not all channels are wanted as they are.

    Raises
    ------
    FormatError
        If the file is missing, not canonical, or links to a file that is missing.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        acquisition = read_acquisition(file)
        parts = signal_parts(file)
        segments = read_segments(file) if SEGMENTS in file else None
    _check_parts(path, parts)
    buffers = open_parts([(part.path, part.dataset) for part in parts])
    time_first = parts[0].time_first
    buffer = buffers[0] if len(buffers) == 1 else BufferBinder(buffers, axis=0 if time_first else 1)
    source = MappedSource(buffer, transpose=time_first, **settings)
    whole = [Segment(0, source.n_samples, acquisition.start_time, path.name)]
    return RawRecording(path, acquisition, parts, segments or whole, source)


def _check_parts(path: Path, parts: Sequence[Part]) -> None:
    for part in parts:
        if not part.path.exists():
            raise FormatError(
                f"{path}: its signals are in {part.path}, which is not there; a study folder moves together "
                "with its raw data: put the file back, or ingest the recording again."
            )
