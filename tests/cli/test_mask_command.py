"""`ecogpipe mask` shows a mask and adds decisions, and leaves what a person wrote as it is."""

import shutil
from pathlib import Path

import pytest

from ecogpipe.cli import main
from ecogpipe.results.mask import read_mask
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.scan import scan
from ecogpipe.study.config import config_folder
from ecogpipe.study.recordings import COLUMNS
from ecogpipe.synthetic import Faults, SyntheticRecording
from shipped import AUTOMATIC

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
MANUAL = Path("config", "masks", "s1", "a.tsv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "results" / "s1" / "a" / "test_001"
    faults = Faults(dead_columns=(2,), noisy_sites=((6, 1),))
    folder.mkdir(parents=True)
    file = SyntheticRecording(*SET_UP, seconds=5, faults=faults).write_hdf5(folder / "file.h5")
    raw = ingest([file], folder / "raw.h5")
    scan(raw, folder / "scan.h5")
    map_channels(raw, folder / "channels.tsv", daq=SET_UP[0], headstage=SET_UP[1], electrode=SET_UP[2])
    return folder.parents[3]


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    (tmp_path / "results").symlink_to(made / "results")
    (tmp_path / "config").mkdir()
    rows = [("s1", "a", name, f"raw/{name}.mat", *SET_UP, "", "") for name in ("test_001", "test_002")]
    lines = ["\t".join(row) for row in (COLUMNS, *rows)]
    (tmp_path / "config" / "recordings.tsv").write_text("\n".join(lines) + "\n")
    shutil.copy(config_folder() / "config.yaml", tmp_path / "config")
    make_mask(tmp_path, None)
    return tmp_path


def make_mask(study: Path, manual: Path | None) -> Path:
    results = study / "results" / "s1" / "a" / "test_001"
    return mask_channels(
        results / "scan.h5",
        results / "channels.tsv",
        results / "mask.tsv",
        recording="s1/a/test_001",
        manual=manual,
        automatic=AUTOMATIC,
    )


def mask_command(study: Path, *arguments: str) -> int:
    return main(["mask", *arguments, "--directory", str(study)])


def test_it_shows_the_grid_and_the_reasons(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mask_command(study, "test_001") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "s1/a/test_001: 55 of 64 sites in use"
    assert shown[2].split() == [str(column) for column in range(8)]
    assert shown[9].split() == ["6", ".", "x", "x", ".", ".", ".", ".", "."]
    assert "8 sites" in shown[14]
    assert "dead column 2" in shown[14]
    assert shown[15].startswith("site 6,1 (channel ")
    assert "noisy: std is" in shown[15]


def test_decisions_that_no_run_has_used_yet_are_told(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = f"{study / MANUAL} was changed since: the next `ecogpipe run` makes this mask again."
    assert mask_command(study, "test_001") == 0
    assert told not in capsys.readouterr().out
    assert mask_command(study, "test_001", "--drop", "row 7", "--reason", "loose") == 0
    assert mask_command(study, "test_001") == 0
    assert told in capsys.readouterr().out


def test_it_adds_rows_that_the_next_mask_follows_and_keeps_what_is_there(study: Path) -> None:
    path = study / MANUAL
    path.parent.mkdir(parents=True)
    before = "# seen by A. Person\r\nreason\trecording\twhat\twhich\tkeep\r\nburnt\t*\tsite\t0,0\tdrop"
    path.write_bytes(before.encode())
    assert (
        mask_command(study, "s1/a/test_001", "--drop", "row 7", "--keep", "site 7,7", "--reason", "loose  cable") == 0
    )
    after = path.read_bytes().decode()
    assert after == before + ("\r\nloose cable\ttest_001\trow\t7\tdrop\r\nloose cable\ttest_001\tsite\t7,7\tkeep\r\n")
    mask = read_mask(make_mask(study, path))
    manual = [origin == "manual" for origin in mask.origins]
    sites = zip(mask.site_row[manual].tolist(), mask.site_column[manual].tolist(), mask.keep[manual], strict=True)
    assert {(row, column, bool(keep)) for row, column, keep in sites} == {
        (0, 0, False),
        (7, 7, True),
        *((7, column, False) for column in range(7)),
    }


def test_a_row_that_was_written_is_taken_back_and_the_rest_stays(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study / MANUAL
    path.parent.mkdir(parents=True)
    rows = [
        "# by hand",
        "recording\twhat\twhich\tkeep\treason",
        "test_001\tsite\t3, 4\tdrop\tloose",
        "*\trow\t1\tdrop\tx",
    ]
    path.write_text("\r\n".join(rows) + "\r\n", newline="")
    assert mask_command(study, "test_001", "--take-back", "site 3,4") == 0
    assert path.read_bytes().decode() == "\r\n".join([*rows[:2], rows[3]]) + "\r\n"
    assert mask_command(study, "test_001", "--take-back", "row 1") == 1
    assert "has no row on 'row 1' of test_001" in capsys.readouterr().err
    assert mask_command(study, "test_001", "--take-back", "row 1", "--every") == 0
    assert path.read_text().splitlines() == rows[:2]


def test_it_makes_the_table_where_there_is_none(study: Path) -> None:
    assert mask_command(study, "test_001", "--drop", "channel 12", "--reason", "burnt", "--every") == 0
    assert (study / MANUAL).read_text().splitlines() == [
        "recording\twhat\twhich\tkeep\treason",
        "*\tchannel\t12\tdrop\tburnt",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test_01"], "There is no recording 'test_01' in the study. Did you mean 'test_001'?"),
        (["test_001", "--drop", "site 3,4"], "drops site 3,4 without a reason"),
        (["test_001", "--drop", "12", "--reason", "x"], "'12' is not two words; write what and which"),
        (["test_001", "--drop", "sit 3,4", "--reason", "x"], "what is 'sit'. Did you mean 'site'?"),
        (["test_001", "--drop", "site 8,4", "--reason", "x"], "there is no site 8,4; the array has rows 0 to 7"),
        (["test_001", "--drop", "file old.npy", "--reason", "x"], "old.npy: cannot be read"),
        (["test_002"], "has no mask yet; run `ecogpipe run` first."),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert mask_command(study, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (study / MANUAL).exists()
