"""Recordings with a known truth, brought as far as a test needs them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
from nptdms import ChannelObject, GroupObject, TdmsWriter

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.qc import qc
from ecogpipe.steps.scan import scan
from ecogpipe.storage import canonical
from ecogpipe.synthetic import Faults, SyntheticRecording
from shipped import AUTOMATIC

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
BNC = (BncLine(10, "ttl_high"), BncLine(11, "analog"))
MIRROR = {"rate": 200, "bandpass": [2, 80], "order": 3, "notches": [60], "notch_width": 2.0, "reference": "none"}


def write_raw(path, samples, *, n_rows, n_bncs, rate=1000, time_first=False, n_parts=1, segments=None, **acquisition):
    """Write (channels, time) samples as a canonical recording: copied, or linked in parts where time comes first."""
    n_columns = len(samples) // n_rows - n_bncs
    description = canonical.Acquisition(Fraction(rate), n_rows, n_columns, n_bncs, **{"units": "V"} | acquisition)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        canonical.write_acquisition(file, description)
        if time_first:
            parts = [canonical.Part(path.with_name(f"part{number}.mat"), "data", True) for number in range(n_parts)]
            for part, piece in zip(parts, np.array_split(samples, n_parts, axis=1), strict=True):
                with h5py.File(part.path, "w") as linked:
                    linked["data"] = np.ascontiguousarray(piece.T)
            canonical.link_parts(file, parts, path.parent)
        else:
            file["data"] = samples
            file.attrs["orientation"] = canonical.CHANNELS_BY_TIME
        canonical.write_segments(file, segments or [canonical.Segment(0, samples.shape[1], "", path.name)])
    return path


@dataclass(frozen=True)
class Finished:
    """The folder of a recording, and its truth."""

    folder: Path
    truth: SyntheticRecording

    def __getattr__(self, name):
        return (
            self.folder
            / {
                "raw": "raw.h5",
                "scan": "scan.h5",
                "channels": "channels.tsv",
                "mask": "mask.tsv",
                "events": "events.tsv",
                "mirror": f"{self.folder.name}_Fs200.h5",
                "page": f"{self.folder.name}_Fs200_qc.html",
            }[name]
        )


def mapped_recording(
    folder, *, seconds=10, rate=1000, seed=0, faults=None, bnc=BNC, notes=(), declared=None, overrides=None
):
    """Make raw.h5, scan.h5 and channels.tsv."""
    truth = SyntheticRecording(*SET_UP, rate=rate, seconds=seconds, seed=seed, faults=faults or Faults(), n_bncs=2)
    done = Finished(folder, truth)
    samples = truth.block(0, truth.n_samples)
    write_raw(
        done.raw,
        samples,
        n_rows=truth.n_rows,
        n_bncs=truth.n_bncs,
        rate=rate,
        notes=list(notes),
        overrides=overrides or {},
    )
    return _mapped(done, bnc, declared or {})


def _mapped(done, bnc, declared):
    scan(done.raw, done.scan)
    daq, headstage, electrode = SET_UP
    map_channels(done.raw, done.channels, daq=daq, headstage=headstage, electrode=electrode, bnc=bnc, declared=declared)
    return done


def finished_recording(folder, *, mirror=MIRROR, **settings):
    """Make everything up to the mirror."""
    return _finished(mapped_recording(folder, **settings), mirror)


def ingested_recording(folder, *, seed=0, seconds=4):
    """Make everything up to the mirror, of a TDMS file beside the folder."""
    done = Finished(folder, SyntheticRecording(*SET_UP, seconds=seconds, seed=seed, n_bncs=2))
    folder.mkdir(parents=True)
    ingest(done.truth.write_tdms([folder.with_suffix(".tdms")]), done.raw)
    return _finished(_mapped(done, BNC, {}), MIRROR)


def interrupted_recording(folder):
    """Make everything up to the mirror, of TDMS files of 7, 4 and 5 s.

    The second begins 10 s after the end of the first, the third half a second before the end of the second, and its
    last second is cut off.
    """
    truth = SyntheticRecording(*SET_UP, seconds=16)
    folder.mkdir(parents=True)
    starts = {0: 0.0, 7000: 17.0, 11000: 20.5}
    files = [folder / f"p{number}.tdms" for number in range(3)]
    for path, (first, start), stop in zip(files, starts.items(), (7000, 11000, 16000), strict=True):
        _write_tdms(path, truth, first, stop, start)
    files[2].write_bytes(files[2].read_bytes()[: -8 * 1500])
    done = Finished(folder, truth)
    ingest(files, done.raw, declared={"gaps": "allow"})
    return _finished(_mapped(done, BNC, {}), MIRROR)


def _write_tdms(path, truth, first, stop, start):
    """Write frames [first, stop), a second at a time, which begin `start` seconds after midnight."""
    properties = {"SamplingRate": truth.rate * truth.n_rows, "nrRows": truth.n_rows, "nrColumns": truth.n_columns}
    moment = np.datetime64("2020-01-01T00:00:00.000000") + np.timedelta64(round(start * 1e6), "us")
    with TdmsWriter(str(path)) as writer:
        writer.write_segment([GroupObject("g", properties | {"nrBNCs": truth.n_bncs, "OverSampling": 1})])
        for second in range(first, stop, 1000):
            writer.write_segment(
                ChannelObject(
                    "g",
                    f"{channel // truth.n_rows}_{channel % truth.n_rows}",
                    volts,
                    {"NI_ArrayColumn": channel, "wf_start_time": moment} if second == first else None,
                )
                for channel, volts in enumerate(truth.block(second, second + 1000))
            )


def _finished(done, mirror):
    name = done.folder.name
    mask_channels(done.scan, done.channels, done.mask, recording=name, manual=None, automatic=AUTOMATIC)
    extract_events(done.scan, done.channels, done.events, minimum_step=1.0)
    mirror_recording(done.raw, done.channels, done.mask, done.mirror, name="Fs200", settings=mirror)
    return done


def write_page(done, recording="s1/a/test_001"):
    """Make the quality page of a finished recording."""
    inputs = done.raw, done.channels, done.mask, done.scan, done.events, done.mirror
    return qc(*inputs, done.page, recording=recording)
