"""Scripts that import modules from their old places go on working, and are told the new ones."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from ecogpipe.runtime.moved import MODULES, NAMES, takes_old_names
from ecogpipe.steps.qc import qc


@pytest.mark.parametrize("old", MODULES)
def test_a_module_is_the_same_in_its_old_place(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=MODULES[old]):
        found = import_module(old)
    assert found is import_module(MODULES[old])
    assert found.__spec__ is not None
    assert found.__spec__.name == MODULES[old]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_a_name_is_found_where_it_was(module: str, name: str) -> None:
    code = f"from {module} import {name}"
    told = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert f"{module}.{name} has moved" in told.stderr


def test_a_name_that_nobody_knew_is_refused() -> None:
    with pytest.raises(ImportError):
        exec("from ecogpipe.steps.scan import read_everything")


def test_an_argument_is_taken_by_its_old_name_with_a_warning() -> None:
    @takes_old_names(title="recording")
    def named(first: int, *, recording: str) -> tuple[int, str]:
        return first, recording

    assert named(1, recording="x") == (1, "x")
    with pytest.warns(DeprecationWarning, match="title is called recording now"):
        assert named(1, title="x") == (1, "x")  # type: ignore[call-arg]
    assert inspect.signature(qc) == inspect.signature(qc.__wrapped__)
