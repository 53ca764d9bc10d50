"""The whole way of a recording in one function: what the rules of the workflow do, step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecogpipe.electrodes.channels import BncLine, split_overrides
from ecogpipe.results.names import RecordingFiles
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.qc import qc
from ecogpipe.steps.scan import scan


def process_recording(
    files: Sequence[str | Path],
    folder: str | Path,
    *,
    daq: str,
    headstage: str,
    electrode: str,
    settings: Mapping[str, Any],
    bnc: Sequence[BncLine] = (),
    overrides: Mapping[str, Any] | None = None,
    manual_mask: Path | None = None,
    user_tables: Path | None = None,
) -> RecordingFiles:
    """Make all results of one recording: from its raw files to its mirrors and their quality pages.

    Parameters
    ----------
    files
        The parts of the recording in order of time.
    folder
        Folder of its results; its name is the name of the recording.
    daq, headstage, electrode
        The set-up.
    settings
        ``storage``, ``parts``, ``masks``, ``events`` and ``mirrors`` of a study, as config.yaml holds them.
    bnc
        The BNC lines.
    overrides
        Values that a person declares of the recording, as in the recordings table.
    manual_mask
        The manual mask of its session, where there is one.
    user_tables
        A folder with wiring tables of the user's own.

    Returns
    -------
    RecordingFiles
        The results, by their names.

    Raises
    ------
    EcogpipeError
        As the steps do.

    Examples
    --------
    >>> from ecogpipe.study.config import read_config
    >>> made = process_recording(
    ...     ["test_001.tdms"],
    ...     "results/16011/day1/test_001",
    ...     daq="2t-as daq v2",
    ...     headstage="zif26 to 2x uhdmi",
    ...     electrode="actv_64",
    ...     settings=read_config(Path()),
    ... )  # doctest: +SKIP
    """
    made, of_acquisition, of_channels = RecordingFiles(Path(folder)), *split_overrides(overrides or {})
    mirrors, set_up = settings["mirrors"], {"daq": daq, "headstage": headstage, "electrode": electrode}
    ingest(files, made.raw, declared=of_acquisition, **settings["storage"], **settings["parts"])
    scan(made.raw, made.scan)
    map_channels(made.raw, made.channels, **set_up, bnc=bnc, declared=of_channels, user_tables=user_tables)
    mask_channels(
        made.scan,
        made.channels,
        made.mask,
        recording=made.folder.name,
        manual=manual_mask,
        automatic=settings["masks"]["automatic"],
    )
    numbering = of_channels.get("bnc_numbering", "absolute")
    rates = {name: {key: one[key] for key in ("rate", "ratio") if key in one} for name, one in mirrors.items()}
    extract_events(
        made.scan, made.channels, made.events, **settings["events"], bnc=bnc, bnc_numbering=numbering, mirrors=rates
    )
    for name, wanted in mirrors.items():
        mirror, page = made.mirror(name), made.page(name)
        mirror_recording(made.raw, made.channels, made.mask, mirror, name=name, settings=wanted)
        qc(made.raw, made.channels, made.mask, made.scan, made.events, mirror, page, recording=made.folder.name)
    return made
