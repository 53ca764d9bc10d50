"""A recording, or a mirror of one, as MNE has raw objects."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import mne
import numpy as np
import numpy.typing as npt
from mne.io import BaseRaw

from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.loader.dataset import Dataset
from ecogpipe.storage.canonical import MICROVOLTS_PER

_MILLIMETRES = 1e-3


class RawEcogpipe(BaseRaw):
    """Electrode channels in volts, read when they are asked for; `Dataset.to_mne` makes one.

    Parameters
    ----------
    dataset
        An open recording; its active channels are taken.
    bnc
        Whether the first row copy of each BNC line is a channel of the type ``misc``.
    """

    def __init__(self, dataset: Dataset, *, bnc: bool = True) -> None:
        lines = {column: dataset.bnc_columns.index(column) for column in dict.fromkeys(dataset.bnc_columns) if bnc}
        names = [*dataset.site_names, *(f"BNC {column}" for column in lines)]
        info = mne.create_info(names, float(dataset.rate), ["ecog"] * len(dataset.data) + ["misc"] * len(lines))
        info["bads"] = [name for name, kept in zip(names, dataset.active_mask, strict=False) if not kept]
        if dataset.start_time:
            info.set_meas_date(datetime.fromisoformat(dataset.start_time).astimezone(UTC))
        super().__init__(
            info,
            preload=False,
            last_samps=[dataset.data.n_samples - 1],
            filenames=[dataset.path],
            raw_extras=[{"sources": _Sources(dataset.data, dataset.bnc, list(lines.values()))}],
            orig_format="single",
            verbose=False,
        )
        if dataset.chan_map.pitch is not None:
            self.set_montage(_montage(dataset), verbose=False)
        self.set_annotations(_annotations(dataset), verbose=False)

    def _read_segment_file(
        self,
        data: npt.NDArray[np.float64],
        idx: slice | npt.NDArray[np.intp],
        fi: int,
        start: int,
        stop: int,
        cals: npt.NDArray[np.float64],
        mult: npt.NDArray[np.float64] | None,
    ) -> None:
        """Fill `data` with samples [start, stop) of the channels `idx`; MNE calls it, `stop` included."""
        sources: _Sources = self._raw_extras[fi]["sources"]
        everything = np.arange(len(sources))
        if mult is None:
            data[:] = sources.volts(everything[idx], start, stop)
        else:
            data[:] = mult @ sources.volts(everything, start, stop)[idx]


@dataclass(frozen=True)
class _Sources:
    """What the channels are read from: electrodes in microvolts, and some rows of the BNC lines in volts."""

    electrodes: ElectrodeDataSource
    lines: ElectrodeDataSource
    line_rows: list[int]

    def __len__(self) -> int:
        return len(self.electrodes) + len(self.line_rows)

    def volts(self, channels: npt.NDArray[np.intp], start: int, stop: int) -> npt.NDArray[np.float64]:
        """Read samples [start, stop) of some channels, electrodes first."""
        volts = np.empty((len(channels), stop - start))
        are_electrodes = channels < len(self.electrodes)
        if are_electrodes.any():
            microvolts = self.electrodes[channels[are_electrodes].tolist(), start:stop]
            volts[are_electrodes] = microvolts.astype(np.float64) / MICROVOLTS_PER["V"]
        if not are_electrodes.all():
            rows = [self.line_rows[channel] for channel in channels[~are_electrodes] - len(self.electrodes)]
            volts[~are_electrodes] = self.lines[rows, start:stop]
        return volts


def _montage(dataset: Dataset) -> Any:
    """Return the sites as positions in metres on a plane: x along the columns, y along the rows."""
    assert dataset.chan_map.pitch is not None
    (dy, dx), (rows, columns) = dataset.chan_map.pitch, dataset.chan_map.to_mat()
    places = np.stack([columns * dx, rows * dy, np.zeros(len(rows))], axis=1) * _MILLIMETRES
    return mne.channels.make_dig_montage(dict(zip(dataset.site_names, places, strict=True)), coord_frame="head")


def _annotations(dataset: Dataset) -> Any:
    """Return each rising edge of the trigger at its sample, and a boundary where samples follow a gap."""
    onsets = (dataset.pos_edge / dataset.Fs).tolist() if dataset.trigger is not None else []
    words = [f"BNC {dataset.trigger}"] * len(onsets)
    for stretch in dataset.stretches[1:]:
        onsets += [stretch.first / dataset.Fs] * 2
        words += ["BAD boundary", "EDGE boundary"]
    return mne.Annotations(onsets, 0.0, words, orig_time=None)
