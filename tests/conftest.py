"""What several rooms' tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1] / "../shared"


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
