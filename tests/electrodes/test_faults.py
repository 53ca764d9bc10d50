"""The automatic rule finds planted faults on every known array, and none where none is planted."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.channels import ChannelTable, channel_table
from ecogpipe.electrodes.faults import check_thresholds, fault_reasons, judge_sites
from ecogpipe.electrodes.site_numbers import SiteNumbers
from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import SettingsError
from shipped import AUTOMATIC

Signal = npt.NDArray[np.float64]

RAIL_UV = 1e6
"""The DAQ's 10 V rail as microvolts at a gain of 10."""


def longest_runs_share(at_extreme: npt.NDArray[np.bool_]) -> float:
    """Share of samples that are in runs of three or more."""
    steps = np.diff(np.concatenate(([0], at_extreme.astype(int), [0])))
    lengths = np.flatnonzero(steps == -1) - np.flatnonzero(steps == 1)
    return float(lengths[lengths >= 3].sum() / at_extreme.size)


def numbers_of(signals: Signal) -> SiteNumbers:
    """The numbers of faults that one channel shows alone; `test_planted_faults` has those that neighbours tell."""
    finite = np.where(np.isfinite(signals), signals, np.nan)
    lost = np.isnan(finite)
    n_finite = (~lost).sum(axis=1)
    safe = np.where(n_finite[:, None] > 0, finite, 0.0)
    extremes = [np.nanmin(safe, axis=1), np.nanmax(safe, axis=1)]
    at_rails = [
        longest_runs_share((row == low) | (row == high)) for row, low, high in zip(safe, *extremes, strict=True)
    ]
    std = np.nanstd(safe, axis=1)
    std[n_finite == 0] = np.nan
    return SiteNumbers(
        std=std,
        minimum=extremes[0],
        maximum=extremes[1],
        hf_rms=np.sqrt(np.nanmean(np.diff(safe, axis=1) ** 2, axis=1)),
        rail_fraction=np.array(at_rails),
        nonfinite_fraction=lost.mean(axis=1),
        stuck_fraction=np.zeros(len(signals)),
        line_rms=np.full(len(signals), np.nan),
        correlation=np.full((len(signals), len(signals)), np.nan),
        n_changes=0,
    )


def clean_signals(rng: np.random.Generator, tones: Signal, rate: float, seconds: float = 4.0) -> Signal:
    """Microvolts per site: a tone of its own, a travelling wave, line noise, slow drift, amplifier noise."""
    n_sites, times = len(tones), np.arange(int(rate * seconds)) / rate
    amplitudes, drifts = rng.uniform(180, 220, n_sites), rng.uniform(50, 300, n_sites)
    phases = rng.uniform(0, 2 * np.pi, (2, n_sites, 1))
    signals = amplitudes[:, None] * np.sin(2 * np.pi * tones[:, None] * times + phases[0])
    signals += 50 * np.sin(2 * np.pi * 7 * times - 0.3 * np.arange(n_sites)[:, None])
    signals += 30 * np.sin(2 * np.pi * 60 * times)
    signals += drifts[:, None] * np.sin(2 * np.pi * 0.1 * times + phases[1])
    signals += rng.normal(0, 5, signals.shape)
    return signals


def reasons_of(signals: Signal, chan_map: ChannelMap, **changes: float) -> list[str]:
    thresholds = check_thresholds({**AUTOMATIC, **changes})
    return fault_reasons(judge_sites(numbers_of(signals), chan_map, thresholds).faults, chan_map)


def members(chan_map: ChannelMap, column: int) -> list[int]:
    return np.flatnonzero(chan_map.to_mat()[1] == column).tolist()


@pytest.fixture(params=known_wirings(), ids=lambda wiring: "/".join(wiring.names))
def table(request: pytest.FixtureRequest) -> ChannelTable:
    return channel_table(request.param, n_bncs=1)


@pytest.fixture
def chan_map() -> ChannelMap:
    return ChannelMap(range(64), (8, 8))


