"""Mirrors by hand: every sensible combination of options, and a reason for those that are not."""

import gc
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest

from ecogpipe.datasource.array import ArraySource
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import MemoryBlowOutError, OutputError, SettingsError
from ecogpipe.runtime.params import override

WHOLE = np.random.default_rng(0).integers(-1000, 1000, (12, 301)).astype("i2")
ELECTRODES = [3, 1, 7, 8, 9]
MASK = [True, True, False, True, True]
ACTIVE = [3, 1, 8, 9]
BNC = [10, 11]


@pytest.fixture(autouse=True)
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    with override(scratch_dir=tmp_path / "scratch"):
        yield tmp_path / "scratch"


@pytest.fixture(params=[False, True], ids=["channels first", "time first"])
def source(request, tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE.T if request.param else WHOLE
        file["temperature"] = WHOLE[:1].T if request.param else WHOLE[:1]
    with MappedSource.from_hdf_sources(
        tmp_path / "recording.h5", "data", ELECTRODES, MASK, ("temperature", ("bnc", BNC)), 0.5, request.param
    ) as source:
        yield source


@pytest.mark.parametrize(
    ("writeable", "mapped", "compatible", "copy"),
    [c for c in product([True, False], [True, False], [True, False], ["", "aligned", "electrode", "all"])
     if c[0] or c[3] in ("electrode", "all")],
)  # fmt: skip
def test_every_sensible_combination_of_options(source, writeable, mapped, compatible, copy):
    mirror = source.mirror(writeable=writeable, mapped=mapped, channel_compatible=compatible, copy=copy)
    assert isinstance(mirror, MappedSource if mapped else ArraySource)
    assert mirror.writeable is writeable
    assert mirror.shape == (4, 301)
    assert mirror.dtype == np.float32
    assert mirror.file_dtype == ("i2" if mapped and not writeable else "f4")
    assert mirror.is_direct_map is not compatible
    assert (mirror.active_channels, mirror.electrode_channels) == (
        (ACTIVE, ELECTRODES) if compatible else ([0, 1, 2, 3], [0, 1, 2, 3])
    )
    np.testing.assert_array_equal(mirror[:, :], WHOLE[ACTIVE] * (0.5 if copy in ("electrode", "all") else 0))
    for name, rows in {"temperature": [0], "bnc": BNC}.items():
        np.testing.assert_array_equal(
            getattr(mirror, name)[:, :], WHOLE[rows] * (1 if copy in ("aligned", "all") else 0)
        )
    if compatible and copy == "all":
        np.testing.assert_array_equal(mirror.of_rows([0, 2, 4], in_file_numbers=True)[:, :], WHOLE[[0, 2, 4]])
        mirror.set_channel_mask(None)
        np.testing.assert_array_equal(mirror[2], WHOLE[7] * 0.5, "a masked row keeps its signal")
    mirror.close()


def test_a_lower_rate_makes_an_empty_mirror_of_the_right_length(source):
    mirror = source.mirror(new_rate_ratio=4)
    assert mirror.shape == (4, 76)
    assert mirror.bnc.shape == (2, 76)


def test_a_mirror_goes_into_the_arrays_it_is_given(source):
    data = np.empty((4, 301), dtype="f4")
    mirror = source.mirror(mapped=False, copy="electrode", new_sources={"data": data})
    assert mirror.data_buffer is data
    np.testing.assert_array_equal(data, WHOLE[ACTIVE] * 0.5)


def test_a_writeable_mirror_can_be_written_to(source):
    mirror = source.mirror(copy="all")
    mirror[:, :100] = 0
    mirror[[2, 0], 150] = [7, 8]
    assert not mirror[:, :100].any()
    assert mirror[[0, 2], 150].tolist() == [8, 7]
    np.testing.assert_array_equal(mirror[:, 151:], WHOLE[ACTIVE, 151:] * 0.5)


def test_tmp1_a_temporary_file_goes_with_its_mirror(source, scratch):
    mirror = source.mirror()
    assert [Path(mirror.data_buffer.filename)] == list(scratch.iterdir())
    mirror.close()
    assert list(scratch.iterdir()) == []
    source.mirror()
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_tmp1_a_killed_process_s_file_is_swept_by_the_next_mirror(source, scratch, tmp_path):
    program = (
        "import os, sys, signal; from ecogpipe import ArraySource, OVERRIDE; import numpy as np;"
        "OVERRIDE['scratch_dir'] = sys.argv[1]; m = ArraySource(np.zeros((2, 9))).mirror();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(scratch)], check=False, env=os.environ)
    orphans = list(scratch.iterdir())
    assert len(orphans) == 1
    mirror = source.mirror()
    assert not orphans[0].exists()
    mirror.close()


def test_a_named_mirror_stays_and_is_not_overwritten(source, tmp_path):
    source.mirror(filename=tmp_path / "mine.h5", copy="all").close()
    with h5py.File(tmp_path / "mine.h5") as file:
        np.testing.assert_array_equal(file["data"], WHOLE[ACTIVE] * 0.5)
    with pytest.raises(OutputError, match=r"mine.h5: is there already"):
        source.mirror(filename=tmp_path / "mine.h5")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"copy": "everything"}, "copy is 'everything'"),
        ({"new_rate_ratio": 2.5}, "new_rate_ratio is 2.5; give an integer"),
        ({"new_rate_ratio": 0}, "new_rate_ratio is 0"),
        ({"mapped": False, "new_sources": {"data": np.zeros((4, 301), "i4")}}, "would round the mirror's float32"),
        ({"new_rate_ratio": 2, "copy": "all"}, "a lower rate needs a filter"),
        ({"writeable": False}, "stays empty"),
        ({"mapped": False, "filename": "x.h5"}, "belongs to a mapped mirror"),
        ({"new_sources": {"data": np.zeros(1)}}, "use mapped=False"),
        ({"mapped": False, "new_sources": {"dat": np.zeros(1)}}, "Did you mean 'data'"),
        ({"mapped": False, "new_sources": {"data": np.zeros((1, 2))}}, r"shape \(1, 2\), the mirror needs \(4, 301\)"),
    ],
)
def test_options_that_cannot_go_together_are_refused(source, options, sentence):
    with pytest.raises(SettingsError, match=sentence):
        source.mirror(**options)


def test_mem1_a_mirror_in_memory_over_the_limit_is_refused(source):
    with override(memory_limit=4000), pytest.raises(MemoryBlowOutError, match="use mapped=True"):
        source.mirror(mapped=False)


def test_a_joined_source_mirrors_like_one(source):
    mirror = source.join(source).mirror(copy="all")
    np.testing.assert_array_equal(mirror[:, :], np.tile(WHOLE[ACTIVE] * 0.5, 2))
    np.testing.assert_array_equal(mirror.bnc[:, :], np.tile(WHOLE[BNC], 2))


def test_an_array_that_is_given_stays_as_writeable_as_it_was(source):
    data = np.empty((4, 301), dtype="f4")
    mirror = source.mirror(mapped=False, writeable=False, copy="all", new_sources={"data": data})
    assert data.flags.writeable
    assert not mirror.writeable
    np.testing.assert_array_equal(data, WHOLE[ACTIVE] * 0.5)


def test_a_named_mirror_makes_its_folder(source, tmp_path):
    source.mirror(filename=tmp_path / "new" / "mine.h5").close()
    assert (tmp_path / "new" / "mine.h5").exists()
