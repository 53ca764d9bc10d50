"""The study's settings checked against their schemas, and the folders that the project ships.

A mistake ends as one sentence: where it is, the key, the value found, what is allowed, the nearest known name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from jsonschema import Draft202012Validator

from ecogpipe.electrodes.faults import THRESHOLD_RANGES
from ecogpipe.errors import SettingsError, nearest
from ecogpipe.storage.strict_yaml import read_yaml

Mistake: TypeAlias = Any
"""A `jsonschema.ValidationError`, whose types call each of its attributes perhaps unset."""

_PACKAGE = Path(__file__).parents[1]

_RATES = ("sampling_rate", "sampling_interval", "rate_variable", "interval_variable")

_TYPE_NAMES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "null",
}


def workflow_folder() -> Path:
    """Return the folder of the Snakefile: beside ``src`` in a checkout, inside the package of a wheel."""
    return _shipped("workflow")


def config_folder() -> Path:
    """Return the folder of the example study's config, found like `workflow_folder`."""
    return _shipped("config")


def shipped_config() -> dict[str, Any]:
    """Return the settings that a study begins with: those of the config that is shipped."""
    return read_config_file(config_folder() / "config.yaml")


def load_schema(name: str) -> dict[str, Any]:
    """Return the schema `name` ('config' or 'recordings'), with the ranges that the code knows."""
    text = (workflow_folder() / "schemas" / f"{name}.schema.yaml").read_text(encoding="utf-8")
    schema: dict[str, Any] = yaml.safe_load(text)
    if name == "config":
        _add_thresholds(schema["properties"]["masks"]["properties"]["automatic"])
    return schema


def _add_thresholds(schema: dict[str, Any]) -> None:
    """Add the thresholds of the automatic rule that are needed, and their ranges, which the rule itself knows."""
    schema["required"] = list(THRESHOLD_RANGES)
    for name, (lowest, highest) in THRESHOLD_RANGES.items():
        schema["properties"][name] |= {"minimum": lowest} | ({} if highest == inf else {"maximum": highest})


