"""The whole way from a raw file to a mirror, through the steps that the workflow calls.

python benchmarks/mirror.py RECORDING      (a recording of recording.py)
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import scipy.signal  # noqa: F401  # a mirror imports it at the moment of use; imports do not count here

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mirror import mirror_recording
from timing import in_turns

SET_UP = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
BNC_LINES = (BncLine(10, "ttl_high"), BncLine(11, "analog"))
SETTINGS = {"rate": 1000, "bandpass": [2, 200], "order": 3}


def make_mirror(
    recording: Path,
    folder: Path,
    set_up: Mapping[str, str] = SET_UP,
    bnc: Sequence[BncLine] = BNC_LINES,
    declared: Mapping[str, Any] | None = None,
) -> Path:
    """Mirror a recording at 1 kHz, the electrode rows band-passed at 2 to 200 Hz; all files go into `folder`."""
    raw = ingest([recording], folder / "raw.h5", declared=declared)
    channels = map_channels(raw, folder / "channels.tsv", **set_up, bnc=bnc, declared=declared)
    return mirror_recording(raw, channels, None, folder / "mirror.h5", name="Fs1000", settings=SETTINGS)


def main(recording: Path) -> None:
    with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
        [cost] = in_turns((make_mirror, recording, Path(folder)), rounds=1)
    print(f"{cost.seconds:.2f} s, {cost.cpu_seconds:.2f} s of CPU, {cost.peak_bytes / 1e6:.0f} MB private memory")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
