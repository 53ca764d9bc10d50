"""``ecogpipe export``: signals of a recording as a plain array, for programs that read nothing of the field."""

import argparse
from pathlib import Path

import numpy as np

from ecogpipe.cli.commands import (
    add_config_arguments,
    add_overwrite_argument,
    check_new_file,
    find_recording,
    read_study,
)
from ecogpipe.errors import SettingsError, nearest
from ecogpipe.exchange.arrays import KINDS, Extract, files_of_extract, write_extract
from ecogpipe.loader.dataset import Dataset
from ecogpipe.loader.opening import open_recording
from ecogpipe.results.names import RecordingFiles

_RAW = "raw"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Writes the electrode signals of a mirror, or of the recording itself, in microvolts: for NumPy (npy, with a "
        "JSON file beside it), Matlab (mat, v7.3), or as text (csv). Signals are read block by block."
    )
    parser.epilog = "example: ecogpipe export test_001 part.mat --mirror Fs1000 --good --from 10 --until 20"
    parser.add_argument("recording", help="its name in the table, or subject/session/recording")
    parser.add_argument("file", type=Path, help="the file to write; how its name ends says the format")
    parser.add_argument("--to", choices=KINDS, help="the format, where the name of the file does not say it")
    parser.add_argument("--mirror", help=f"name of the mirror, or {_RAW} (needed where the recording has several)")
    parser.add_argument("--channels", nargs="+", metavar="R,C", help="sites to write, e.g. 2,5 2,6 (default: all)")
    parser.add_argument("--good", action="store_true", help="leave out the channels that the mask drops")
    parser.add_argument("--from", dest="begin", type=float, default=0.0, metavar="S", help="seconds to begin at")
    parser.add_argument("--until", type=float, metavar="S", help="seconds to end before (default: all)")
    parser.add_argument("--directory", type=Path, default=Path(), help="study folder (default: this one)")
    add_overwrite_argument(parser)
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.directory, arguments)
    recording = find_recording(study.recordings, arguments.recording)
    files = RecordingFiles(study.results / recording.full_name)
    mirror = _mirror_of(arguments.mirror, recording.mirrors_of(study.config["mirrors"]))
    kind = arguments.to or arguments.file.suffix.removeprefix(".")
    written = files_of_extract(arguments.file, kind)
    for file in written:
        check_new_file(study, file, overwrite=arguments.overwrite)
    with open_recording(files.raw if mirror == _RAW else files.mirror(mirror)) as dataset:
        dataset.set_channel_mask(_chosen(dataset, arguments.channels, good=arguments.good))
        first, stop = _samples(dataset, arguments.begin, arguments.until)
        rows, columns = dataset.chan_map.to_mat()
        sites = np.stack([rows, columns], axis=1)
        extract = Extract(dataset.data, first, stop, dataset.Fs, sites, dataset.active_mask)
        write_extract(arguments.file, extract, kind)
        extent = f"{len(dataset.data)} channels x {stop - first} samples at {dataset.Fs:.10g} Hz, uV"
        print(f"{' and '.join(map(str, written))}: {extent}")
    return 0


def _mirror_of(wanted: str | None, known: list[str]) -> str:
    if wanted is None:
        if len(known) > 1:
            raise SettingsError(f"The recording has the mirrors {', '.join(known)}; choose one with --mirror.")
        return known[0]
    if wanted not in (*known, _RAW):
        raise SettingsError(f"The recording has no mirror {wanted!r}. {nearest(wanted, [*known, _RAW])}")
    return wanted


def _chosen(dataset: Dataset, sites: list[str] | None, *, good: bool) -> np.ndarray:
    chosen = dataset.channel_mask.copy() if good else np.ones(len(dataset.channel_mask), dtype=bool)
    names = dataset.site_names
    for site in sites or []:
        if site not in names:
            if "," not in site:
                raise SettingsError(f"--channels takes sites as row,column, e.g. {names[0]}, and not {site!r}.")
            raise SettingsError(f"There is no site {site!r}. {nearest(site, names)}")
    chosen &= np.isin(names, sites) if sites else True
    if not chosen.any():
        raise SettingsError("No channel is left to write; choose other sites, or leave --good out.")
    return chosen


def _samples(dataset: Dataset, begin: float, until: float | None) -> tuple[int, int]:
    """Return the samples at or after `begin` and before `until`, in seconds."""
    ends = [begin, dataset.data.n_samples / dataset.Fs if until is None else until]
    first, stop = (int(np.ceil(round(end * dataset.Fs, 6))) for end in ends)
    stop = min(stop, dataset.data.n_samples)
    if not 0 <= first < stop:
        seconds = dataset.data.n_samples / dataset.Fs
        end = "on" if until is None else f"to {until:g} s"
        raise SettingsError(f"From {begin:g} s {end} there are no samples; the recording has {seconds:.6g} s.")
    return first, stop
