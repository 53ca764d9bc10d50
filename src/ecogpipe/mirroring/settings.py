"""What a mirror is to be, read from the plain values of a config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal, get_args

from ecogpipe.errors import FilterError, SettingsError, nearest
from ecogpipe.signal.filters import Design, FilterSettings, Phase, design_fir, design_sos, settling_samples
from ecogpipe.signal.rates import ratio_to
from ecogpipe.signal.reference import LEAST_ACTIVE, Reference

Masked = Literal["keep", "nan"]
Compression = Literal["none", "gzip"]

_FILTER = tuple(field.name for field in fields(FilterSettings))
_CHOICES = {"design": Design, "phase": Phase, "reference": Reference, "masked": Masked, "compression": Compression}


@dataclass(frozen=True)
class MirrorSettings:
    """What a mirror is to be.

    Attributes
    ----------
    filter : FilterSettings
        Band-pass and notches.
    rate, ratio
        The new sampling rate in Hz, or the integer ratio to it: one of the two.
    reference : {'none', 'average', 'median'}
        What is taken off each frame before the filter.
    correct_skew : bool
        Whether the electrode and diagnostic rows are moved to the time of multiplexer slot 0.
    masked : {'keep', 'nan'}
        What masked rows hold: their signal like the others, or NaN.
    least_active : int
        Active channels that a reference needs.
    compression : {'none', 'gzip'}
        How the samples are stored.
    """

    filter: FilterSettings
    rate: float | None = None
    ratio: int | None = None
    reference: Reference = "none"
    correct_skew: bool = False
    masked: Masked = "keep"
    compression: Compression = "none"
    least_active: int = LEAST_ACTIVE

    @property
    def uses_mask(self) -> bool:
        """Whether the signals depend on which channels are kept."""
        return self.reference != "none" or self.masked == "nan"

    @property
    def needed_active(self) -> int:
        """Of how many active channels its reference has to be at least; 0 without a reference."""
        return 0 if self.reference == "none" else max(LEAST_ACTIVE, self.least_active)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "MirrorSettings":
        """Read the settings as a config holds them.

        Raises
        ------
        SettingsError
            If a name or a choice is unknown, or not exactly one of rate and ratio is given.
        FilterError
            If the band-pass is not a pair.
        """
        _check_names(values)
        given = {name: value for name, value in values.items() if value is not None}
        of_filter = {name: given.pop(name) for name in _FILTER if name in given}
        of_filter["bandpass"] = _pair(of_filter.get("bandpass"))
        of_filter["notches"] = tuple(of_filter.get("notches", ()))
        return cls(filter=FilterSettings(**of_filter), **given)

    def ratio_from(self, rate: Fraction) -> int:
        """Return the integer ratio for a recording of this rate."""
        return self.ratio if self.ratio is not None else ratio_to(rate, self.rate or 0.0)

    def settling_samples(self, new_rate: Fraction) -> int:
        """Return samples from each end in which the padding still shows by more than 1 %.

        Raises
        ------
        FilterError
            If there is no such filter at this rate.
        """
        if self.filter.does_nothing:
            return 0
        if self.filter.design == "fir":
            return len(design_fir(self.filter, new_rate)) // 2
        return settling_samples(design_sos(self.filter, new_rate), self.filter.phase)


def _check_names(values: Mapping[str, Any]) -> None:
    known = [*_FILTER, *(field.name for field in fields(MirrorSettings) if field.name != "filter")]
    for name in values:
        if name not in known:
            raise SettingsError(f"A mirror has no setting {name!r}. {nearest(name, known)}")
    if (values.get("rate") is None) == (values.get("ratio") is None):
        raise SettingsError("A mirror needs its rate in Hz or an integer ratio, one of the two; give one of them.")
    for name, choices in _CHOICES.items():
        if name in values and values[name] not in get_args(choices):
            found, allowed = str(values[name]), get_args(choices)
            raise SettingsError(f"A mirror's {name} is {found!r}. {nearest(found, allowed)}")


def _pair(bandpass: Sequence[float | None] | None) -> tuple[float | None, float | None]:
    if bandpass is None:
        return None, None
    if len(bandpass) != 2:
        raise FilterError(f"The band-pass {list(bandpass)} is not a pair; give [low, high] in Hz, null where open.")
    return bandpass[0], bandpass[1]
