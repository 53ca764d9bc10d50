"""The review: nobody gets in without its token, nothing is served or written beside what it is for, saving is whole."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

from ecogpipe.cli import main
from ecogpipe.cli.commands import read_study
from ecogpipe.figures.levels import Levels
from ecogpipe.results.channels import read_channels
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.review.server import ReviewedStudy, ReviewServer
from ecogpipe.steps.report import report
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.study.lock import hold_study
from ecogpipe.study.manual_masks import read_manual_mask
from reviewed_study import PAGE, make_study

WRITTEN_BY_HAND = "# mine\nrecording\twhat\twhich\tkeep\treason\n*\tchannel\t12\tdrop\tmy own\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_study(folder)
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "study"))


@pytest.fixture
def server(study: Path) -> Iterator[ReviewServer]:
    read = read_study(study)
    with ReviewServer(ReviewedStudy(study, read.recordings, read.config["mirrors"])) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Address(NamedTuple):
    """Where a server of another process is, and what lets one in."""

    server_port: int
    token: str


class Answer:
    """What the server said."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: ReviewServer | Address, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
    """Ask as the page itself would; a header that is None is left out."""
    host = f"127.0.0.1:{server.server_port}"
    sent: dict[str, str | None] = {"Host": host, "Cookie": f"ecogpipe_review_{server.server_port}={server.token}"}
    if method == "POST":
        sent["Origin"] = f"http://{host}"
    sent |= headers
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if method == "POST" and "Content-Length" not in sent:
        sent["Content-Length"] = str(len(text))
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    with contextlib.closing(connection):
        connection.endheaders(text if method == "POST" else None)
        return Answer(connection.getresponse())


def version_of_page(server: ReviewServer | Address) -> str:
    text = ask(server, "GET", PAGE).body.decode()
    found = text.partition('id="review">')[2].partition("</script>")[0]
    version: str = json.loads(found)["version"]
    return version


def asked(version: str, *rows: tuple[str, str], reason: str = "loose") -> dict[str, Any]:
    return {"address": PAGE, "version": version, "rows": rows or (("drop", "site 0,0"),), "reason": reason}


def everything(study: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in study.rglob("*") if path.is_file() and ".snakemake" not in path.parts}


def test_the_printed_address_lets_a_browser_in_once_and_for_all(server: ReviewServer) -> None:
    path = server.first_address.removeprefix(server.address)
    answer = ask(server, "GET", path, Cookie=None)
    assert (answer.status, answer.headers["Location"]) == (303, "/report.html")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    shown = ask(server, "GET", "/report.html", Cookie=cookie.partition(";")[0])
    assert shown.status == 200
    assert b"s1/a/test_001" in shown.body
    for name, value in (("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Content-Type-Options", "nosniff")):
        assert shown.headers[name] == value
    assert server.token not in shown.body.decode()
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Cookie": None}, PAGE),
        ({"Cookie": "ecogpipe_review=x"}, PAGE),
        ({"Cookie": None}, "/?token=guessed"),
        ({"Cookie": None}, "/?token=%C3%A9"),
        ({"Host": "evil.example"}, PAGE),
        ({"Host": None}, PAGE),
    ],
)
def test_nobody_else_gets_in(server: ReviewServer, headers: dict[str, str | None], path: str) -> None:
    assert ask(server, "GET", path, **headers).status == 403
    assert b"numbers" not in ask(server, "GET", path, **headers).body


@pytest.mark.parametrize(
    "path",
    ["/../config/config.yaml", "/s1/a/test_001/../../../../config/config.yaml", "/%2e%2e/config/config.yaml",
     "/s1/a/test_001/raw.h5", "/s1/a/test_001/mask.tsv", "//etc/passwd", PAGE.replace("html", "json"), "/save"],
)  # fmt: skip
def test_nothing_but_the_pages_is_served(server: ReviewServer, path: str) -> None:
    assert ask(server, "GET", path).status == 404


