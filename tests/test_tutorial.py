"""The tutorial runs from top to bottom, shows every feature of a source, and what it shows is true."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from ecogpipe.synthetic import Faults, SyntheticRecording

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"
RENEW = "renew the stored outputs: .venv/bin/jupyter execute --inplace docs/tutorial.ipynb"

FEATURES = (
    "session_info(", "ActiveLoader(", "make_channel_map()", "create_dataset()", "._electrode_channels",
    "._active_channels", "binary_channel_mask", "set_channel_mask(mask)", "set_channel_mask(None)",
    "dataset.set_channel_mask(", ".data_buffer", "chan_map.subset(mask).image()", "_slice_logic(", "_check_slice_size(",
    "MemoryBlowOutError", 'OVERRIDE["memory_limit"]', "load_params()", "override(memory_limit", "big_slices()",
    "raise_on_big_slices=False", "np.asarray(source)", "cache_slice(", "get_cached_slice()", "iter_blocks(",
    "block_length=", "overlap=", "start_offset=", "reverse=", "partial_block=", "iter_channels(", ".block(",
    "return_slice=True", '"min", "max", "sum", "mean", "var", "std"', "channels_are_maps()", "aligned_arrays",
    "units_scale", "transpose=True", "from_hdf_sources(files", ".join(", "HDF5Buffer(", "BufferBinder(", ".writeable",
    "mapped[:, :100] = 0", "copied[:, :100] = 0", ".mirror(", "new_rate_ratio=5", "writeable=True", "writeable=False",
    "mapped=True", "mapped=False", "channel_compatible=True", "filename=", '"", "aligned", "electrode", "all"',
    "new_sources=", "is_direct_map", "ArraySource(",
)  # fmt: skip

ELECTRODES = [8 * column + row for column in (0, 1, 2, 4, 5, 7, 8, 9) for row in range(8)]

PRINTED = [
    ("recording", "96 channels, 20000 frames"),
    ("session", "electrode:  actv_64"),
    ("session", "['test_002_part1.mat', 'test_002_part2.mat']"),
    ("on-disk", "(20000, 96)"),
    ("electrode-channels", f"64 electrode channels: {ELECTRODES}"),
    ("electrode-channels", f"16 other channels: {[*range(24, 32), *range(48, 56)]}"),
    ("sites", str([(row, 5) for row in (0, 1, 2, 3, 7, 4, 6, 5)])),
    ("sites", str([(row, 6) for row in (0, 1, 2, 3, 7, 4, 6, 5)])),
    ("dataset", "shape: (64, 20000)  sampling rate: 1000.0 Hz"),
    ("mask", f"active channels: {ELECTRODES[8:18]}"),
    ("mask", "the source: (56, 20000)  its buffer: (20000, 96)"),
    ("map-out-of-step", "56 channels in the source, 64 in the map"),
    ("dataset-mask", "56 channels in the source, 56 in the map"),
    ("mask-none", "None:     (64, 20000)"),
    ("slice-logic", f"buffer: (slice(0, 1000, None), {ELECTRODES[20:30]})"),
    ("slice-logic", f"buffer: (slice(10, 20, None), {[ELECTRODES[channel] for channel in (1, 4, 30)]})"),
    ("slice-logic", f"buffer: (slice(10, 20, None), {ELECTRODES[30]})\n"),
    ("slice-logic-masked", f"(slice(0, 1000, None), {ELECTRODES[28:38]})"),
    ("limit", "the usual limit: 2,000,000,000 bytes"),
    ("limit", "at 100 kB: Reading (64, 391) samples takes 500,480 bytes, more than the memory limit of 100,000"),
    ("override", "MemoryBlowOutError: Reading (64, 20000) samples"),
    ("override", "np.asarray: (64, 20000)"),
    ("override", "Did you mean 'memory_limit'?"),
    ("big-slices", "inside big_slices(): (64, 20000)"),
    ("big-slices", "raise_on_big_slices=False: (64, 20000)"),
    ("blocks", "4 blocks"),
    ("blocks", "block 2 alone: (64, 6000) (slice(None, None, None), slice(12000, 18000, None))"),
    ("block-options", "reverse=True:        [(18000, 20000), (12000, 18000), (6000, 12000), (0, 6000)]"),
    ("channel-blocks", "(4, 20000) (slice(60, 64, None), slice(None, None, None))"),
    ("reductions", "channels that do not move: [0 1 2 3 4 5 6 7]"),
    ("channels-are-maps", f"electrode channels: {ELECTRODES[20:26]}"),
    ("aligned", "the BNC rows: (16, 20000)"),
    ("joined", "joined: (64, 10000) ['test_002_part1.mat', 'test_002_part2.mat']"),
    ("joined-refused", "electrode channels [4, 5, 6, 7] in place of [0, 1, 2, 3]"),
    ("joined-refused", "scale (0.0, 1.0) in place of (0.0, 100000.0)"),
    ("buffers", "HDF5Buffer (20000, 96) float64"),
    ("buffers", "BufferBinder (10000, 96) of 2 files"),
    ("read-only", "writeable: False False"),
    ("read-only", "raw/test_001.mat: this source is read-only"),
    ("mirror", "source: (64, 20000) buffer: (20000, 96) direct map: False"),
    ("mirror", "mirror: (64, 20000) buffer: (64, 20000) direct map: True"),
    ("temporary", "after close():        False"),
    ("mirror-compatible", "active rows:        (56, 20000) (56, 20000) direct map: True"),
    ("mirror-compatible", "channel compatible: (56, 20000) (96, 20000) direct map: False"),
    ("mirror-filename", "mine.h5: is there already"),
    ("mirror-rate", "mirror: (64, 4000)  its BNC rows: (16, 4000)"),
    ("mirror-rate", "a lower rate needs a filter"),
    ("mirror-combinations", "A mirror that is neither writeable nor filled stays empty"),
    ("mirror-refused", "belongs to a mapped mirror"),
    ("mirror-refused", "use mapped=False, or no new_sources"),
    ("array-source", "<ArraySource 2 x 1000 float64> active: [4, 2] with ('stimulus',) (1, 1000)"),
    ("close", "temporary folder left: False"),
]

COMPARISONS = (
    "dataset", "channels", "dataset-mask", "numpy", "cached", "block-length", "reductions", "channels-are-maps",
    "aligned", "joined", "write", "mirror-memory", "array-source",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """The notebook as it is stored, and as it came out when it was run."""

    stored: dict[str, NotebookNode]
    ran: dict[str, NotebookNode]
    folder: Path

    def printed(self, cell: str) -> str:
        """Return what a cell printed when it was run."""
        return text_of(self.ran[cell], "stdout")


def text_of(cell: NotebookNode, stream: str) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == stream)


def by_name(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder, own = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = by_name(nbformat.read(NOTEBOOK, as_version=4))
    notebook.cells.insert(0, new_code_cell("import warnings\nwarnings.simplefilter('error')", id="strict"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(name, str(own))
        NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return Run(stored, by_name(notebook), folder)


def test_no_cell_fails_or_warns(tutorial: Run) -> None:
    assert [name for name, cell in tutorial.ran.items() if text_of(cell, "stderr")] == []
    assert [o for cell in tutorial.ran.values() for o in cell.outputs if o.output_type == "error"] == []


def test_nothing_is_left_behind(tutorial: Run) -> None:
    assert list(tutorial.folder.iterdir()) == []


def test_every_feature_is_shown(tutorial: Run) -> None:
    code = "\n".join(cell.source for cell in tutorial.stored.values())
    assert [feature for feature in FEATURES if feature not in code] == []


@pytest.mark.parametrize(("cell", "expected"), PRINTED)
def test_what_a_cell_prints_is_right(tutorial: Run, cell: str, expected: str) -> None:
    assert expected in tutorial.printed(cell)


@pytest.mark.parametrize("cell", COMPARISONS)
def test_a_comparison_comes_out_as_said(tutorial: Run, cell: str) -> None:
    assert "True" in tutorial.printed(cell)
    assert "False" not in tutorial.printed(cell)


def test_the_triggers_are_those_that_were_planted(tutorial: Run) -> None:
    truth = SyntheticRecording(
        "2t-as daq v2", "zif26 to 2x uhdmi", "actv_64", rate=1000, seconds=20, faults=Faults(dead_columns=(5,))
    )
    assert f"first trigger edges: {truth.trigger_samples[:4]}" in tutorial.printed("dataset")
    assert f"first edges: {truth.trigger_samples[:4] // 5}" in tutorial.printed("mirror-rate")


def test_a_mirror_is_filled_as_asked_in_every_combination(tutorial: Run) -> None:
    _, *rows, _ = tutorial.printed("mirror-combinations").splitlines()
    assert len(rows) == 2 * 2 * 2 * 4
    for row in rows:
        writeable, mapped, compatible, copy, kind, *rest = row.split()
        if kind == "refused":
            assert (writeable, copy in ("''", "'aligned'")) == ("False", True)
            continue
        assert (kind, *rest) == (
            "MappedSource" if mapped == "True" else "ArraySource",
            "96" if compatible == "True" else "64",
            "float32",
            str(copy in ("'electrode'", "'all'")),
            str(copy in ("'aligned'", "'all'")),
        )


def test_each_refusal_prints_its_reason(tutorial: Run) -> None:
    for name, cell in tutorial.ran.items():
        wanted = len(re.findall(r"\brefused\(\):", cell.source)) * (name != "helper")
        assert len(re.findall(r"^\w+Error: \S", tutorial.printed(name), re.MULTILINE)) == wanted, name


@pytest.mark.parametrize("cell", ["site-map", "traces", "map-subset", "spread-map"])
def test_a_figure_is_drawn(tutorial: Run, cell: str) -> None:
    for notebook in (tutorial.ran, tutorial.stored):
        [picture] = [output.data["image/png"] for output in notebook[cell].outputs]
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture)))
        assert min(pixels.shape[:2]) > 300
        assert np.ptp(pixels) > 0.5


def test_the_stored_outputs_are_what_the_cells_print(tutorial: Run) -> None:
    for name, cell in tutorial.stored.items():
        if "timing" not in cell.metadata.get("tags", ()):
            assert text_of(cell, "stdout") == tutorial.printed(name), RENEW


def test_the_stored_outputs_name_no_place_of_a_computer(tutorial: Run) -> None:
    for name, cell in tutorial.stored.items():
        assert not re.search(r"(?<![\w.])/\w|file://|ecogpipe\.[0-9a-f]{8}", text_of(cell, "stdout")), name
