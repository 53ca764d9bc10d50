"""What a person writes about channels wins over the automatic rule, and what cannot be meant is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from ecogpipe.electrodes.channels import ChannelTable, channel_table
from ecogpipe.electrodes.wiring import load_wiring
from ecogpipe.errors import FormatError, MaskError
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.steps.mask_channels import combine
from ecogpipe.study.foreign_masks import read_mask_arrays
from ecogpipe.study.manual_masks import check_manual_mask, read_manual_mask

COLUMNS = "recording\twhat\twhich\tkeep\treason"


@pytest.fixture
def channels() -> ChannelTable:
    return channel_table(load_wiring("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64"), n_bncs=2)


def write_manual(folder: Path, *rows: str) -> Path:
    path = folder / "session.tsv"
    path.write_text("\n".join((COLUMNS, *rows)) + "\n", encoding="utf-8")
    return path


def dropped_sites(folder: Path, channels: ChannelTable, *rows: str) -> set[tuple[int, int]]:
    decisions = read_manual_mask(write_manual(folder, *rows), "test_001", channels)
    mask = combine(channels, [""] * 64, decisions, {}, {})
    return {
        (int(row), int(column))
        for row, column, keep in zip(mask.site_row, mask.site_column, mask.keep, strict=True)
        if not keep
    }


@pytest.mark.parametrize(
    ("what", "which", "expected"),
    [
        ("channel", "0", {(0, 5)}),
        ("site", "2,3", {(2, 3)}),
        ("site", " 2 , 3 ", {(2, 3)}),
        ("daq_column", "0", {(row, 5) for row in range(8)}),
        ("daq_row", "4", {(7, column) for column in range(8)}),
        ("row", "4", {(4, column) for column in range(8)}),
        ("column", "0", {(row, 0) for row in range(8)}),
    ],
)
def test_each_word_means_its_sites(
    tmp_path: Path, channels: ChannelTable, what: str, which: str, expected: set[tuple[int, int]]
) -> None:
    assert dropped_sites(tmp_path, channels, f"test_001\t{what}\t{which}\tdrop\tloose") == expected


def test_rows_of_other_recordings_do_not_count_and_a_star_means_all(tmp_path: Path, channels: ChannelTable) -> None:
    rows = ["test_002\trow\t0\tdrop\tloose", "*\tsite\t1,1\tdrop\tburnt", "# a remark", "test_002\trow\t99\tdrop\tgone"]
    assert dropped_sites(tmp_path, channels, *rows) == {(1, 1)}


def test_later_rows_win_over_earlier_ones(tmp_path: Path, channels: ChannelTable) -> None:
    rows = ["*\tcolumn\t3\tdrop\tloose", "test_001\tsite\t5,3\tkeep\t"]
    assert dropped_sites(tmp_path, channels, *rows) == {(row, 3) for row in range(8)} - {(5, 3)}
    assert dropped_sites(tmp_path, channels, *reversed(rows)) == {(row, 3) for row in range(8)}


def test_manual_wins_over_automatic_and_both_are_told(tmp_path: Path, channels: ChannelTable) -> None:
    automatic = [""] * 64
    kept, agreed, left = (channels.chan_map.lookup(*site) for site in ((0, 0), (1, 1), (2, 2)))
    for position in (kept, agreed, left):
        automatic[position] = "dead: flat"
    rows = ["*\tsite\t0,0\tkeep\tshort seizure", "*\tsite\t1,1\tdrop\tburnt"]
    decisions = read_manual_mask(write_manual(tmp_path, *rows), "test_001", channels)
    mask = combine(channels, automatic, decisions, {}, {})
    assert (mask.keep[kept], mask.origins[kept]) == (True, "manual")
    assert mask.reasons[kept] == "short seizure; kept against: dead: flat"
    assert (mask.keep[agreed], mask.origins[agreed], mask.reasons[agreed]) == (False, "manual", "burnt")
    assert (mask.keep[left], mask.origins[left], mask.reasons[left]) == (False, "automatic", "dead: flat")
    assert mask.keep.sum() == 62
    untouched = channels.chan_map.lookup(7, 7)
    assert (mask.reasons[untouched], mask.origins[untouched]) == ("", "")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("*\tchannel\t96\tdrop\tloose", "no channel 96; the recording's channels are 0 to 95"),
        ("*\tchannel\t-1\tdrop\tloose", "no channel -1"),
        ("*\tchannel\t24\tdrop\tloose", "channel 24 carries diagnostic signals"),
        ("*\tchannel\t80\tdrop\tloose", "channel 80 carries bnc signals"),
        ("*\tdaq_column\t3\tdrop\tloose", "daq_column 3 carries diagnostic signals"),
        ("*\tdaq_column\t10\tdrop\tloose", "daq_column 10 carries bnc signals"),
        ("*\tdaq_column\t12\tdrop\tloose", "DAQ columns are 0 to 11"),
        ("*\tdaq_row\t8\tdrop\tloose", "DAQ rows are 0 to 7"),
        ("*\trow\t8\tdrop\tloose", "rows are 0 to 7"),
        ("*\trow\t-1\tdrop\tloose", "no row -1"),
        ("*\tcolumn\t8\tdrop\tloose", "columns are 0 to 7"),
        ("*\tsite\t8,0\tdrop\tloose", "no site 8,0; the array has rows 0 to 7 and columns 0 to 7"),
        ("*\tsite\t-1,-1\tdrop\tloose", "no site -1,-1"),
        ("*\tsite\t3\tdrop\tloose", "which is '3'; write row,column"),
        ("*\trow\tthree\tdrop\tloose", "which is 'three'; write one whole number"),
        ("*\trow\t\tdrop\tloose", "which is ''"),
        ("*\tcolum\t3\tdrop\tloose", "what is 'colum'. Did you mean 'column'"),
        ("*\tcolumn\t3\tno\tloose", "keep is 'no'; write keep or drop"),
        ("*\tcolumn\t3\tdrop\t ", "drops column 3 without a reason"),
        ("\tcolumn\t3\tdrop\tloose", "names no recording"),
        ("test_002\tcolumn\t3\tdorp\tloose", "keep is 'dorp'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_file_line_and_value(
    tmp_path: Path, channels: ChannelTable, row: str, message: str
) -> None:
    path = write_manual(tmp_path, "*\tsite\t0,0\tdrop\tburnt", row)
    with pytest.raises(MaskError) as refused:
        read_manual_mask(path, "test_001", channels)
    assert str(refused.value).startswith(f"{path}, line 3: ")
    assert message in str(refused.value)


def test_a_stray_quotation_mark_swallows_no_rows(tmp_path: Path, channels: ChannelTable) -> None:
    rows = ['*\trow\t1\tdrop\t"see notes', "*\trow\t2\tdrop\tloose"]
    with pytest.raises(FormatError, match="quotes in line 2, "):
        read_manual_mask(write_manual(tmp_path, *rows), "test_001", channels)
    assert len(dropped_sites(tmp_path, channels, '*\trow\t1\tdrop\tpin "4" bad', rows[1])) == 16


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (COLUMNS.replace("reason", "raeson"), "'raeson' in a manual mask. Did you mean 'reason'"),
        (COLUMNS.replace("\treason", ""), "the column 'reason' is missing"),
    ],
)
def test_the_columns_of_a_manual_mask_are_fixed(
    tmp_path: Path, channels: ChannelTable, columns: str, message: str
) -> None:
    path = tmp_path / "session.tsv"
    path.write_text(columns + "\n", encoding="utf-8")
    with pytest.raises(MaskError, match=message):
        read_manual_mask(path, "test_001", channels)


def test_a_manual_mask_may_be_without_rows_but_not_absent(tmp_path: Path, channels: ChannelTable) -> None:
    assert read_manual_mask(write_manual(tmp_path), "test_001", channels) == []
    with pytest.raises(FormatError, match="no such table"):
        read_manual_mask(tmp_path / "absent.tsv", "test_001", channels)


def test_the_file_says_what_the_mask_says(tmp_path: Path, channels: ChannelTable) -> None:
    rng = np.random.default_rng(0)
    automatic = ["noisy: std is 4 times" if drop else "" for drop in rng.random(64) < 0.3]
    numbers = {"std": rng.normal(size=64), "rail_fraction": np.where(rng.random(64) < 0.1, np.nan, 1e-300)}
    header = {"recording": "test_001", "thresholds": {"dead_ratio": 0.1}, "signal_hash": "ab", "provenance": {}}
    mask = combine(channels, automatic, [], numbers, header)
    read = read_mask(write_mask(tmp_path / "mask.tsv", mask))
    for name in ("channel", "site_row", "site_column", "keep"):
        np.testing.assert_array_equal(getattr(read, name), getattr(mask, name), err_msg=name)
    assert (read.reasons, read.origins, read.header) == (mask.reasons, mask.origins, mask.header)
    assert list(read.numbers) == ["std", "rail_fraction"]
    for name, values in numbers.items():
        np.testing.assert_array_equal(read.numbers[name], values)
    np.testing.assert_array_equal(read.channel, channels.electrode_channels)
    assert read.keep.dtype == bool


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.tsv"
    path.write_text("channel\tkeep\n0\t1\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"mask\.tsv: is not a channel mask"):
        read_mask(path)


def save_npy(folder: Path, mask: np.ndarray) -> str:
    np.save(folder / "old.npy", mask)
    return "old.npy"


def save_mat5(folder: Path, mask: np.ndarray) -> str:
    scipy.io.savemat(folder / "old.mat", {"bad": mask, "note": "seen in 2016", "gain": 10.0})
    return "old.mat"


def save_mat73(folder: Path, mask: np.ndarray) -> str:
    with h5py.File(folder / "old.mat", "w", userblock_size=512) as file:
        file["bad"] = np.atleast_2d(mask).astype("u1").T  # as Matlab writes it: axes reversed
        file["bad"].attrs["MATLAB_class"] = np.bytes_("logical")
    return "old.mat:bad"


def save_hdf5(folder: Path, mask: np.ndarray) -> str:
    with h5py.File(folder / "old.h5", "w") as file:
        file["session/bad"] = mask
        file["Fs"] = 1000.0
    return "old.h5"


@pytest.mark.parametrize("save", [save_npy, save_mat5, save_mat73, save_hdf5])
@pytest.mark.parametrize("form", ["sites", "electrode channels", "channels", "a column", "numbers"])
def test_masks_of_other_tools_mean_the_same_in_every_form(tmp_path: Path, channels: ChannelTable, save, form) -> None:
    on_grid = np.zeros((8, 8), dtype=bool)
    on_grid[[1, 6], [2, 0]] = True
    per_site = channels.chan_map.as_channels(on_grid)
    per_channel = np.zeros(len(channels), dtype=bool)
    per_channel[channels.electrode_channels] = per_site
    forms = {"sites": on_grid, "electrode channels": per_site, "channels": per_channel}
    mask = {**forms, "a column": per_site[:, None], "numbers": on_grid.astype(float)}[form]
    assert dropped_by_file(tmp_path, channels, save(tmp_path, mask), "drop") == {(1, 2), (6, 0)}
    assert dropped_by_file(tmp_path, channels, save(tmp_path, ~mask.astype(bool)), "keep") == {(1, 2), (6, 0)}


def dropped_by_file(folder: Path, channels: ChannelTable, name: str, keep: str) -> set[tuple[int, int]]:
    path = write_manual(folder, f"*\tfile\t{name}\t{keep}\tseen in 2016")
    mask = combine(channels, [""] * 64, read_manual_mask(path, "test_001", channels, read_mask_arrays), {}, {})
    return set(zip(mask.site_row[~mask.keep].tolist(), mask.site_column[~mask.keep].tolist(), strict=True))


@pytest.mark.parametrize(
    ("arrays", "which", "message"),
    [
        (
            {"bad": np.zeros(63)},
            "old.mat",
            r"line 2: old.mat holds bad \(1, 63\), but a mask of this recording has true",
        ),
        ({"bad": np.arange(64)}, "old.mat", "64 electrode channels, 96 channels"),
        ({"bad": np.zeros(64), "good": np.ones(64)}, "old.mat", "several of which fit; write which one after a colon"),
        ({"bad": np.zeros(64)}, "old.mat:bed", "has no array 'bed'. Did you mean 'bad'"),
        ({"bad": np.zeros(64)}, "older.mat", "older.mat: cannot be read"),
    ],
)
def test_a_mask_file_that_does_not_fit_is_refused(
    tmp_path: Path, channels: ChannelTable, arrays, which, message
) -> None:
    scipy.io.savemat(tmp_path / "old.mat", arrays)
    with pytest.raises(MaskError, match=message):
        dropped_by_file(tmp_path, channels, which, "drop")


@pytest.mark.parametrize("content", [b"", b"no mask at all", b"\x93NUMPY\x01\x00 damaged", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_mask_file_is_refused(tmp_path: Path, channels: ChannelTable, content: bytes) -> None:
    (tmp_path / "old.npy").write_bytes(content)
    with pytest.raises(MaskError, match=r"old\.npy: cannot be read as a mask"):
        dropped_by_file(tmp_path, channels, "old.npy", "drop")


def test_a_recording_that_the_session_has_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write_manual(tmp_path, "*\trow\t1\tdrop\tloose", "test_01\trow\t1\tdrop\tloose")
    with pytest.raises(MaskError, match=r"line 3: the session has no recording 'test_01'. Did you mean 'test_001'\?"):
        check_manual_mask(path, ["test_001", "rest"])
    check_manual_mask(path, ["test_01", "rest"])
