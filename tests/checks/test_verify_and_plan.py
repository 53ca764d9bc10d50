"""A finished study is what it claims, also after a move; tampering is found; the forecasts were right."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from nptdms import ChannelObject, GroupObject, TdmsWriter

from ecogpipe.checks.plan import plan_recording
from ecogpipe.checks.verify import Finding, verify_recording, verify_report
from ecogpipe.cli import main
from ecogpipe.cli.commands import read_study
from ecogpipe.results.names import STEPS
from ecogpipe.runtime.costs import MB, report_bytes, run_config_bytes
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.qc import qc
from ecogpipe.steps.report import report
from ecogpipe.steps.scan import scan
from ecogpipe.storage.canonical import gap_free_ranges, read_acquisition, read_segments
from ecogpipe.study.originals import find_missing
from ecogpipe.study.recordings import Recording
from ecogpipe.synthetic import SyntheticRecording
from shipped import AUTOMATIC

LINKED, COPIED = ("demo/2018-01-01_active/test_001", "demo/2018-01-01_active/test_002")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("verify") / "study"
    command = [sys.executable, "-m", "ecogpipe.cli", "demo", str(study), "--cores", "2", "--seconds", "3"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return study


@pytest.fixture
def study(demo: Path, tmp_path: Path) -> Path:
    """A copy of the study in another place, to tamper with."""
    return Path(shutil.copytree(demo, tmp_path / "moved"))


def faults(study: Path, name: str) -> list[str]:
    found = [*verify_recording(study / "results" / name, ["Fs1000"]), *verify_report(study / "results" / "report.html")]
    return [f"{finding.path.name}: {finding.text}" for finding in found if finding.is_fault]


def flip_a_byte(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def place_of_samples(path: Path) -> int:
    """A byte in the middle of /data."""
    with h5py.File(path) as file:
        data = file["data"]
        if data.chunks:
            chunk = data.id.get_chunk_info(0)
            return int(chunk.byte_offset + chunk.size // 2)
        return int(data.id.get_offset() + data.id.get_storage_size() // 2)


class TestVerify:
    def test_a_study_that_has_moved_is_what_it_claims(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(study)]) == 0
        screen = capsys.readouterr().out
        same = "the same samples as test_002_part1.tdms and test_002_part2.tdms: 96 channels x 15000 samples"
        assert same in screen
        assert "links to test_001.mat, which must stay" in screen
        assert screen.splitlines()[-1] == "2 recordings checked, no differences found."

    def test_nothing_in_the_results_names_the_study_folder(self, demo: Path) -> None:
        files = [path for path in (demo / "results").rglob("*") if path.is_file()]
        assert len(files) > 14
        assert [path for path in files if str(demo).encode() in path.read_bytes()] == []

    def test_raw_data_behind_a_symbolic_link_moves_as_well(self, study: Path) -> None:
        (study / "raw").rename(study.parent / "elsewhere")
        (study / "raw").symlink_to(study.parent / "elsewhere")
        assert faults(study, COPIED) == []

    def test_a_byte_of_raw_h5(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        raw = study / "results" / COPIED / "raw.h5"
        flip_a_byte(raw, place_of_samples(raw))
        assert main(["verify", str(study)]) == 1
        screen = capsys.readouterr().out
        assert "raw.h5: does not hold the samples of test_002_part1.tdms and test_002_part2.tdms: channel " in screen
        assert "raw.h5: its samples are not those that were scanned" in screen

    def test_a_byte_of_an_original(self, study: Path) -> None:
        original = study / "raw" / "test_002_part2.tdms"
        flip_a_byte(original, original.stat().st_size - 100)
        assert any("does not hold the samples of test_002_part1.tdms" in fault for fault in faults(study, COPIED))

    def test_a_byte_of_a_linked_original(self, study: Path) -> None:
        with h5py.File(study / "raw" / "test_001.mat", "r+") as file:
            file["data"][7, 3] += 1e-6
        assert any("its samples are not those that were scanned" in fault for fault in faults(study, LINKED))

    def test_a_byte_of_a_mirror(self, study: Path) -> None:
        mirror = study / "results" / COPIED / "test_002_Fs1000.h5"
        with h5py.File(mirror, "r+") as file:
            file["data"][5, 100] += 1
            file["data"][48, 7] = np.nan
        found = "test_002_Fs1000.h5: its samples are not those that were written: another hash of rows 5, 48"
        assert found in faults(study, COPIED)

    def test_the_hash_of_a_mirror(self, study: Path) -> None:
        mirror = study / "results" / COPIED / "test_002_Fs1000.h5"
        with h5py.File(mirror, "r+") as file:
            file["row_sha256"][3] = "0" * 64
        assert "test_002_Fs1000.h5: its hashes of rows are not those that were written" in faults(study, COPIED)

    def test_a_number_of_a_scan(self, study: Path) -> None:
        with h5py.File(study / "results" / COPIED / "scan.h5", "r+") as file:
            file["channels/std"][5] *= 2
        assert "scan.h5: channels/std is not what a scan of raw.h5 gives" in faults(study, COPIED)

    def test_a_mask_edited_by_hand(self, study: Path) -> None:
        mask = study / "results" / COPIED / "mask.tsv"
        mask.write_text(mask.read_text().replace("\t1\t", "\t0\t", 1))
        found = faults(study, COPIED)
        assert "test_002_Fs1000_qc.html: was made from another mask.tsv than the one that is there" in found

    def test_an_older_mask_in_a_mirror_whose_signals_do_not_depend_on_it(self, study: Path) -> None:
        mask = study / "results" / COPIED / "mask.tsv"
        mask.write_text(mask.read_text().replace("\t1\t", "\t0\t", 1))
        findings = list(verify_recording(mask.parent, ["Fs1000"]))
        of_mirror = [finding for finding in findings if finding.path.name == "test_002_Fs1000.h5"]
        assert [finding.is_fault for finding in of_mirror] == [False]
        assert "was made with an earlier mask.tsv" in of_mirror[0].text

    def test_a_missing_original(self, study: Path) -> None:
        (study / "raw" / "test_002_part2.tdms").unlink()
        found = "raw.h5: was made from ../../../../raw/test_002_part2.tdms, which is missing; put it back"
        assert found in faults(study, COPIED)

    def test_missing_and_damaged_outputs(self, study: Path) -> None:
        folder = study / "results" / COPIED
        (folder / "events.tsv").unlink()
        page = folder / "test_002_Fs1000_qc.html"
        page.write_bytes(page.read_bytes()[:1000])
        found = faults(study, COPIED)
        assert "events.tsv: is missing; run the workflow" in found
        assert any(fault.startswith("test_002_Fs1000_qc.html: cannot be read") for fault in found)

    def test_a_folder_that_is_no_study(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(tmp_path)]) == 1
        assert f"so {tmp_path} is not a study; name the study folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a recording in two parts, an hour apart, of which the second one is truncated."""
    folder = tmp_path_factory.mktemp("interrupted") / "rec"
    files = [folder.parent / f"part{number}.tdms" for number in range(2)]
    samples = np.random.default_rng(0).standard_normal((2, 8, 3000))
    properties = {"SamplingRate": 4000.0, "nrRows": 4, "nrColumns": 2, "nrBNCs": 0, "OverSampling": 1}
    for hour, (file, rows) in enumerate(zip(files, samples, strict=True)):
        started = {"wf_start_time": np.datetime64(f"2020-01-01T0{hour}:00:00.000000")}
        with TdmsWriter(str(file)) as writer:
            for second in range(3):
                some = rows[:, second * 1000 : (second + 1) * 1000]
                writer.write_segment(
                    [
                        GroupObject("g", properties),
                        *(ChannelObject("g", f"{n}", row, started) for n, row in enumerate(some)),
                    ]
                )
    with files[1].open("r+b") as last:
        last.truncate(files[1].stat().st_size - 20_000)
    raw, scanned, channels, mask = (folder / name for name in ("raw.h5", "scan.h5", "channels.tsv", "mask.tsv"))
    ingest(files, raw, declared={"gaps": "allow", "units": "V"}, clock_tolerance_ppm=100)
    scan(raw, scanned)
    map_channels(raw, channels, daq="passthru", headstage="", electrode="", declared={"gain": 10.0})
    mask_channels(scanned, channels, mask, recording="rec", manual=None, automatic=AUTOMATIC)
    extract_events(scanned, channels, folder / "events.tsv", minimum_step=0.5)
    settings = {"ratio": 3, "bandpass": [2, 100]}
    mirror = mirror_recording(raw, channels, mask, folder / "rec_low.h5", name="low", settings=settings)
    qc(raw, channels, mask, scanned, folder / "events.tsv", mirror, folder / "rec_low_qc.html", recording="rec")
    return folder


