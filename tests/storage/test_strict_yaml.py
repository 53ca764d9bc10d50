"""YAML is read as a person reads it, or refused in one sentence that names the file, the line and both readings."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ecogpipe.errors import SettingsError
from ecogpipe.storage.strict_yaml import load_yaml, read_yaml
from ecogpipe.study.config import config_folder, read_config

CONFIG = (config_folder() / "config.yaml").read_text()
MIRROR = CONFIG[CONFIG.index("  Fs1000:") : CONFIG.index("\n# NWB files")]


def study_of(folder: Path, config: str | bytes) -> Path:
    (folder / "config").mkdir()
    content = config if isinstance(config, bytes) else config.encode()
    (folder / "config" / "config.yaml").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (MIRROR, MIRROR + MIRROR, "the key 'Fs1000' is there twice; keep one"),
        ("  debounce: 0", "  debounce: 0\n  minimum_step: 2.5", "'minimum_step' is there twice"),
        ("  Fs1000:", "  1000:", "the name 1000 is not text to YAML; put it in quotes: '1000'"),
        ("  Fs1000:", "  on:", "the name on is not text"),
        ("  Fs1000:", "  2016-09-01:", "the name 2016-09-01 is not text"),
        ("rate: 1000", "rate: 0100", "0100 is 64 in YAML 1.1 and 100 in YAML 1.2; write 100"),
        ("rate: 1000", "rate: 1e3", "1e3 is the text '1e3' in YAML 1.1 and 1000 in YAML 1.2"),
        ("rate: 1000", "rate: .inf", ".inf is not a finite number"),
        ("correct_skew: false", "correct_skew: no", "no is false in YAML 1.1 and the text 'no'"),
    ],
)
def test_a_config_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, old: str, new: str, found: str) -> None:
    assert old in CONFIG
    with pytest.raises(SettingsError, match=r"config.yaml, line \d+: ") as caught:
        read_config(study_of(tmp_path, CONFIG.replace(old, new)))
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "shown", "advice"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "c: 3", "close the bracket or put a comma between its items"),
        ("a: 1\n\tb: 2\n", 2, "b: 2", "indent with spaces"),
        ("a: 1\n b: 2\n", 2, "b: 2", "indent names of one level alike"),
        ("a: 1\nb: 'x\nc: 2\n", 2, "b: 'x", "close the quote"),
        ("a: 1\nb: c: d\n", 2, "b: c: d", "put quotes around a text with a colon"),
        ("a: @x\n", 1, "a: @x", "put quotes around the text"),
        ("a: 1\nb: *y\n", 2, "b: *y", "begins with an asterisk"),
        ("a: !y 3\n", 1, "a: !y 3", "begins with an exclamation mark"),
        ('a: 1\nraw: "C:\\data"\n', 2, 'raw: "C:', "put the text in single quotes"),
        ("a: 1\n---\nb: 2\n", 2, "---", "remove the line of dashes"),
        ("a: 1\nb: \x0bx\n", 2, "\\x0b", "remove the character"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line_the_cause_and_what_helps(
    text: str, line: int, shown: str, advice: str
) -> None:
    with pytest.raises(SettingsError, match=f"^config.yaml, line {line}: .*is not YAML") as refusal:
        load_yaml(text, "config.yaml")
    assert shown in str(refusal.value)
    assert advice in str(refusal.value)
    assert "<unicode string>" not in str(refusal.value)


def test_a_broken_config_is_told_with_its_line(tmp_path: Path) -> None:
    lines = CONFIG.splitlines()
    lines.insert(40, "broken: [1, 2")
    with pytest.raises(SettingsError, match=r"config.yaml, line 4\d: .*is not YAML") as refusal:
        read_config(study_of(tmp_path, "\n".join(lines)))
    assert "line 41" in str(refusal.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_encodings_that_say_what_they_are_are_read(tmp_path: Path, encoding: str) -> None:
    config = read_config(study_of(tmp_path, CONFIG.replace("\n", "\r\n").encode(encoding)))
    assert config == yaml.safe_load(CONFIG)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(SettingsError, match=r"config.yaml: .*save it as text in UTF-8\."):
        read_config(study_of(tmp_path, f"# 5 µV\n{CONFIG}".encode(encoding)))


def test_further_files_and_single_changes_go_on_top(tmp_path: Path) -> None:
    study = study_of(tmp_path, CONFIG)
    (tmp_path / "more.yaml").write_text("events: {debounce: 3}\n")
    config = read_config(study, [tmp_path / "more.yaml"], {"recordings": "config/other.tsv"})
    assert (config["events"]["debounce"], config["recordings"]) == (3, "config/other.tsv")
    assert config["mirrors"] == yaml.safe_load(CONFIG)["mirrors"]


UNDERSCORED = ("0_", "0_0", "00_", "1_000", "1_.5", "1._5", "1.5_0", ".5_", "-0_", "+0_", "0_10")


@pytest.mark.parametrize("text", UNDERSCORED)
def test_an_underscore_in_a_number_is_refused_wherever_it_stands(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_yaml(text, "here")
    assert f"{text} is {yaml.safe_load(text)!r} in YAML 1.1 and the text '{text}' in YAML 1.2" in str(refusal.value)


@example("0_")
@example("0 #")
@given(st.text(alphabet="0123456789.:_-+eExobnyNYfalsueinTZ ~'\"#[]{},", max_size=12))
def test_what_is_accepted_means_what_yaml_says(text: str) -> None:
    try:
        value = load_yaml(text, "here")
    except SettingsError as error:
        said = str(error)
        assert said.startswith("here")
        assert "\n" not in said
        return
    assert value == yaml.safe_load(text)
    if isinstance(value, int) and not isinstance(value, bool):
        digits = text.partition(" #")[0].strip("[]{}' ").replace("+", "")
        assert int(digits or 0) == value or text.strip()[0] in "'\"[{#+-"
    if isinstance(value, float):
        assert float(text.partition(" #")[0]) == value
        assert "_" not in text.partition(" #")[0]


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(SettingsError, match=f"{path.name}: "):
            read_yaml(path)
