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
