"""Writing a mirror as an NWB file, plain and packed: MB/s of its samples, and the most memory.

python benchmarks/nwb.py RECORDING      (a recording of recording.py)
"""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import h5py

from ecogpipe.results.names import RecordingFiles
from ecogpipe.steps.export_nwb import COMPRESSIONS, export_nwb
from ecogpipe.steps.process_recording import process_recording
from ecogpipe.study.config import shipped_config
from mirror import BNC_LINES, SET_UP
from timing import in_turns

METADATA = {
    "subject": {"species": "Rattus norvegicus", "sex": "U", "age": "P90D"},
    "session": {"session_description": "x", "location": "x", "reference": "x", "experimenter": "Doe, Jane"},
    "study": {},
}
MIRROR = "Fs5000"


def write(results: RecordingFiles, compression: str) -> Path:
    import ecogpipe.exchange.nwb_file  # noqa: F401  # imports do not count

    inputs = results.raw, results.channels, results.mask, results.events, [results.mirror(MIRROR)]
    settings = {"recording": "s/a/r", "metadata": METADATA, "has_raw": False, "compression": compression}
    return export_nwb(*inputs, results.nwb, **settings)


def main(recording: Path) -> None:
    if not find_spec("pynwb"):
        print("pynwb is not installed (pip install -e '.[nwb]'): NWB files are left out")
        return
    with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
        config = shipped_config()
        config["mirrors"] = {MIRROR: config["mirrors"]["Fs1000"] | {"rate": 5000}}
        overrides = {"start_time": "2018-01-01T10:00:00+01:00"}
        results = process_recording(
            [recording], Path(folder) / "r", **SET_UP, settings=config, bnc=BNC_LINES, overrides=overrides
        )
        with h5py.File(results.mirror(MIRROR)) as file:
            n_bytes = 4 * file["data"].shape[1] * (len(file["electrode_channels"]) + len(file["bnc"]))
        print(f"\n(e) a mirror of {n_bytes / 1e6:.0f} MB as an NWB file (targets: 500 MB/s plain, 150 packed)")
        for compression in COMPRESSIONS:
            [cost] = in_turns((write, results, compression))
            speed = n_bytes / 1e6 / cost.seconds
            peak = cost.peak_bytes / 1e6
            print(f"    {compression:5} {cost.seconds:6.2f} s {speed:6.0f} MB/s   peak {peak:.0f} MB private")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
