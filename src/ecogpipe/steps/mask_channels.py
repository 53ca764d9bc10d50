"""The step that decides which electrode channels of a recording are to be used."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import ChannelTable, read_channels
from ecogpipe.electrodes.faults import (
    check_thresholds,
    fault_reasons,
    judge_sites,
)
from ecogpipe.electrodes.manual_masks import mask_files, read_manual_mask
from ecogpipe.electrodes.masks import combine, write_mask
from ecogpipe.electrodes.site_numbers import SiteNumbers
from ecogpipe.errors import FormatError, MaskError
from ecogpipe.formats.mask_files import read_mask_arrays
from ecogpipe.identity import KEY, check_one_recording
from ecogpipe.layout import BNC, read_acquisition
from ecogpipe.outputs import provenance
from ecogpipe.steps.scan import CORRELATION, NUMBERS

logger = logging.getLogger(__name__)

_NUMBERS = (
    "mean",
    "std",
    "min",
    "max",
    "drift",
    "hf_rms",
    "line50_rms",
    "line60_rms",
    "flat_fraction",
    "stuck_fraction",
    "rail_fraction",
    "n_nonfinite",
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Scanned:
    """What the scan knows of a recording: numbers by name over all channels, and the correlation of the first ones."""

    numbers: dict[str, Floats]
    correlation: npt.NDArray[np.float32]
    n_changes: int
    n_samples: int
    sha256: str
    units: str
    converter_step: float
    line_frequency: int | None


def mask_channels(
    scan: Path,
    channels: Path,
    mask: Path,
    *,
    recording: str,
    manual: Path | None,
    automatic: Mapping[str, float],
) -> Path:
    """Write the channel mask of a recording: the automatic rule, then what a person says, which wins.

    Parameters
    ----------
    scan : Path
        scan.h5 of the recording.
    channels : Path
        channels.tsv of the recording.
    mask : Path
        The table to write, mask.tsv.
    recording : str
        Name of the recording, as the manual mask has it; the full name ``subject/session/recording`` does as well.
    manual : Path or None
        The manual mask of the session, where there is one.
    automatic : mapping
        All thresholds of the automatic rule: `ecogpipe.electrodes.faults.judge_sites` explains them.

    Returns
    -------
    Path
        `mask`.

    Raises
    ------
    SettingsError
        If a threshold is missing, unknown or out of range.
    MaskError
        If the manual mask or the scan does not fit the recording.
    IdentityError
        If the scan and the channels are of different recordings.
    """
    thresholds = check_thresholds(automatic)
    table = read_channels(channels)
    scanned = _read_scan(scan)
    if scanned.numbers["std"].size != len(table):
        raise MaskError(
            f"{scan}: has {scanned.numbers['std'].size} channels but {channels} has {len(table)}; "
            "they are not of the same recording: run scan and map_channels again."
        )
    identity = check_one_recording(scan, channels)
    at_sites = _at_sites(scanned, table)
    judged = judge_sites(_site_numbers(at_sites, scanned, table), table.chan_map, thresholds)
    name = recording.rpartition("/")[2]
    decisions = [] if manual is None else read_manual_mask(manual, name, table, read_mask_arrays)
    inputs = [scan, channels] if manual is None else [scan, channels, manual, *mask_files(manual)]
    settings = {"recording": recording, "automatic": thresholds}
    header: dict[str, Any] = {
        "recording": recording,
        "thresholds": thresholds,
        "line_frequency": scanned.line_frequency,
        "notes": list(judged.notes),
        "diagnostics": _summarise_diagnostics(scanned, table),
        KEY: identity.as_json(),
        "signal_sha256": scanned.sha256,
        "provenance": provenance("mask_channels", inputs, settings, mask.parent),
    }
    at_sites["neighbour_correlation"] = judged.neighbour_correlation
    decided = combine(table, fault_reasons(judged.faults, table.chan_map), decisions, at_sites, header)
    logger.info("%s: %d of %d electrode channels kept", mask, decided.keep.sum(), len(decided))
    for note in judged.notes:
        logger.warning("%s: %s", mask, note)
    for line in header["diagnostics"]:
        logger.info("%s", diagnostic_text(line))
    return write_mask(mask, decided)


def diagnostic_text(line: Mapping[str, Any]) -> str:
    """Return one diagnostic column of a mask's header ``diagnostics`` in words."""
    units = line["units"]
    return (
        f"diagnostic column {line['daq_column']}: level {line['level']:.4g} {units} "
        f"({line['lowest']:.4g} to {line['highest']:.4g}), drift {line['drift_per_hour']:+.3g} {units} per hour"
    )


def _read_scan(path: Path) -> _Scanned:
    try:
        with h5py.File(path, "r", locking=False) as file:
            acquisition = read_acquisition(file)
            return _Scanned(
                numbers={name: np.asarray(file[f"{NUMBERS}/{name}"][()], dtype=np.float64) for name in _NUMBERS},
                correlation=file[CORRELATION][()],
                n_changes=int(file[CORRELATION].attrs["n_changes"]),
                n_samples=int(file.attrs["n_samples"]),
                sha256=str(file.attrs["sha256"]),
                units=acquisition.units,
                converter_step=abs(acquisition.slope) if BNC in file and file[BNC].dtype.kind in "iu" else np.nan,
                line_frequency=acquisition.overrides.get("line_frequency"),
            )
    except (OSError, KeyError) as error:
        raise FormatError(f"{path}: is no scan of a recording ({error}); run scan again.") from error


def _at_sites(scanned: _Scanned, table: ChannelTable) -> dict[str, Floats]:
    """Return the numbers of the electrode channels, by the names that mask.tsv has."""
    electrodes = table.electrode_channels
    numbers = {name: values[electrodes] for name, values in scanned.numbers.items()}
    numbers["nonfinite_fraction"] = numbers.pop("n_nonfinite") / max(scanned.n_samples, 1)
    return numbers


def _site_numbers(at_sites: Mapping[str, Floats], scanned: _Scanned, table: ChannelTable) -> SiteNumbers:
    line_frequency, electrodes = scanned.line_frequency, table.electrode_channels
    unknown: Floats = np.full_like(at_sites["std"], np.nan)
    return SiteNumbers(
        std=at_sites["std"],
        minimum=at_sites["min"],
        maximum=at_sites["max"],
        hf_rms=at_sites["hf_rms"],
        rail_fraction=at_sites["rail_fraction"],
        stuck_fraction=at_sites["stuck_fraction"],
        nonfinite_fraction=at_sites["nonfinite_fraction"],
        line_rms=unknown if line_frequency is None else at_sites[f"line{line_frequency}_rms"],
        correlation=scanned.correlation[np.ix_(electrodes, electrodes)].astype(np.float64),
        n_changes=scanned.n_changes,
        converter_step=scanned.converter_step,
    )


def _summarise_diagnostics(scanned: _Scanned, table: ChannelTable) -> list[dict[str, Any]]:
    """Summarise each diagnostic column over its rows, in the units of the acquisition."""
    summaries = []
    for column in np.unique(table.daq_column[table.diagnostic_channels]).tolist():
        rows = table.daq_column == column
        levels = scanned.numbers["mean"][rows]
        summaries.append(
            {
                "daq_column": column,
                "level": float(np.median(levels)),
                "lowest": float(levels.min()),
                "highest": float(levels.max()),
                "drift_per_hour": float(np.median(scanned.numbers["drift"][rows])),
                "units": scanned.units,
            }
        )
    return summaries
