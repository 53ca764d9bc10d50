"""The step that decides which electrode channels of a recording are to be used."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import read_channels
from ecogpipe.electrodes.faults import SiteNumbers, check_thresholds, fault_reasons, find_faults
from ecogpipe.electrodes.masks import combine, read_manual_mask, write_mask
from ecogpipe.errors import FormatError, MaskError
from ecogpipe.outputs import provenance

logger = logging.getLogger(__name__)

REVISION: int = 1

_NUMBERS = ("mean", "std", "min", "max", "hf_rms", "flat_fraction", "rail_fraction", "n_nonfinite")


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
        All thresholds of the automatic rule: `ecogpipe.electrodes.faults.find_faults` explains them.

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
    """
    thresholds = check_thresholds(automatic)
    table = read_channels(channels)
    scanned, n_samples, sha256 = _read_scan(scan)
    if scanned["std"].size != len(table):
        raise MaskError(
            f"{scan}: has {scanned['std'].size} channels but {channels} has {len(table)}; "
            "they are not of the same recording: run scan and map_channels again."
        )
    at_sites = {name: values[table.electrode_channels] for name, values in scanned.items()}
    at_sites["nonfinite_fraction"] = at_sites.pop("n_nonfinite") / max(n_samples, 1)
    reasons = fault_reasons(find_faults(_site_numbers(at_sites), thresholds), table.chan_map)
    name = recording.rpartition("/")[2]
    decisions = [] if manual is None else read_manual_mask(manual, name, table)
    inputs = [scan, channels] if manual is None else [scan, channels, manual]
    settings = {"recording": recording, "automatic": thresholds}
    header = {
        "recording": recording,
        "thresholds": thresholds,
        "signal_sha256": sha256,
        "provenance": provenance("mask_channels", REVISION, inputs, settings, mask.parent),
    }
    decided = combine(table, reasons, decisions, at_sites, header)
    logger.info("%s: %d of %d electrode channels kept", mask, decided.keep.sum(), len(decided))
    return write_mask(mask, decided)


def _read_scan(path: Path) -> tuple[dict[str, npt.NDArray[np.float64]], int, str]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            numbers = {name: np.asarray(file[f"channels/{name}"][()], dtype=np.float64) for name in _NUMBERS}
            return numbers, int(file.attrs["n_samples"]), str(file.attrs["sha256"])
    except (OSError, KeyError) as error:
        raise FormatError(f"{path}: is no scan of a recording ({error}); run scan again.") from error


def _site_numbers(at_sites: Mapping[str, Any]) -> SiteNumbers:
    return SiteNumbers(
        std=at_sites["std"],
        minimum=at_sites["min"],
        maximum=at_sites["max"],
        hf_rms=at_sites["hf_rms"],
        rail_fraction=at_sites["rail_fraction"],
        nonfinite_fraction=at_sites["nonfinite_fraction"],
    )
