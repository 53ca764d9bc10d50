"""What a raw file is when it is none that can be read: each has its own sentence, and the other recordings are made."""

import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from ecogpipe.errors import FormatError
from ecogpipe.formats.reading import read_header
from ecogpipe.study.originals import find_future, find_missing
from ecogpipe.study.recordings import Recording


def recording(*files: Path) -> Recording:
    return Recording("s", "d", "r", files, "passthru", "", "", (), {})


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: path.symlink_to("absent.h5"), "is a link that leads nowhere (absent.h5)"),
        (lambda path: path.symlink_to(path.name), "is a link that leads"),
        (lambda path: path.mkdir(), "is a folder; name the files in it"),
        (os.mkfifo, "is not a regular file; name the file of the recording"),
    ],
    ids=["dead link", "link to itself", "folder", "pipe"],
)
def test_what_is_no_file_is_called_what_it_is(tmp_path: Path, make, found: str) -> None:
    path = tmp_path / "raw.h5"
    make(path)
    reasons = find_missing([recording(path)], tmp_path / "results", "recordings.tsv")
    assert f"the file {path} of recording s/d/r {found}" in reasons["s/d/r"]
    with pytest.raises(FormatError, match="raw.h5: "):
        read_header(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "may not be read" in find_missing([recording(path)], tmp_path / "results", "recordings.tsv")["s/d/r"]


def test_a_file_of_the_future_is_named(tmp_path: Path) -> None:
    now, later = tmp_path / "now.h5", tmp_path / "later.h5"
    for path in (now, later):
        path.write_bytes(b"x")
    os.utime(later, (time.time() + 86_400,) * 2)
    assert list(find_future([recording(now, later)])) == [later]
    assert find_missing([recording(now, later)], tmp_path / "results", "recordings.tsv") == {}


def test_a_copy_that_is_damaged_is_not_taken_for_one_where_its_original_is_gone(tmp_path: Path) -> None:
    raw = tmp_path / "results" / "s" / "d" / "r" / "raw.h5"
    raw.parent.mkdir(parents=True)
    with h5py.File(raw, "w") as file:
        file["data"] = np.zeros((8, 5000))
    for content in (raw.read_bytes(), raw.read_bytes()[:2000]):
        raw.write_bytes(content)
        reasons = find_missing([recording(tmp_path / "gone.tdms")], tmp_path / "results", "recordings.tsv")
        assert "does not exist" in reasons["s/d/r"]
        assert f"put the file there; the copy cannot be read: {raw}: " in reasons["s/d/r"]
        assert "remove" not in reasons["s/d/r"]
