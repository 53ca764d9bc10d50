"""Scripts that import modules from their old places go on working, and are told the new ones."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ecogpipe.runtime.moved import MODULES, NAMES, takes_old_names
from ecogpipe.steps.qc import qc
from finished_study import finished_recording


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


def test_an_argument_is_taken_by_its_old_name_with_a_warning(tmp_path: Path) -> None:
    @takes_old_names(title="recording")
    def named(first: int, *, recording: str) -> tuple[int, str]:
        return first, recording

    assert named(1, recording="x") == (1, "x")
    with pytest.warns(DeprecationWarning, match="title is called recording now"):
        assert named(1, title="x") == (1, "x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="title"):
        named(1, title="x", recording="y")  # type: ignore[call-arg]


def test_a_page_can_be_asked_for_by_title_as_before(tmp_path: Path) -> None:
    done = finished_recording(tmp_path / "test_001", seconds=3)
    files = (done.raw, done.channels, done.mask, done.scan, done.events, done.mirror)
    with pytest.warns(DeprecationWarning, match="title is called recording now"):
        page = qc(*files, tmp_path / "p_qc.html", title="s1/a/test_001")  # type: ignore[call-arg]
    assert "s1/a/test_001" in page.read_text()
