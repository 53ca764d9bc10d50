"""``ecogpipe inspect``: what a file of a recording is, which wirings fit it, and the map as a grid."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ecogpipe.cli.commands import print_columns, print_grid
from ecogpipe.electrodes.channels import split_overrides
from ecogpipe.electrodes.wiring import Wiring, is_passthru, known_wirings, named_wirings, passthru_wiring
from ecogpipe.errors import EcogpipeError, FormatError, WiringError, first_line, printable
from ecogpipe.formats.acquisition import storable
from ecogpipe.formats.header import Header
from ecogpipe.formats.listing import Content, Variable, list_content, suggest_overrides
from ecogpipe.formats.reading import read_header
from ecogpipe.formats.tdms.listing import ChannelSet, list_channel_sets
from ecogpipe.study.recordings import parse_overrides

_LONGEST, _MOST = 100, 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Prints what a recording's file is and holds, which wirings fit its channels, and, for one wiring, "
        "the channel of every site. The file is only read, and its samples are not."
    )
    parser.epilog = 'example: ecogpipe inspect raw/test_001.mat --declare "units: V; n_bncs: 2" --electrode actv_64'
    parser.add_argument("file", type=Path)
    for name in ("daq", "headstage", "electrode"):
        parser.add_argument(f"--{name}", help="show the map of the wiring with this name")
    parser.add_argument(
        "--declare", default="", metavar="OVERRIDES", help='as in recordings.tsv: "sampling_rate: 1000; units: V"'
    )
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    declared = parse_overrides(arguments.declare, "--declare")
    try:
        of_acquisition, of_channels = split_overrides(declared)
        header = _read(path, of_acquisition)
    except EcogpipeError:
        _print_content(path)
        raise
    _print_facts(_facts(header))
    for title, lines in (
        ("notes", header.acquisition.notes),
        ("properties", list(_properties(header.acquisition.info))),
    ):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))
    names = {name: getattr(arguments, name) for name in ("daq", "headstage", "electrode")}
    _print_wirings(header, names, of_channels)
    return 0


def _print_content(path: Path) -> None:
    """Say what is in a file whose signals were not found, and a cell that declares them."""
    with suppress(EcogpipeError, OSError):
        if (content := list_content(path)).variables:
            _print_variables(content)
        elif sets := list_channel_sets(path):
            _print_channel_sets(sets)


def _print_variables(content: Content) -> None:
    rows = [(f"  {printable(each.name)}", _shape(each.shape), _value(each)) for each in content.variables]
    _print_with_cell("variables", rows, suggest_overrides(content))


def _print_channel_sets(sets: Sequence[ChannelSet]) -> None:
    print("properties of the file and of its largest set of channels")
    print("\n".join(f"  {line}" for line in _properties(storable(sets[0].properties))), end="\n\n")
    rows = [
        (
            f"  {printable(each.group)}",
            f"{each.n_channels} channel{'s' * (each.n_channels != 1)}",
            f"{each.n_values} {each.dtype}",
        )
        for each in sets
    ]
    _print_with_cell("groups", rows, sets[0].overrides)


def _print_with_cell(title: str, rows: Sequence[Sequence[str]], cell: str) -> None:
    print(title)
    print_columns(rows[:_MOST])
    if len(rows) > _MOST:
        print(f"  ... and {len(rows) - _MOST} more")
    if cell:
        in_a_row = ", channels in a row, with daq passthru" if "gain: " in cell else ""
        print(f"\nfor the column overrides: the largest of them as signals{in_a_row}")
        print(f"  {printable(cell)}")
    print(flush=True)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _value(variable: Variable) -> str:
    if variable.step is not None:
        return f"evenly spaced by {variable.step:.10g}"
    return "" if variable.value is None else f"= {variable.value}"


def _read(path: Path, declared: dict[str, object]) -> Header:
    """Read the header; whatever a file makes of a dependency ends as one sentence."""
    try:
        return read_header(path, declared)
    except EcogpipeError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path}: cannot be read ({first_line(error)}), which was not foreseen; please report it, and what "
            "wrote it."
        ) from error


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    print_columns([fact for fact in facts if fact[1]])


def _facts(header: Header) -> list[tuple[str, str]]:
    acquisition, status = header.acquisition, header.path.stat()
    rows = "1 row" if acquisition.n_rows == 1 else f"{acquisition.n_rows} rows"
    time_first = bool(header.parts) and header.parts[0].time_first
    scale = f"{acquisition.units}, value = {acquisition.slope:g} * raw + {acquisition.intercept:g}"
    changed = datetime.fromtimestamp(status.st_mtime, UTC)
    return [
        ("file", str(header.path)),
        ("format", f"{header.kind}, {'linked' if header.parts else 'copied'} by ingest"),
        ("bytes", f"{status.st_size:,}, last changed {changed:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "channels",
            f"{acquisition.n_channels} = {rows} x ({acquisition.n_columns} DAQ columns of the "
            f"electrode + {acquisition.n_bncs} BNC)",
        ),
        (
            "samples",
            f"{header.n_samples:,} of {header.dtype}, {'time x channels' if time_first else 'channels x time'}",
        ),
        ("rate", f"{float(acquisition.rate):.10g} Hz"),
        ("duration", f"{float(header.n_samples / acquisition.rate):.3f} s"),
        ("start", acquisition.start_time or "not known"),
        ("units", scale),
        ("declared", "; ".join(f"{name}: {value}" for name, value in acquisition.overrides.items())),
    ]


def _properties(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the file says of itself, a line for each, cut where it is long."""
    for name, value in list(info.items())[:_MOST]:
        text = printable(" ".join(f"{name}: {value}".split()))
        yield text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    if len(info) > _MOST:
        yield f"... and {len(info) - _MOST} more"