def test_a_page_that_leads_out_of_the_study_is_not_served(
    server: ReviewServer, study: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = study / "results" / PAGE[1:]
    outside = tmp_path_factory.mktemp("outside") / "secret.html"
    outside.write_text("secret")
    page.unlink()
    page.symlink_to(outside)
    assert ask(server, "GET", PAGE).status == 404


def test_saved_rows_are_the_mask_of_the_session_and_keep_what_is_there(server: ReviewServer, study: Path) -> None:
    mask = study / "config" / "masks" / "s1" / "a.tsv"
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_text(WRITTEN_BY_HAND)
    reason = """it's "loose" $HOME `x` <b>=1+1"""
    answer = ask(
        server,
        "POST",
        "/save",
        asked(version_of_page(server), ("drop", "site 0,0"), ("keep", "column 3"), reason=reason),
    )
    assert answer.status == 200, answer.body
    assert "The next run makes again the mask and pages of test_001" in answer.json["told"]
    assert mask.read_text().startswith(WRITTEN_BY_HAND)
    table = read_channels(study / "results" / "s1" / "a" / "test_001" / "channels.tsv")
    own, dropped, kept = read_manual_mask(mask, "test_001", table)
    assert (own.reason, dropped.reason, dropped.keep, kept.keep) == ("my own", reason, False, True)
    assert (len(dropped.positions), len(kept.positions)) == (1, 8)
    again = ask(server, "POST", "/save", asked(answer.json["version"], ("drop", "site 1,1")))
    assert again.status == 200


def test_a_mask_that_was_changed_meanwhile_is_left_alone(server: ReviewServer, study: Path) -> None:
    version = version_of_page(server)
    mask = study / "config" / "masks" / "s1" / "a.tsv"
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_text(WRITTEN_BY_HAND)
    answer = ask(server, "POST", "/save", asked(version))
    assert (answer.status, answer.json["changed"]) == (409, True)
    assert "my own" in answer.json["told"]
    assert mask.read_text() == WRITTEN_BY_HAND


def test_of_two_that_save_at_once_one_is_refused(server: ReviewServer, study: Path) -> None:
    version = version_of_page(server)
    answers: list[Answer] = []
    threads = [
        threading.Thread(
            target=lambda site=site: answers.append(ask(server, "POST", "/save", asked(version, ("drop", site))))
        )
        for site in ("site 0,0", "site 1,1")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert (study / "config" / "masks" / "s1" / "a.tsv").read_text().count("loose") == 1


def test_samples_of_a_window_are_those_of_the_mirror(server: ReviewServer, study: Path) -> None:
    query = f"/samples?address={PAGE}&first=0.5&seconds=1&sites=0,9"
    own = ask(server, "GET", query).json
    with h5py.File(study / "results" / "s1" / "a" / "test_001" / "test_001_Fs200.h5") as file:
        rows = file["data"][()][file["electrode_channels"][()]][[0, 9], 100:300]
    assert (own["first_second"], own["seconds_each"], own["sites"]) == (0.5, 0.005, [0, 9])
    found = Levels(**own["microvolts"]).values()
    np.testing.assert_allclose(found, rows, atol=np.ptp(rows) / 2**15)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("first=0&seconds=10.5&sites=0", 409),
        ("first=nan&seconds=1&sites=0", 409),
        ("first=0&seconds=-1&sites=0", 409),
        ("first=0&seconds=1&sites=64", 409),
        ("first=0&seconds=1&sites=-1", 409),
        ("first=0&seconds=1&sites=" + "1," * 64 + "1", 409),
        ("first=0&seconds=1&sites=x", 400),
        ("first=0&seconds=1", 400),
        ("seconds=1&sites=0", 400),
    ],
)
def test_windows_that_cannot_be_shown_are_refused(server: ReviewServer, query: str, status: int) -> None:
    assert ask(server, "GET", f"/samples?address={PAGE}&{query}").status == status
    assert ask(server, "GET", f"/samples?address=/../x&{query}").status == 400
    assert ask(server, "GET", f"/samples?address={PAGE}&{query}", Cookie=None).status == 403


def test_a_look_is_written_down_and_told_until_the_mask_changes(server: ReviewServer, study: Path) -> None:
    looked = {"address": PAGE, "who": " Ann\tSmith "}
    answer = ask(server, "POST", "/look", looked)
    assert answer.status == 200
    [row] = read_tsv(study / "config" / "looks.tsv").rows
    assert (row["recording"], row["mirror"], row["who"]) == ("s1/a/test_001", "Fs200", "Ann Smith")
    assert row["mask"] == read_mask(study / "results" / "s1" / "a" / "test_001" / "mask.tsv").decisions_digest
    page = ask(server, "GET", PAGE).body.decode()
    assert "Ann Smith" in page.partition('id="review">')[2]
    folders = {"s1/a/test_001": study / "results" / "s1" / "a" / "test_001"}
    index = study / "results" / "report.html"
    report(folders, index, mirrors=["Fs200"], title="t", looks=study / "config" / "looks.tsv")
    assert "looked at: Ann Smith, 20" in index.read_text()
    path = folders["s1/a/test_001"] / "mask.tsv"
    mask = read_mask(path)
    mask.keep[0] = not mask.keep[0]
    write_mask(path, mask)
    report(folders, index, mirrors=["Fs200"], title="t", looks=study / "config" / "looks.tsv")
    assert "before the last change of the mask" in index.read_text()
    before = everything(study)
    for who in ("", "=1+1", "x" * 101, "\n"):
        assert ask(server, "POST", "/look", looked | {"who": who}).status == 409
    assert everything(study) == before


