"""A job starts with the libraries that its step needs: importing a step loads no other large ones."""

import subprocess
import sys

import pytest

LARGE = ("scipy.signal", "scipy.io", "scipy.stats", "matplotlib", "numba", "jinja2", "PIL", "jsonschema", "snakemake")
NEEDED: dict[str, set[str]] = {
    "run_config": set(),
    "missing_files": set(),
    "ingest": set(),
    "scan": {"numba"},
    "map_channels": set(),
    "mask_channels": set(),
    "extract_events": set(),
    "mirror": {"numba"},
    "qc": {"jinja2"},
    "report": {"jinja2"},
}


@pytest.mark.parametrize("step", NEEDED)
def test_a_step_imports_only_what_it_needs(step: str) -> None:
    code = f"import sys, ecogpipe.steps.{step}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in LARGE if name in loaded} == NEEDED[step]
