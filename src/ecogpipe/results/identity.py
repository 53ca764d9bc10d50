"""Which recording a result is of: written into every result from ingest on, and compared wherever results meet."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py

from ecogpipe.errors import IdentityError
from ecogpipe.results.provenance import provenance_of
from ecogpipe.storage import canonical
from ecogpipe.storage.digests import are_of_one_kind, digest_of_places
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.portable import to_json
from ecogpipe.storage.tsv import read_header

logger = logging.getLogger(__name__)

KEY = "identity"
"""Root attribute of HDF5 files, and header line of tables, that holds it as JSON."""


@dataclass(frozen=True)
class Identity:
    """What tells one recording from another, as far as a result knows it.

    Attributes
    ----------
    n_channels, n_samples : int or None
        Size of the recording.
    rate : Fraction or None
        Its sampling rate in Hz.
    files : tuple of str
        A digest of each of its files, in their order (`ecogpipe.storage.digests.digest_of_places`).
    signal : str
        Hash of all samples, from the scan on.
    """

    n_channels: int | None = None
    n_samples: int | None = None
    rate: Fraction | None = None
    files: tuple[str, ...] = ()
    signal: str = ""

    @classmethod
    def of_files(cls, files: Sequence[Path], n_channels: int, n_samples: int, rate: Fraction) -> "Identity":
        """Return the identity of the recording that these files hold."""
        return cls(n_channels, n_samples, rate, tuple(digest_of_places(file) for file in files))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Identity":
        """Return what `as_json` made JSON of."""
        rate = value.get("rate")
        return cls(
            value.get("n_channels"),
            value.get("n_samples"),
            None if rate is None else Fraction(rate),
            tuple(value.get("files", ())),
            value.get("signal", ""),
        )

    def as_json(self) -> dict[str, Any]:
        """Return all that is known, with an ``id`` that is short enough to be read out."""
        known: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        known["rate"] = None if self.rate is None else str(self.rate)
        written = json.dumps([self.n_channels, self.n_samples, known["rate"], self.files])
        short = hashlib.sha256(written.encode()).hexdigest()[:12]
        return {"id": short} | {name: value for name, value in known.items() if value}

    def joined(self, other: "Identity") -> "Identity":
        """Return what either knows."""
        return Identity(
            **{field.name: getattr(self, field.name) or getattr(other, field.name) for field in fields(self)}
        )

    def contradiction(self, other: "Identity") -> str:
        """Say in what the other is of another recording; '' where nothing that both know differs."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "signal" and not are_of_one_kind((self.signal, other.signal)):
                continue
            if ours and theirs and ours != theirs:
                if field.name in _SHOWN:
                    return _SHOWN[field.name].format(ours=ours, theirs=theirs)
                return _HASHES[field.name]
        return ""


_SHOWN = {
    "n_channels": "{theirs} channels, not {ours}",
    "n_samples": "{theirs} samples, not {ours}",
    "rate": "a sampling rate of {theirs} Hz, not {ours} Hz",
}
_HASHES = {"files": "other raw files", "signal": "other samples"}


def read_identity(result: Path) -> Identity:
    """Read of which recording a result is, as far as it says so: an HDF5 file, or a table.

    Files that were made before results said it know some of the numbers only.

    Raises
    ------
    FormatError
        If the file cannot be read as a result.
    """
    if result.suffix == ".tsv":
        return _from_header(read_header(result))
    with open_hdf5(result) as file:
        return _from_hdf5(file)


def signal_hash_of(facts: Mapping[str, Any]) -> str:
    """Return the hash of all samples from a header or from provenance, '' where there is none, under either name."""
    return str(facts.get("signal_hash") or facts.get("signal_sha256") or "")


def write_identity(file: h5py.File, identity: Identity) -> None:
    """Write the identity into an HDF5 file."""
    file.attrs[KEY] = to_json(identity.as_json())


def check_same_signal(*results: Path) -> Identity:
    """Refuse results of different recordings; returns what they know of theirs together.

    Where results do not say of which recording they are, because the version that made them did not, the numbers that
    they know are compared, and a warning names them.

    Raises
    ------
    IdentityError
        With the two files, and what differs.
    FormatError
        If a file cannot be read as a result.
    """
    known = [(result, read_identity(result)) for result in results]
    first, joined = known[0]
    for result, identity in known[1:]:
        if found := joined.contradiction(identity):
            raise IdentityError(
                f"{result}: is of another recording than {_named(first, result)} ({found}); take the files of one "
                "recording, or run the workflow to make it again."
            )
        joined = joined.joined(identity)
    _warn(result for result, identity in known if not identity.files)
    return joined


def _warn(silent: Iterable[Path]) -> None:
    for result in silent:
        logger.warning(
            "%s: was made by a version that did not say of which recording it is; only its numbers were compared",
            result,
        )


def _named(other: Path, beside: Path) -> str:
    return other.name if other.parent == beside.parent else str(other)


def _from_header(header: Mapping[str, Any]) -> Identity:
    if KEY in header:
        return Identity.from_json(header[KEY])
    has_rate = {"rate_numerator", "rate_denominator"} <= header.keys()
    return Identity(
        n_samples=header.get("n_samples"),
        rate=Fraction(header["rate_numerator"], header["rate_denominator"]) if has_rate else None,
        signal=signal_hash_of(header),
    )


def _from_hdf5(file: h5py.File) -> Identity:
    acquisition = canonical.read_acquisition(file)
    if KEY in file.attrs:
        return Identity.from_json(json.loads(file.attrs[KEY]))
    ratio = int(file.attrs.get("ratio", 1))
    n_samples = (
        sum(segment.n_samples for segment in canonical.read_segments(file)) if canonical.SEGMENTS in file else None
    )
    return Identity(
        acquisition.n_channels,
        int(file.attrs["n_samples"]) if "n_samples" in file.attrs else n_samples if ratio == 1 else None,
        acquisition.rate * ratio,
        signal=_scanned_signal(file),
    )


def _scanned_signal(file: h5py.File) -> str:
    """Return the hash of all samples of the recording, of a scan or of a mirror that was made with a mask."""
    if "n_samples" in file.attrs:
        return str(file.attrs["signal_hash" if "signal_hash" in file.attrs else "sha256"])
    return signal_hash_of(provenance_of(file)) if "provenance" in file.attrs else ""
