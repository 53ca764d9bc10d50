"""Wiring: the tables that send the channels of a (daq, headstage, electrode) set-up to sites of its array.

A recording has ``channel = daq_column * n_rows + daq_row``. A wiring says which DAQ column carries each array
column, which DAQ row carries each array row, and which DAQ columns carry diagnostics in place of sites.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.grid import Pitch, as_index, check_geometry, check_pitch, is_number
from ecogpipe.errors import SettingsError, WiringError, nearest
from ecogpipe.storage.strict_yaml import load_yaml

PASSTHRU = "passthru"
"""The DAQ name of recordings without a table: every acquired column and row is an array column and row."""


@dataclass(frozen=True)
class Wiring:
    """One set-up, checked when it is made.

    Attributes
    ----------
    daq, headstage, electrode : str
        Names of the set-up.
    grid : (int, int)
        Rows and columns of the array.
    pitch_mm : (float, float) or None
        Distance between sites, (dy between rows, dx between columns); None where not known.
    gain : float or None
        Amplifier gain, signed: microvolts = volts * 1e6 / gain. None where it must be declared.
    acquisition_columns : int
        DAQ columns before the BNC columns, diagnostic ones included.
    array_column_to_daq_column : tuple of int
        The DAQ column that carries each array column.
    array_row_to_daq_row : tuple of int
        The DAQ row (multiplexer slot) that carries each array row.
    diagnostic_columns : tuple of int
        DAQ columns that carry leakage or supply signals.
    provenance : str
        Where the table comes from.

    Raises
    ------
    WiringError
        If the columns or rows are not each used exactly once, or a value makes no sense.
    """

    daq: str
    headstage: str
    electrode: str
    grid: tuple[int, int]
    pitch_mm: Pitch | None
    gain: float | None
    acquisition_columns: int
    array_column_to_daq_column: tuple[int, ...]
    array_row_to_daq_row: tuple[int, ...]
    diagnostic_columns: tuple[int, ...]
    provenance: str

    def __post_init__(self) -> None:
        for name in ("array_column_to_daq_column", "array_row_to_daq_row", "diagnostic_columns"):
            object.__setattr__(self, name, _as_indices(name, getattr(self, name)))
        object.__setattr__(self, "grid", check_geometry(self.grid))
        object.__setattr__(self, "pitch_mm", check_pitch(self.pitch_mm))
        as_index(self.acquisition_columns, "count of acquisition_columns")
        _check_gain(self.gain)
        _check_names(self)
        _check_counts(self)
        _check_used_once(
            "array_column_to_daq_column and diagnostic_columns",
            self.array_column_to_daq_column + self.diagnostic_columns,
            self.acquisition_columns,
        )
        _check_used_once("array_row_to_daq_row", self.array_row_to_daq_row, self.n_rows)

    @property
    def n_rows(self) -> int:
        """DAQ rows of a recording with this wiring."""
        return len(self.array_row_to_daq_row)

    @property
    def names(self) -> tuple[str, str, str]:
        """The DAQ, the headstage and the electrode."""
        return self.daq, self.headstage, self.electrode

    def sites(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return (channels, site rows, site columns) of all sites, channels ascending."""
        rows, columns = np.indices(self.grid).reshape(2, -1)
        daq_columns = np.array(self.array_column_to_daq_column)[columns]
        channels = daq_columns * self.n_rows + np.array(self.array_row_to_daq_row)[rows]
        order = np.argsort(channels)
        return channels[order], rows[order], columns[order]

    def fits(self, n_rows: int, n_columns: int) -> bool:
        """Return whether a recording of `n_rows` DAQ rows and `n_columns` DAQ columns can come from this set-up."""
        return (n_rows, n_columns) == (self.n_rows, self.acquisition_columns)

    def with_declared(self, declared: Mapping[str, Any]) -> "Wiring":
        """Return this wiring with the `gain` and the `pitch_mm` that a person declared, where there are any."""
        if "gain" in declared and declared["gain"] is None:
            raise WiringError("A gain is declared but empty; give a number, negative where the polarity is inverted.")
        return replace(self, **{name: declared[name] for name in ("gain", "pitch_mm") if name in declared})


