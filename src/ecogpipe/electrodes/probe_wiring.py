"""A wiring from a probe file of the package probeinterface: sites by the positions of the contacts on a grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from ecogpipe.electrodes.grid import places_on_axis
from ecogpipe.electrodes.wiring import Wiring
from ecogpipe.errors import WiringError

Ints = npt.NDArray[np.intp]

_MILLIMETRES = {"um": 1e-3, "mm": 1.0}


def wiring_from_probe(
    path: Path,
    *,
    daq: str,
    headstage: str,
    electrode: str,
    n_rows: int,
    gain: float | None = None,
    acquisition_columns: int | None = None,
) -> Wiring:
    """Read a probe file whose device channels are those of the acquisition, ``daq_column * n_rows + daq_row``.

    Parameters
    ----------
    path
        A probeinterface file of one probe, JSON.
    daq, headstage, electrode
        Names of the set-up.
    n_rows
        Multiplexer rows to a DAQ column.
    gain
        Amplifier gain; None where recordings declare it.
    acquisition_columns
        DAQ columns before the BNC columns; by default up to the last one that carries a contact. Columns without
        contacts are diagnostic.

    Raises
    ------
    WiringError
        If the file is none, its contacts make no grid, or its columns and rows are not DAQ columns and rows.

    Examples
    --------
    ``write_wiring(wiring_from_probe(Path("probe.json"), daq=..., n_rows=8), Path("config/wiring/mine.yaml"))``
    """
    probe = _read_probe(path)
    x, y = np.array(probe["contact_positions"], dtype=float).reshape(-1, 2).T
    along_x, along_y = places_on_axis(x), places_on_axis(y)
    if along_x is None or along_y is None:
        raise WiringError(f"{path}: its contacts lie on no grid of equal steps; write the table by hand.")
    (columns, dx), (rows, dy) = along_x, along_y
    grid = int(rows.max()) + 1, int(columns.max()) + 1
    channels = np.array(probe["device_channel_indices"], dtype=np.intp)
    n_sites = grid[0] * grid[1]
    if len(np.unique(rows * grid[1] + columns)) != n_sites or len(channels) != n_sites:
        raise WiringError(f"{path}: {len(channels)} contacts do not fill {grid[0]} x {grid[1]} sites, one each.")
    daq_columns = _along(path, columns, channels // n_rows, "column")
    daq_rows = _along(path, rows, channels % n_rows, "row")
    last = acquisition_columns or max(daq_columns) + 1
    scale = _MILLIMETRES[probe["si_units"]]
    return Wiring(
        daq=daq,
        headstage=headstage,
        electrode=electrode,
        grid=grid,
        pitch_mm=(dy * scale or dx * scale, dx * scale or dy * scale) if dx or dy else None,
        gain=gain,
        acquisition_columns=last,
        array_column_to_daq_column=daq_columns,
        array_row_to_daq_row=daq_rows,
        diagnostic_columns=tuple(sorted(set(range(last)) - set(daq_columns))),
        provenance=f"positions and device channels of the contacts in {path.name}",
    )


def write_wiring(wiring: Wiring, path: Path) -> Path:
    """Write a wiring table, as `read_wiring` reads it, for the folder config/wiring of a study."""
    pitch = None if wiring.pitch_mm is None else dict(zip(("dy", "dx"), wiring.pitch_mm, strict=True))
    table: dict[str, Any] = {
        "daq": wiring.daq,
        "headstage": wiring.headstage,
        "electrode": wiring.electrode,
        "grid": list(wiring.grid),
        "pitch_mm": pitch,
        "gain": wiring.gain,
        "acquisition_columns": wiring.acquisition_columns,
        "array_column_to_daq_column": list(wiring.array_column_to_daq_column),
        "array_row_to_daq_row": list(wiring.array_row_to_daq_row),
        "diagnostic_columns": list(wiring.diagnostic_columns),
        "provenance": wiring.provenance,
    }
    path.write_text(yaml.safe_dump(table, sort_keys=False, default_flow_style=None), encoding="utf-8")
    return path


def _read_probe(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        probes = content["probes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WiringError(f"{path}: is no probe file of probeinterface ({error}); name one.") from error
    if len(probes) != 1:
        raise WiringError(f"{path}: holds {len(probes)} probes; a wiring is of one, write each to a file of its own.")
    probe: dict[str, Any] = probes[0]
    if "device_channel_indices" not in probe:
        raise WiringError(f"{path}: does not say which device channel each contact is on; wire the probe first.")
    if probe.get("ndim") != 2 or probe.get("si_units") not in _MILLIMETRES:
        raise WiringError(f"{path}: a wiring is of contacts on a plane, in um or mm; this probe has others.")
    return probe


def _along(path: Path, places: Ints, found: Ints, kind: str) -> tuple[int, ...]:
    """Return the DAQ column (or row) of each column (or row) of the grid, which all its contacts are on."""
    of_place = []
    for place in range(int(places.max()) + 1):
        own = np.unique(found[places == place])
        if len(own) != 1:
            raise WiringError(
                f"{path}: the contacts of array {kind} {place} are on DAQ {kind}s {', '.join(map(str, own))}; in a "
                "multiplexed array they are all on one, so n_rows or the device channels are others."
            )
        of_place.append(int(own[0]))
    return tuple(of_place)
