"""A probe file becomes the wiring that it was made of, or is refused with what is odd about it."""

import json
from pathlib import Path

import pytest
from probeinterface import ProbeGroup, write_probeinterface

from ecogpipe.electrodes.channels import channel_table
from ecogpipe.electrodes.probe_wiring import wiring_from_probe, write_wiring
from ecogpipe.electrodes.wiring import Wiring, known_wirings, read_wiring
from ecogpipe.errors import WiringError


def probe_file(folder: Path, wiring: Wiring) -> Path:
    table, group = channel_table(wiring, n_bncs=0), ProbeGroup()
    group.add_probe(table.chan_map.to_probe(table.electrode_channels))
    write_probeinterface(folder / "probe.json", group)
    return folder / "probe.json"


def read(path: Path, wiring: Wiring, **changes: int) -> Wiring:
    names = dict(zip(("daq", "headstage", "electrode"), wiring.names, strict=True))
    settings = {"n_rows": wiring.n_rows, "acquisition_columns": wiring.acquisition_columns} | changes
    return wiring_from_probe(path, **names, gain=wiring.gain, **settings)


@pytest.mark.parametrize(
    "wiring", [each for each in known_wirings() if each.pitch_mm], ids=lambda wiring: str(wiring.names)
)
def test_every_known_wiring_comes_back_through_a_probe_file_and_a_table(tmp_path: Path, wiring: Wiring) -> None:
    gained = wiring if wiring.gain else wiring.with_declared({"gain": 10})
    found = read_wiring(write_wiring(read(probe_file(tmp_path, gained), gained), tmp_path / "mine.yaml"))
    for name in ("grid", "gain", "array_column_to_daq_column", "array_row_to_daq_row", "diagnostic_columns"):
        assert getattr(found, name) == getattr(gained, name)
    assert found.pitch_mm == pytest.approx(gained.pitch_mm)


def changed(path: Path, **values: object) -> Path:
    content = json.loads(path.read_text())
    content["probes"][0] |= values
    path.write_text(json.dumps(content))
    return path


def test_what_is_no_wiring_is_refused_with_the_reason(tmp_path: Path) -> None:
    wiring = known_wirings()[0]
    path = probe_file(tmp_path, wiring)
    original = json.loads(path.read_text())["probes"][0]
    with pytest.raises(WiringError, match="are on DAQ"):
        read(path, wiring, n_rows=4)
    uneven = [[x * (1 + 0.3 * (x > 500)), y] for x, y in original["contact_positions"]]
    with pytest.raises(WiringError, match="no grid"):
        read(changed(path, contact_positions=uneven), wiring)
    twice = [original["contact_positions"][0], *original["contact_positions"][:-1]]
    with pytest.raises(WiringError, match="do not fill 8 x 8 sites"):
        read(changed(path, contact_positions=twice), wiring)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(WiringError, match="no probe file"):
        read(tmp_path / "no.json", wiring)