def _print_wirings(header: Header, names: dict[str, str | None], of_channels: Mapping[str, Any]) -> None:
    acquisition = header.acquisition
    n_rows, n_columns = acquisition.n_rows, acquisition.n_columns
    user_tables = Path("config", "wiring")
    known = known_wirings(user_tables if user_tables.is_dir() else None)
    fitting = [wiring for wiring in known if wiring.fits(n_rows, n_columns)]
    of_rows = "1 row" if n_rows == 1 else f"{n_rows} rows"
    print(f"\nwirings that fit {of_rows} and {n_columns} DAQ columns of the electrode")
    passthru = passthru_wiring(n_rows, n_columns, None, None).with_declared(of_channels)
    for wiring in (*fitting, passthru):
        print(f"  {_name(wiring)}: {_description(wiring)}")
    if any(name is not None and is_passthru(name) for name in names.values()):
        chosen = [passthru]
    elif any(names.values()) or len({_map(wiring) for wiring in fitting}) == 1:
        chosen = named_wirings(fitting or [passthru], **names)
    else:
        return
    if len({_map(wiring) for wiring in chosen}) > 1:
        raise WiringError(
            f"{len(chosen)} wirings that fit have such a name: {'; '.join(map(_name, chosen))}; give --daq and "
            "--headstage too."
        )
    print(f"\nchannel of every site, {_name(chosen[0])}")
    channels, rows, columns = chosen[0].sites()
    grid = np.full(chosen[0].grid, -1)
    grid[rows, columns] = channels
    print_grid(grid.astype(str).tolist())


def _name(wiring: Wiring) -> str:
    return wiring.daq if is_passthru(wiring.daq) else " / ".join(wiring.names)


def _description(wiring: Wiring) -> str:
    gain = "gain to be declared" if wiring.gain is None else f"gain {wiring.gain:g}"
    pitch = "not known" if wiring.pitch_mm is None else "{:g} x {:g} mm".format(*wiring.pitch_mm)
    return f"grid {wiring.grid[0]} x {wiring.grid[1]}, {gain}, pitch {pitch}"


def _map(wiring: Wiring) -> tuple[object, ...]:
    return wiring.grid, wiring.array_column_to_daq_column, wiring.array_row_to_daq_row
