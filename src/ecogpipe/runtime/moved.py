"""Old places of modules, names and arguments, for scripts: they work with a warning, and go with version 0.2."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

MODULES: Mapping[str, str] = {
    "ecogpipe.digests": "ecogpipe.storage.digests",
    "ecogpipe.electrodes.manual_masks": "ecogpipe.study.manual_masks",
    "ecogpipe.electrodes.masks": "ecogpipe.results.mask",
    "ecogpipe.events": "ecogpipe.signal.edges",
    "ecogpipe.forecast": "ecogpipe.runtime.costs",
    "ecogpipe.identity": "ecogpipe.results.identity",
    "ecogpipe.joblog": "ecogpipe.runtime.job",
    "ecogpipe.layout": "ecogpipe.storage.canonical",
    "ecogpipe.metrics": "ecogpipe.statistics.channel_statistics",
    "ecogpipe.outputs": "ecogpipe.storage.atomic",
    "ecogpipe.params": "ecogpipe.runtime.params",
    "ecogpipe.planning": "ecogpipe.checks.plan",
    "ecogpipe.project": "ecogpipe.study.draft",
    "ecogpipe.recordings": "ecogpipe.study.recordings",
    "ecogpipe.settings": "ecogpipe.study.config",
    "ecogpipe.strict_yaml": "ecogpipe.storage.strict_yaml",
    "ecogpipe.tsv": "ecogpipe.storage.tsv",
    "ecogpipe.verification": "ecogpipe.checks.verify",
}
"""Where modules are now that stood elsewhere."""

NAMES: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "ecogpipe.formats": {"read_header": lambda: _of("formats.reading").read_header},
    "ecogpipe.electrodes.channels": {"read_channels": lambda: _of("results.channels").read_channels},
    "ecogpipe.electrodes.faults": {
        "AUTOMATIC_DEFAULTS": lambda: _of("study.config").shipped_config()["masks"]["automatic"]
    },
    "ecogpipe.steps.extract_events": {"read_events": lambda: _of("results.events").read_events},
    "ecogpipe.steps.scan": {"read_numbers": lambda: lambda path: _of("results.scan").read_scan(path).numbers},
}
"""What modules gave that others give now."""


def _of(module: str) -> ModuleType:
    return import_module(f"ecogpipe.{module}")


class _OldPlaces(MetaPathFinder, Loader):
    """Finds modules by their old places, and gives those that lost names a way to find them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MODULES:
            return ModuleSpec(fullname, self)
        if fullname in NAMES and (spec := PathFinder.find_spec(fullname, path, target)) and spec.loader:
            spec.loader.exec_module = _with_old_names(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
            return spec
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _warn(spec.name, MODULES[spec.name])
        module = import_module(MODULES[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module the specification back that it was loaded by."""
        spec = module.__spec__
        module.__spec__ = spec.loader_state if spec is not None else None


def _with_old_names(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def execute_and_add(module: ModuleType) -> None:
        def find(name: str) -> Any:
            if name not in NAMES[module.__name__]:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            _warn(f"{module.__name__}.{name}", "its new place (CHANGELOG.md)")
            return NAMES[module.__name__][name]()

        execute(module)
        module.__dict__.setdefault("__getattr__", find)

    return execute_and_add


def takes_old_names(**new_by_old: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function be called with old names of its keyword arguments."""

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def call(*values: _P.args, **named: _P.kwargs) -> _R:
            for old, new in new_by_old.items():
                if old in named and new not in named:
                    warnings.warn(f"{old} is called {new} now", DeprecationWarning, stacklevel=2)
                    named[new] = named.pop(old)
            return function(*values, **named)

        return call

    return decorate


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} has moved; import it from {new}", DeprecationWarning, stacklevel=2)


def keep_old_places() -> None:
    """Let imports find modules and names in their old places."""
    if not any(isinstance(finder, _OldPlaces) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldPlaces())