class TestGaps:
    def found(self, folder: Path) -> list[str]:
        findings = verify_recording(folder, ["low"])
        made = [finding for finding in findings if finding.path.exists()]
        return [f"{finding.path.name}: {finding.text}" for finding in made if finding.is_fault]

    @pytest.fixture
    def moved(self, interrupted: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(interrupted.parent, tmp_path / "moved")) / interrupted.name

    def test_a_recording_with_a_gap_and_a_truncated_part_is_what_it_claims(self, moved: Path) -> None:
        with h5py.File(moved / "raw.h5") as file:
            assert len(gap_free_ranges(read_segments(file))) == 2
            assert len(read_acquisition(file).cropped) == 1
        assert self.found(moved) == []

    @pytest.mark.parametrize(
        ("name", "found"),
        [("raw.h5", "its /segments and the gaps between them are not those of"), ("rec_low.h5", "its /segments are")],
    )
    def test_a_gap_that_was_removed(self, moved: Path, name: str, found: str) -> None:
        with h5py.File(moved / name, "r+") as file:
            segments = file["segments"][()]
            segments["after_gap"][1] = False
            file["segments"][...] = segments
        assert any(fault.startswith(f"{name}: {found}") for fault in self.found(moved))


SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")


MULTIPLEXED: dict[str, tuple[Any, dict[str, Any]]] = {
    "v7.3, layout B": (partial(SyntheticRecording.write_mat73, layout="B"), {}),
    "v7.3, layout C": (partial(SyntheticRecording.write_mat73, layout="C"), {"skip_seconds": 0}),
    "HDF5, layout B": (partial(SyntheticRecording.write_hdf5, layout="B"), {}),
    "v5, layout C": (partial(SyntheticRecording.write_mat5, layout="C"), {"skip_seconds": 0}),
}


