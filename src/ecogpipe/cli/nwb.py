"""``ecogpipe nwb``: writes NWB files of recordings, or says what they would hold and what is missing for them."""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ecogpipe.checks.nwb_ready import check_nwb_ready
from ecogpipe.cli.commands import Study, add_config_arguments, find_recording, read_study
from ecogpipe.cli.run import run_snakemake
from ecogpipe.errors import SettingsError
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import read_provenance
from ecogpipe.study.recordings import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Writes the NWB file of each recording, or of the ones that are named, and what it is made of where that is "
        "missing. With --check it writes nothing: it says what is missing, which words about subjects, sessions "
        "and the study would leave the lab, and what nwbinspector finds in the files that are there (exit status 1 "
        "where archives would refuse one)."
    )
    parser.add_argument("recordings", nargs="*", metavar="RECORDING", help="its name in the table (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is missing, and what is said")
    parser.add_argument("--directory", type=Path, default=Path(), help="study folder (default: this one)")
    parser.add_argument("--cores", default="all", help="cores to use (default: all)")
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.directory, arguments)
    wanted = [find_recording(study.recordings, name) for name in arguments.recordings] or study.recordings
    if "nwb" not in study.config:
        raise SettingsError(
            f"{study.folder / 'config' / 'config.yaml'}: has no key nwb, as it is of an older version; copy that part "
            "from the config of a new study (`ecogpipe init FOLDER`)."
        )
    if arguments.check:
        return _check(study, wanted)
    targets = [f"results/{recording.full_name}/{recording.recording}.nwb" for recording in wanted]
    files = ["--configfile", *map(str, arguments.configfile)] if arguments.configfile else []
    changes = ["--config", *arguments.config] if arguments.config else []
    return run_snakemake([*targets, "--directory", str(study.folder), "--cores", arguments.cores, *files, *changes])


def _check(study: Study, wanted: Sequence[Recording]) -> int:
    metadata = check_nwb_ready(study.folder, study.config, wanted, looks_into_files=True)
    print("What the files say besides signals, sites, masks, triggers and how they were made:")
    for session, texts in metadata.items():
        print(f"\n{session}")
        for part in ("subject", "session", "study"):
            for name, text in texts[part].items():
                print(f"  {name}: {', '.join(text) if isinstance(text, list) else text}")
    print("\nNo path, user name or machine is in them; the files of results that they were made from are named.")
    written = [path for path in _files(study, wanted) if path.exists()]
    for path in written:
        print(f"\n{path.relative_to(study.folder)}, made from: {', '.join(_inputs(path))}")
    return 1 if written and _inspect(written) else 0


def _files(study: Study, wanted: Sequence[Recording]) -> Iterator[Path]:
    for recording in wanted:
        yield RecordingFiles(study.results / recording.full_name).nwb


def _inputs(path: Path) -> list[str]:
    return [described["name"] for described in read_provenance(path)["inputs"]]


def _inspect(paths: Sequence[Path]) -> bool:
    """Print what nwbinspector finds, by the rules of the archive DANDI; returns whether it would refuse a file."""
    try:
        from nwbinspector import Importance, inspect_nwbfile, load_config
    except ModuleNotFoundError:
        print("\nnwbinspector is not installed, so the files were not inspected; run: pip install nwbinspector")
        return False
    refused = False
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: list[Any] = list(inspect_nwbfile(nwbfile_path=path, config=load_config("dandi")))
        for message in found:
            print(f"  {message.importance.name} {path.name}: {message.message}")
        refused |= any(message.importance.value >= Importance.CRITICAL.value for message in found)
        if not found:
            print(f"  {path.name}: nwbinspector finds nothing, by the rules of DANDI")
    return refused
