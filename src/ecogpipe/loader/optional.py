"""Packages of others that some methods need, and that are not installed with ecogpipe."""

from collections.abc import Iterator
from contextlib import contextmanager

from ecogpipe.errors import EcogpipeError


@contextmanager
def needs(*packages: str) -> Iterator[None]:
    """Say in a sentence which package is missing, where one of these is."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in packages:
            raise
        raise EcogpipeError(
            f"This takes the package {error.name}, which is not installed; run: pip install {' '.join(packages)}"
        ) from error
