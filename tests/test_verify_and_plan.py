"""A finished study is what it claims, also after a move; tampering is found; the forecasts were right."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
import yaml

from ecogpipe.calibration import calibrate
from ecogpipe.cli import main
from ecogpipe.cli.commands import read_study
from ecogpipe.forecast import Rates, report_bytes, run_config_bytes
from ecogpipe.planning import plan_recording
from ecogpipe.steps.report import report
from ecogpipe.verification import verify_recording, verify_report

LINKED, COPIED = ("demo/2018-01-01_active/test_001", "demo/2018-01-01_active/test_002")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("verify") / "study"
    command = [sys.executable, "-m", "ecogpipe.cli", "demo", str(study), "--cores", "2", "--seconds", "3"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    calibrate(study / "results" / "calibration.json")
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
        flip_a_byte(mirror, place_of_samples(mirror))
        found = "test_002_Fs1000.h5: its samples are not those that were written: their hash is another"
        assert found in faults(study, COPIED)

    def test_a_number_of_a_scan(self, study: Path) -> None:
        with h5py.File(study / "results" / COPIED / "scan.h5", "r+") as file:
            file["channels/std"][5] *= 2
        assert "scan.h5: channels/std is not what a scan of raw.h5 gives" in faults(study, COPIED)

    def test_a_mask_edited_by_hand(self, study: Path) -> None:
        mask = study / "results" / COPIED / "mask.tsv"
        mask.write_text(mask.read_text().replace("\t1\t", "\t0\t", 1))
        found = faults(study, COPIED)
        assert "test_002_Fs1000_qc.png: was made from another mask.tsv than the one that is there" in found

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
        page = folder / "test_002_Fs1000_qc.png"
        page.write_bytes(page.read_bytes()[:1000])
        found = faults(study, COPIED)
        assert "events.tsv: is missing; run the workflow" in found
        assert any(fault.startswith("test_002_Fs1000_qc.png: cannot be read") for fault in found)

    def test_a_folder_that_is_no_study(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(tmp_path)]) == 1
        assert f"so {tmp_path} is no study; name the study folder" in capsys.readouterr().err


def peaks(study: Path) -> Iterator[tuple[str, float, float]]:
    """Log, measured peak and memory asked for of every job, in MB."""
    for log in sorted((study / "logs").rglob("*.log")):
        for found, asked in re.findall(r"peak memory (\d+) MB of (\d+) MB", log.read_text()):
            yield str(log.relative_to(study)), float(found), float(asked)


class TestPlan:
    def test_disk_is_within_5_percent(self, demo: Path) -> None:
        study = read_study(demo)
        for recording in study.recordings:
            plan = plan_recording(recording, study.config, Rates())
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
        assert len(measured) == 2 * 7 + 2
        assert [job for job in measured if not job[1] <= job[2] <= 2 * job[1]] == []

    def test_the_memory_of_a_recording_is_that_of_its_largest_job(self, demo: Path) -> None:
        study = read_study(demo)
        for recording in study.recordings:
            plan = plan_recording(recording, study.config, Rates())
            peak = max(found for log, found, _ in peaks(demo) if recording.full_name in log)
            assert peak <= plan.peak_memory / 1e6 <= 2 * peak

    def test_it_prints_the_study_and_keeps_its_measurement(
        self, study: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        calibration = study / "results" / "calibration.json"
        before = calibration.stat().st_mtime_ns
        assert main(["plan", str(study), "--cores", "2"]) == 0
        assert calibration.stat().st_mtime_ns == before
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
