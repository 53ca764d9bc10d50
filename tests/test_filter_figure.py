"""What docs/filters.md shows is what its script measures today."""

import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_on_filters_shows_what_its_script_measures(tmp_path):
    picture = tmp_path / "filters.png"
    script = [sys.executable, str(DOCS / "make_filter_figure.py"), str(picture)]
    table = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert len(table.splitlines()) == 2 + 8
    assert table in (DOCS / "filters.md").read_text()
    shown = matplotlib.image.imread(DOCS / "images" / "filters.png")
    drawn = matplotlib.image.imread(picture)
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 0.01
