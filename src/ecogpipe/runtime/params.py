"""Execution settings: how much memory, which scratch folder, how many workers.

They never change a result, with one exception that is named for what it is: `floating_point`, the precision of
scaled and filtered signals. There is no settings file: defaults are here, a program or a person overrides them.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from ecogpipe.errors import SettingsError, nearest

_OF_SLURM = "SLURM_TMPDIR"


def _default_scratch_dir() -> Path:
    return _as_path(os.environ.get(_OF_SLURM) or tempfile.gettempdir())


@cache
def _as_path(name: str) -> Path:
    return Path(name)


def scratch_setting() -> str:
    """Name what the scratch folder can be changed by, as advice in messages."""
    if "scratch_dir" not in OVERRIDE and os.environ.get(_OF_SLURM):
        return f"scratch_dir or {_OF_SLURM}"
    return "scratch_dir or TMPDIR"


@cache
def _default_workers() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Params:
    """The settings in force.

    Attributes
    ----------
    memory_limit : int
        Bytes that the library may hold for signals at once.
    floating_point : {'single', 'double'}
        Precision of scaled and filtered signals: a result setting.
    scratch_dir : Path
        Folder for temporary files; the local disk of a cluster job where there is one.
    workers : int
        Threads that read and compute at once.
    """

    memory_limit: int = 2_000_000_000
    floating_point: Literal["single", "double"] = "single"
    scratch_dir: Path = field(default_factory=_default_scratch_dir)
    workers: int = field(default_factory=_default_workers)

    def __post_init__(self) -> None:
        if self.memory_limit <= 0:
            raise SettingsError(f"memory_limit is {self.memory_limit}; give a positive number of bytes.")
        if self.floating_point not in ("single", "double"):
            raise SettingsError(f"floating_point is {self.floating_point!r}; give 'single' or 'double'.")
        if self.workers < 1:
            raise SettingsError(f"workers is {self.workers}; give at least 1.")

    @property
    def dtype(self) -> str:
        """NumPy name of the `floating_point` precision."""
        return "float32" if self.floating_point == "single" else "float64"


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "memory_limit": lambda value: int(float(value)),
    "scratch_dir": Path,
    "workers": int,
    "floating_point": str,
}


class _Overrides(dict[str, Any]):
    """Overridden settings; a name that is not a setting is refused when it is set."""

    def __setitem__(self, name: str, value: Any) -> None:
        known = [setting.name for setting in fields(Params)]
        if name not in known:
            raise SettingsError(f"There is no setting {name!r}. {nearest(str(name), known)}")
        try:
            converted = _CONVERT[name](value)
            Params(**{name: converted})
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(f"{name} is {value!r}, which cannot be; give it as `load_params()` shows it.") from None
        super().__setitem__(name, value)

    # A dict of one's own sets what it is given in these ways without asking __setitem__.

    def update(self, *others: Any, **settings: Any) -> None:
        """Set several settings, or none where one cannot be."""
        before = dict(self)
        try:
            for name, value in dict(*others, **settings).items():
                self[name] = value
        except SettingsError:
            self.clear()
            super().update(before)
            raise

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Set a setting that is not overridden yet; returns what it is then."""
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self


OVERRIDE: _Overrides = _Overrides()
"""Settings of this process that replace the defaults, e.g. ``OVERRIDE["memory_limit"] = 1e9``."""


def load_params() -> Params:
    """Return the settings in force: the defaults, replaced by what `OVERRIDE` holds."""
    return Params(**{name: _CONVERT[name](value) for name, value in OVERRIDE.items()})


@contextmanager
def override(**settings: Any) -> Iterator[Params]:
    """Override settings inside a ``with`` block.

    Examples
    --------
    >>> with override(memory_limit=1e5) as params:
    ...     params.memory_limit
    100000
    """
    before = dict(OVERRIDE)
    try:
        for name, value in settings.items():
            OVERRIDE[name] = value
        yield load_params()
    finally:
        OVERRIDE.clear()
        OVERRIDE.update(before)
