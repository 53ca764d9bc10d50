"""The notebooks on NWB, SpikeInterface and MNE run without a warning, and print what is stored in them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from field_packages import need

need("pynwb", "nwbinspector", "spikeinterface", "mne")

DOCS = Path(__file__).parents[2] / "docs"
RENEW = "renew the stored outputs: .venv/bin/jupyter execute --inplace docs/{}.ipynb"
TOLD = {
    "nwb": ["data: True", "map: True", "mask: True", "edges: True", "0 messages", "dead: its signal does not change"],
    "spikeinterface": ["(1000, 64) True", "bad: ['2,5', '6,1']", "site\t4,4\tdrop"],
    "mne": ["bad: ['2,5', '6,1']", "triggers: 20 BNC 10", "site\t4,4\tdrop", "20 epochs", "61 channels in the average"],
}


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


@pytest.mark.parametrize("name", TOLD)
def test_it_runs_and_says_what_is_stored(name, tmp_path, monkeypatch):
    stored = nbformat.read(DOCS / f"{name}.ipynb", as_version=4)
    notebook = nbformat.read(DOCS / f"{name}.ipynb", as_version=4)
    notebook.cells.insert(0, new_code_cell("import warnings\nwarnings.simplefilter('error')", id="strict"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "jupyter"))
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    codes = [[cell for cell in one.cells if cell.cell_type == "code"] for one in (stored, notebook)]
    texts = [[printed(cell) for cell in cells] for cells in codes]
    assert texts[1][1:] == texts[0], RENEW.format(name)
    assert [output for cell in codes[1] for output in cell.outputs if output.get("name") == "stderr"] == []
    together = "\n".join(texts[0])
    assert [each for each in TOLD[name] if each not in together] == []
    assert "/tmp" not in together
    assert str(Path.home()) not in together
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("ecogpipe_notebook_")]