def load_wiring(daq: str, headstage: str, electrode: str, *, user_tables: Path | None = None) -> Wiring:
    """Return the wiring of a set-up; names compare without regard to case and spaces.

    Parameters
    ----------
    daq, headstage, electrode : str
        Names of the set-up.
    user_tables : Path, optional
        A folder with tables of the user's own (``*.yaml``), beside those of the package.

    Raises
    ------
    WiringError
        If there is no such set-up; the message offers the nearest name. If a table cannot be used.

    Examples
    --------
    >>> load_wiring("2T-AS DAQ v2", "ZIF26 to 2x uHDMI", "actv_64").grid
    (8, 8)
    """
    if is_passthru(daq):
        raise WiringError("There is no table for 'passthru'; its grid is that of the recording (`passthru_wiring`).")
    fitting = known_wirings(user_tables)
    for part, wanted in zip(("daq", "headstage", "electrode"), (daq, headstage, electrode), strict=True):
        names = [getattr(wiring, part) for wiring in fitting]
        fitting = [wiring for wiring in fitting if _folded(getattr(wiring, part)) == _folded(wanted)]
        if not fitting:
            before = {"daq": "", "headstage": f" with daq {daq!r}"}.get(part, f" with {daq!r} and {headstage!r}")
            known = [*names, PASSTHRU] if part == "daq" else names
            raise WiringError(
                f"No wiring is known for {part} {wanted!r}{before}. {nearest(wanted, known)} "
                "Correct the name, or add a table for a new set-up."
            )
    return fitting[0]


def named_wirings(wirings: Iterable[Wiring], **names: str | None) -> list[Wiring]:
    """Return the wirings with these names (`daq`, `headstage`, `electrode`), each of them where it is given.

    Raises
    ------
    WiringError
        If none of them has such a name; the message offers the nearest.
    """
    found = list(wirings)
    for part, wanted in names.items():
        if wanted is None:
            continue
        known = [getattr(wiring, part) for wiring in found]
        found = [wiring for wiring in found if _folded(getattr(wiring, part)) == _folded(wanted)]
        if not found:
            raise WiringError(f"No {part} {wanted!r} is among them. {nearest(wanted, known or ['none'])}")
    return found


def passthru_wiring(
    n_rows: int, n_columns: int, gain: float | None, pitch_mm: float | Sequence[float] | None
) -> Wiring:
    """Return the wiring that takes every DAQ column and row as an array column and row, in file order."""
    return Wiring(
        daq=PASSTHRU,
        headstage=PASSTHRU,
        electrode=PASSTHRU,
        grid=(n_rows, n_columns),
        pitch_mm=check_pitch(pitch_mm),
        gain=gain,
        acquisition_columns=n_columns,
        array_column_to_daq_column=tuple(range(n_columns)),
        array_row_to_daq_row=tuple(range(n_rows)),
        diagnostic_columns=(),
        provenance="file order; gain and pitch declared by the user",
    )


def is_passthru(name: str) -> bool:
    """Return whether a name means 'passthru', without regard to case and spaces."""
    return _folded(name) == PASSTHRU


def known_wirings(user_tables: Path | None = None) -> list[Wiring]:
    """Return the wirings of the package and of the user's folder, in the order of their file names.

    Raises
    ------
    WiringError
        If the user's folder does not exist, a table cannot be used, or two tables are for the same set-up.
    """
    tables = dict(_packaged_wirings())
    if user_tables is not None:
        if not user_tables.is_dir():
            raise WiringError(f"{user_tables}: there is no such folder of wiring tables; make it or correct its name.")
        tables |= {str(path): read_wiring(path) for path in sorted(user_tables.glob("*.y*ml"))}
    owners: dict[tuple[str, ...], str] = {}
    for name, wiring in tables.items():
        owner = owners.setdefault(tuple(_folded(part) for part in wiring.names), name)
        if owner != name:
            raise WiringError(f"{name}: is for the same set-up as {owner}; give one of them another name.")
    return list(tables.values())


