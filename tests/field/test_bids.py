"""A BIDS-iEEG folder passes the official validator, and says what the results say."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from field_packages import need

need("pynwb", "bids_validator_deno")

from test_nwb import METADATA, exported, say_start  # noqa: E402

from ecogpipe import open_recording  # noqa: E402
from ecogpipe.errors import OutputError, SettingsError  # noqa: E402
from ecogpipe.exchange.bids import bids_names  # noqa: E402
from ecogpipe.steps.export_bids import export_bids  # noqa: E402
from finished_study import Faults, finished_recording, interrupted_recording  # noqa: E402

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
OF_ALL = {"s1/2018-01-01_a": METADATA}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    results = tmp_path_factory.mktemp("results") / "s1" / "2018-01-01_a"
    one = say_start(finished_recording(results / "test_001", seconds=8, faults=Faults(dead_sites=((1, 2),))))
    two = interrupted_recording(results / "test_002")
    for done in (one, two):
        exported(done, f"{done.folder.name}.nwb")
    return {f"s1/2018-01-01_a/{done.folder.name}": done.folder for done in (one, two)}


@pytest.fixture(scope="module")
def dataset(folders, tmp_path_factory):
    target = tmp_path_factory.mktemp("bids") / "dataset"
    return export_bids(folders, target, mirrors=["Fs200"], metadata=OF_ALL, task="rest", name="Test")


def rows_of(dataset, ending):
    [path] = dataset.rglob(f"*test001_{ending}")
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_official_validator_finds_no_error(dataset):
    run = subprocess.run([VALIDATOR, "--json", str(dataset)], stdout=subprocess.PIPE, text=True)
    found = json.loads(run.stdout)
    assert [issue for issue in found["issues"]["issues"] if issue["severity"] == "error"] == []
    assert run.returncode == 0


def test_tables_say_what_the_results_say(dataset, folders):
    mirror = open_recording(folders["s1/2018-01-01_a/test_001"] / "test_001_Fs200.h5")
    channels, events, electrodes = (rows_of(dataset, name) for name in ("channels.tsv", "events.tsv", "electrodes.tsv"))
    assert [row["name"] for row in channels] == [row["name"] for row in electrodes] == mirror.site_names
    assert np.array_equal([row["status"] == "good" for row in channels], mirror.channel_mask)
    assert [row["name"] for row in channels if row["status"] == "bad"] == ["1,2"]
    assert (channels[0]["low_cutoff"], channels[0]["high_cutoff"], channels[0]["notch"]) == ("80", "2", "60")
    assert [int(row["sample"]) for row in events] == mirror.pos_edge.tolist()
    assert np.allclose([float(row["onset"]) for row in events], mirror.pos_edge_time)
    at = {row["name"]: (float(row["x"]), float(row["y"])) for row in electrodes}
    assert at["2,5"] == pytest.approx((5 * 0.4, 2 * 0.4))
    [path] = dataset.rglob("*test001_ieeg.json")
    said = json.loads(path.read_text())
    assert (said["SamplingFrequency"], said["RecordingType"], said["ECOGChannelCount"]) == (200.0, "continuous", 64)
    [path] = dataset.rglob("*test002_ieeg.json")
    assert json.loads(path.read_text())["RecordingType"] == "discontinuous"
    [nwb] = dataset.rglob("*test001_ieeg.nwb")
    assert np.array_equal(open_recording(nwb).data[:], mirror.data[:])


def test_names_that_become_the_same_are_refused():
    assert bids_names(["s1/a/test_001", "s1/a/test_002"], "rest")["s1/a/test_002"].recording == "test002"
    for other in ("s1/a/test001", "s1/a_/x", "s-1/b/y"):
        with pytest.raises(SettingsError, match="are both called"):
            bids_names(["s1/a/test_001", other], "rest")
    with pytest.raises(SettingsError, match="no letter or digit"):
        bids_names(["s1/__/x"], "rest")


def test_a_folder_that_holds_something_and_files_that_are_missing_are_refused(dataset, folders, tmp_path):
    with pytest.raises(OutputError, match="holds something already"):
        export_bids(folders, dataset, mirrors=["Fs200"], metadata=OF_ALL, task="rest", name="Test")
    copied = shutil.copytree(folders["s1/2018-01-01_a/test_001"], tmp_path / "test_001")
    (copied / "test_001.nwb").unlink()
    with pytest.raises(SettingsError, match="run `ecogpipe nwb` first"):
        export_bids(
            {"s1/2018-01-01_a/test_001": copied},
            tmp_path / "x",
            mirrors=["Fs200"],
            metadata=OF_ALL,
            task="rest",
            name="T",
        )
    assert not (tmp_path / "x").exists()
