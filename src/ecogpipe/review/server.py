"""The server of `ecogpipe review`: it listens on this machine alone, and answers nobody without its token."""

import hmac
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ecogpipe.errors import EcogpipeError, StudyBusyError
from ecogpipe.figures.page_file import page_file
from ecogpipe.figures.page_numbers import as_numbers, read_page_numbers
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.names import NUMBERS_SUFFIX, REPORT, RecordingFiles
from ecogpipe.review.decisions import MaskChangedError, mask_file, read_text, save_decisions, version_of
from ecogpipe.review.samples import window_of_mirror
from ecogpipe.study.config import uses_mask
from ecogpipe.study.lock import hold_study
from ecogpipe.study.looks import LOOKS, add_look, new_look, read_looks
from ecogpipe.study.recordings import Recording

HOST = "127.0.0.1"
_COOKIE = "ecogpipe_review"
_MOST_BYTES = 1_000_000
"""Of the body of a request: a reason and a row for each of thousands of sites."""

_IDLE_SECONDS = 8 * 3600
_TOLD_CHARACTERS = 4_000
_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass
class ReviewedStudy:
    """A study that is looked at: its folder, the rows of its table, and the settings of its mirrors.

    Attributes
    ----------
    folder : Path
        Its folder.
    recordings, mirrors : sequence of Recording, mapping
        Rows of its table, and the settings of its mirrors.
    run, run_log : Popen, Path
        The run that was started here last, and what it says; None where there was none.
    who : str
        The person who looks, as typed last.
    seen : dict
        Contents of manual masks that pages were made with, by version.
    """

    folder: Path
    recordings: Sequence[Recording]
    mirrors: Mapping[str, Mapping[str, Any]]
    run: "subprocess.Popen[bytes] | None" = None
    run_log: Path | None = None
    who: str = ""
    seen: dict[str, bytes] = field(default_factory=dict)

    @property
    def pages(self) -> dict[str, tuple[Recording, str]]:
        """The pages that there are, by their address below the server's, in the order of the table."""
        found = {}
        for recording in self.recordings:
            files = RecordingFiles(self.results / recording.full_name)
            for mirror in self.mirrors:
                page = files.page(mirror)
                if page.is_file() and page.resolve().is_relative_to(self.folder.resolve()):
                    found["/" + page.relative_to(self.results).as_posix()] = (recording, mirror)
        return found

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.folder / "results"

    def session_of(self, recording: Recording) -> list[Recording]:
        """Return the recordings of the session of one."""
        own = recording.subject, recording.session
        return [other for other in self.recordings if (other.subject, other.session) == own]

    def page(self, address: str) -> str:
        """Return a page with what is needed to save decisions from it."""
        pages = self.pages
        recording, mirror = pages[address]
        numbers = RecordingFiles(self.results / recording.full_name).page(mirror).with_suffix(NUMBERS_SUFFIX)
        text = read_text(mask_file(self.folder, recording))
        self.seen[version_of(text)] = text
        addresses = list(pages)
        place = addresses.index(address)
        return page_file(
            read_page_numbers(numbers),
            review={
                "address": address,
                "version": version_of(text),
                "mask": mask_file(self.folder, recording).relative_to(self.folder).as_posix(),
                "previous": quote(addresses[place - 1]) if place else None,
                "next": quote(addresses[place + 1]) if place + 1 < len(addresses) else None,
                "again": self.made_again(recording),
                "who": self.who,
                "look": self.look_at(recording, mirror),
            },
        )

    def look_at(self, recording: Recording, mirror: str) -> str:
        """Say who looked last at a mirror; '' where nobody did."""
        look = read_looks(self.folder / LOOKS).get((recording.full_name, mirror))
        return "" if look is None else look.text(self._mask_of(recording).decisions_digest)

    def note_look(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Write down that a person looked at a page.

        Raises
        ------
        EcogpipeError
            If it cannot be written down; nothing is changed.
        """
        recording, mirror = self.pages[asked["address"]]
        digest = self._mask_of(recording).decisions_digest
        look = new_look(recording.full_name, mirror, str(asked["who"]), digest)
        with hold_study(self.folder):
            add_look(self.folder / LOOKS, look)
        self.who = look.who
        return {"told": f"Looked at: {look.text(digest)}."}

    def _mask_of(self, recording: Recording) -> MaskTable:
        return read_mask(RecordingFiles(self.results / recording.full_name).mask)

    def made_again(self, recording: Recording) -> str:
        """Say which results the next run makes again after a change of the mask of a recording."""
        mirrors = [name for name in recording.mirrors_of(self.mirrors) if uses_mask(self.mirrors[name])]
        also = f", and the mirrors {', '.join(mirrors)}, which go by the mask" if mirrors else ""
        return f"the mask and pages of {recording.recording}{also}; then the index."

    def save(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Save decisions; returns the version of the manual mask that is there now, and what to tell.

        Raises
        ------
        EcogpipeError
            If they cannot be saved; nothing is changed.
        """
        recording, _ = self.pages[asked["address"]]
        rows = [(str(word), str(what)) for word, what in asked["rows"]]
        names = [other.recording for other in self.session_of(recording)]
        seen = self.seen[asked["version"]]
        path = save_decisions(self.folder, recording, names, rows, str(asked["reason"]), seen)
        text = read_text(path)
        self.seen[version_of(text)] = text
        return {"version": version_of(text), "told": f"Saved. The next run makes again {self.made_again(recording)}"}

    def start_run(self) -> None:
        """Start a run of the study.

        Raises
        ------
        StudyBusyError
            If one that was started here is at work.
        """
        if self.is_running:
            raise StudyBusyError(f"{self.folder}: a run that was started here is at work; wait until it has ended.")
        self.run_log = self.folder / "logs" / "review.log"
        self.run_log.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "ecogpipe.cli", "run", "--directory", str(self.folder)]
        with self.run_log.open("wb") as log:
            self.run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    @property
    def is_running(self) -> bool:
        """Whether a run that was started here is at work."""
        return self.run is not None and self.run.poll() is None

    def run_state(self) -> dict[str, Any]:
        """Return whether a run that was started here is at work, how it ended, and the end of what it said."""
        said = self.run_log.read_text("utf-8", "replace")[-_TOLD_CHARACTERS:] if self.run_log else ""
        return {"running": self.is_running, "status": None if self.run is None else self.run.poll(), "said": said}


