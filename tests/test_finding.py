"""The notebook that goes from a finished study to a finding runs, and shows what was planted in the demo."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

NOTEBOOK = Path(__file__).parents[1] / "docs" / "finding.ipynb"
RENEW = "renew the stored outputs: .venv/bin/jupyter execute --inplace docs/finding.ipynb"


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def test_it_runs_and_says_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, notebook = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    notebook.cells.insert(0, new_code_cell("import warnings\nwarnings.simplefilter('error')", id="strict"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "jupyter"))
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    texts = [[printed(cell) for cell in one.cells if cell.cell_type == "code"] for one in (stored, notebook)]
    assert texts[1][1:] == texts[0], RENEW
    together = "".join(texts[0])
    for told in (
        "site 2,5: dead",
        "site 6,1: noisy",
        "62 of 62 good",
        "19 windows of (62, 1000)",
        "around random moments: ",
    ):
        assert told in together
    assert "/tmp" not in together
    assert not list(tmp_path.glob("ecogpipe_notebook_*"))
