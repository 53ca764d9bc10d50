"""The errors that ecogpipe raises on purpose.

EcogpipeError
├── MemoryBlowOutError   (MemoryError)  a request for more signal than the memory limit allows
├── SettingsError        (ValueError)   a config, a table row or an argument that cannot be used
├── FormatError          (ValueError)   a file that cannot be read as a recording
├── WiringError          (ValueError)   channels that cannot be put on the array
├── MaskError            (ValueError)   a channel mask that does not fit its array
├── RateError            (ValueError)   a sampling rate that is unknown or cannot be reached
├── FilterError          (ValueError)   a filter that cannot be built or would be unstable
├── JoinError            (ValueError)   recordings that cannot be joined end on end
├── IdentityError        (ValueError)   results of different recordings where those of one are needed
├── StudyBusyError       (RuntimeError) a study folder in which another run is at work
└── OutputError          (OSError)      an output that could not be written whole

Each message says what was found, why it cannot work, and what to do. It is one sentence or two, fit to
be the last line of a log.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LISTED_AT_MOST = 20


class EcogpipeError(Exception):
    """Base of every error that ecogpipe raises on purpose."""


class MemoryBlowOutError(EcogpipeError, MemoryError):
    """A request would hold more signal in memory than the memory limit allows."""


class SettingsError(EcogpipeError, ValueError):
    """A config, a row of a table or an argument cannot be used."""


class FormatError(EcogpipeError, ValueError):
    """A file cannot be read as a recording."""


class WiringError(EcogpipeError, ValueError):
    """Channels cannot be put on the electrode array."""


class MaskError(EcogpipeError, ValueError):
    """A channel mask does not fit the array that it is for."""


class RateError(EcogpipeError, ValueError):
    """A sampling rate is unknown, or cannot be reached by an integer ratio."""


class FilterError(EcogpipeError, ValueError):
    """A filter cannot be built as asked for, or would be unstable."""


class JoinError(EcogpipeError, ValueError):
    """Recordings or sources cannot be joined end on end."""


class IdentityError(EcogpipeError, ValueError):
    """Results of different recordings were given where those of one are needed."""


class StudyBusyError(EcogpipeError, RuntimeError):
    """Another run is at work in a study folder."""


class OutputError(EcogpipeError, OSError):
    """An output could not be written whole."""


def printable(text: str) -> str:
    r"""Return a text with ? in place of characters that steer a terminal, as names in foreign files may hold them.

    Examples
    --------
    >>> printable("\x1b[31mred\x9b")
    '?[31mred?'
    """
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def first_line(error: Exception) -> str:
    """Return the first line of what a dependency says of an error, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def error_number(error: OSError | RuntimeError) -> int | None:
    """Return the number of an error of the operating system, which HDF5 puts into its text."""
    inside = re.search(r"errno = (\d+)", str(error))
    return int(inside[1]) if inside else getattr(error, "errno", None)


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a sentence that offers the known name nearest to `name`, or lists the known ones.

    Examples
    --------
    >>> nearest("bandpas", ["bandpass", "notches"])
    "Did you mean 'bandpass'?"
    """
    names = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    matches = get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    if matches:
        return f"Did you mean {folded[matches[0]]!r}?"
    more = f" and {len(names) - _LISTED_AT_MOST} more" if len(names) > _LISTED_AT_MOST else ""
    return f"Known are: {', '.join(names[:_LISTED_AT_MOST])}{more}."
