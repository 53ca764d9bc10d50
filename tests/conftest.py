"""What several rooms' tests share."""

import os
import signal
from pathlib import Path

import pytest

import ecogpipe

TREE = Path(__file__).parents[1]
SHARED = TREE / "../shared"


def pytest_configure() -> None:
    """Refuse to test another copy of the package than the one beside the tests, in this process and those it starts."""
    if not Path(ecogpipe.__file__).is_relative_to(TREE / "src"):
        pytest.exit(f"{ecogpipe.__file__} would be tested in place of {TREE / 'src'}; install the tree: make test", 1)
    os.environ["PYTHONPATH"] = str(TREE / "src")
    # A shell starts a job in its background with Ctrl-C ignored, and so would the programs be that tests end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def shared() -> Path:
    """The folder of real recordings beside the project; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real recordings is not here")
    return SHARED.resolve()


LONGEST = ("test_kills", "test_workflow", "test_numpy_meaning", "test_truth", "test_mirror")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
