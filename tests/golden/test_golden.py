"""What the steps make of two small recordings changes only where the revision of a step has risen."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parents[1] / "constraints.txt"
NUMERICAL = ("numpy", "scipy", "h5py", "numba", "imagecodecs")
ONE_KERNEL = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
"""What OpenBLAS computes depends, in the last bits, on the processor that it finds."""


def pinned_version(package: str) -> str:
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line and ";" not in line)
    return pins[package]


def test_results_change_only_with_the_revision_of_their_step() -> None:
    other = [f"{name} {version(name)}" for name in NUMERICAL if version(name) != pinned_version(name)]
    if other:
        pytest.skip(f"the digests are of the pinned versions; here is {', '.join(other)}")
    run = subprocess.run(
        [sys.executable, str(HERE / "digests.py")], env=os.environ | ONE_KERNEL, stdout=subprocess.PIPE, check=True
    )
    found, known = json.loads(run.stdout), json.loads((HERE / "digests.json").read_text())
    assert found.keys() == known.keys()
    changed = {step for step in known if found[step]["digest"] != known[step]["digest"]}
    raised = {step for step in known if found[step]["revision"] != known[step]["revision"]}
    assert not changed - raised, "results changed: raise their REVISION and say why in its CHANGES, or mend the step"
    assert not raised, "renew the digests: OPENBLAS_CORETYPE=Haswell python tests/golden/digests.py > digests.json"
