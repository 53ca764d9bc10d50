"""mask_channels writes which channels to use, from the numbers of the scan and what a person says."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ecogpipe.errors import EcogpipeError, FormatError, MaskError, SettingsError
from ecogpipe.results.channels import read_channels
from ecogpipe.results.mask import read_mask
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.storage.canonical import Acquisition, write_acquisition
from ecogpipe.study.manual_masks import rows_of_recording
from shipped import AUTOMATIC

ACTV = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
N_CHANNELS, N_SAMPLES = 96, 10_000
CLEAN = {
    "mean": 0.0,
    "std": 1e-3,
    "min": -3e-3,
    "max": 3e-3,
    "drift": 1e-4,
    "line50_rms": 1e-4,
    "line60_rms": 1e-4,
    "stuck_fraction": 0.0,
    "n_nonfinite": 0.0,
    "flat_fraction": 0.0,
    "rail_fraction": 0.0,
    "hf_rms": 2e-4,
}


def write_scan(
    folder: Path,
    faults: dict[int, dict[str, float]] | None = None,
    n_channels: int = N_CHANNELS,
    unlike: Sequence[int] = (),
    **declared: Any,
) -> Path:
    """Write the scan of good channels, but for the numbers in `faults` (by channel), and those `unlike` all others."""
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        write_acquisition(file, Acquisition(Fraction(1000), 8, 10, 2, units="V", overrides=declared))
        file.attrs["signal_hash"] = "ab" * 32
        file.attrs["n_samples"] = N_SAMPLES
        for name, value in CLEAN.items():
            numbers = np.full(n_channels, value)
            for channel, changed in (faults or {}).items():
                numbers[channel] = changed.get(name, value)
            file[f"channels/{name}"] = numbers
        correlation = np.full((80, 80), 0.8)
        correlation[list(unlike)] = correlation[:, list(unlike)] = 0.01
        file["correlation"] = correlation
        file["correlation"].attrs["n_changes"] = 200
    return path


@pytest.fixture
def channels(tmp_path: Path) -> Path:
    raw = tmp_path / "raw.h5"
    with h5py.File(raw, "w") as file:
        write_acquisition(file, Acquisition(Fraction(1000), 8, 10, 2, units="V"))
    return map_channels(raw, tmp_path / "channels.tsv", **ACTV)


def write_manual(folder: Path, *rows: str) -> Path:
    path = folder / "masks" / "session.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(("recording\twhat\twhich\tkeep\treason", *rows)) + "\n", encoding="utf-8")
    return path


def mask_of(scan: Path, channels: Path, manual: Path | None = None, **settings: Any) -> Path:
    asked = {"recording": "test_001", "automatic": dict(AUTOMATIC), **settings}
    return mask_channels(scan, channels, scan.with_name("mask.tsv"), manual=manual, **asked)


def test_faults_are_dropped_with_reason_origin_and_numbers(tmp_path: Path, channels: Path) -> None:
    faults: dict[int, dict[str, float]] = {channel: {"std": 1e-6, "hf_rms": 1e-6} for channel in range(8)}
    faults[8] = {"std": 5e-3, "hf_rms": 7e-3}
    faults[16] = {"rail_fraction": 0.1, "std": 3.0, "max": 10.0}
    faults[17] = {"n_nonfinite": 200.0}
    mask = read_mask(mask_of(write_scan(tmp_path, faults), channels))
    reasons = dict(zip(mask.channel.tolist(), mask.reasons, strict=True))
    assert all(reasons[channel] == "dead column 5: std is 0.001 of the typical one" for channel in range(8))
    assert reasons[8] == "noisy: std is 5 times the typical one"
    assert reasons[16] == "railed: 0.1 of its samples sit at its extreme"
    assert reasons[17] == "not finite: 0.02 of its samples are NaN or infinite"
    assert set(mask.channel[~mask.keep].tolist()) == {*range(8), 8, 16, 17}
    assert [origin == "automatic" for origin in mask.origins] == (~mask.keep).tolist()
    np.testing.assert_array_equal(mask.channel, read_channels(channels).electrode_channels)
    assert mask.numbers["nonfinite_fraction"][mask.channel == 17] == 0.02
    assert mask.numbers["max"][mask.channel == 16] == 10.0


def test_line_noise_is_judged_only_where_the_mains_are_declared(tmp_path: Path, channels: Path) -> None:
    hum = {8: {"line60_rms": 1.5e-3}, 9: {"line50_rms": 1.5e-3}}
    dropped = []
    for declared in ({}, {"line_frequency": 60}, {"line_frequency": 50}):
        mask = read_mask(mask_of(write_scan(tmp_path, hum, **declared), channels))
        assert mask.header["line_frequency"] == declared.get("line_frequency")
        assert mask.numbers["line60_rms"][mask.channel == 8] == 1.5e-3
        dropped.append(mask.channel[~mask.keep].tolist())
    assert dropped == [[], [8], [9]]


def test_what_is_unlike_its_neighbours_and_like_noise_is_disconnected(tmp_path: Path, channels: Path) -> None:
    noise = {channel: {"hf_rms": 1.4e-3} for channel in (8, 40)}
    mask = read_mask(mask_of(write_scan(tmp_path, noise, unlike=(8, 16)), channels))
    assert mask.channel[~mask.keep].tolist() == [8]
    [reason] = [reason for reason in mask.reasons if reason]
    assert reason == (
        "disconnected: its correlation with its neighbours is 0.01, where 0.80 is typical, and its spectrum is noise"
    )


def test_diagnostic_columns_are_summarised(tmp_path: Path, channels: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = read_channels(channels)
    [first, *_] = columns = np.unique(table.daq_column[table.diagnostic_channels]).tolist()
    leaking = np.flatnonzero(table.daq_column == first)
    levels = {int(channel): {"mean": 0.02 + 0.001 * row, "drift": -0.5} for row, channel in enumerate(leaking)}
    with caplog.at_level("INFO"):
        mask = read_mask(mask_of(write_scan(tmp_path, levels), channels))
    summaries = mask.header["diagnostics"]
    assert [line["daq_column"] for line in summaries] == columns
    assert summaries[0] == {
        "daq_column": first,
        "level": pytest.approx(0.0235),
        "lowest": pytest.approx(0.02),
        "highest": pytest.approx(0.027),
        "drift_per_hour": -0.5,
        "units": "V",
    }
    assert f"diagnostic column {first}: level 0.0235 V (0.02 to 0.027), drift -0.5 V per hour" in caplog.text


def test_faults_of_diagnostic_and_bnc_channels_are_nobodys(tmp_path: Path, channels: Path) -> None:
    loud = {channel: {"std": 5.0, "hf_rms": 5.0} for channel in (*range(24, 32), *range(80, 96))}
    mask = read_mask(mask_of(write_scan(tmp_path, loud), channels))
    assert len(mask) == 64
    assert mask.keep.all()
    assert set(mask.reasons) == set(mask.origins) == {""}


def test_a_person_wins_over_the_rule(tmp_path: Path, channels: Path) -> None:
    scan = write_scan(tmp_path, {8: {"std": 5e-3}})
    row, column = read_channels(channels).chan_map.rlookup(0)
    manual = write_manual(
        tmp_path,
        "*\tchannel\t8\tkeep\tseizure",
        f"test_001\tsite\t{row},{column}\tdrop\tburnt",
        "test_002\trow\t3\tdrop\tloose",
    )
    for recording in ("test_001", "subject/session/test_001"):
        mask = read_mask(mask_of(scan, channels, manual, recording=recording))
        assert mask.channel[~mask.keep].tolist() == [0]
        decided = {
            int(channel): (reason, origin)
            for channel, reason, origin in zip(mask.channel, mask.reasons, mask.origins, strict=True)
            if origin
        }
        assert decided == {
            0: ("burnt", "manual"),
            8: ("seizure; kept against: noisy: std is 5 times the typical one", "manual"),
        }


def test_the_mask_says_what_made_it(tmp_path: Path, channels: Path) -> None:
    path = mask_of(write_scan(tmp_path), channels, write_manual(tmp_path, "test_001\tchannel\t3\tdrop\tloose"))
    header = read_mask(path).header
    assert header["recording"] == "test_001"
    assert header["thresholds"] == AUTOMATIC
    assert header["signal_hash"] == "ab" * 32
    assert header["provenance"]["step"] == "mask_channels"
    inputs = {described["name"]: described for described in header["provenance"]["inputs"]}
    assert set(inputs) == {"scan.h5", "channels.tsv"}
    settings = header["provenance"]["settings"]
    assert settings["manual"] == "masks/session.tsv"
    assert settings["rows"] == rows_of_recording(tmp_path / "masks" / "session.tsv", "test_001")
    assert all(len(described["sha256"]) == 64 for described in inputs.values())
    assert str(tmp_path) not in path.read_text(encoding="utf-8"), "no absolute path inside a result"


def test_two_runs_give_the_same_bytes(tmp_path: Path, channels: Path) -> None:
    scan = write_scan(tmp_path, {3: {"std": 1 / 3}})
    assert mask_of(scan, channels).read_bytes() == mask_of(scan, channels).read_bytes()


def test_thresholds_are_those_asked_for(tmp_path: Path, channels: Path) -> None:
    scan = write_scan(tmp_path, {8: {"std": 5e-3}})
    lenient = {**AUTOMATIC, "noisy_ratio": 6}
    mask = read_mask(mask_of(scan, channels, automatic=lenient))
    assert mask.keep.all()
    assert mask.header["thresholds"] == lenient


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("*\tchannel\t96\tdrop\tloose", "line 2: there is no channel 96; the recording's channels are 0 to 95"),
        ("*\trow\t8\tdrop\tloose", "line 2: there is no row 8; the array's rows are 0 to 7"),
    ],
)
def test_a_mask_longer_than_the_array_is_refused(tmp_path: Path, channels: Path, row: str, message: str) -> None:
    manual = write_manual(tmp_path, row)
    with pytest.raises(MaskError) as refused:
        mask_of(write_scan(tmp_path), channels, manual)
    assert str(refused.value).startswith(f"{manual}, {message}")
    assert not (tmp_path / "mask.tsv").exists()


def test_a_scan_of_another_recording_is_refused(tmp_path: Path, channels: Path) -> None:
    with pytest.raises(MaskError, match=r"scan\.h5: has 80 channels but .*channels\.tsv has 96"):
        mask_of(write_scan(tmp_path, n_channels=80), channels)


def test_what_is_no_scan_is_refused(tmp_path: Path, channels: Path) -> None:
    with pytest.raises(FormatError, match="there is no such file"):
        mask_of(tmp_path / "absent.h5", channels)
    scan = write_scan(tmp_path)
    with h5py.File(scan, "a") as file:
        del file["channels/std"]
    with pytest.raises(FormatError, match=r"scan\.h5: lacks the number 'std'"):
        mask_of(scan, channels)


@pytest.mark.parametrize("automatic", [{}, {**AUTOMATIC, "noise_ratio": 2.0}])
def test_thresholds_must_be_all_and_only_the_known_ones(
    tmp_path: Path, channels: Path, automatic: dict[str, float]
) -> None:
    with pytest.raises(SettingsError, match="automatic masks") as refused:
        mask_of(write_scan(tmp_path), channels, automatic=automatic)
    assert isinstance(refused.value, EcogpipeError)
