"""YAML as a person reads it: no key twice, no scalar that versions of YAML read differently, no number that is none.

The config, the overrides and the wiring tables are read here. What is refused has one sentence, with both readings.
"""

import codecs
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ecogpipe.errors import SettingsError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The reader of libyaml, several times as fast, where PyYAML comes with it."""

_WORDS = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
_OTHER_BASE = re.compile(r"[-+]?0(x[0-9a-f_]+|o[0-7]+|b[01_]+)", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?")
_UNDERSCORED = re.compile(r"[-+]?(?=.*_)[0-9_]*\.?[0-9_]*")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?")
_NULL = ("~", "null", "Null", "NULL", "")

_SHOWN = 60
"""Characters of a line that a message shows."""

_ADVICE = {
    "did not find expected ',' or": "close the bracket or put a comma between its items",
    "mapping values are not allowed": "put quotes around a text with a colon, and indent names of one level alike",
    "tab character": "indent with spaces, not with tabs",
    "end of stream": "close the quote or the bracket that is opened there",
    "unknown escape character": "put the text in single quotes, where a backslash is an ordinary character",
    "cannot start any token": "put quotes around the text, and indent with spaces, not with tabs",
    "undefined alias": "put quotes around a text that begins with an asterisk",
    "constructor for the tag": "put quotes around a text that begins with an exclamation mark",
    "but found another document": "remove the line of dashes",
}
"""What helps, by words of the parser's message."""

_STRING = "tag:yaml.org,2002:str"


def load_yaml(text: str, where: str) -> Any:
    """Return what a text in YAML holds.

    Parameters
    ----------
    text
        One document.
    where
        What messages name as its place, e.g. the path of the file.

    Raises
    ------
    SettingsError
        If it is not YAML, names a key twice, or holds a number that is not finite or a scalar that YAML 1.1 and 1.2
        read differently.
    """
    try:
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            for problem in _problems(node):
                raise SettingsError(f"{where}, {problem}")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise SettingsError(_place_and_cause(error, text, where)) from None
    except yaml.reader.ReaderError as error:
        raise SettingsError(_place_of_character(error, text, where)) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{where}: is not YAML ({' '.join(str(error).split())}); correct it.") from None


def quoted(text: str) -> str:
    """Return a text in double quotes, as YAML reads it; characters that cannot be seen are escaped.

    Examples
    --------
    >>> print(quoted("Run #2; left"))
    "Run #2; left"
    """
    return json.dumps(text, ensure_ascii=not text.isprintable())


def load_value(text: str, where: str) -> Any:
    """Return a single value, or a list of them, as in the overrides; a power of ten is a number here.

    Raises
    ------
    SettingsError
        As `load_yaml` does.
    """
    stripped = text.strip()
    if _EXPONENT.fullmatch(stripped):
        number = float(stripped)
        if not math.isfinite(number):
            raise SettingsError(f"{where} is {stripped}, which is too large for a number.")
        return number
    try:
        return load_yaml(stripped, where)
    except SettingsError as error:
        if "is not YAML" not in str(error):
            # The lines that count are those of the table, whose cell this is.
            raise SettingsError(str(error).replace(f"{where}, line 1: ", f"{where}: ")) from None
        raise SettingsError(f"{where} is {text!r}, which is not a value in YAML; put quotes around the text.") from None


def read_yaml(path: Path) -> Any:
    """Return what a file in YAML holds, which is text in UTF-8: Snakemake reads no other.

    Raises
    ------
    SettingsError
        If there is no such file, it is not text, or `load_yaml` refuses it.
    """
    return load_yaml(_read_text(path), str(path))


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; check the name.") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError(f"{path}: is in UTF-16, which is not read here; save it as text in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: is not in UTF-8 (byte {content[error.start : error.start + 1].hex()} at {error.start}, as of an "
            "encoding of Windows); save it as text in UTF-8."
        ) from None
    if "\x00" in text:
        raise SettingsError(f"{path}: holds null characters, so it is not text in UTF-8; save it as text in UTF-8.")
    return text


def _place_and_cause(error: yaml.MarkedYAMLError, text: str, where: str) -> str:
    """Say which line is not YAML, why, and what helps; a quote or bracket that stays open is sought where it opens."""
    problem, mark, start = str(error.problem), error.problem_mark, error.context_mark
    if start is not None and (mark is None or "end of stream" in problem):
        mark = start
    if mark is None:
        return f"{where}: is not YAML ({problem}); correct it."
    lines = text.splitlines()
    line = lines[mark.line].strip()[:_SHOWN] if mark.line < len(lines) else ""
    since = f"{error.context} of line {start.line + 1}, " if start is not None and start.line != mark.line else ""
    advice = next((advice for words, advice in _ADVICE.items() if words in problem), "correct the line")
    return f"{where}, line {mark.line + 1}: {line!r} is not YAML ({since}{problem}); {advice}."


def _place_of_character(error: yaml.reader.ReaderError, text: str, where: str) -> str:
    """Say in which line a character stands that YAML does not allow."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return f"{where}: is not YAML ({error.reason}); correct it."
    line = text.count("\n", 0, found.start()) + 1
    return f"{where}, line {line}: is not YAML (it holds the character {found.group()!r}); remove the character."


def _problems(node: yaml.Node) -> Iterator[str]:
    """Yield what cannot be read without doubt, in the order of the document."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _problems_of_key(key, seen)
            yield from _problems(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _problems(item)
    elif isinstance(node, yaml.ScalarNode) and not node.style and (problem := _doubt(node.value)):
        yield f"line {node.start_mark.line + 1}: {problem}"


def _problems_of_key(key: yaml.ScalarNode, seen: set[str]) -> Iterator[str]:
    line = key.start_mark.line + 1
    if key.value in seen:
        yield f"line {line}: the key {key.value!r} is there twice; keep one"
    seen.add(key.value)
    if not key.style and (key.tag != _STRING or _doubt(key.value)):
        yield f"line {line}: the name {key.value} is not text to YAML; put it in quotes: '{key.value}'"


def _doubt(text: str) -> str:
    """Say how else a plain scalar can be read; '' where there is no doubt."""
    if _NOT_FINITE.fullmatch(text):
        return f"{text} is not a finite number; give one"
    if _WORDS.fullmatch(text):
        flag = text.lower() in ("y", "yes", "on")
        return _both(text, str(flag).lower(), f"the text {text!r}", f"true, false or '{text}'")
    if _OTHER_BASE.fullmatch(text):
        return f"{text} is a number to another base for some readers of YAML and text for others; write it in decimals"
    if _SEXAGESIMAL.fullmatch(text):
        return _both(text, f"{yaml.safe_load(text)} (to the base of 60)", f"the text {text!r}", "the number, or quotes")
    if _UNDERSCORED.fullmatch(text) and isinstance(number := yaml.safe_load(text), int | float):
        return _both(text, repr(number), f"the text {text!r}", repr(number))
    if _LEADING_ZERO.fullmatch(text):
        old, new = yaml.safe_load(text), text.replace("_", "").lstrip("0") or "0"
        return _both(text, repr(old), new, new) if str(old) != new or isinstance(old, str) else ""
    if _DATE.fullmatch(text):
        return _both(text, "a date", f"the text {text!r}", f"'{text}'")
    if _EXPONENT.fullmatch(text) and isinstance(yaml.safe_load(text), str):
        return _both(text, f"the text {text!r}", f"{float(text):.17g}", f"{float(text)!r}")
    return ""


def _both(text: str, old: str, new: str, advice: str) -> str:
    return f"{text} is {old} in YAML 1.1 and {new} in YAML 1.2; write {advice}"
