"""Reading the header of a raw file, of whichever format it is: told by its first bytes, not by its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.formats.acquisition import check_declared
from ecogpipe.formats.header import Header, Reader
from ecogpipe.formats.kinds import FORMATS, is_tdms_index
from ecogpipe.formats.tail import crop_end

_HEAD_BYTES = 128


def read_header(path: str | Path, declared: Mapping[str, Any] | None = None) -> Header:
    """Read what an acquisition file holds, without its samples.

    Parameters
    ----------
    path
        A TDMS, Matlab or HDF5 file.
    declared
        Acquisition values that a person declares, which take precedence over what the file says.

    Raises
    ------
    FormatError
        If it is none of these, is damaged, or something that is needed is neither in it nor declared.
    SettingsError
        If a declared value is not known, or cannot be.
    """
    check_declared(declared or {})
    header = _reader_of(Path(path))(Path(path), declared or {})
    seconds = (declared or {}).get("crop_end_seconds", 0)
    return crop_end(header, seconds) if seconds else header


def _reader_of(path: Path) -> Reader:
    head = _first_bytes(path)
    if is_tdms_index(head):
        raise FormatError(f"{path}: is the index of a TDMS file, without its samples; name the .tdms file itself.")
    for each in FORMATS:
        if each.recognises(path, head):
            return each.load_reader()
    found = "is empty" if not head else f"begins with {head[:8]!r}"
    *most, last = (each.name for each in FORMATS)
    raise FormatError(
        f"{path}: {found}, so it is not a {', '.join(most)} or {last} file; name the file of the recording."
    )


def _first_bytes(path: Path) -> bytes:
    try:
        # A pipe would be waited for.
        if path.exists() and not path.is_file():
            what = (
                "a folder; name the files in it" if path.is_dir() else "not a regular file; name the recording's file"
            )
            raise FormatError(f"{path}: is {what}.")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such file; check the name, and that its disk is connected.") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); name a file that can.") from error
