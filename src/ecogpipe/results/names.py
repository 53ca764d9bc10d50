"""The steps of a recording, the files that they write, and where those stand.

Imported at every start of the workflow, so it imports nothing that takes time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

RAW, SCAN = "raw.h5", "scan.h5"
CHANNELS, MASK, EVENTS = "channels.tsv", "mask.tsv", "events.tsv"
RUN_CONFIG, REPORT = "run_config.yaml", "report.html"
OLD_PAGE_REVISION = 6
"""The last revision of the step qc that wrote a picture."""

NUMBERS_SUFFIX = ".json"
"""Of the file beside a quality page that holds all that it shows."""


@dataclass(frozen=True)
class Step:
    """A step that writes a file for each recording, or for each of its mirrors.

    Attributes
    ----------
    name : str
        Its name, that of its rule, of its script and of its module in `ecogpipe.steps`.
    revision : int
        Stands in each of its outputs, and rises when it makes another output of the same inputs; then say in
        `ecogpipe.results.revisions` what changed. The rule has it as a param, so that a study is made again as far as
        its results would differ.
    reads : tuple of str
        Steps whose outputs it reads.
    file : str
        Name of its output in the folder of the recording.
    has_numbers : bool
        Whether a file with the numbers that its output shows is beside it, of the same name but `NUMBERS_SUFFIX`.
    """

    name: str
    revision: int
    reads: tuple[str, ...]
    file: str
    has_numbers: bool = False

    def file_of(self, recording: str, mirror: str = "") -> str:
        """Return the name of its output.

        Examples
        --------
        >>> STEPS[-1].file_of("test_001", "Fs1000")
        'test_001_Fs1000_qc.html'
        """
        return self.file.format(recording=recording, mirror=mirror)


STEPS = (
    Step("ingest", 3, (), RAW),
    Step("scan", 4, ("ingest",), SCAN),
    Step("map_channels", 2, ("ingest",), CHANNELS),
    Step("mask_channels", 3, ("scan", "map_channels"), MASK),
    Step("extract_events", 3, ("scan", "map_channels"), EVENTS),
    Step("mirror", 5, ("ingest", "map_channels"), "{recording}_{mirror}.h5"),
    Step(
        "qc",
        8,
        ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror"),
        "{recording}_{mirror}_qc.html",
        has_numbers=True,
    ),
)
"""The steps of a recording in their order. A mirror reads the mask too, where its settings use it."""

EXPORT = Step(
    "export_nwb",
    1,
    ("ingest", "map_channels", "mask_channels", "extract_events", "mirror"),
    "{recording}.nwb",
)
"""A step that is taken only where the config asks for it."""

STUDY_REVISIONS = {"report": 9, "run_config": 1, "missing_files": 1}
"""Revisions of the steps that write a file for the whole study."""

_OF_NAME = {step.name: step for step in (*STEPS, EXPORT)}


@dataclass(frozen=True)
class Output:
    """A file that a step writes for a recording; `mirror` is the mirror that it is of, '' where of none."""

    step: str
    path: Path
    mirror: str = ""

    @property
    def job(self) -> str:
        """Name of the job that makes it, as its log and its benchmark have it."""
        return f"{self.step}_{self.mirror}" if self.mirror else self.step


@dataclass(frozen=True)
class RecordingFiles:
    """The results of one recording, by the folder that holds them; the folder has the recording's name.

    Examples
    --------
    >>> RecordingFiles(Path("results/s1/day1/test_001")).mirror("Fs1000").name
    'test_001_Fs1000.h5'
    """

    folder: Path

    @property
    def raw(self) -> Path:
        """The recording in the canonical format, of the step ingest."""
        return self.folder / RAW

    @property
    def scan(self) -> Path:
        """Numbers of each channel, correlations and BNC lines, of the step scan."""
        return self.folder / SCAN

    @property
    def channels(self) -> Path:
        """What each channel carries, of the step map_channels."""
        return self.folder / CHANNELS

    @property
    def mask(self) -> Path:
        """Which channels are kept, of the step mask_channels."""
        return self.folder / MASK

    @property
    def events(self) -> Path:
        """The edges of the digital BNC lines, of the step extract_events."""
        return self.folder / EVENTS

    def mirror(self, name: str) -> Path:
        """Return the mirror of this name, of the step mirror."""
        return self.folder / _OF_NAME["mirror"].file_of(self.folder.name, name)

    def page(self, mirror: str) -> Path:
        """Return the quality page of a mirror, of the step qc."""
        return self.folder / _OF_NAME["qc"].file_of(self.folder.name, mirror)

    @property
    def nwb(self) -> Path:
        """The recording as an NWB file, of the step export_nwb."""
        return self.folder / EXPORT.file_of(self.folder.name)

    def old_page(self, mirror: str) -> Path:
        """Return the picture that was the quality page of a mirror up to `OLD_PAGE_REVISION` of qc."""
        return self.page(mirror).with_suffix(".png")

    def outputs(self, mirrors: Iterable[str]) -> Iterator[Output]:
        """Yield every file, in the order in which the steps make them."""
        for mirror in ("", *mirrors):
            for step in STEPS:
                if bool(mirror) == ("{mirror}" in step.file):
                    path = self.folder / step.file_of(self.folder.name, mirror)
                    yield Output(step.name, path, mirror)
                    if step.has_numbers:
                        yield Output(step.name, path.with_suffix(NUMBERS_SUFFIX), mirror)