@pytest.mark.parametrize("stored", MULTIPLEXED)
class TestMultiplexed:
    """Matlab and HDF5 files that are still multiplexed: raw.h5 holds a copy of them, as of TDMS."""

    @pytest.fixture
    def recording(self, stored: str, tmp_path: Path) -> Recording:
        write, declared = MULTIPLEXED[stored]
        file = write(SyntheticRecording(*SET_UP, seconds=4), tmp_path / "rec.mat")
        return Recording("s", "day", "rec", (file,), *SET_UP, (), declared)

    def test_the_copy_holds_the_same_samples_and_the_original_may_go(
        self, tmp_path: Path, recording: Recording
    ) -> None:
        folder = tmp_path / "results" / recording.full_name
        raw = ingest(recording.files, folder / "raw.h5", declared=recording.overrides)

        def found() -> list[Finding]:
            return [finding for finding in verify_recording(folder, []) if finding.path == raw]

        (finding,) = found()
        assert (finding.text, finding.is_fault) == ("the same samples as rec.mat: 96 channels x 4000 samples", False)
        flip_a_byte(raw, place_of_samples(raw))
        assert any("does not hold the samples of rec.mat: channel" in finding.text for finding in found())
        recording.files[0].unlink()
        assert find_missing([recording], tmp_path / "results", "recordings.tsv") == {}

    def test_the_plan_counts_the_copy(self, tmp_path: Path, recording: Recording, stored: str) -> None:
        mirrors = {"low": {"rate": 500, "bandpass": [2, 100]}}
        for compression in ("none", "gzip"):
            if compression == "gzip" and stored.startswith("v5"):
                continue  # is said not to be looked at
            config = {"storage": {"compression": compression}, "mirrors": mirrors}
            plan = plan_recording(recording, config)
            raw = ingest(recording.files, tmp_path / "raw.h5", declared=recording.overrides, compression=compression)
            assert plan.outputs["raw.h5"] == pytest.approx(raw.stat().st_size, rel=0.05)
            assert plan.bytes_in == recording.files[0].stat().st_size
        loaded = recording.files[0].stat().st_size if stored.startswith("v5") else 0
        assert plan.memory["ingest"] > 70 * MB + 2 * loaded


