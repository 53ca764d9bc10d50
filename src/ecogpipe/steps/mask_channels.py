"""The step that decides which electrode channels of a recording are to be used."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.electrodes.faults import (
    check_thresholds,
    fault_reasons,
    judge_sites,
)
from ecogpipe.electrodes.site_numbers import SiteNumbers
from ecogpipe.errors import MaskError
from ecogpipe.results.channels import read_channels
from ecogpipe.results.identity import KEY, check_same_signal
from ecogpipe.results.mask import AUTOMATIC, MANUAL, MaskTable, diagnostic_text, write_mask
from ecogpipe.results.provenance import provenance
from ecogpipe.results.scan import Scan, read_correlation, read_scan
from ecogpipe.storage.portable import relative_name
from ecogpipe.study.foreign_masks import read_mask_arrays
from ecogpipe.study.manual_masks import ROWS, Decision, read_manual_mask, rows_of_recording

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_NEEDED = (
    "mean",
    "std",
    "min",
    "max",
    "drift",
    "hf_rms",
    "line50_rms",
    "line60_rms",
    "stuck_fraction",
    "rail_fraction",
    "n_nonfinite",
)
"""Numbers of each channel that the automatic rule and the summary of the diagnostic columns go by."""


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
    rule = MaskRule(recording, manual, automatic)
    decided = decide_mask(scan, channels, rule)
    made_of = provenance("mask_channels", [scan, channels], rule.settings(mask.parent), mask.parent)
    logger.info("%s: %d of %d electrode channels kept", mask, decided.keep.sum(), len(decided))
    for note in decided.notes:
        logger.warning("%s: %s", mask, note)
    for line in decided.header["diagnostics"]:
        logger.info("%s", diagnostic_text(line))
    return write_mask(mask, replace(decided, header=decided.header | {"provenance": made_of}))


@dataclass(frozen=True)
class MaskRule:
    """What the mask of a recording follows from besides its samples: parameters of `mask_channels` of these names."""

    recording: str
    manual: Path | None
    automatic: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name of the recording in its session."""
        return self.recording.rpartition("/")[2]

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return the settings that the provenance of a mask in a folder names."""
        settings: dict[str, Any] = {"recording": self.recording, "automatic": check_thresholds(self.automatic)}
        if self.manual is not None and (rows := rows_of_recording(self.manual, self.name)):
            # Of the table only what is of this recording counts: another row in it makes no other mask.
            settings |= {MANUAL: relative_name(self.manual, folder), ROWS: rows}
        return settings


def decide_mask(scan: Path, channels: Path, rule: MaskRule) -> MaskTable:
    """Return the mask that `mask_channels` writes, without its provenance; raises as that does."""
    thresholds = check_thresholds(rule.automatic)
    table = read_channels(channels)
    scanned = read_scan(scan, _NEEDED)
    if scanned.numbers["std"].size != len(table):
        raise MaskError(
            f"{scan}: has {scanned.numbers['std'].size} channels but {channels} has {len(table)}; "
            "they are not of the same recording: run scan and map_channels again."
        )
    identity = check_same_signal(scan, channels)
    at_sites = _at_sites(scanned, table)
    numbers = _site_numbers(at_sites, scanned, table, *read_correlation(scan))
    judged = judge_sites(numbers, table.chan_map, thresholds)
    decisions = [] if rule.manual is None else read_manual_mask(rule.manual, rule.name, table, read_mask_arrays)
    header: dict[str, Any] = {
        "recording": rule.recording,
        "thresholds": thresholds,
        "line_frequency": _line_frequency(scanned),
        "notes": list(judged.notes),
        "diagnostics": _summarise_diagnostics(scanned, table),
        KEY: identity.as_json(),
        "signal_hash": scanned.signal_hash,
    }
    at_sites["neighbour_correlation"] = judged.neighbour_correlation
    return combine(table, fault_reasons(judged.faults, table.chan_map), decisions, at_sites, header)


def combine(
    channels: ChannelTable,
    automatic: Sequence[str],
    manual: Sequence[Decision],
    numbers: Mapping[str, npt.NDArray[np.float64]],
    header: Mapping[str, Any],
) -> MaskTable:
    """Return the mask that follows from the automatic reasons and the manual decisions.

    Parameters
    ----------
    channels : ChannelTable
        Of the recording.
    automatic : sequence of str
        One reason per electrode channel to drop it; '' to keep it.
    manual : sequence of Decision
        They win over the automatic reasons, and later ones over earlier ones.
    numbers, header : mapping
        Kept in the mask.
    """
    keep = np.array([not reason for reason in automatic], dtype=bool)
    reasons = list(automatic)
    origins = [AUTOMATIC if reason else "" for reason in automatic]
    for decision in manual:
        for position in decision.positions:
            keep[position] = decision.keep
            origins[position] = MANUAL
            reasons[position] = _manual_reason(decision, automatic[position])
    electrodes = channels.electrode_channels
    return MaskTable(
        channel=electrodes,
        site_row=channels.site_row[electrodes],
        site_column=channels.site_column[electrodes],
        keep=keep,
        reasons=tuple(reasons),
        origins=tuple(origins),
        numbers=dict(numbers),
        header=dict(header),
    )


def _manual_reason(decision: Decision, automatic: str) -> str:
    if decision.keep and automatic:
        return "; ".join(filter(None, (decision.reason, f"kept against: {automatic}")))
    return decision.reason


def _line_frequency(scanned: Scan) -> int | None:
    found: int | None = scanned.acquisition.overrides.get("line_frequency")
    return found


def _at_sites(scanned: Scan, table: ChannelTable) -> dict[str, Floats]:
    """Return the numbers of the electrode channels, by the names that mask.tsv has."""
    electrodes = table.electrode_channels
    numbers = {name: values[electrodes] for name, values in scanned.numbers.items()}
    numbers["nonfinite_fraction"] = numbers.pop("n_nonfinite") / max(scanned.n_samples, 1)
    return numbers


def _site_numbers(
    at_sites: Mapping[str, Floats],
    scanned: Scan,
    table: ChannelTable,
    correlation: npt.NDArray[np.float32],
    n_changes: int,
) -> SiteNumbers:
    line_frequency, electrodes = _line_frequency(scanned), table.electrode_channels
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
        correlation=correlation[np.ix_(electrodes, electrodes)].astype(np.float64),
        n_changes=n_changes,
        converter_step=abs(scanned.acquisition.slope) if scanned.counts_levels else np.nan,
    )


def _summarise_diagnostics(scanned: Scan, table: ChannelTable) -> list[dict[str, Any]]:
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
                "units": scanned.acquisition.units,
            }
        )
    return summaries
