"""Filters as second-order sections: designed, checked for stability, and described by how far their padding shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from ecogpipe.errors import FilterError

Array: TypeAlias = npt.NDArray[np.float64]
Design: TypeAlias = Literal["butterworth", "fir"]
Phase: TypeAlias = Literal["zero", "causal"]

_FIR_STOP_BAND_DB = 64.0
"""Attenuation that the window is designed for; what is measured stays above 60 dB, ripples of two bands added."""

_SETTLED = 0.01
"""Share of the padding's effect that may be left where a filter counts as settled."""


@dataclass(frozen=True)
class FilterSettings:
    """What a filter is to do.

    Attributes
    ----------
    bandpass : (float or None, float or None)
        Corner frequencies in Hz; either side may be open. Two passes make -6 dB of the -3 dB at a corner.
    order : int
        Order of the Butterworth filter, per pass.
    notches : sequence of float
        Frequencies in Hz to take out.
    notch_width : float
        Width of a notch in Hz, at -3 dB of one pass.
    design : {'butterworth', 'fir'}
        Butterworth sections, or a windowed linear-phase FIR whose transition bands are `transition` wide.
    phase : {'zero', 'causal'}
        Forwards and backwards, or forwards only. A FIR is always of zero phase.
    transition : float or None
        Width in Hz of the transition bands of a FIR, centred on the corners.
    """

    bandpass: tuple[float | None, float | None] = (None, None)
    order: int = 3
    notches: tuple[float, ...] = ()
    notch_width: float = 2.0
    design: Design = "butterworth"
    phase: Phase = "zero"
    transition: float | None = None

    @property
    def does_nothing(self) -> bool:
        """Whether no filter is asked for."""
        return self.bandpass == (None, None) and not self.notches


def checked_band(bandpass: Any) -> tuple[float | None, float | None]:
    """Return the corners of a band-pass in Hz, (low, high), either of them None where a side is open.

    Raises
    ------
    FilterError
        If it is not a pair of numbers.
    """
    corners = [None, None] if bandpass is None else _listed(bandpass)
    if len(corners) != 2 or not all(corner is None or _is_number(corner) for corner in corners):
        raise FilterError(f"bandpass is {bandpass!r}; give two corners in Hz, (low, high), None for an open side.")
    low, high = (None if corner is None else float(corner) for corner in corners)
    return low, high


def checked_notches(notches: Any) -> tuple[float, ...]:
    """Return the centres of notches in Hz, of which one may be given as a number.

    Raises
    ------
    FilterError
        If they are not numbers.
    """
    centres = [] if notches is None else _listed(notches)
    if not all(_is_number(centre) for centre in centres):
        raise FilterError(f"notches is {notches!r}; give frequencies in Hz, e.g. [60, 120].")
    return tuple(float(centre) for centre in centres)


def _listed(values: Any) -> list[Any]:
    is_several = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
    return list(values) if is_several else [values]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_filter(settings: FilterSettings, rate: float | Fraction) -> None:
    """Refuse what cannot be designed at a sampling rate, as far as numbers tell it without designing it.

    Raises
    ------
    FilterError
        As `design_sos` or `design_fir` does, but for a filter that would be unstable.
    """
    nyquist = float(rate) / 2
    corners = _checked_corners(settings, nyquist)
    if settings.design == "fir" and not settings.does_nothing:
        _check_transition(settings, corners, nyquist)
    for frequency in settings.notches:
        _check_notch(frequency, settings.notch_width, nyquist)


def design_sos(settings: FilterSettings, rate: float | Fraction) -> Array:
    """Return the second-order sections of the band-pass followed by the notches, (sections, 6).

    Parameters
    ----------
    settings
        What the filter is to do.
    rate
        Sampling rate of the signals in Hz.

    Raises
    ------
    FilterError
        If a frequency is not between 0 and the Nyquist frequency, or the filter would be unstable.
    """
    nyquist = float(rate) / 2
    sections = [_butterworth(settings, nyquist), *(_notch(f, settings.notch_width, nyquist) for f in settings.notches)]
    sos = np.concatenate(sections)
    _check_stable(sos, settings)
    return sos


def design_fir(settings: FilterSettings, rate: float | Fraction) -> Array:
    """Return the taps of the windowed FIR for the band-pass, an odd number of them; -6 dB at the corners, 60 dB beyond.

    Raises
    ------
    FilterError
        If a corner is not between 0 and the Nyquist frequency, the transition is missing or reaches 0 or the Nyquist
        frequency, or notches or a causal filter are asked for.
    """
    nyquist = float(rate) / 2
    corners = _checked_corners(settings, nyquist)
    width = _check_transition(settings, corners, nyquist)
    n_taps, beta = scipy.signal.kaiserord(_FIR_STOP_BAND_DB, width / nyquist)
    taps = scipy.signal.firwin(n_taps | 1, corners, window=("kaiser", beta), pass_zero=_kind(settings), fs=2 * nyquist)
    return np.asarray(taps, dtype=np.float64)