def read_config(study: Path, files: Sequence[Path] = (), changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read the settings of a study as the workflow does: its own, those of further files on top, then single changes.

    Parameters
    ----------
    study
        The study folder.
    files
        Further config files, as of ``--configfile``.
    changes
        Values of keys, as of ``--config``.

    Raises
    ------
    SettingsError
        If a file is missing or cannot be read, or a setting cannot be used.
    """
    own = study / "config" / "config.yaml"
    if not own.is_file() and not files:
        raise SettingsError(f"{own}: there is no such file, so {study} is not a study; name the study folder.")
    config: dict[str, Any] = {}
    paths = [*([own] if own.is_file() else []), *files]
    for path in paths:
        config = _merged(config, read_config_file(path))
    config = _merged(config, changes or {})
    check_config(config, where=" with ".join(map(str, paths)))
    return config


def read_config_file(path: Path) -> dict[str, Any]:
    """Read one config file, which may hold some of the settings only.

    Raises
    ------
    SettingsError
        If it is missing, no YAML, or holds no keys with values.
    """
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no keys with values; write settings as `key: value`.")
    return content


def _merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with changes of keys at any depth."""
    merged = dict(config)
    for key, value in changes.items():
        known = merged.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(known, value) if both and known is not None else value
    return merged


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Refuse a config with an unknown or missing key, or a value that cannot be used.

    Parameters
    ----------
    config
        The settings as read from YAML.
    where
        What the message names as the place of the mistake, e.g. the path of the file.

    Raises
    ------
    SettingsError
        With one sentence about the first mistake.
    """
    _check(config, "config", where)
    for name, mirror in config["mirrors"].items():
        _check_band(mirror, f"{where}: mirrors.{name}")


def uses_mask(settings: Mapping[str, Any]) -> bool:
    """Return whether the signals of a mirror with these settings depend on the mask."""
    return settings.get("reference", "none") != "none" or settings.get("masked") == "nan"


def check_row(row: Mapping[str, Any], where: str) -> None:
    """Refuse a row of the recordings table, already parsed into its values, in the manner of `check_config`."""
    _check(row, "recordings", where)
    rates = [key for key in _RATES if key in row["overrides"]]
    if len(rates) > 1:
        raise SettingsError(f"{where}: overrides declares the rate twice, as {_list(rates, 'and')}; keep one.")
    columns = [line["column"] for line in row["bnc"]]
    if len(set(columns)) < len(columns):
        raise SettingsError(f"{where}: bnc names a column twice, in {columns}; keep one line for each.")
    for line in row["bnc"]:
        if line["kind"] == "analog" and "threshold" in line:
            raise SettingsError(f"{where}: bnc declares a threshold for analog line {line['column']}; take it away.")


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parents[1] / folder


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load_schema(name))


def _check(value: Mapping[str, Any], schema: str, where: str) -> None:
    errors = sorted(_validator(schema).iter_errors(value), key=_most_telling_first)
    if errors:
        raise SettingsError(f"{where}: {_sentence(errors[0])}")


def _most_telling_first(error: Mistake) -> tuple[bool, str]:
    """Put an unknown key before a missing one, which it explains."""
    return error.validator != "additionalProperties", error.json_path


def _check_band(mirror: Mapping[str, Any], where: str) -> None:
    low, high = mirror["bandpass"]
    if low is not None and high is not None and low >= high:
        raise SettingsError(f"{where}.bandpass is [{low}, {high}]; give the lower frequency first.")
    if "rate" not in mirror:
        return
    nyquist = mirror["rate"] / 2
    for key, frequencies in (("bandpass", (low, high)), ("notches", mirror["notches"])):
        for frequency in frequencies:
            if frequency is not None and frequency >= nyquist:
                raise SettingsError(
                    f"{where}.{key} holds {frequency} Hz, but a rate of {mirror['rate']} Hz carries only what is below "
                    f"{nyquist:g} Hz; lower the frequency or raise the rate."
                )


def _sentence(error: Mistake) -> str:
    if "propertyNames" in error.schema_path:
        return _describe_name(error)
    return _SENTENCES.get(str(error.validator), _describe_value)(error)


def _key(error: Mistake) -> str:
    path: str = error.json_path
    return path.removeprefix("$").removeprefix(".")


def _describe_unknown_key(error: Mistake) -> str:
    known = error.schema["properties"]
    unknown = next(key for key in error.instance if key not in known)
    inside = f" in {_key(error)}" if _key(error) else ""
    return f"there is no key {unknown!r}{inside}. {nearest(str(unknown), known)}"


def _describe_missing_key(error: Mistake) -> str:
    missing, *others = (key for key in error.validator_value if key not in error.instance)
    inside = f" in {_key(error)}" if _key(error) else ""
    if others:
        return f"the keys {_list([missing, *others], 'and')} are missing{inside}; add them, as a new study has them."
    meaning = error.schema["properties"][missing].get("description", "")
    return f"the key {missing!r} is missing{inside}; add it. {meaning}".strip()


def _describe_lonely_key(error: Mistake) -> str:
    for key, needed in error.validator_value.items():
        missing = [name for name in needed if name not in error.instance]
        if key in error.instance and missing:
            return f"{_key(error)} has {key!r} without {_list(missing)}; add it."
    raise AssertionError("jsonschema reported a dependency that holds")


def _describe_choice(error: Mistake) -> str:
    names = [name for choice in error.validator_value for name in choice["required"]]
    return f"{_key(error)} needs exactly one of {_list(names)}."


def _describe_enum(error: Mistake) -> str:
    choices = error.validator_value
    offer = nearest(error.instance, choices) if isinstance(error.instance, str) and _all_text(choices) else ""
    # Of several that begin like it, none is nearer.
    is_telling = sum(str(choice).startswith(str(error.instance)) for choice in choices) < 2
    hint = f" {offer}" if is_telling and offer.startswith("Did you mean") else ""
    return f"{_key(error)} is {error.instance!r}; give {_list(choices)}.{hint}"


def _describe_type(error: Mistake) -> str:
    types = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    return (
        f"{_key(error) or 'the whole'} is {error.instance!r}; give {' or '.join(_TYPE_NAMES[name] for name in types)}."
    )


def _describe_bound(words: str) -> Callable[[Mistake], str]:
    def describe(error: Mistake) -> str:
        return f"{_key(error)} is {error.instance!r}; give {words} {error.validator_value}."

    return describe


def _describe_length(words: str) -> Callable[[Mistake], str]:
    def describe(error: Mistake) -> str:
        found = len(error.instance)
        return f"{_key(error)} holds {found} value{'' if found == 1 else 's'}; give {words} {error.validator_value}."

    return describe


def _describe_name(error: Mistake) -> str:
    return f"{error.instance!r} cannot be a name in {_key(error)}. {error.schema['description']}"


def _describe_value(error: Mistake) -> str:
    return f"{_key(error)} is {error.instance!r}, which cannot be used. {error.schema.get('description', '')}".strip()


def _all_text(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _list(values: Iterable[object], joint: str = "or") -> str:
    *most, last = [repr(value) for value in values]
    return f"{', '.join(most)} {joint} {last}" if most else last


_SENTENCES: dict[str, Callable[[Mistake], str]] = {
    "additionalProperties": _describe_unknown_key,
    "required": _describe_missing_key,
    "dependentRequired": _describe_lonely_key,
    "oneOf": _describe_choice,
    "enum": _describe_enum,
    "type": _describe_type,
    "minimum": _describe_bound("at least"),
    "exclusiveMinimum": _describe_bound("more than"),
    "maximum": _describe_bound("at most"),
    "exclusiveMaximum": _describe_bound("less than"),
    "minItems": _describe_length("at least"),
    "maxItems": _describe_length("at most"),
    "minProperties": _describe_length("at least"),
}
