"""A synthetic recording: signals of every channel for any stretch of time, the same however they are asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.wiring import Wiring, load_wiring, passthru_wiring
from ecogpipe.errors import SettingsError
from ecogpipe.synthetic import writers
from ecogpipe.synthetic.truth import LINE_HZ, draw_pulses, tone_cycles

RAIL_VOLTS = 10.0
"""Upper limit of the DAQ's range."""

_BLOCK = 1024
"""Frames that are computed at once, always from a multiple of it, so that every sample has the same bits."""

_TONE_MICROVOLTS = 50.0
_LINE_MICROVOLTS = 20.0
_WAVE_MICROVOLTS = 30.0
_WAVE_HZ = 5.0
_DRIFT_MICROVOLTS = 40.0
_SITE_NOISE_MICROVOLTS = 3.0
_FAULTY_NOISE_MICROVOLTS = 500.0
_FAULTY_LINE_MICROVOLTS = 150.0
_DISCONNECTED_MICROVOLTS = 40.0
_LEAKAGE_VOLTS = 0.02
_DIAGNOSTIC_NOISE_VOLTS = 1e-4
_TTL_VOLTS = 5.0
_TTL_NOISE_VOLTS = 0.02
_STIMULUS_VOLTS = 1.0
_STIMULUS_NOISE_VOLTS = 1e-3
_SATURATED_STRETCHES = 4
_SATURATED_SHARE = 0.2

Site = tuple[int, int]


@dataclass(frozen=True)
class Faults:
    """Faults to plant in a recording.

    Attributes
    ----------
    dead_sites : tuple of (row, column)
        Sites that stay at 0 V.
    noisy_sites : tuple of (row, column)
        Sites with 500 microvolts (rms) of white noise on top.
    dead_columns, dead_rows : tuple of int
        Array columns and rows of which every site stays at 0 V.
    saturated : tuple of (row, column)
        Sites that sit at the +10 V rail for a fifth of the time, in four stretches.
    disconnected : tuple of (row, column)
        Sites that carry line noise and 40 microvolts (rms) of white noise, and nothing of the brain.
    humming : tuple of (row, column)
        Sites with 150 microvolts of line noise on top.
    """

    dead_sites: tuple[Site, ...] = ()
    noisy_sites: tuple[Site, ...] = ()
    dead_columns: tuple[int, ...] = ()
    saturated: tuple[Site, ...] = ()
    dead_rows: tuple[int, ...] = ()
    disconnected: tuple[Site, ...] = ()
    humming: tuple[Site, ...] = ()


