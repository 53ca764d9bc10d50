"""What the recordings table says of one session."""

from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import SettingsError, nearest
from ecogpipe.study.recordings import Recording, read_recordings

RECORDINGS = Path("config", "recordings.tsv")


@dataclass(frozen=True)
class Session:
    """One session of one subject: its set-up and its recordings.

    Attributes
    ----------
    daq, headstage, electrode : str
        Its set-up.
    bnc : tuple of BncLine
        Its BNC lines.
    nwk_path : Path
        The folder of its files.
    recordings : tuple of Recording
        Its rows of the recordings table.
    """

    daq: str
    headstage: str
    electrode: str
    bnc: tuple[BncLine, ...]
    nwk_path: Path
    recordings: tuple[Recording, ...]


def session_info(session: str, params_table: str | Path | None = None) -> Session:
    """Return the set-up and the recordings of a session.

    Parameters
    ----------
    session
        ``subject/session``, e.g. "16011/2016-09-01_active".
    params_table
        The recordings table; None for config/recordings.tsv below the current folder.

    Raises
    ------
    SettingsError
        If the session is not in the table, or its recordings have different set-ups.
    """
    table = RECORDINGS if params_table is None else Path(params_table)
    recordings = read_recordings(table)
    found = tuple(one for one in recordings if f"{one.subject}/{one.session}" == session)
    if not found:
        known = {f"{one.subject}/{one.session}" for one in recordings}
        raise SettingsError(f"{table}: there is no session {session!r}. {nearest(session, known)}")
    first = found[0]
    for other in found[1:]:
        _check_same_set_up(first, other, table)
    folder = Path(commonpath([file.parent.resolve() for one in found for file in one.files]))
    return Session(first.daq, first.headstage, first.electrode, first.bnc, folder, found)


def _check_same_set_up(first: Recording, other: Recording, table: Path) -> None:
    for name in ("daq", "headstage", "electrode", "bnc"):
        one, two = getattr(first, name), getattr(other, name)
        if one != two:
            raise SettingsError(
                f"{table}: the {name} of {other.full_name} is {two!r}, that of {first.full_name} is {one!r}; "
                "load recordings of different set-ups one by one."
            )
