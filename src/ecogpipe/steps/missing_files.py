"""The step in place of recordings whose files are not there: it fails, as a run that leaves them out must."""

import logging
from collections.abc import Sequence

from ecogpipe.errors import FormatError

logger = logging.getLogger(__name__)


def missing_files(sentences: Sequence[str]) -> None:
    """Say of each recording why it was left out.

    Parameters
    ----------
    sentences
        One for each recording, as `ecogpipe.study.originals.find_missing` gives them; at least one.

    Raises
    ------
    FormatError
        Always, with the last sentence; those before it are logged as errors.
    """
    *others, last = sentences
    for sentence in others:
        logger.error("%s", sentence)
    raise FormatError(last)