class SyntheticRecording:
    """A recording whose truth is known.

    Every site carries a tone of its own and a plane wave that travels over the grid, on top of line noise that all
    share, a slow drift and white noise. Each multiplexer row is sampled in its own slot of the frame. Diagnostic
    columns carry a leakage level, the first BNC column TTL pulses, further ones a sine.

    Parameters
    ----------
    daq, headstage, electrode : str
        The wiring; daq "passthru" takes `grid` and `gain` in its place.
    rate : float
        Frames per second.
    seconds : float
        Length; rounded to whole frames.
    seed : int
        Another seed is another recording.
    faults : Faults, optional
        Faults to plant.
    n_bncs : int
        BNC columns after the electrode columns.
    grid : (int, int), optional
        Rows and columns, for daq "passthru" only.
    gain : float
        Amplifier gain, for daq "passthru" only; the wiring says it otherwise.

    Attributes
    ----------
    n_rows, n_columns, n_bncs, n_channels, n_samples : int
        Size of the recording; ``channel = daq_column * n_rows + daq_row``.
    tone_frequencies : ndarray of float64, (grid rows, grid columns)
        Hz; each a whole number of cycles in the recording.
    tone_microvolts : float
        Amplitude of every tone at the electrode.
    trigger_samples, trigger_ends : ndarray of int64
        First frame at which any copy of the TTL line is high, and first one at which none is any more.

    Examples
    --------
    >>> rec = SyntheticRecording("passthru", "", "", grid=(4, 2), seconds=2, n_bncs=1)
    >>> rec.n_channels, rec.n_samples, rec.block(0, 5).shape
    (12, 2000, (12, 5))
    """

    def __init__(
        self,
        daq: str,
        headstage: str = "",
        electrode: str = "",
        *,
        rate: float = 1000.0,
        seconds: float = 10.0,
        seed: int = 0,
        faults: Faults | None = None,
        n_bncs: int = 2,
        grid: tuple[int, int] | None = None,
        gain: float = 10.0,
    ) -> None:
        self.wiring: Wiring = _wiring_for(daq, headstage, electrode, grid, gain)
        self.rate, self.seed, self.n_bncs = float(rate), seed, n_bncs
        self.faults = faults or Faults()
        self.n_samples = round(rate * seconds)
        self.n_rows, self.n_columns = self.wiring.grid[0], self.wiring.acquisition_columns
        self.n_channels = self.n_rows * (self.n_columns + n_bncs)
        self.gain = gain if self.wiring.gain is None else self.wiring.gain
        self.tone_microvolts = _TONE_MICROVOLTS
        self._place_sites()
        self._plant(self.faults)
        self._draw_truth(np.random.default_rng(seed))
        self._last: tuple[int, npt.NDArray[np.float64]] | None = None

    def _place_sites(self) -> None:
        rows, columns = np.indices(self.wiring.grid)
        self._site_rows, self._site_columns = rows.ravel(), columns.ravel()
        self._slots = np.asarray(self.wiring.array_row_to_daq_row)[self._site_rows]
        daq_columns = np.asarray(self.wiring.array_column_to_daq_column)[self._site_columns]
        self.site_channels: npt.NDArray[np.int64] = daq_columns * self.n_rows + self._slots

    def _plant(self, faults: Faults) -> None:
        grid = self.wiring.grid
        self._dead = np.isin(self._site_columns, _inside(faults.dead_columns, grid[1]))
        self._dead |= np.isin(self._site_rows, _inside(faults.dead_rows, grid[0]))
        self._dead |= np.isin(np.arange(grid[0] * grid[1]), _flat(faults.dead_sites, grid))
        self._noisy, self._saturated = _flat(faults.noisy_sites, grid), _flat(faults.saturated, grid)
        self._disconnected, self._humming = _flat(faults.disconnected, grid), _flat(faults.humming, grid)

    def _draw_truth(self, rng: np.random.Generator) -> None:
        n_sites, seconds = len(self.site_channels), self.n_samples / self.rate
        self._cycles = tone_cycles(n_sites, self.n_samples, self.rate, rng)
        self._tone_phases, self._drift_phases = rng.uniform(0, 2 * np.pi, (2, n_sites))
        self._drift_hz = rng.uniform(0.05, 0.2, n_sites)
        self._wave_cycles = max(1, round(_WAVE_HZ * seconds))
        self._wave_phases = 2 * np.pi * (self._site_rows / 16 + self._site_columns / 24)
        self._pulses = draw_pulses(self.n_samples, seconds, self.n_rows, rng)
        self.tone_frequencies: npt.NDArray[np.float64] = (self._cycles / seconds).reshape(self.wiring.grid)
        self.trigger_samples, self.trigger_ends = self._pulses.first_frames, self._pulses.end_frames

    def block(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Return volts at the DAQ in frames [start, stop), (channels, time), the same bits for any blocks.

        Raises
        ------
        IndexError
            If the frames are not in the recording.
        """
        if not 0 <= start <= stop <= self.n_samples:
            raise IndexError(f"frames {start} to {stop} are not in a recording of {self.n_samples}")
        volts = np.empty((self.n_channels, stop - start))
        for first in range(start - start % _BLOCK, stop, _BLOCK):
            low, high = max(start, first), min(stop, first + _BLOCK)
            volts[:, low - start : high - start] = self._compute_once(first)[:, low - first : high - first]
        return volts

    def write_tdms(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        n_segments: int | None = None,
        dtype: npt.DTypeLike = np.float64,
        layout: writers.LabLayout = "A",
    ) -> list[Path]:
        """Write TDMS: one file, or the recording cut into as many consecutive files as there are paths.

        `n_segments` is per file (default: one per second). float64 and float32 are volts; int16 are counts of the
        converter with a linear scaling to volts. Layout A holds a TDMS channel for each channel, B one for each analog
        line, still multiplexed, C the same with four samples at each visit of a row: the middle two average to the
        truth, the outer two are of another level.
        """
        return writers.write_tdms(self, writers.as_paths(paths), n_segments, np.dtype(dtype), layout)

    def write_mat73(
        self, path: str | Path, start: int = 0, stop: int | None = None, *, layout: writers.LabLayout = "A"
    ) -> Path:
        """Write frames [start, stop) as Matlab's ``save -v7.3`` leaves them: HDF5, (time, channels), gzip.

        Layouts are those of `write_tdms`.
        """
        return writers.write_mat73(self, Path(path), start, self.n_samples if stop is None else stop, layout)

    def write_mat5(self, path: str | Path, *, layout: writers.LabLayout = "A") -> Path:
        """Write a Matlab 5 file, (channels, samples) as Matlab sees it; the recording is in memory once.

        Layouts are those of `write_tdms`.
        """
        return writers.write_mat5(self, Path(path), layout)

    def write_hdf5(self, path: str | Path, *, layout: writers.LabLayout = "A") -> Path:
        """Write the HDF5 of the lab's Python converter: (channels, time), contiguous, float64.

        Layouts are those of `write_tdms`.
        """
        return writers.write_hdf5(self, Path(path), layout)

    def _compute_once(self, first: int) -> npt.NDArray[np.float64]:
        """Compute a block, unless it is the one that was computed last."""
        if self._last is None or self._last[0] != first:
            self._last = first, self._compute(first)
        return self._last[1]

    def _compute(self, first: int) -> npt.NDArray[np.float64]:
        frames = np.arange(first, first + _BLOCK)
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, first // _BLOCK]))
        noise = generator.standard_normal((self.n_channels, _BLOCK))
        volts = np.empty((self.n_channels, _BLOCK))
        volts[self.site_channels] = self._site_volts(frames, noise[self.site_channels])
        for column in self.wiring.diagnostic_columns:
            rows = self._rows_of(column)
            levels = _LEAKAGE_VOLTS * (1 + column / 10 + np.arange(self.n_rows) / 100)
            volts[rows] = levels[:, None] + _DIAGNOSTIC_NOISE_VOLTS * noise[rows]
        for number in range(self.n_bncs):
            rows = self._rows_of(self.n_columns + number)
            volts[rows] = self._bnc_volts(number, frames, noise[rows])
        return volts

    def _site_volts(self, frames: npt.NDArray[np.int64], noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return volts of every site; `noise` has unit variance and is used up."""
        times = frames + self._slots[:, None] / self.n_rows
        turns = 2 * np.pi / self.n_samples * times
        microvolts = _SITE_NOISE_MICROVOLTS * noise
        microvolts[self._noisy] = _FAULTY_NOISE_MICROVOLTS * noise[self._noisy]
        microvolts += _TONE_MICROVOLTS * np.sin(self._cycles[:, None] * turns + self._tone_phases[:, None])
        microvolts += _WAVE_MICROVOLTS * np.sin(self._wave_cycles * turns - self._wave_phases[:, None])
        seconds = times / self.rate
        line = np.sin(2 * np.pi * LINE_HZ * seconds)
        microvolts += _LINE_MICROVOLTS * line
        microvolts[self._humming] += _FAULTY_LINE_MICROVOLTS * line[self._humming]
        drift_phases = 2 * np.pi * self._drift_hz[:, None] * seconds + self._drift_phases[:, None]
        microvolts += _DRIFT_MICROVOLTS * np.sin(drift_phases)
        disconnected = self._disconnected
        microvolts[disconnected] = (
            _DISCONNECTED_MICROVOLTS * noise[disconnected] + _LINE_MICROVOLTS * line[disconnected]
        )
        volts = self.gain * 1e-6 * microvolts
        position = frames / self.n_samples * _SATURATED_STRETCHES % 1
        volts[np.ix_(self._saturated, position >= 1 - _SATURATED_SHARE)] = RAIL_VOLTS
        volts[self._dead] = 0.0
        return volts

    def _bnc_volts(
        self, number: int, frames: npt.NDArray[np.int64], noise: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        if number == 0:
            return _TTL_VOLTS * self._pulses.high(frames) + _TTL_NOISE_VOLTS * noise
        times = frames + np.arange(self.n_rows)[:, None] / self.n_rows
        cycles = max(1, round(number * self.n_samples / self.rate))
        return _STIMULUS_VOLTS * np.sin(2 * np.pi * cycles / self.n_samples * times) + _STIMULUS_NOISE_VOLTS * noise

    def _rows_of(self, column: int) -> slice:
        return slice(column * self.n_rows, (column + 1) * self.n_rows)


def _wiring_for(daq: str, headstage: str, electrode: str, grid: tuple[int, int] | None, gain: float) -> Wiring:
    passthru = daq.strip().casefold() == "passthru"
    if passthru != (grid is not None):
        raise SettingsError(f"daq {daq!r} with grid {grid}: a grid belongs to daq 'passthru', and to no other.")
    if grid is None:
        return load_wiring(daq, headstage, electrode)
    return passthru_wiring(*grid, gain, None)


def _flat(sites: Iterable[Site], grid: tuple[int, int]) -> npt.NDArray[np.int64]:
    return np.array(
        [_inside([row], grid[0])[0] * grid[1] + _inside([column], grid[1])[0] for row, column in sites], dtype=np.int64
    )


def _inside(indices: Iterable[int], size: int) -> list[int]:
    indices = list(indices)
    for index in indices:
        if not 0 <= index < size:
            raise SettingsError(f"A fault at {index} is not on the array; its rows or columns are 0 to {size - 1}.")
    return indices
