"""The quality page as one HTML file: it draws its numbers in a browser, and needs neither network nor other files."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ecogpipe.errors import FormatError

_OUR_SCRIPTS = {
    "page": ("decode.js", "colours.js", "selection.js", "decisions.js", "array_maps.js", "charts.js", "over_time.js",
             "review.js", "page.js"),
    "index": ("index.js",),
}  # fmt: skip
"""Modules in the order in which they stand in a page: each imports only from those before it."""

_EXTERNAL_SCRIPTS = {"page": ("uPlot.iife.min.js",), "index": ()}
_STYLES = {"page": ("uPlot.min.css", "common.css", "page.css"), "index": ("common.css", "index.css")}

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|function) (\w+))", re.MULTILINE)
_HELD = re.compile(r'<script type="application/json" id="numbers">(.*?)</script>', re.DOTALL)


def template(name: str) -> Any:
    """Return the template of a 'page' or of the 'index', with its scripts, its style and the policy for them."""
    environment = Environment(
        loader=PackageLoader("ecogpipe.figures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    scripts, style = _scripts(name), _text(_STYLES[name])
    environment.globals.update(
        scripts=[Markup(script) for script in scripts],
        style=Markup(style),
        policy=_policy(scripts, style),
        as_data=_as_data,
    )
    return environment.get_template(f"{name}.html.j2")


def page_file(numbers: Mapping[str, Any], review: Mapping[str, Any] | None = None) -> str:
    """Return the quality page that shows these numbers, as `page_numbers` has them.

    `review` is what `ecogpipe review` adds, so that decisions can be saved; such a page asks its own server, no other.
    """
    text: str = template("page").render(numbers=numbers, provenance=numbers["provenance"], review=review)
    return text


def read_page_file(path: Path) -> dict[str, Any]:
    """Read the numbers that a quality page holds.

    Raises
    ------
    FormatError
        If the file is missing, ends early or is not a quality page.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = _HELD.search(text)
        if found is None or not text.endswith("</html>\n"):
            raise ValueError("it is not whole" if "<html" in text else "it holds none")
        numbers: dict[str, Any] = json.loads(found[1])
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as a quality page ({error}); run qc for it again.") from error
    return numbers


def _as_data(value: Any) -> Markup:
    """Return JSON that can stand in a script element: nothing in it can end that or begin another."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def _scripts(name: str) -> tuple[str, ...]:
    """Return the scripts of a page: the library, and our modules as one."""
    own = "\n".join(map(_as_function, _OUR_SCRIPTS[name]))
    return (*map(_text_of, _EXTERNAL_SCRIPTS[name]), f'(() => {{\n"use strict";\n{own}\n}})();\n')


def _as_function(module: str) -> str:
    """Return a module as a function of its own that gives its exports, since a page that is one file has no modules."""
    imported = _IMPORT.sub(r"const \1 = \2;", _text_of(module))
    exported = ", ".join(name for _, name in _EXPORT.findall(imported))
    body = _EXPORT.sub(r"\1", imported)
    return f"const {module.removesuffix('.js')} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"


@cache
def _text_of(name: str) -> str:
    return files("ecogpipe.figures").joinpath("web", name).read_text(encoding="utf-8")


def _text(names: Sequence[str]) -> str:
    return "\n".join(_text_of(name) for name in names)


def _policy(scripts: Sequence[str], style: str) -> str:
    """Return the content security policy of a page: its own scripts run, and nothing is fetched from anywhere."""
    allowed = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