def padding_length(sos: Array) -> int:
    """Return samples of odd padding that `scipy.signal.sosfiltfilt` uses for these sections."""
    at_origin = min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum())
    return 3 * (2 * len(sos) + 1 - int(at_origin))


def settling_samples(sos: Array, phase: Phase = "zero") -> int:
    """Return samples from each end after which less than 1 % of the impulse response of the passes is still to come."""
    length = int(np.ceil(np.log(1e-6) / np.log(min(_largest_pole(sos), 1 - 1e-7)))) + 1
    response = scipy.signal.sosfilt(sos, np.eye(1, length)[0])
    passed = np.abs(scipy.signal.sosfilt(sos, response[::-1])[::-1] if phase == "zero" else response)
    left = np.cumsum(passed[::-1])[::-1]
    return int(np.argmax(left < _SETTLED * left[0]))


def _butterworth(settings: FilterSettings, nyquist: float) -> Array:
    if settings.order < 1:
        raise FilterError(f"A Butterworth filter of order {settings.order} makes no sense; give 1 or more.")
    corners = [corner / nyquist for corner in _checked_corners(settings, nyquist)]
    if not corners:
        return np.empty((0, 6))
    wanted = corners if len(corners) > 1 else corners[0]
    return np.asarray(scipy.signal.butter(settings.order, wanted, _kind(settings), output="sos"))


def _checked_corners(settings: FilterSettings, nyquist: float) -> list[float]:
    low, high = settings.bandpass
    corners = [corner for corner in (low, high) if corner is not None]
    for corner in corners:
        if not 0 < corner < nyquist:
            raise FilterError(
                f"The band-pass corner of {corner:g} Hz is not between 0 and the Nyquist frequency of {nyquist:g} Hz; "
                "choose another corner, leave it open (null), or keep a higher rate."
            )
    if low is not None and high is not None and low >= high:
        raise FilterError(f"The band-pass goes from {low:g} to {high:g} Hz; the first corner must be the lower one.")
    return corners


def _check_transition(settings: FilterSettings, corners: Sequence[float], nyquist: float) -> float:
    """Return the width of the transitions of a FIR, which it must be able to have."""
    if settings.notches or settings.phase != "zero":
        raise FilterError("A FIR has neither notches nor a causal form here; use the butterworth design for them.")
    width = settings.transition
    if not corners:
        raise FilterError("A FIR needs a band-pass; give at least one corner.")
    if width is None or not 0 < width <= 2 * min(corners[0], nyquist - corners[-1]):
        raise FilterError(
            f"The transition of a FIR is {width} Hz wide; give a width that fits between 0 and the Nyquist frequency "
            f"of {nyquist:g} Hz, centred on the corners."
        )
    return width


def _kind(settings: FilterSettings) -> Literal["bandpass", "highpass", "lowpass"]:
    low, high = settings.bandpass
    return "bandpass" if low and high else "highpass" if low else "lowpass"


def _check_notch(frequency: float, width: float, nyquist: float) -> None:
    if not 0 < frequency < nyquist:
        raise FilterError(
            f"The notch at {frequency:g} Hz is not between 0 and the Nyquist frequency of {nyquist:g} Hz; "
            "leave it out: the anti-alias filter has removed that frequency, or keep a higher rate."
        )
    if not 0 < width < frequency:
        raise FilterError(
            f"The notch at {frequency:g} Hz cannot be {width:g} Hz wide; give a width below its frequency."
        )


def _notch(frequency: float, width: float, nyquist: float) -> Array:
    _check_notch(frequency, width, nyquist)
    b, a = scipy.signal.iirnotch(frequency, frequency / width, fs=2 * nyquist)
    return np.concatenate([b, a])[None, :]


def _check_stable(sos: Array, settings: FilterSettings) -> None:
    if len(sos) and (not np.isfinite(sos).all() or _largest_pole(sos) >= 1):
        raise FilterError(
            f"The filter {settings.bandpass} Hz of order {settings.order} has a pole on or outside the unit circle "
            "and would never settle; use a lower order, or a corner further from 0 and from the Nyquist frequency."
        )


def _largest_pole(sos: Array) -> float:
    return max(float(np.abs(np.roots(section[3:])).max(initial=0.0)) for section in sos)
