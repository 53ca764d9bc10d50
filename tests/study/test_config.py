"""A mistake in the settings ends as one sentence: place, key, value, what is allowed, the nearest known name."""

import copy
from typing import Any

import pytest
import yaml

from ecogpipe.errors import SettingsError
from ecogpipe.study.config import check_config, check_row, config_folder, load_schema, workflow_folder

WHERE = "config/config.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load((config_folder() / "config.yaml").read_text())


@pytest.fixture
def row() -> dict[str, Any]:
    return {
        "subject": "s",
        "session": "2020-01-01",
        "recording": "r1",
        "files": ["raw/r1.tdms"],
        "daq": "2t-as daq v2",
        "headstage": "zif26 to 2x uhdmi",
        "electrode": "actv_64",
        "bnc": [{"column": 10, "kind": "ttl_high"}],
        "overrides": {"gain": -10, "pitch_mm": [0.4, 0.5], "start_time": "2016-09-01T14:30:00-04:00"},
    }


def set_at(mapping: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        mapping = mapping[key]
    mapping[last] = value


def sentence_of(check: Any, value: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as refusal:
        check(value, WHERE)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{WHERE}: ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{WHERE}: ")


class TestWhatIsShipped:
    def test_its_config_passes(self, config: dict[str, Any]) -> None:
        check_config(config, WHERE)

    def test_the_workflow_is_found(self) -> None:
        assert (workflow_folder() / "Snakefile").is_file()

    @pytest.mark.parametrize("name", ["config", "recordings"])
    def test_its_schemas_refuse_unknown_keys_everywhere(self, name: str) -> None:
        def objects(schema: Any) -> Any:
            if isinstance(schema, dict):
                if schema.get("type") == "object":
                    yield schema
                for value in schema.values():
                    yield from objects(value)
            elif isinstance(schema, list):
                for value in schema:
                    yield from objects(value)

        open_ended = [schema for schema in objects(load_schema(name)) if "additionalProperties" not in schema]
        assert open_ended == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("mirors", {}, "there is no key 'mirors'. Did you mean 'mirrors'?"),
        (
            "mirrors.Fs1000.bandpas",
            [2, 200],
            "there is no key 'bandpas' in mirrors.Fs1000. Did you mean 'bandpass'?",
        ),
        (
            "storage.compression",
            "gzipp",
            "storage.compression is 'gzipp'; give 'none' or 'gzip'. Did you mean 'gzip'?",
        ),
        (
            "mirrors.Fs1000.reference",
            None,
            "mirrors.Fs1000.reference is None; give 'none', 'average' or 'median'.",
        ),
        ("mirrors.Fs1000.rate", "fast", "mirrors.Fs1000.rate is 'fast'; give a number."),
        ("mirrors.Fs1000.rate", 0, "mirrors.Fs1000.rate is 0; give more than 0."),
        ("mirrors.Fs1000.ratio", 5, "mirrors.Fs1000 needs exactly one of 'rate' or 'ratio'."),
        ("mirrors.Fs1000.order", 2.5, "mirrors.Fs1000.order is 2.5; give a whole number."),
        ("mirrors.Fs1000.bandpass", [2], "mirrors.Fs1000.bandpass holds 1 value; give at least 2."),
        ("mirrors.Fs1000.bandpass", [2, "x"], "mirrors.Fs1000.bandpass[1] is 'x'; give a number or null."),
        ("mirrors.Fs1000.bandpass", [200, 2], "mirrors.Fs1000.bandpass is [200, 2]; give the lower frequency first."),
        (
            "mirrors.Fs1000.notches",
            [60, 500],
            "mirrors.Fs1000.notches holds 500 Hz, but a rate of 1000 Hz carries only what is below 500 Hz; "
            "lower the frequency or raise the rate.",
        ),
        ("parts.clock_tolerance_ppm", -1, "parts.clock_tolerance_ppm is -1; give at least 0."),
        ("mirrors", {}, "mirrors holds 0 values; give at least 1."),
        (
            "mirrors.my mirror",
            {},
            "'my mirror' cannot be a name in mirrors. Use letters, digits, - and _, as the name becomes part of a "
            "file's name.",
        ),
        ("masks.automatic.dead_ratio", 3, "masks.automatic.dead_ratio is 3; give at most 1."),
        ("events", None, "events is None; give keys with values."),
        ("events.debounce", -0.001, "events.debounce is -0.001; give at least 0."),
        ("events.drift_window", 0, "events.drift_window is 0; give more than 0."),
        ("events.threshold", "high", "events.threshold is 'high'; give a number or null."),
    ],
)
def test_a_config_that_cannot_be_used(config: dict[str, Any], path: str, value: Any, sentence: str) -> None:
    set_at(config, path, value)
    assert sentence_of(check_config, config) == sentence