def test_nothing_is_saved_while_a_run_is_at_work(server: ReviewServer, study: Path) -> None:
    version = version_of_page(server)
    with hold_study(study):
        answer = ask(server, "POST", "/save", asked(version))
    assert answer.status == 409
    assert "another run is at work" in answer.json["told"]
    assert not (study / "config" / "masks" / "s1" / "a.tsv").exists()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"rows": []}, 409),
        ({"rows": [["drop", "site 99,0"]]}, 409),
        ({"rows": [["erase", "site 0,0"]]}, 409),
        ({"rows": [["drop", "file ../../../etc/passwd"]]}, 409),
        ({"reason": ""}, 409),
        ({"address": "/../../config/masks/x"}, 400),
        ({"address": ["x"]}, 400),
        ({"version": "0"}, 400),
        ({"rows": 3}, 400),
        ({"rows": [["drop"]]}, 400),
    ],
)
def test_what_cannot_be_saved_changes_nothing(
    server: ReviewServer, study: Path, change: dict[str, Any], status: int
) -> None:
    request = asked(version_of_page(server)) | change
    before = everything(study)
    assert ask(server, "POST", "/save", request).status == status
    assert everything(study) == before


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Cookie": None}, None, 403),
        ({"Origin": None}, None, 403),
        ({"Origin": "http://evil.example"}, None, 403),
        ({"Origin": "null"}, None, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, None, 403),
        ({"Content-Length": "2000000"}, b"", 413),
        ({"Content-Length": "-1"}, b"", 411),
        ({}, b"not json", 400),
        ({}, b"[]", 400),
        ({}, b"[" * 900_000, 400),
    ],
)
def test_requests_of_others_change_nothing(
    server: ReviewServer, study: Path, headers: dict[str, str | None], body: bytes | None, status: int
) -> None:
    request: Any = asked(version_of_page(server)) if body is None else body
    before = everything(study)
    for path in ("/save", "/run"):
        assert ask(server, "POST", path, request, **headers).status == status
    assert everything(study) == before
    assert server.study.run is None


def test_other_methods_and_addresses_do_nothing(server: ReviewServer) -> None:
    assert ask(server, "POST", "/anything", {}).status == 404
    assert ask(server, "PUT", PAGE).status == 501
    assert ask(server, "DELETE", PAGE).status == 501


def test_a_run_that_is_started_is_that_of_this_study(server: ReviewServer, study: Path) -> None:
    assert ask(server, "POST", "/run", {}).status == 200
    assert ask(server, "POST", "/run", {}).status == 409
    deadline = time.monotonic() + 120
    while (state := ask(server, "GET", "/run").json)["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert state["status"] == 0
    assert f"Complete log(s): {study}" in state["said"]


def test_it_ends_by_ctrl_c_and_where_nobody_looks(study: Path) -> None:
    command = [sys.executable, "-m", "ecogpipe.cli", "review", str(study), "--no-browser"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.stdout
    line = run.stdout.readline()
    assert "http://127.0.0.1:" in line
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=20)[0].strip() == "The review has ended."
    assert run.returncode == 0
    read = read_study(study)
    with ReviewServer(ReviewedStudy(study, read.recordings, read.config["mirrors"])) as server:
        server.serve_until_idle(0.1)


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20, 60])
def test_killed_while_it_saves_the_mask_is_the_old_or_the_new_one(study: Path, milliseconds: int) -> None:
    mask = study / "config" / "masks" / "s1" / "a.tsv"
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_text(WRITTEN_BY_HAND)
    command = [sys.executable, "-m", "ecogpipe.cli", "review", str(study), "--no-browser"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout
    found = re.search(r"127\.0\.0\.1:(\d+)/\?token=(\S+)", run.stdout.readline())
    assert found
    server = Address(int(found[1]), found[2])
    request = asked(version_of_page(server), ("drop", "site 0,0"), ("drop", "column 3"))

    def save() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(server, "POST", "/save", request)

    saving = threading.Thread(target=save)
    saving.start()
    time.sleep(milliseconds / 1000)
    run.kill()
    run.communicate()
    saving.join()
    new = "test_001\tsite\t0,0\tdrop\tloose\ntest_001\tcolumn\t3\tdrop\tloose\n"
    assert mask.read_text() in (WRITTEN_BY_HAND, WRITTEN_BY_HAND + new)
    with hold_study(study):  # what the killed one held is free again
        pass


def test_over_ssh_it_says_how_to_reach_it(study: Path) -> None:
    command = ["env", "SSH_CONNECTION=1", sys.executable, "-m", "ecogpipe.cli", "review", str(study)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.stdout
    run.stdout.readline()
    assert "ssh -N -L " in run.stdout.readline()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=20)


def test_the_index_as_one_file_leads_nowhere(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(study), "--single", str(tmp_path / "mail.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mail.html'}\n"
    text = (tmp_path / "mail.html").read_text()
    assert "s1/a/test_001" in text
    assert "<svg" in text
    assert "<a " not in text


def test_a_study_without_a_report_is_told_what_to_do(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "results" / "report.html").unlink()
    assert main(["review", str(study)]) == 1
    assert "run `ecogpipe run` first" in capsys.readouterr().err
