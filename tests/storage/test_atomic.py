import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from ecogpipe.errors import OutputError
from ecogpipe.results.provenance import provenance
from ecogpipe.results.revisions import REVISIONS
from ecogpipe.storage.atomic import sweep, whole_file, whole_hdf5


def test_atom1_an_output_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "out.txt"
    with whole_file(target) as part:
        part.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert [path.name for path in target.parent.iterdir()] == ["out.txt"]


def test_atom1_an_error_leaves_nothing_new_and_keeps_the_old(tmp_path):
    target = tmp_path / "out.h5"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_hdf5(target) as file:
        file["data"] = 1
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


WRITE_FOREVER = """
import sys, time
from ecogpipe.storage.atomic import whole_hdf5
with whole_hdf5(sys.argv[1]) as file:
    file["data"] = range(1000)
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_atom1_a_killed_writer_leaves_no_final_name_and_the_next_run_sweeps(tmp_path):
    target = tmp_path / "out.h5"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(target)], stdout=subprocess.PIPE)
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert not target.exists()
    assert len(list(tmp_path.glob(".out.h5.*.part"))) == 1
    with whole_hdf5(target) as file:
        file["data"] = 1
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell the state of a process")
def test_atom1_a_killed_writer_is_swept_though_nobody_has_asked_for_its_end(tmp_path):
    target = tmp_path / "out.h5"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(target)], stdout=subprocess.PIPE)
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
    os.kill(writer.pid, 0)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    writer.communicate()


def test_atom1_a_running_writer_is_not_swept(tmp_path):
    target = tmp_path / "out.h5"
    with whole_file(target) as part:
        part.write_text("mine")
        other = subprocess.run(
            [sys.executable, "-c", "import sys; from ecogpipe.storage.atomic import whole_file\n"
             "with whole_file(sys.argv[1]) as part: part.write_text('other')", str(target)], check=True,
        )  # fmt: skip
        assert other.returncode == 0
        assert part.read_text() == "mine"


def test_a_full_disk_gets_one_sentence(tmp_path):
    with (
        pytest.raises(OutputError, match="could not be written .No space left on device.; make room"),
        whole_file(tmp_path / "out"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_under_hdf5_gets_the_same_sentence(tmp_path):
    error = RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = 'No space ...')")
    with (
        pytest.raises(OutputError, match="could not be written .No space left on device.; make room"),
        whole_hdf5(tmp_path / "out"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_prov1_what_made_an_output_is_named_by_relative_paths_and_hashes(tmp_path):
    (tmp_path / "in.txt").write_text("input")
    made_of = provenance("scan", [tmp_path / "in.txt"], {"rate": 5}, tmp_path / "results")
    assert made_of["inputs"] == [
        {
            "name": "../in.txt",
            "bytes": 5,
            "sha256": "c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20",
        }
    ]
    assert (made_of["step"], made_of["revision"], made_of["settings"]) == ("scan", REVISIONS["scan"], {"rate": 5})
    assert made_of["versions"]["h5py"] == h5py.__version__
