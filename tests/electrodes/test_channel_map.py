"""A channel map puts values on the grid and takes them off again, whatever the order of the channels."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.errors import EcogpipeError, MaskError, WiringError


@pytest.fixture
def chan_map() -> ChannelMap:
    return ChannelMap([7, 0, 3, 10], (3, 4), pitch=(0.25, 0.5))


def test_it_is_a_sequence_of_plain_ints(chan_map: ChannelMap) -> None:
    assert list(chan_map) == [7, 0, 3, 10]
    assert len(chan_map) == 4
    assert chan_map[-1] == 10
    assert type(chan_map[0]) is int
    assert list(chan_map[1:3]) == [0, 3]
    assert 3 in chan_map
    assert all(type(site) is int for site in ChannelMap(np.array([7, 0]), (3, 4)))


def test_rows_and_columns_are_those_of_numpy_unravel_index(chan_map: ChannelMap) -> None:
    rows, columns = chan_map.to_mat()
    expected = np.unravel_index([7, 0, 3, 10], (3, 4))
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(columns, expected[1])


def test_col_major_counts_down_the_columns() -> None:
    rows, columns = ChannelMap([7, 0, 3, 10], (3, 4), col_major=True).to_mat()
    expected = np.unravel_index([7, 0, 3, 10], (3, 4), order="F")
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(columns, expected[1])


@pytest.mark.parametrize("col_major", [False, True])
def test_lookup_and_rlookup_are_inverse(col_major: bool) -> None:
    chan_map = ChannelMap(np.random.default_rng(0).permutation(12), (3, 4), col_major)
    assert [chan_map.lookup(*chan_map.rlookup(channel)) for channel in range(12)] == list(range(12))
    assert chan_map.rlookup(-1) == chan_map.rlookup(11)


def test_lookup_refuses_sites_without_a_channel(chan_map: ChannelMap) -> None:
    with pytest.raises(WiringError, match=r"\(1, 0\) has no channel"):
        chan_map.lookup(1, 0)
    with pytest.raises(WiringError, match=r"\(3, 0\) is off the grid of 3 rows"):
        chan_map.lookup(3, 0)
    with pytest.raises(WiringError, match="off the grid"):
        chan_map.lookup(-1, 0)
    with pytest.raises(WiringError, match="Channel 4 is not in this map of 4"):
        chan_map.rlookup(4)


def test_subset_by_mask_indices_grid_and_map_agree(chan_map: ChannelMap) -> None:
    mask = np.array([True, False, True, False])
    wanted = chan_map.subset(mask)
    assert list(wanted) == [7, 3]
    assert wanted.pitch == chan_map.pitch
    assert wanted.geometry == chan_map.geometry
    assert chan_map.subset([0, 2]) == wanted
    assert chan_map.subset(chan_map.embed(mask, fill=False)) == wanted
    assert chan_map.subset(ChannelMap([3, 7], (3, 4))) == wanted
    by_column = ChannelMap([int(np.ravel_multi_index(chan_map.rlookup(1)[::-1], (4, 3)))], (3, 4), col_major=True)
    assert chan_map.subset(by_column) == chan_map.subset([1])


def test_a_subset_by_a_map_that_reaches_outside_is_refused(chan_map: ChannelMap) -> None:
    with pytest.raises(MaskError, match=r"has 1 sites without a channel in this map, as \(0, 1\)"):
        chan_map.subset(ChannelMap([3, 7, 1], (3, 4)))


def test_subset_keeps_the_order_of_the_indices(chan_map: ChannelMap) -> None:
    assert list(chan_map.subset([3, -3])) == [10, 0]


def test_subset_may_be_empty(chan_map: ChannelMap) -> None:
    assert len(chan_map.subset([])) == 0
    assert len(chan_map.subset([False] * 4)) == 0
    assert isinstance(chan_map.subset([]).image(), Figure)


@pytest.mark.parametrize(
    "selection", [[True] * 5, [True] * 3, np.ones((4, 3), bool), [0.0, 1.0], [4], np.ones((3, 4), int), True]
)
def test_subset_refuses_what_fits_neither_channels_nor_grid(chan_map: ChannelMap, selection: object) -> None:
    with pytest.raises(MaskError):
        chan_map.subset(selection)  # type: ignore[arg-type]


def test_subset_refuses_a_map_of_another_array(chan_map: ChannelMap) -> None:
    with pytest.raises(MaskError, match=r"\(4, 3\)"):
        chan_map.subset(ChannelMap([0], (4, 3)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_embed_and_as_channels_are_inverse_on_any_axis(chan_map: ChannelMap, axis: int) -> None:
    shape = [5, 6, 7]
    shape[axis] = 4
    data = np.random.default_rng(1).normal(size=shape)
    grid = chan_map.embed(data, axis)
    first = axis % 3
    assert grid.shape == (*data.shape[:first], 3, 4, *data.shape[first + 1 :])
    np.testing.assert_array_equal(chan_map.as_channels(grid, axis), data)
    assert np.isnan(grid).sum() == data.size // 4 * 8


def test_embed_puts_each_value_on_its_site(chan_map: ChannelMap) -> None:
    grid = chan_map.embed([70, 0, 30, 100], fill=-1)
    assert grid.dtype.kind == "i"
    np.testing.assert_array_equal(grid.ravel(), [0, -1, -1, 30, -1, -1, -1, 70, -1, -1, 100, -1])
    assert chan_map.embed(np.ones(4, np.float32)).dtype == np.float32
    assert np.isnan(chan_map.embed([1, 2, 3, 4])[0, 1])


def test_embed_and_as_channels_refuse_other_shapes(chan_map: ChannelMap) -> None:
    with pytest.raises(WiringError, match="4 channels on axis 1"):
        chan_map.embed(np.zeros((4, 5)), axis=1)
    with pytest.raises(WiringError, match=r"\(4, 3\)"):
        chan_map.as_channels(np.zeros((4, 3)))
    with pytest.raises(WiringError):
        chan_map.embed(1.0)
    with pytest.raises(WiringError):
        chan_map.as_channels(np.zeros(4))


def test_flip_moves_the_channels(chan_map: ChannelMap) -> None:
    data = np.arange(4.0)
    grid = chan_map.embed(data)
    np.testing.assert_array_equal(chan_map.flip(rows=True).embed(data), grid[::-1])
    np.testing.assert_array_equal(chan_map.flip(columns=True).embed(data), grid[:, ::-1])
    assert chan_map.flip(rows=True, columns=True).flip(rows=True, columns=True) == chan_map
    down = ChannelMap([7, 0, 3], (3, 4), col_major=True)
    np.testing.assert_array_equal(down.flip(rows=True).embed(data[:3]), down.embed(data[:3])[::-1])


def test_pads_up_mirrors_the_picture_and_nothing_else(chan_map: ChannelMap) -> None:
    other_face = ChannelMap(list(chan_map), (3, 4), pitch=(0.25, 0.5), pads_up=True)
    np.testing.assert_array_equal(other_face.embed(np.arange(4)), chan_map.embed(np.arange(4)))
    seen, mirrored = (m.image(np.arange(4)).axes[0] for m in (chan_map, other_face))
    assert seen.get_xlim() == mirrored.get_xlim()[::-1]
    assert seen.get_ylim() == mirrored.get_ylim()


def test_image_shows_the_values_on_their_sites_in_the_arrays_proportions(chan_map: ChannelMap) -> None:
    figure = chan_map.image([1, 2, 3, 4], label="RMS (uV)", cmap="magma", vmin=0)
    axes, colorbar = figure.axes
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan), chan_map.embed([1.0, 2, 3, 4]))
    assert axes.get_aspect() == 0.5
    assert colorbar.get_ylabel() == "RMS (uV)"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "row 0 is on top"


def test_image_draws_into_given_axes_and_leaves_pyplot_alone(chan_map: ChannelMap) -> None:
    from matplotlib import pyplot as plt

    figure = Figure()
    assert chan_map.image(ax=figure.subplots()) is figure
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert texts == {(3, 1): "0", (0, 0): "1", (3, 0): "2", (2, 2): "3"}
    assert not plt.get_fignums()


def test_equality_takes_all_that_a_map_says(chan_map: ChannelMap) -> None:
    same = ChannelMap(list(chan_map), (3, 4), pitch=(0.25, 0.5))
    assert chan_map == same
    assert hash(chan_map) == hash(same)
    assert pickle.loads(pickle.dumps(chan_map)) == chan_map
    assert chan_map != ChannelMap(list(chan_map), (3, 4), pitch=0.5)
    assert chan_map != ChannelMap(list(chan_map), (4, 4), pitch=(0.25, 0.5))
    assert chan_map != [7, 0, 3, 10]


def test_pitch_is_one_number_a_pair_or_unknown() -> None:
    assert ChannelMap([0], (1, 1), pitch=0.4).pitch == (0.4, 0.4)
    assert ChannelMap([0], (1, 1), pitch=[0.25, 0.3214]).pitch == (0.25, 0.3214)
    assert ChannelMap([0], (1, 1), pitch=None).pitch is None


@pytest.mark.parametrize("pitch", [0, -1.0, float("nan"), "0.4", (1, 2, 3), (0.4,), True, (0.4, None)])
def test_a_pitch_that_is_no_length_is_refused(pitch: object) -> None:
    with pytest.raises(WiringError, match="pitch"):
        ChannelMap([0], (1, 1), pitch=pitch)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sites", "geometry", "message"),
    [
        ([12], (3, 4), "0 to 11"),
        ([-1], (3, 4), "site -1"),
        ([5, 5], (3, 4), "Channels 0 and 1 are both on site 5"),
        ([1.5], (3, 4), "1.5 is not a site"),
        ([True], (3, 4), "is not a site"),
        ([0], (0, 4), "at least 1"),
        ([0], (3,), "pair"),
        ([0], (3.0, 4), "whole number"),
    ],
)
def test_impossible_maps_are_refused(sites: list[int], geometry: tuple[int, int], message: str) -> None:
    with pytest.raises(WiringError, match=message):
        ChannelMap(sites, geometry)


class TestToProbe:
    def test_contacts_are_where_the_sites_are_in_micrometres(self) -> None:
        chan_map = ChannelMap([3, 0, 4], (2, 3), pitch=(0.25, 0.4))
        probe = chan_map.to_probe([70, 8, 9])
        np.testing.assert_allclose(probe.contact_positions, [[0, 250], [0, 0], [400, 250]])
        assert probe.device_channel_indices.tolist() == [70, 8, 9]
        assert probe.contact_ids.tolist() == ["1,0", "0,0", "1,1"]
        assert probe.si_units == "um"
        assert chan_map.to_probe().device_channel_indices.tolist() == [0, 1, 2]

    def test_it_survives_a_file(self, tmp_path: Path) -> None:
        from probeinterface import ProbeGroup, read_probeinterface, write_probeinterface

        group = ProbeGroup()
        group.add_probe(ChannelMap(range(6), (2, 3), col_major=True, pitch=0.5).to_probe())
        write_probeinterface(tmp_path / "probe.json", group)
        [read] = read_probeinterface(tmp_path / "probe.json").probes
        np.testing.assert_allclose(read.contact_positions[1], [0, 500])

    @pytest.mark.parametrize(("sites", "geometry"), [([3, 0, 4], (2, 3)), ([0], (1, 1)), (range(7), (7, 1))])
    def test_it_passes_the_schema_of_probeinterface(self, sites: list[int], geometry: tuple[int, int]) -> None:
        from probeinterface.testing import validate_probe_dict

        validate_probe_dict(ChannelMap(sites, geometry, pitch=0.4).to_probe().to_dict(array_as_list=True))

    def test_a_place_that_is_not_known_is_no_place(self) -> None:
        with pytest.raises(WiringError, match="pitch of this map is not known"):
            ChannelMap([0], (1, 1), pitch=None).to_probe()
        with pytest.raises(WiringError, match=r"shape \(2,\) do not fit a map of 1 channels"):
            ChannelMap([0], (1, 1)).to_probe([0, 1])

    def test_without_the_package_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "probeinterface", None)
        with pytest.raises(EcogpipeError, match="pip install probeinterface"):
            ChannelMap([0], (1, 1)).to_probe()
