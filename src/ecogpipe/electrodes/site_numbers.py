"""What the automatic rule goes by: numbers of the scan, one per electrode channel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OF_WHITE_NOISE = np.sqrt(2)
"""`hf_rms` of white noise whose std is 1."""


@dataclass(frozen=True)
class SiteNumbers:
    """Numbers of the scan, one per electrode channel; all but the fractions in the unit of the acquisition.

    Attributes
    ----------
    std, minimum, maximum : array
        Over the finite samples of each channel.
    hf_rms : array
        Rms of the difference between successive samples.
    rail_fraction : array
        Samples in runs at the channel's own extreme, as a fraction of all.
    stuck_fraction : array
        Samples in blocks in which the channel does not change, as a fraction of all.
    nonfinite_fraction : array
        Samples that are NaN or infinite, as a fraction of all.
    line_rms : array
        Rms at the frequency of the mains; NaN where that is not declared.
    correlation : array, (channels, channels)
        Of the slow changes of each channel with those of every other; NaN where a channel does not change.
    n_changes : int
        Slow changes that the correlations are made of.
    converter_step : float
        What one step of the converter is; NaN where not known.
    """

    std: Floats
    minimum: Floats
    maximum: Floats
    hf_rms: Floats
    rail_fraction: Floats
    stuck_fraction: Floats
    nonfinite_fraction: Floats
    line_rms: Floats
    correlation: Floats
    n_changes: int
    converter_step: float = np.nan

    @property
    def ranges(self) -> Floats:
        """From the lowest to the highest sample."""
        return self.maximum - self.minimum

    @property
    def whiteness(self) -> Floats:
        """`hf_rms` relative to that of white noise of the same std; 0 where a channel does not change."""
        changes = np.isfinite(self.std) & (self.std > 0)
        whiteness: Floats = np.divide(
            self.hf_rms, OF_WHITE_NOISE * self.std, out=np.zeros_like(self.std), where=changes
        )
        return whiteness