def test_planted_faults_are_found_and_named_on_every_array(table: ChannelTable) -> None:
    rng, chan_map = np.random.default_rng(5), table.chan_map
    signals = clean_signals(rng, rng.permutation(np.linspace(10, 110, len(chan_map))), rate=1000)
    n_samples = signals.shape[1]
    dead, noisy, railed = (chan_map.lookup(*site) for site in ((1, 2), (3, 4), (6, 7)))
    column = members(chan_map, 5)
    signals[dead] = rng.normal(0, 1, n_samples)
    signals[column] = rng.normal(0, 1, (len(column), n_samples))
    signals[noisy] += rng.normal(0, 450, n_samples)
    signals[railed, n_samples // 2 : n_samples // 2 + n_samples // 20] = RAIL_UV
    reasons = reasons_of(signals, chan_map)
    assert reasons[dead].startswith("dead: std is 0.0")
    assert reasons[noisy].startswith("noisy: ")
    assert reasons[railed] == "railed: 0.05 of its samples sit at its extreme"
    assert all(reasons[channel].startswith("dead column 5: std is 0.0") for channel in column)
    found = {channel for channel, reason in enumerate(reasons) if reason}
    assert found == {dead, noisy, railed, *column}


@pytest.mark.parametrize("rate", [500, 1000, 5000])
@pytest.mark.parametrize("step", [0, 30], ids=["float", "coarse"])
@pytest.mark.parametrize("seed", range(5))
def test_clean_signals_raise_no_alarm(chan_map: ChannelMap, rate: float, step: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signals = clean_signals(rng, rng.permutation(np.linspace(10, 110, 64)), rate)
    if step:
        signals = np.round(signals / step) * step
    assert not any(reasons_of(signals, chan_map))


@pytest.mark.parametrize("rate", [500, 1000, 5000])
@pytest.mark.parametrize("odd_one", [10.0, 110.0])
def test_the_frequency_of_a_tone_alone_makes_no_site_noisy(chan_map: ChannelMap, rate: float, odd_one: float) -> None:
    """The steps of a 110 Hz tone are eleven times those of a 10 Hz tone of the same size."""
    times = np.arange(int(4 * rate)) / rate
    tones = np.where(np.arange(64) == 9, odd_one, 120.0 - odd_one)
    signals = 200 * np.sin(2 * np.pi * tones[:, None] * times)
    assert not any(reasons_of(signals, chan_map))


@pytest.mark.parametrize("rate", [500, 1000, 5000])
@pytest.mark.parametrize("seed", range(5))
def test_noise_hides_behind_no_drift(chan_map: ChannelMap, rate: float, seed: int) -> None:
    """Where a drift makes up most of every site's std, noise of three times the tone still shows."""
    rng = np.random.default_rng(seed)
    signals = clean_signals(rng, np.linspace(10, 110, 64), rate)
    signals += 300 * np.sin(2 * np.pi * 0.25 * np.arange(signals.shape[1]) / rate)
    signals[20] += rng.normal(0, 3 * 200 / np.sqrt(2), signals.shape[1])
    reasons = reasons_of(signals, chan_map)
    assert [channel for channel, reason in enumerate(reasons) if reason] == [20]
    assert reasons[20].startswith("noisy")


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("rails", [(RAIL_UV,), (-RAIL_UV,), (RAIL_UV, -RAIL_UV)], ids=["high", "low", "both"])
def test_a_saturated_stretch_is_railed(chan_map: ChannelMap, share: float, rails: tuple[float, ...]) -> None:
    signals = clean_signals(np.random.default_rng(0), np.linspace(10, 110, 64), rate=1000)
    for rail, stretch in zip(rails, np.array_split(np.arange(int(share * 4000)), len(rails)), strict=True):
        signals[33, 1000 + stretch] = rail
    reasons = reasons_of(signals, chan_map)
    assert [channel for channel, reason in enumerate(reasons) if reason] == [33]
    assert reasons[33] == f"railed: {share:.3g} of its samples sit at its extreme"


def test_saturation_of_most_sites_is_judged_by_the_others(chan_map: ChannelMap) -> None:
    signals = clean_signals(np.random.default_rng(0), np.linspace(10, 110, 64), rate=1000)
    signals[:40, 500:900] = RAIL_UV
    reasons = reasons_of(signals, chan_map)
    assert [bool(reason) for reason in reasons] == [True] * 40 + [False] * 24


def test_a_noisy_site_is_not_what_coarse_signals_are_judged_by(chan_map: ChannelMap) -> None:
    """A clean tone of seven steps of the converter sits at its extreme; a noisy site hardly ever does."""
    times = np.arange(8000) / 2000
    signals = 200 * np.sin(2 * np.pi * np.linspace(10, 40, 64)[:, None] * times)
    signals[12] += np.random.default_rng(0).normal(0, 600, times.size)
    signals = np.round(signals / 30) * 30
    rail_fraction = numbers_of(signals).rail_fraction
    assert (np.delete(rail_fraction, 12) > AUTOMATIC["rail_fraction"]).all()
    assert rail_fraction[12] < AUTOMATIC["rail_fraction"]
    assert [channel for channel, reason in enumerate(reasons_of(signals, chan_map)) if reason] == [12]


@pytest.mark.parametrize(("line", "name"), [(3, "column"), (6, "row")])
def test_a_whole_dead_line_is_named_and_the_rest_is_judged_as_before(
    chan_map: ChannelMap, line: int, name: str
) -> None:
    rng = np.random.default_rng(2)
    signals = clean_signals(rng, np.linspace(10, 110, 64), rate=1000)
    dead = np.flatnonzero(chan_map.to_mat()[name == "column"] == line)
    signals[dead] = rng.normal(0, 2, (8, signals.shape[1]))
    reasons = reasons_of(signals, chan_map)
    assert {channel for channel, reason in enumerate(reasons) if reason} == set(dead.tolist())
    assert all(reasons[channel].startswith(f"dead {name} {line}: ") for channel in dead)


def test_a_column_with_one_live_site_is_no_dead_column(chan_map: ChannelMap) -> None:
    signals = clean_signals(np.random.default_rng(2), np.linspace(10, 110, 64), rate=1000)
    dead = members(chan_map, 3)[1:]
    signals[dead] = 0
    assert {reasons_of(signals, chan_map)[channel] for channel in dead} == {"dead: its signal does not change"}


def test_constant_sites_do_not_count_in_the_median(chan_map: ChannelMap) -> None:
    signals = clean_signals(np.random.default_rng(2), np.linspace(10, 110, 64), rate=1000)
    signals[:40] = 1.5
    reasons = reasons_of(signals, chan_map)
    assert [reason.startswith("dead") for reason in reasons] == [True] * 40 + [False] * 24
    assert not any(reasons[40:])


def test_an_array_without_any_signal_is_dead(chan_map: ChannelMap) -> None:
    assert all(reason.startswith("dead column") for reason in reasons_of(np.zeros((64, 100)), chan_map))


def test_samples_that_are_not_finite(chan_map: ChannelMap) -> None:
    signals = clean_signals(np.random.default_rng(2), np.linspace(10, 110, 64), rate=1000)
    signals[1, :20] = np.nan
    signals[2, ::10] = np.inf
    signals[3] = np.nan
    reasons = reasons_of(signals, chan_map)
    assert [channel for channel, reason in enumerate(reasons) if reason] == [2, 3]
    assert reasons[2] == "not finite: 0.1 of its samples are NaN or infinite"
    assert reasons_of(signals, chan_map, nonfinite_fraction=0.001)[1].startswith("not finite")


def test_one_channel_alone_is_compared_with_itself() -> None:
    signals = clean_signals(np.random.default_rng(0), np.array([20.0]), rate=1000)
    assert reasons_of(signals, ChannelMap([0], (1, 1))) == [""]


def test_the_unit_of_the_numbers_does_not_matter(chan_map: ChannelMap) -> None:
    signals = clean_signals(np.random.default_rng(4), np.linspace(10, 110, 64), rate=1000)
    signals[7] += np.random.default_rng(5).normal(0, 600, signals.shape[1])
    signals[8] *= 0.01
    in_volts = reasons_of(signals * 1e-5, chan_map)
    assert [bool(reason) for reason in in_volts] == [bool(reason) for reason in reasons_of(signals, chan_map)]
    assert [channel for channel, reason in enumerate(in_volts) if reason] == [7, 8]


def without(name: str) -> Callable[[dict[str, float]], dict[str, float]]:
    return lambda thresholds: {key: value for key, value in thresholds.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {**t, "dead_ration": 0.1}, "Did you mean 'dead_ratio'"),
        (without("rail_fraction"), "rail_fraction for automatic masks is missing"),
        (lambda t: {**t, "noisy_ratio": 0.5}, "noisy_ratio is 0.5; give a number from 1 to inf"),
        (lambda t: {**t, "dead_ratio": "0.1"}, "dead_ratio is '0.1'"),
        (lambda t: {**t, "dead_ratio": True}, "dead_ratio is True"),
        (lambda t: {**t, "nonfinite_fraction": float("nan")}, "nonfinite_fraction is nan"),
    ],
)
def test_thresholds_are_complete_known_and_in_range(
    change: Callable[[dict[str, float]], dict[str, float]], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        check_thresholds(change(dict(AUTOMATIC)))