def read_wiring(path: Path) -> Wiring:
    """Read and check one wiring table, a YAML file.

    Raises
    ------
    WiringError
        If a key is missing or unknown, or the table makes no sense; the message names the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WiringError(f"{path}: could not be read as text ({error}); check the file.") from None
    return _parse_wiring(text, str(path))


@cache
def _packaged_wirings() -> tuple[tuple[str, Wiring], ...]:
    return tuple(_read_packaged())


def _read_packaged() -> Iterator[tuple[str, Wiring]]:
    folder = resources.files("ecogpipe.electrodes") / "tables"
    for table in sorted(folder.iterdir(), key=lambda table: table.name):
        if table.name.endswith(".yaml"):
            yield f"the package's {table.name}", _parse_wiring(table.read_text(encoding="utf-8"), table.name)


def _parse_wiring(text: str, source: str) -> Wiring:
    try:
        content = load_yaml(text, source)
    except SettingsError as error:
        raise WiringError(str(error)) from None
    try:
        return Wiring(**_checked_keys(content))
    except WiringError as error:
        raise WiringError(f"{source}: {error}") from None


def _checked_keys(content: Any) -> dict[str, Any]:
    keys = [field.name for field in fields(Wiring)]
    if not isinstance(content, dict):
        raise WiringError(f"A wiring table has the keys {', '.join(keys)}; found none of them.")
    for key in content:
        if key not in keys:
            raise WiringError(f"There is no key {key!r} in a wiring table. {nearest(str(key), keys)}")
    missing = [key for key in keys if key not in content]
    if missing:
        raise WiringError(
            f"The table lacks {', '.join(missing)}; write every key, null for a gain or pitch_mm that is not known."
        )
    return {**content, "pitch_mm": _table_pitch(content["pitch_mm"])}


def _table_pitch(pitch: Any) -> Any:
    if isinstance(pitch, dict):
        if set(pitch) != {"dy", "dx"}:
            raise WiringError(f"A pitch_mm of {pitch!r} does not have exactly dy (between rows) and dx (columns).")
        return pitch["dy"], pitch["dx"]
    return pitch


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _as_indices(name: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple):
        raise WiringError(f"{name} is {values!r}; give a list of whole numbers.")
    return tuple(as_index(value, f"entry of {name}") for value in values)


def _check_names(wiring: Wiring) -> None:
    for name in ("daq", "headstage", "electrode", "provenance"):
        value = getattr(wiring, name)
        if not isinstance(value, str) or not value.strip():
            raise WiringError(f"{name} is {value!r}; give a text.")


def _check_gain(gain: Any) -> None:
    if gain is not None and (not is_number(gain) or gain == 0):
        raise WiringError(f"A gain of {gain!r} makes no sense; give a number, negative where the polarity is inverted.")


def _check_counts(wiring: Wiring) -> None:
    rows, columns = wiring.grid
    for name, count, wanted in (
        ("array_row_to_daq_row", len(wiring.array_row_to_daq_row), rows),
        ("array_column_to_daq_column", len(wiring.array_column_to_daq_column), columns),
    ):
        if count != wanted:
            raise WiringError(f"{name} has {count} entries for a grid of {rows} rows and {columns} columns.")


def _check_used_once(name: str, used: Sequence[int], count: int) -> None:
    missing, surplus = sorted(set(range(count)) - set(used)), sorted(set(used) - set(range(count)))
    twice = sorted({value for value in used if used.count(value) > 1})
    found = [
        f"{what} {', '.join(map(str, values))}"
        for what, values in (("lacks", missing), ("repeats", twice), ("has, out of range,", surplus))
        if values
    ]
    if found:
        raise WiringError(f"{name} must use each of 0 to {count - 1} exactly once; it {' and '.join(found)}.")
