"""Exact arithmetic of sampling rates: a rate is a fraction, and a mirror's rate is its source's over an integer."""

from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import RateError

_TOLERANCE = Fraction(1, 1_000_000)


def exact_rate(value: float | int | str | Fraction) -> Fraction:
    """Return a rate as the fraction that its decimal digits say (2777.8 is 13889/5).

    Raises
    ------
    RateError
        If the rate is not a positive finite number.
    """
    try:
        rate = value if isinstance(value, Fraction) else Fraction(str(value))
    except ValueError:
        rate = Fraction(0)
    if rate <= 0:
        raise RateError(f"A sampling rate of {value} Hz makes no sense; give a positive number.")
    return rate


def frame_rate(sampling_rate: float, n_rows: int, oversampling: int) -> Fraction:
    """Return Fs = SamplingRate / (nrRows * OverSampling) in frames per second, as a fraction."""
    if n_rows < 1 or oversampling < 1:
        raise RateError(
            f"{n_rows} rows with an oversampling of {oversampling} give no frame rate; both are at least 1."
        )
    return exact_rate(sampling_rate) / (n_rows * oversampling)


def ratio_to(rate: Fraction, wanted: float | Fraction) -> int:
    """Return the integer ratio by which `rate` becomes `wanted` (both in Hz).

    Raises
    ------
    RateError
        If no integer ratio gives `wanted` within 1e-6 of it; the message names the nearest rates that fit.
    """
    target = exact_rate(wanted)
    ratio = max(1, round(rate / target))
    if abs(rate / ratio - target) <= _TOLERANCE * target:
        return ratio
    fitting = sorted({rate / candidate for candidate in (max(1, ratio - 1), ratio, ratio + 1)})
    offers = ", ".join(f"{float(offer):.10g} Hz (ratio {rate / offer})" for offer in fitting)
    raise RateError(
        f"{float(target):g} Hz cannot be reached from {float(rate):.10g} Hz by an integer ratio; nearest are {offers}."
    )


def seconds_of(samples: npt.NDArray[np.int64], rate: Fraction) -> npt.NDArray[np.float64]:
    """Return the times of samples, each the number nearest to the exact one.

    Examples
    --------
    >>> seconds_of(np.array([20_000_000]), Fraction(2777777777777777, 10**12))
    array([7200.])
    """
    # Whole numbers of Python: their products may be larger than 64 bits, and their quotients are rounded once.
    numerator, denominator = rate.numerator, rate.denominator
    return np.array([sample * denominator / numerator for sample in samples.tolist()], dtype=np.float64)


def decimated_length(n_samples: int, ratio: int) -> int:
    """Number of samples k * ratio below `n_samples`.

    Raises
    ------
    RateError
        If the ratio is below 1.
    """
    if ratio < 1:
        raise RateError(f"A ratio of {ratio} does not lower a rate; give an integer of 1 or more.")
    return ceil(n_samples / ratio)


def slot_seconds(slots: npt.NDArray[np.integer], n_rows: int, rate: Fraction) -> npt.NDArray[np.float64]:
    """Return the seconds by which multiplexer slots are sampled after the first one of a frame.

    Examples
    --------
    >>> slot_seconds(np.array([0, 4]), 8, Fraction(1000)).tolist()
    [0.0, 0.0005]
    """
    return np.asarray(slots / (n_rows * float(rate)), dtype=np.float64)
