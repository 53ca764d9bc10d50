"""What the screen says in passing: versions, pipes that close, Ctrl-C, runs at work, objects at the prompt."""

import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ecogpipe import open_recording
from ecogpipe.cli import main
from ecogpipe.study.lock import find_run, hold_study
from finished_study import Faults, finished_recording
from test_workflow import row, write_study, write_tdms

CLI = [sys.executable, "-m", "ecogpipe.cli"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ecogpipe {version('ecogpipe')}\n"


def test_a_pipe_that_closes_is_not_complained_about(tmp_path: Path) -> None:
    study = write_study(tmp_path, *(row("a", f"r{number}", "raw/a.tdms") for number in range(3)))
    write_tdms(study, "a.tdms")
    command = " ".join([*CLI, "plan", str(study), "|", "true"])
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stderr == ""


def test_ctrl_c_ends_with_one_sentence(tmp_path: Path) -> None:
    program = "import ecogpipe.cli.plan as plan, time, sys\n"
    program += "plan._plan = lambda *_: (print('begun', flush=True), time.sleep(60))\n"
    program += "from ecogpipe.cli import main\nsys.exit(main(['plan', sys.argv[1]]))"
    study = write_study(tmp_path, row("a", "r", "raw/a.tdms"))
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(study)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert (run.returncode, told) == (130, "Stopped by Ctrl-C.\n")


def test_a_run_at_work_is_found_and_told_by_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, row("a", "r", "raw/a.tdms"))
    write_tdms(study, "a.tdms")
    assert find_run(study) is None
    with hold_study(study) as held:
        assert find_run(study) == held.run
        assert main(["verify", str(study)]) == 1
        assert capsys.readouterr().out.startswith(f"A run is at work here since {held.run.since}")
    assert find_run(study) is None
    assert main(["verify", str(study)]) == 1
    assert "at work" not in capsys.readouterr().out


def test_a_recording_says_at_the_prompt_what_it_is(tmp_path: Path) -> None:
    done = finished_recording(tmp_path / "s1" / "a" / "test_001", seconds=10, faults=Faults(dead_sites=((1, 2),)))
    with open_recording(done.mirror) as recording:
        assert repr(recording) == "<Dataset 64 channels x 2000 samples, 200 Hz, 10 s, 63 of 64 good, test_001_Fs200.h5>"
        recording.set_channel_mask(recording.channel_mask)
        assert repr(recording).startswith("<Dataset 63 channels x 2000 samples, 200 Hz, 10 s, 63 of 63 good,")