class ReviewServer(ThreadingHTTPServer):
    """Serves one study to one person."""

    daemon_threads = True

    def __init__(self, study: ReviewedStudy, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.study, self.token = study, secrets.token_urlsafe(32)
        self.saving = threading.Lock()
        self._latest = time.monotonic()

    @property
    def address(self) -> str:
        """Where the server is, without its token."""
        return f"http://{HOST}:{self.server_port}"

    @property
    def first_address(self) -> str:
        """The address that lets a browser in: with the token, which the browser then keeps in a cookie."""
        return f"{self.address}/?token={self.token}"

    def note_request(self) -> None:
        """Remember that somebody is there."""
        self._latest = time.monotonic()

    def serve_until_idle(self, seconds: float = _IDLE_SECONDS) -> None:
        """Serve until nobody has asked for anything for so long; a run at work counts as somebody."""
        self.timeout = min(seconds, 1.0)
        while time.monotonic() - self._latest < seconds or self.study.is_running:
            self.handle_request()


class _RefusedError(Exception):
    """A request that is not answered: its status, and what to say."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    server_version, sys_version = "ecogpipe", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, act: Any) -> None:
        try:
            self._check_host()
            act()
        except _RefusedError as refused:
            self._send_text(refused.status, str(refused))
        except EcogpipeError as error:
            self._send_json(HTTPStatus.CONFLICT, {"told": str(error), "changed": isinstance(error, MaskChangedError)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _get(self) -> None:
        parts = urlsplit(self.path)
        token = parse_qs(parts.query).get("token", [""])[0]
        if parts.path == "/" and token:
            self._let_in(token)
            return
        self._check_cookie()
        path = unquote(parts.path)
        if path in ("/", f"/{REPORT}"):
            self._send(HTTPStatus.OK, self._index(), "text/html; charset=utf-8")
        elif path == "/run":
            self._send_json(HTTPStatus.OK, self.server.study.run_state())
        elif path == "/samples":
            self._send_json(HTTPStatus.OK, self._samples(parse_qs(parts.query)))
        elif path in self.server.study.pages:
            self._send(HTTPStatus.OK, self.server.study.page(path).encode(), "text/html; charset=utf-8")
        else:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such page in this study.")

    def _post(self) -> None:
        self._check_cookie()
        if self.headers.get("Origin") != self._own_origin():
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Another page asked for this; it was refused.")
        asked = self._body()
        study = self.server.study
        with self.server.saving:
            if self.path == "/run":
                study.start_run()
                self._send_json(HTTPStatus.OK, study.run_state())
            elif self.path in ("/save", "/look"):
                try:
                    saved = study.save(asked) if self.path == "/save" else study.note_look(asked)
                except EcogpipeError:
                    raise
                except (KeyError, TypeError, ValueError) as error:
                    raise _RefusedError(
                        HTTPStatus.BAD_REQUEST, "This names no page of the study, or no rows."
                    ) from error
                self._send_json(HTTPStatus.OK, saved)
            else:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "Nothing is done under this address.")

    def _samples(self, asked: Mapping[str, list[str]]) -> Any:
        try:
            recording, mirror = self.server.study.pages[asked["address"][0]]
            first, seconds = float(asked["first"][0]), float(asked["seconds"][0])
            sites = [int(site) for site in asked["sites"][0].split(",")]
        except (KeyError, ValueError) as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "This names no window of a page.") from error
        folder = self.server.study.results / recording.full_name
        return as_numbers(window_of_mirror(folder, mirror, first, seconds, sites))

    def _index(self) -> bytes:
        index = self.server.study.results / REPORT
        if not index.is_file():
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"The study has no {REPORT} yet; run `ecogpipe run` first.")
        return index.read_bytes()

    def _let_in(self, token: str) -> None:
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "This is not the address that `ecogpipe review` printed.")
        self.server.note_request()
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{REPORT}")
        self.send_header("Set-Cookie", f"{self._cookie_name()}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Length", "0")
        self._end_headers()

    def _cookie_name(self) -> str:
        # Cookies are the same for all ports of a machine: two reviews at once must not take each other's.
        return f"{_COOKIE}_{self.server.server_port}"

    def _own_origin(self) -> str:
        return f"http://{self.headers.get('Host', '')}"

    def _check_host(self) -> None:
        if self.headers.get("Host", "") not in {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "This server answers to its own address alone.")

    def _check_cookie(self) -> None:
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        found = cookies.get(self._cookie_name())
        if found is None or not hmac.compare_digest(found.value.encode(), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Open the address that `ecogpipe review` printed.")
        self.server.note_request()

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "The request does not say how long it is.")
        if int(length) > _MOST_BYTES:
            self.close_connection = True
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "The request is not JSON.") from error
        if not isinstance(asked, dict):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "The request holds nothing to do.")
        return asked

    def _send_json(self, status: HTTPStatus, value: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send_text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, text.encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self._end_headers()
        self.wfile.write(content)

    def _end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing of requests: addresses hold the token."""
