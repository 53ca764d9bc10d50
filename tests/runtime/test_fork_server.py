"""Jobs that are forked: each with its own memory and its own end, whatever the others do."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecogpipe.runtime.fork_server import ForkServer, Job

SCRIPT = """
import os
import sys
import time
from pathlib import Path

Path(folder, f"{name}.pid").write_text(str(os.getpid()))
seen = [module for module in ("numpy", "ecogpipe.steps.scan", "of_an_earlier_job") if module in sys.modules]
sys.modules["of_an_earlier_job"] = os
Path(folder, f"{name}.txt").write_text(" ".join([*seen, os.environ.get("OF_THE_JOB", "")]))
exec(does)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkServer]:
    script = tmp_path / "script.py"
    script.write_text(f"from ecogpipe.steps.scan import scan\n{SCRIPT}")
    server = ForkServer(script)
    yield server
    server.close()


def run(server: ForkServer, folder: Path, name: str, does: str = "", **environment: str) -> int:
    return server.fork().run(Job({"folder": str(folder), "name": name, "does": does}, environment))


def test_the_imports_of_the_script_are_there_and_nothing_of_an_earlier_job(server: ForkServer, tmp_path: Path) -> None:
    assert run(server, tmp_path, "first") == 0
    assert run(server, tmp_path, "second", OF_THE_JOB="yes") == 0
    assert (tmp_path / "first.txt").read_text() == "numpy ecogpipe.steps.scan "
    assert (tmp_path / "second.txt").read_text() == "numpy ecogpipe.steps.scan yes"


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("sys.exit(3)", 3),
        ("1 / 0", 1),
        ("sys.exit()", 0),
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("os._exit(7)", 7),
    ],
)
def test_a_job_ends_as_a_program_of_its_own_does(server: ForkServer, tmp_path: Path, does: str, status: int) -> None:
    assert run(server, tmp_path, "job", does) == status
    assert run(server, tmp_path, "next") == 0


def test_jobs_go_side_by_side_and_one_that_is_killed_does_not_touch_the_other(
    server: ForkServer, tmp_path: Path
) -> None:
    ended: dict[str, int] = {}
    threads = [
        threading.Thread(target=lambda name=name: ended.update({name: run(server, tmp_path, name, "time.sleep(60)")}))
        for name in ("one", "other")
    ]
    for thread in threads:
        thread.start()
    pids = {name: pid_of(tmp_path / f"{name}.pid") for name in ("one", "other")}
    os.kill(pids["one"], signal.SIGKILL)
    threads[0].join()
    assert ended == {"one": -signal.SIGKILL}
    os.kill(pids["other"], 0)
    os.kill(pids["other"], signal.SIGTERM)
    threads[1].join()
    assert ended["other"] == -signal.SIGTERM


def pid_of(file: Path) -> int:
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(file.read_text())


def test_ctrl_c_ends_the_jobs_and_not_the_server(server: ForkServer, tmp_path: Path) -> None:
    process = server.fork()
    os.kill(server.pid, signal.SIGINT)
    thread = threading.Thread(target=lambda: os.kill(pid_of(tmp_path / "job.pid"), signal.SIGINT))
    thread.start()
    assert process.run(Job({"folder": str(tmp_path), "name": "job", "does": "time.sleep(60)"}, {})) == 1
    thread.join()
    assert run(server, tmp_path, "next") == 0


def test_a_server_that_was_killed_is_an_error_at_once(server: ForkServer, tmp_path: Path) -> None:
    assert run(server, tmp_path, "job") == 0
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises((EOFError, OSError)):
        server.fork()


def test_a_script_whose_imports_fail_is_an_error_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("import there_is_no_such_module\n")
    server = ForkServer(script)
    with pytest.raises((EOFError, OSError)):
        server.fork()
    server.close()
    assert "there_is_no_such_module" in capfd.readouterr().err


def test_modules_are_not_taken_from_the_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('this is a file of the user')")
    (tmp_path / "script.py").write_text("import json\n")
    monkeypatch.chdir(tmp_path)
    server = ForkServer(tmp_path / "script.py")
    assert server.fork().run(Job({}, {})) == 0
    server.close()