def test_every_key_of_the_config_is_needed_unless_the_schema_has_a_default(config: dict[str, Any]) -> None:
    mirror = load_schema("config")["$defs"]["mirror"]["properties"]
    optional = {("mirrors", "Fs1000", key) for key in mirror if key == "rate" or "default" in mirror[key]}

    def paths(mapping: dict[str, Any], prefix: tuple[str, ...] = ()) -> Any:
        for key, value in mapping.items():
            yield (*prefix, key)
            if isinstance(value, dict):
                yield from paths(value, (*prefix, key))

    for *parents, last in paths(config):
        if (*parents, last) in {("mirrors", "Fs1000"), ("nwb",), *optional}:
            continue
        without = copy.deepcopy(config)
        mapping = without
        for key in parents:
            mapping = mapping[key]
        del mapping[last]
        assert f"the key '{last}' is missing" in sentence_of(check_config, without)


def test_all_keys_that_are_missing_of_a_mirror_are_told_at_once(config: dict[str, Any]) -> None:
    for key in ("design", "order", "notches"):
        del config["mirrors"]["Fs1000"][key]
    told = "the keys 'design', 'order' and 'notches' are missing in mirrors.Fs1000; add them, as a new study has them."
    assert told in sentence_of(check_config, config)


def test_a_row_that_can_be_used(row: dict[str, Any]) -> None:
    check_row(row, WHERE)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("overrides.gains", 10, "there is no key 'gains' in overrides. Did you mean 'gain'?"),
        ("overrides.units", "uv", "overrides.units is 'uv'; give 'V', 'mV' or 'uV'. Did you mean 'uV'?"),
        (
            "overrides.sampling_interval",
            50,
            "overrides has 'sampling_interval' without 'sampling_interval_unit'; add it.",
        ),
        ("overrides.gaps", "alow", "overrides.gaps is 'alow'; give 'refuse' or 'allow'. Did you mean 'allow'?"),
        ("overrides.skip_seconds", -1, "overrides.skip_seconds is -1; give at least 0."),
        ("overrides.line_frequency", 55, "overrides.line_frequency is 55; give 50 or 60."),
        ("overrides.pitch_mm", [0.4], "overrides.pitch_mm holds 1 value; give at least 2."),
        ("files", [], "files holds 0 values; give at least 1."),
        (
            "subject",
            "a/b",
            "subject is 'a/b', which cannot be used. Name of the subject. Use letters, digits, '-', '_' and '.', as it "
            "becomes a folder's name.",
        ),
        (
            "overrides.gain",
            0,
            "overrides.gain is 0, which cannot be used. Gain of the amplifier; negative where it inverts. Microvolts "
            "are volts * 1e6 / gain.",
        ),
    ],
)
def test_a_row_that_cannot_be_used(row: dict[str, Any], path: str, value: Any, sentence: str) -> None:
    set_at(row, path, value)
    assert sentence_of(check_row, row) == sentence


def test_a_start_time_without_zone_is_refused(row: dict[str, Any]) -> None:
    row["overrides"]["start_time"] = "2016-09-01T14:30:00"
    assert "ISO 8601 with zone" in sentence_of(check_row, row)


def test_two_rates_are_refused(row: dict[str, Any]) -> None:
    row["overrides"] |= {"sampling_rate": 1000, "rate_variable": "Fs"}
    assert sentence_of(check_row, row) == (
        "overrides declares the rate twice, as 'sampling_rate' and 'rate_variable'; keep one."
    )


def test_two_bnc_lines_on_one_column_are_refused(row: dict[str, Any]) -> None:
    row["bnc"] = [{"column": 10, "kind": "ttl_high"}, {"column": 10, "kind": "analog"}]
    assert "names a column twice" in sentence_of(check_row, row)
