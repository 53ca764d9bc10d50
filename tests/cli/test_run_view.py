"""The screen of a run: one line on a terminal, Snakemake's log in a pipe, and at last what failed or where to look."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ecogpipe.cli import main
from ecogpipe.synthetic import SyntheticRecording

SET_UP = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
RUN = [sys.executable, "-m", "ecogpipe.cli", "run", "--cores", "2", "--directory"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a study of two recordings, of which the second one cannot be read."""
    folder = tmp_path_factory.mktemp("study")
    assert main(["init", str(folder)]) == 0
    (folder / "raw").mkdir(exist_ok=True)
    SyntheticRecording(*SET_UP.values(), seconds=2, n_bncs=2).write_tdms([folder / "raw" / "good.tdms"])
    (folder / "raw" / "bad.tdms").write_bytes(b"not a recording")
    table = folder / "config" / "recordings.tsv"
    header = next(line for line in table.read_text().splitlines() if line and not line.startswith("#")).split("\t")
    rows = [
        {"subject": "s1", "session": "a", "recording": name, "files": f"raw/{name}.tdms", **SET_UP}
        for name in ("good", "bad")
    ]
    lines = ["\t".join(header), *("\t".join(row.get(name, "") for name in header) for row in rows)]
    table.write_text("\n".join(lines) + "\n")
    config = folder / "config" / "config.yaml"
    config.write_text(config.read_text().replace("rate: 1000", "ratio: 2"))
    return folder


def on_a_terminal(command: list[str], columns: int = 120, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; returns its exit status and what was written there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm", "COLUMNS": str(columns), **environment})
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    written = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        written += more
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode()


def lines_left(screen: str) -> list[str]:
    """Return the lines that stay: the last text between carriage returns."""
    kept = [re.split(r"\r+", line.rstrip("\r"))[-1].strip() for line in screen.split("\n")]
    return [line for line in kept if line]


def test_a_run_on_a_terminal_is_one_line_and_ends_with_what_failed(study: Path) -> None:
    status, screen = on_a_terminal([*RUN, str(study)])
    assert status != 0
    assert re.search(r"\d+ of \d+, \d\d:\d\d, .* to go, \w+ s1/a/good", screen)
    assert "rule ingest" not in screen
    last = lines_left(screen)[-1]
    assert last.startswith("s1/a/bad (ingest): ")
    assert "bad.tdms" in last
    assert "failed, reading s1/a/bad: " in screen
    assert any("rule ingest" in log.read_text() for log in (study / ".snakemake" / "log").glob("*.log"))
    index = (study / "results" / "report.html").read_text()
    assert re.findall(r'<tr data-state="([^"]*)">', index) == ["made", "failed"]
    assert "bad.tdms" in index


def test_a_run_that_has_made_all_says_where_the_report_is(study: Path) -> None:
    table = study / "config" / "recordings.tsv"
    before = table.read_text()
    table.write_text("".join(line for line in before.splitlines(keepends=True) if "\tbad\t" not in line))
    try:
        for made in (r"Made \d+ files", "Nothing to be done"):
            status, screen = on_a_terminal([*RUN, str(study)])
            assert status == 0
            assert re.search(made, screen)
            assert lines_left(screen)[-1] == f"Report: {study / 'results' / 'report.html'}"
    finally:
        table.write_text(before)


@pytest.mark.parametrize(
    ("more", "columns", "environment"), [(["--verbose"], 120, {}), ([], 40, {}), ([], 120, {"TERM": "dumb"})]
)
def test_snakemakes_own_log_is_shown_where_one_line_is_not_wanted_or_has_no_room(
    study: Path, more: list[str], columns: int, environment: dict[str, str]
) -> None:
    status, screen = on_a_terminal([*RUN, str(study), *more], columns, **environment)
    assert status != 0
    assert "rule ingest" in screen
    assert "to go" not in screen


def test_in_a_pipe_all_is_plain_lines(study: Path) -> None:
    run = subprocess.run([*RUN, str(study)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode != 0
    assert "rule ingest" in run.stdout
    assert "\r" not in run.stdout
    assert run.stdout.strip().splitlines()[-1].startswith("s1/a/bad (ingest): ")
