"""Snakemake's logger ``ecogpipe``: one line on a terminal that says how far a run is, and sentences where it matters.

Snakemake's own log goes to its file, as ever.
"""

import logging
import sys
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

from ecogpipe.runtime.job import sentences_of

__all__ = ["LogHandler"]

_WORDS = {
    "ingest": "reading",
    "scan": "scanning",
    "map_channels": "mapping",
    "mask_channels": "masking",
    "extract_events": "finding triggers of",
    "mirror": "mirroring",
    "qc": "drawing",
    "report": "writing the index",
    "run_config": "writing down the settings",
    "missing_files": "looking for files",
}
"""What a job of each rule does, before the name of the recording."""

_SHOWN_AT_ONCE = 3


class LogHandler(LogHandlerBase):
    """Shows a run as one line that changes; warnings, errors and what a run tells beforehand stay above it."""

    def __post_init__(self) -> None:
        """Begin without a line: nothing is known before the first job."""
        self._bar: tqdm[Any] | None = None
        self._known: dict[int, str] = {}
        self._at_work: list[int] = []

    @property
    def writes_to_stream(self) -> bool:
        """True: it takes the place of Snakemake's own log on the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """False."""
        return False

    @property
    def has_filter(self) -> bool:
        """True: it chooses itself."""
        return True

    @property
    def has_formatter(self) -> bool:
        """False: errors read as Snakemake writes them."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """False."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's."""
        event = getattr(record, "event", None)
        said: dict[str, Any] = vars(record)
        if event == LogEvent.RUN_INFO:
            self._begin(int(said["stats"]["total"]))
        elif event == LogEvent.JOB_INFO:
            self._known[said["jobid"]] = _job_text(said["rule_name"], said["wildcards"] or {})
        elif event == LogEvent.JOB_STARTED:
            jobs = said["jobs"] if isinstance(said["jobs"], list) else [said["jobs"]]
            self._at_work += jobs
        elif event == LogEvent.JOB_FINISHED:
            self._end(said["job_id"])
        elif event == LogEvent.PROGRESS:
            self._advance(said["done"], said["total"])
        elif event == LogEvent.JOB_ERROR:
            self._end(said["jobid"])
            self._tell_failure(said)
        elif _is_for_a_person(record):
            self._tell(self.format(record))
        self._show()

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().close()

    def _begin(self, total: int) -> None:
        if self._bar is None:
            shape = "{percentage:3.0f} %|{bar:20}| {n_fmt} of {total_fmt}, {elapsed}, {remaining} to go{postfix}"
            self._bar = tqdm(total=total, bar_format=shape, dynamic_ncols=True, leave=False, file=sys.stderr)

    def _advance(self, done: int, total: int) -> None:
        self._begin(total)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def _end(self, job: int) -> None:
        self._at_work = [other for other in self._at_work if other != job]

    def _show(self) -> None:
        if self._bar is None:
            return
        texts = [self._known[job] for job in self._at_work if job in self._known]
        more = f" and {len(texts) - _SHOWN_AT_ONCE} more" if len(texts) > _SHOWN_AT_ONCE else ""
        self._bar.set_postfix_str("; ".join(texts[:_SHOWN_AT_ONCE]) + more)

    def _tell(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def _tell_failure(self, said: dict[str, Any]) -> None:
        name = self._known.get(said["jobid"], "a job")
        logs = [Path(log) for log in said["log"] or [] if Path(log).is_file()]
        sentences = [sentence for log in logs for sentence in sentences_of(log)]
        self._tell(f"failed, {name}: {' '.join(sentences) or 'it said nothing; see the log of the run.'}")


def _is_for_a_person(record: logging.LogRecord) -> bool:
    """Return whether the workflow tells something beforehand, or something is wrong."""
    is_of_a_job = getattr(record, "event", None) not in (None, LogEvent.ERROR)
    return hasattr(record, "is_told") or (record.levelno >= logging.WARNING and not is_of_a_job)


def _job_text(rule: str, wildcards: dict[str, str]) -> str:
    name = "/".join(wildcards[key] for key in ("subject", "session", "recording") if key in wildcards)
    mirror = f", mirror {wildcards['mirror']}" if "mirror" in wildcards else ""
    return f"{_WORDS.get(rule, rule)} {name}{mirror}".strip()
