"""Which recordings the declared set-up or BNC lines do not fit, as far as their headers tell."""

from collections.abc import Iterable
from pathlib import Path

from ecogpipe.errors import WiringError
from ecogpipe.steps.map_channels import table_of_channels
from ecogpipe.storage.canonical import Acquisition
from ecogpipe.study.recordings import Recording


def find_unfit_channels(
    acquisitions: Iterable[tuple[Recording, Acquisition]], user_tables: Path | None = None
) -> list[str]:
    """Return a sentence for each reason for which the channels of recordings cannot be mapped, with their names.

    Parameters
    ----------
    acquisitions
        Rows of the recordings table, each with what is known of its acquisition.
    user_tables
        A folder with wiring tables of the user's own.
    """
    refused: dict[str, list[str]] = {}
    for recording, acquisition in acquisitions:
        try:
            check_channels(recording, acquisition, user_tables)
        except WiringError as error:
            refused.setdefault(str(error), []).append(recording.full_name)
    return [f"The channels of {', '.join(names)} cannot be mapped. {why}" for why, names in refused.items()]


def check_channels(recording: Recording, acquisition: Acquisition, user_tables: Path | None = None) -> None:
    """Refuse what map_channels would of a recording.

    Raises
    ------
    WiringError
        If the set-up is not known or does not fit the acquisition, or a BNC line is declared on a column without one.
    """
    set_up = recording.daq, recording.headstage, recording.electrode
    table_of_channels(acquisition, set_up, recording.bnc, recording.channel_overrides, user_tables=user_tables)
