"""Numbers for pictures in as many steps as a picture can show, as text that a browser reads back at once."""

import base64
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """Numbers in equal steps between the ends of their row.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    low, high : sequence of float
        Values of the lowest and the highest step of each row.
    bits : int
        Bits of a step, 8 or 16; the largest number of so many bits stands for NaN, the one below for `high`.
    steps : str
        The steps, row by row, little-endian, in base64.
    """

    shape: tuple[int, int]
    low: list[float]
    high: list[float]
    bits: int
    steps: str

    def values(self) -> Floats:
        """Return the numbers, (rows, columns), each within half a step."""
        steps = np.frombuffer(base64.b64decode(self.steps), f"<u{self.bits // 8}").reshape(self.shape)
        low, high = np.array(self.low)[:, np.newaxis], np.array(self.high)[:, np.newaxis]
        most = 2**self.bits - 2
        values: Floats = np.where(steps > most, np.nan, low + (high - low) * (steps / most))
        return values


def to_levels(
    values: npt.NDArray[np.floating], bits: Literal[8, 16] = 8, ends: tuple[float, float] | None = None
) -> Levels:
    """Code numbers, (rows, columns), in steps between the least and the largest of their row, or between `ends`.

    Values beyond `ends` get the nearest end; values that are not finite become NaN.

    Examples
    --------
    >>> to_levels(np.array([[0.0, 1.0, np.nan, 254.0]])).values()
    array([[  0.,   1.,  nan, 254.]])
    """
    finite = np.isfinite(values)
    if ends is None:
        low = np.where(finite, values, np.inf).min(axis=1, initial=np.inf)
        high = np.where(finite, values, -np.inf).max(axis=1, initial=-np.inf)
        low, high = (np.where(finite.any(axis=1), end, 0.0) for end in (low, high))
    else:
        low, high = (np.full(len(values), end) for end in ends)
    most = 2**bits - 2
    span = np.where(high > low, high - low, 1.0)
    places = (np.where(finite, values, 0.0) - low[:, np.newaxis]) / span[:, np.newaxis] * most
    steps = np.where(finite, np.clip(np.rint(places), 0, most), most + 1).astype(f"<u{bits // 8}")
    text = base64.b64encode(steps.tobytes()).decode("ascii")
    return Levels(values.shape[:2], low.astype(float).tolist(), high.astype(float).tolist(), bits, text)