def peaks(study: Path) -> Iterator[tuple[str, float, float]]:
    """Log, measured peak and memory asked for of every job, in MB."""
    for log in sorted((study / "logs").rglob("*.log")):
        for found, asked in re.findall(r"peak memory (\d+) MB of (\d+) MB", log.read_text()):
            yield str(log.relative_to(study)), float(found), float(asked)


class TestPlan:
    def test_disk_is_within_5_percent(self, demo: Path) -> None:
        study = read_study(demo)
        for recording in study.recordings:
            plan = plan_recording(recording, study.config)
            folder = study.results / recording.full_name
            assert set(plan.outputs) == {path.name for path in folder.iterdir()}
            assert plan.bytes_out == pytest.approx(sum(path.stat().st_size for path in folder.iterdir()), rel=0.05)
            assert plan.missing_bytes(folder) == 0
        for name, size in (("report.html", report_bytes(2, 1)), ("run_config.yaml", run_config_bytes(2))):
            assert size == pytest.approx((study.results / name).stat().st_size, rel=0.2)

    @pytest.mark.parametrize("n_recordings", [1, 40])
    def test_the_report_of_a_small_and_a_large_study(self, demo: Path, tmp_path: Path, n_recordings: int) -> None:
        folder = demo / "results" / LINKED
        folders = {f"s{number}/day/{folder.name}": folder for number in range(n_recordings)}
        page = report(folders, tmp_path / "report.html", mirrors=["Fs1000"], title="")
        assert report_bytes(n_recordings, 1) == pytest.approx(page.stat().st_size, rel=0.2)

    def test_every_job_gets_what_it_takes_and_not_twice_as_much(self, demo: Path) -> None:
        measured = list(peaks(demo))
        assert len(measured) == 2 * len(STEPS) + 2
        assert [job for job in measured if not job[1] <= job[2] <= 2 * job[1]] == []

    def test_the_memory_of_a_recording_is_that_of_its_largest_job(self, demo: Path) -> None:
        study = read_study(demo)
        for recording in study.recordings:
            plan = plan_recording(recording, study.config)
            peak = max(found for log, found, _ in peaks(demo) if recording.full_name in log)
            assert peak <= plan.peak_memory / 1e6 <= 2 * peak

    def test_it_prints_the_study_and_writes_nothing(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = sorted(study.rglob("*"))
        assert main(["plan", str(study), "--cores", "2"]) == 0
        assert sorted(study.rglob("*")) == before
        screen = capsys.readouterr().out
        for start in ("recording ", LINKED, COPIED, "in all, on 2 cores", "memory: "):
            assert re.search(f"^{re.escape(start)}", screen, re.MULTILINE)

    def test_it_refuses_what_does_not_fit_on_the_disk(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with h5py.File(study / "raw" / "test_001.mat", "r+") as file:
            del file["data"]
            file.create_dataset("data", (10**12, 96), "f8", chunks=(2048, 96), compression="gzip")
        shutil.rmtree(study / "results" / LINKED)
        assert main(["plan", str(study)]) == 1
        assert "MB free, but results need" in capsys.readouterr().err

    def test_it_names_a_recording_that_cannot_be_made(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = study / "config" / "config.yaml"
        settings = yaml.safe_load(config.read_text())
        settings["mirrors"]["Fs1000"]["rate"] = 999
        config.write_text(yaml.safe_dump(settings))
        assert main(["plan", str(study)]) == 1
        assert f"{LINKED} cannot be made: 999 Hz cannot be reached from 5000 Hz" in capsys.readouterr().err
