"""Every kind of planted fault is found and named on every known array, and nothing else, whatever the seed."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.channels import channel_table
from ecogpipe.electrodes.faults import Judgement, check_thresholds, fault_reasons, judge_sites
from ecogpipe.electrodes.site_numbers import SiteNumbers
from ecogpipe.electrodes.wiring import Wiring, known_wirings
from ecogpipe.statistics.recording_numbers import RecordingNumbers, blocks_ending_in
from shipped import AUTOMATIC

Signal = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]

RATE, SECONDS, RAIL_UV, LINE_HZ = 500, 6.2, 1e6, 60
N_SAMPLES = int(RATE * SECONDS)
SECONDS_OF = np.arange(N_SAMPLES) / RATE
SEEDS = range(20)
STEP = 2.0
"""One step of the converter, in microvolts."""


def brain_signals(rng: np.random.Generator, chan_map: ChannelMap) -> Signal:
    """Microvolts per site: slow sources that neighbours share, activity and drift of its own, line, amplifier noise."""
    places = np.stack(chan_map.to_mat(), axis=1) / max(chan_map.geometry)
    n_sites = len(chan_map)
    sources = lfilter([1], [1, -0.97], rng.normal(size=(12, N_SAMPLES)))
    centres = rng.uniform(0, 1, (12, 2))
    distances = np.linalg.norm(places[:, None] - centres, axis=2)
    signals: Signal = np.exp(-((distances / 0.4) ** 2)) @ (10 * sources)
    noise = rng.normal(size=(n_sites, N_SAMPLES))
    signals += 5 * lfilter([1], [1, -0.9], noise) + 3 * noise[:, ::-1]
    signals += 10 * np.sin(2 * np.pi * LINE_HZ * SECONDS_OF)
    turns = 2 * np.pi * 0.1 * SECONDS_OF
    signals += rng.normal(0, 20, (n_sites, 3)) @ np.stack([np.sin(turns), np.cos(turns), np.full(N_SAMPLES, 50.0)])
    return signals


def dead(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    return 0.02 * typical * rng.normal(size=signal.shape)


def noisy(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    return signal + rng.uniform(4, 20) * typical * rng.normal(size=signal.shape)


def railed(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    start, length = rng.integers(N_SAMPLES // 2), N_SAMPLES // rng.integers(3, 20)
    return np.where((start <= SECONDS_OF * RATE) & (start + length > SECONDS_OF * RATE), RAIL_UV, signal)


def disconnected(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    noise = rng.uniform(0.4, 1.0) * typical * rng.normal(size=signal.shape)
    return noise + 0.3 * typical * np.sin(2 * np.pi * LINE_HZ * SECONDS_OF)


def humming(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    return signal + 2.2 * typical * np.sin(2 * np.pi * LINE_HZ * SECONDS_OF)


def stuck(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    start = rng.integers(N_SAMPLES // 5)
    return np.where(np.abs(np.arange(N_SAMPLES) - start - 1600) < 1200, signal[..., [start]], signal)


def not_finite(signal: Signal, rng: np.random.Generator, typical: float) -> Signal:
    return np.where(rng.random(signal.shape) < 0.05, np.nan, signal)


PLANTED: dict[str, Callable[[Signal, np.random.Generator, float], Signal]] = {
    "dead": dead,
    "noisy": noisy,
    "railed": railed,
    "disconnected": disconnected,
    "line noise": humming,
    "stuck": stuck,
    "not finite": not_finite,
}


def plant(signals: Signal, chan_map: ChannelMap, rng: np.random.Generator, seed: int) -> dict[int, str]:
    """Plant each kind at one site, and one kind on a whole column or row; returns the names they must be given."""
    typical = float(np.median(signals.std(axis=1)))
    axis, name = ((1, "column"), (0, "row"))[seed % 2]
    line = int(rng.integers(chan_map.geometry[axis]))
    on_line = np.flatnonzero(chan_map.to_mat()[axis] == line)
    kinds = list(PLANTED)
    kind = kinds[seed // 2 % len(kinds)]
    signals[on_line] = PLANTED[kind](signals[on_line], rng, typical)
    expected = {int(channel): f"{kind} {name} {line}" for channel in on_line}
    elsewhere = rng.choice(np.setdiff1d(np.arange(len(chan_map)), on_line), len(kinds), replace=False)
    for channel, kind in zip(elsewhere.tolist(), kinds, strict=True):
        signals[channel] = PLANTED[kind](signals[channel], rng, typical)
        expected[channel] = kind
    return expected


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def judged(signals: Signal, chan_map: ChannelMap, converter_step: float = np.nan) -> Judgement:
    n_channels, n_samples = signals.shape
    numbers = RecordingNumbers(n_channels, n_samples, Fraction(RATE), n_channels)
    numbers.merge(numbers.measure(blocks_ending_in(signals, 0, n_samples, n_samples), 0, n_samples))
    found, correlation = numbers.result(), numbers.correlation
    sites = SiteNumbers(
        std=found["std"],
        minimum=found["min"],
        maximum=found["max"],
        hf_rms=found["hf_rms"],
        rail_fraction=found["rail_fraction"],
        stuck_fraction=found["stuck_fraction"],
        nonfinite_fraction=found["n_nonfinite"] / N_SAMPLES,
        line_rms=found[f"line{LINE_HZ}_rms"],
        correlation=correlation.result().astype(np.float64),
        n_changes=correlation.n_changes,
        converter_step=converter_step,
    )
    return judge_sites(sites, chan_map, check_thresholds(AUTOMATIC))


def reasons_of(signals: Signal, chan_map: ChannelMap) -> list[str]:
    return fault_reasons(judged(signals, chan_map).faults, chan_map)


@pytest.mark.parametrize("wiring", known_wirings(), ids=lambda wiring: "/".join(wiring.names))
def test_all_planted_faults_and_no_others_are_found_in_20_seeds(wiring: Wiring) -> None:
    chan_map = channel_table(wiring, n_bncs=0).chan_map
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        signals = brain_signals(rng, chan_map)
        expected = plant(signals, chan_map, rng, seed)
        found = {
            channel: reason.partition(":")[0] for channel, reason in enumerate(reasons_of(signals, chan_map)) if reason
        }
        assert found == expected, f"seed {seed}"


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_array_has_no_faults(seed: int) -> None:
    chan_map = ChannelMap(range(396), (22, 18))
    assert not any(reasons_of(brain_signals(np.random.default_rng(seed), chan_map), chan_map))


def faulty(signals: Signal, bad: Positions, rng: np.random.Generator, kind: str) -> Signal:
    """Return the signals with those of the bad sites replaced, in whole steps of the converter."""
    signals = np.round(signals / STEP)
    typical, shape = float(np.median(signals.std(axis=1))), (len(bad), N_SAMPLES)
    if kind == "last bits":
        signals[bad] = np.round(rng.uniform(0.3, 1.0, (len(bad), 1)) * rng.normal(size=shape))
    elif kind == "dead":
        signals[bad] = 0.02 * typical * rng.normal(size=shape)
    elif kind == "common noise":
        signals[bad] = 0.02 * typical * (rng.normal(size=N_SAMPLES) + 0.3 * rng.normal(size=shape))
    else:
        signals[bad] += rng.uniform(4, 20, (len(bad), 1)) * typical * rng.normal(size=shape)
    return STEP * signals


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.9])
def test_bad_sites_are_masked_right_or_noted_whatever_their_share(share: float) -> None:
    """The mask never turns round without a note: it keeps the living sites, or says that it had no majority."""
    chan_map = ChannelMap(range(64), (8, 8))
    n_right = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        bad = rng.choice(64, round(share * 64), replace=False)
        kind = ("last bits", "dead", "common noise", "noisy")[seed % 4]
        found = judged(faulty(brain_signals(rng, chan_map), bad, rng, kind), chan_map, STEP)
        masked = {channel for channel, fault in enumerate(found.faults) if fault}
        is_right = masked == set(bad.tolist())
        assert is_right or any("look at the raw traces" in note for note in found.notes), (kind, seed)
        assert bool(found.notes) == (share > 0.5), (kind, seed)
        n_right += is_right
    assert n_right >= (20 if share < 0.9 else 15)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_signals_that_have_nothing_in_common_are_noted(share: float, seed: int) -> None:
    """Where no correlation tells living sites, nothing but their number can, and the mask says so."""
    rng = np.random.default_rng(seed)
    signals = 50 * rng.normal(size=(64, N_SAMPLES))
    bad = rng.choice(64, round(share * 64), replace=False)
    signals[bad] *= 0.01
    [note] = judged(signals, ChannelMap(range(64), (8, 8))).notes
    assert "had nothing but the majority to go by" in note


def test_a_site_of_inverted_polarity_is_noted_and_not_taken_for_noise() -> None:
    chan_map = ChannelMap(range(64), (8, 8))
    rng = np.random.default_rng(3)
    signals = brain_signals(rng, chan_map)
    # Beside as much white noise, a site that is unlike its neighbours would be taken for a disconnected one.
    signals += 1.5 * signals.std(axis=1, keepdims=True) * rng.normal(size=signals.shape)
    signals[27] *= -1
    found = judged(signals, chan_map)
    assert found.faults[27] is None
    assert found.neighbour_correlation[27] < -0.5
    assert any("row 3, column 3 is the opposite of its neighbours" in note for note in found.notes)
