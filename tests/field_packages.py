"""Packages of the field that some tests ask: where they are not installed, those tests are skipped, unless required."""

import os
from importlib import import_module
from importlib.util import find_spec

import pytest


def need(*packages: str) -> None:
    """Skip the tests of a module where a package is missing; in `make field` that is a failure."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing and os.environ.get("ECOGPIPE_FIELD_TESTS") != "required":
        pytest.skip(f"{', '.join(missing)} not installed; make field installs it", allow_module_level=True)
    for package in packages:
        import_module(package)
