"""What a synthetic recording is known to hold: the tone of every site and the pulses of its trigger line."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import SettingsError

LINE_HZ = 60.0

_LOWEST_TONE_HZ = 8.0
_HIGHEST_TONE_HZ = 180.0
_TONE_SPAN = 0.09
"""Tones stay below this share of the rate, so that a mirror at a fifth of the rate still holds them."""
_AWAY_FROM_LINE_HZ = 1.0


def tone_cycles(n_sites: int, n_samples: int, rate: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Choose a different whole number of cycles per recording for every site, spread over the tones' band.

    Raises
    ------
    SettingsError
        If the recording is too short to hold as many different tones.
    """
    preferred = min(_TONE_SPAN * rate, _HIGHEST_TONE_HZ)
    for highest in (preferred, 1.5 * preferred, 0.45 * rate):
        candidates = _cycles_between(_LOWEST_TONE_HZ, highest, n_samples / rate)
        if len(candidates) >= n_sites:
            spread = np.linspace(0, len(candidates) - 1, n_sites).round().astype(np.int64)
            return rng.permutation(candidates[spread])
    raise SettingsError(
        f"{n_samples} samples at {rate:g} Hz hold {len(candidates)} different tones for {n_sites} sites; "
        "make the recording longer."
    )


def _cycles_between(lowest: float, highest: float, seconds: float) -> npt.NDArray[np.int64]:
    cycles = np.arange(np.ceil(lowest * seconds), np.floor(highest * seconds) + 1, dtype=np.int64)
    from_line = np.abs((cycles / seconds + LINE_HZ / 2) % LINE_HZ - LINE_HZ / 2)
    return cycles[from_line > _AWAY_FROM_LINE_HZ]


@dataclass(frozen=True)
class Pulses:
    """Pulses of a line that is sampled `n_rows` times per frame, once in every row slot.

    Times are counted in half slots, ``2 * n_rows`` to a frame: samples fall on even ones, edges on odd ones, so
    that whether a sample is high is exact.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    n_rows: int

    def high(self, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return whether the line is high, (n_rows, frames)."""
        times = 2 * (frames * self.n_rows + np.arange(self.n_rows)[:, None])
        begun = np.searchsorted(self.starts, times)
        over = np.searchsorted(self.ends, times)
        return begun > over

    @property
    def first_frames(self) -> npt.NDArray[np.int64]:
        """First frame of each pulse in which any slot is high."""
        last_slot = 2 * (self.n_rows - 1)
        return -((last_slot - self.starts) // (2 * self.n_rows))

    @property
    def end_frames(self) -> npt.NDArray[np.int64]:
        """First frame after each pulse in which no slot is high."""
        return -(-self.ends // (2 * self.n_rows))


_FEWEST_FRAMES = 40
_PULSE_SHARE = 20


def draw_pulses(n_samples: int, seconds: float, n_rows: int, rng: np.random.Generator) -> Pulses:
    """Draw about one pulse a second, each a twentieth of its period long, whose edges fall between row slots."""
    n_pulses = min(max(1, int(seconds)), n_samples // _FEWEST_FRAMES)
    period = n_samples / max(n_pulses, 1)
    frames = ((np.arange(n_pulses) + 0.25 + 0.5 * rng.random(n_pulses)) * period).astype(np.int64)
    start_slots, end_slots = rng.integers(0, max(n_rows - 1, 1), (2, n_pulses))
    ends = frames + max(2, int(period / _PULSE_SHARE))
    return Pulses(2 * n_rows * frames + 2 * start_slots + 1, 2 * n_rows * ends + 2 * end_slots + 1, n_rows)
