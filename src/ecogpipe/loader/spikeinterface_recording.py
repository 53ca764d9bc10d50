"""A recording, or a mirror of one, as SpikeInterface has recordings."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording, BaseRecordingSegment

from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.loader.dataset import Dataset, Stretch
from ecogpipe.loader.opening import open_recording


class EcogpipeRecording(BaseRecording):
    """Electrode channels in microvolts, read when they are asked for; `Dataset.to_spikeinterface` makes one.

    Parameters
    ----------
    file_path
        A file that `open_recording` opens.
    series
        Of an NWB file: the series to open.
    channels
        Positions of the channels among the electrode channels; None for all.
    """

    def __init__(self, file_path: str, series: str | None = None, channels: Sequence[int] | None = None) -> None:
        dataset = open_recording(file_path, series)
        if channels is not None:
            chosen = np.zeros(len(dataset.channel_mask), dtype=bool)
            chosen[list(channels)] = True
            dataset.set_channel_mask(chosen)
        super().__init__(float(dataset.rate), dataset.site_names, dataset.data.dtype)
        for stretch in dataset.stretches:
            self.add_recording_segment(_Segment(dataset.data, stretch, float(dataset.rate)))
        self._describe(dataset)
        self._kwargs = {"file_path": file_path, "series": series, "channels": channels and list(channels)}

    def _describe(self, dataset: Dataset) -> None:
        self.set_channel_gains(1.0)
        self.set_channel_offsets(0.0)
        if dataset.chan_map.pitch is not None:
            self.set_probe(dataset.chan_map.to_probe(), in_place=True)
        self.set_property("is_bad", ~dataset.active_mask)
        self.set_property("bad_reason", np.array(dataset.active_reasons, dtype=str))
        if dataset.active_delays is not None:
            self.set_property("inter_sample_shift", dataset.active_delays * float(dataset.rate))


class _Segment(BaseRecordingSegment):
    """A stretch without a gap."""

    def __init__(self, data: ElectrodeDataSource, stretch: Stretch, rate: float) -> None:
        super().__init__(sampling_frequency=rate, t_start=stretch.seconds)
        self._data, self._stretch = data, stretch

    def get_num_samples(self) -> int:
        return self._stretch.stop - self._stretch.first

    def get_traces(
        self,
        start_frame: int | None = None,
        end_frame: int | None = None,
        channel_indices: Sequence[int] | npt.NDArray[np.intp] | slice | None = None,
    ) -> npt.NDArray[np.floating]:
        first = self._stretch.first
        start = first + (start_frame or 0)
        stop = self._stretch.stop if end_frame is None else first + end_frame
        rows = slice(None) if channel_indices is None else channel_indices
        wanted = rows if isinstance(rows, slice) else np.asarray(rows).tolist()
        traces: npt.NDArray[np.floating] = self._data[wanted, start:stop].T
        return traces
