"""Results of different recordings are never taken for one: each says of which it is, and all that meet agree."""

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from ecogpipe import open_recording
from ecogpipe.checks.verify import verify_recording
from ecogpipe.errors import IdentityError
from ecogpipe.results.identity import Identity, check_same_signal, read_identity
from ecogpipe.results.provenance import read_provenance
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.report import report
from ecogpipe.storage.digests import digest_of_places
from finished_study import MIRROR, Finished, ingested_recording, write_page
from shipped import AUTOMATIC

HDF5 = ("raw.h5", "scan.h5", "rec_Fs200.h5")
TABLES = ("channels.tsv", "mask.tsv", "events.tsv")


def made(folder: Path, seed: int, seconds: int = 4) -> Finished:
    done = ingested_recording(folder / "rec", seed=seed, seconds=seconds)
    write_page(done)
    return done


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished, Finished]:
    """Two recordings of the same set-up and length, and a longer one."""
    folder = tmp_path_factory.mktemp("recordings")
    return made(folder / "a", 1), made(folder / "b", 2), made(folder / "longer", 1, 5)


@pytest.fixture
def mixed(recordings: tuple[Finished, ...], tmp_path: Path) -> Callable[..., Finished]:
    def copy_with(*names: str, of: int = 1) -> Finished:
        one, other = recordings[0], recordings[of]
        copied = Finished(Path(shutil.copytree(one.folder, tmp_path / "rec")), one.truth)
        for name in names:
            shutil.copy(other.folder / name, copied.folder / name)
        return copied

    return copy_with


def steps_of(done: Finished) -> dict[str, Callable[[], object]]:
    made_again = done.folder.with_name("again")
    return {
        "mask_channels": lambda: mask_channels(
            done.scan, done.channels, made_again, recording="rec", manual=None, automatic=AUTOMATIC
        ),
        "extract_events": lambda: extract_events(done.scan, done.channels, made_again, minimum_step=1.0),
        "mirror": lambda: mirror_recording(
            done.raw, done.channels, done.mask, made_again, name="Fs200", settings=MIRROR
        ),
        "qc": lambda: write_page(done),
        "report": lambda: report({"rec": done.folder}, made_again, mirrors=["Fs200"], title="study"),
        "open_recording of raw.h5": lambda: open_recording(done.raw).close(),
        "open_recording of a mirror": lambda: open_recording(done.mirror).close(),
    }


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("mask_channels", ("scan.h5", "channels.tsv")),
        ("extract_events", ("scan.h5", "channels.tsv")),
        ("mirror", ("raw.h5", "channels.tsv", "mask.tsv")),
        ("qc", (*HDF5, *TABLES)),
        ("report", ("scan.h5", "rec_Fs200.h5", *TABLES)),
        ("open_recording of raw.h5", ("raw.h5", *TABLES)),
        ("open_recording of a mirror", ("rec_Fs200.h5", *TABLES)),
    ],
)
def test_a_result_of_another_recording_is_refused_by_name(
    step: str, names: tuple[str, ...], mixed: Callable[..., Finished]
) -> None:
    for name in names:
        done = mixed(name)
        with pytest.raises(IdentityError, match="is of another recording than .*other raw files"):
            steps_of(done)[step]()
        shutil.rmtree(done.folder)
    steps_of(mixed())[step]()


@pytest.mark.parametrize("name", ["scan.h5", "mask.tsv", "events.tsv", "rec_Fs200.h5"])
def test_verify_names_a_result_of_another_recording(name: str, mixed: Callable[..., Finished]) -> None:
    faults = [found for found in verify_recording(mixed(name).folder, ["Fs200"]) if found.is_fault]
    assert ("is of another recording than raw.h5 (other raw files)", name) in [(f.text, f.path.name) for f in faults]


def test_every_result_says_of_which_recording_it_is(recordings: tuple[Finished, ...]) -> None:
    done = recordings[0]
    known = [read_identity(done.folder / name) for name in (*HDF5, *TABLES)]
    assert {(each.n_channels, each.n_samples, each.rate) for each in known} == {(96, 4000, 1000)}
    assert {each.files for each in known} == {(digest_of_places(done.folder.parent / "rec.tdms"),)}
    with h5py.File(done.scan) as scan:
        signal = scan.attrs["signal_hash"]
    assert [each.signal for each in known] == ["", signal, signal, "", signal, signal]
    assert Identity.from_json(read_provenance(done.page)["identity"]) == known[2]


def without_identity(path: Path) -> None:
    """Make a result what an older version would have made of it."""
    if path.suffix == ".tsv":
        path.write_text(re.sub("(?m)^# identity: .*\n", "", path.read_text()))
    else:
        with h5py.File(path, "r+") as file:
            del file.attrs["identity"]


@pytest.mark.parametrize("names", [("raw.h5",), TABLES, (*HDF5, *TABLES)], ids=["raw", "tables", "all"])
def test_older_results_are_taken_with_a_warning(
    names: tuple[str, ...], mixed: Callable[..., Finished], caplog: pytest.LogCaptureFixture
) -> None:
    done = mixed()
    for name in names:
        without_identity(done.folder / name)
    with caplog.at_level(logging.WARNING):
        for step in steps_of(done).values():
            step()
    warned = {record.getMessage().partition(": ")[0] for record in caplog.records}
    assert {str(done.folder / name) for name in names} <= warned


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("scan.h5", "5000 samples, not 4000"),
        ("events.tsv", "5000 samples, not 4000"),
        ("raw.h5", "4000 samples, not 5000"),
        ("mask.tsv", "other samples"),
        ("rec_Fs200.h5", "other samples"),
    ],
)
def test_older_results_whose_numbers_contradict_are_refused(
    name: str, found: str, mixed: Callable[..., Finished]
) -> None:
    done = mixed(name, of=2)
    for each in (*HDF5, *TABLES):
        without_identity(done.folder / each)
    with pytest.raises(IdentityError, match=found):
        check_same_signal(done.raw, done.scan, done.mask, done.events, done.mirror)


def test_a_recording_is_the_same_wherever_its_files_are_and_another_where_a_byte_differs(tmp_path: Path) -> None:
    one, moved, changed = tmp_path / "one.tdms", tmp_path / "elsewhere.tdms", tmp_path / "changed.tdms"
    content = bytes(range(256)) * 1000
    for path in (one, moved):
        path.write_bytes(content)
    changed.write_bytes(content[:-1] + b"x")
    assert digest_of_places(one) == digest_of_places(moved) != digest_of_places(changed)
