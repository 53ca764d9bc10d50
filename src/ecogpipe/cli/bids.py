"""``ecogpipe bids``: a BIDS-iEEG folder around the NWB files of a study."""

import argparse
from pathlib import Path

from ecogpipe.checks.nwb_ready import check_nwb_ready
from ecogpipe.cli.commands import add_config_arguments, find_recording, read_study
from ecogpipe.errors import SettingsError
from ecogpipe.steps.export_bids import export_bids


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Copies the NWB files of a study into a new folder in the order of BIDS-iEEG, with the tables that BIDS wants "
        "beside them: channels with good and bad, events, electrodes. Names keep their letters and digits only."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder to write")
    parser.add_argument("recordings", nargs="*", metavar="RECORDING", help="its name in the table (default: all)")
    parser.add_argument("--task", required=True, help="what the subject did, as BIDS has it in every name, e.g. rest")
    parser.add_argument("--name", required=True, help="name of the dataset")
    parser.add_argument("--directory", type=Path, default=Path(), help="study folder (default: this one)")
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.directory, arguments)
    wanted = [find_recording(study.recordings, name) for name in arguments.recordings] or study.recordings
    if "nwb" not in study.config:
        raise SettingsError(f"{study.folder}: its config has no key nwb; write NWB files first, with `ecogpipe nwb`.")
    export_bids(
        {recording.full_name: study.results / recording.full_name for recording in wanted},
        arguments.folder,
        mirrors=study.config["nwb"]["mirrors"],
        metadata=check_nwb_ready(study.folder, study.config, wanted, looks_into_files=False),
        task=arguments.task,
        name=arguments.name,
    )
    print(arguments.folder)
    return 0
