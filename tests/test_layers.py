"""The order of the rooms: knowledge runs downwards only, and each thing is said in one place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecogpipe.results.names import CHANNELS, EVENTS, MASK, RAW, REPORT, RUN_CONFIG, SCAN, RecordingFiles

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ecogpipe"

LAYERS = (
    {"errors"},
    {"runtime"},
    {"storage"},
    {"signal", "statistics", "electrodes"},
    {"datasource"},
    {"formats", "results", "synthetic"},
    {"study", "mirroring", "figures"},
    {"exchange"},
    {"steps"},
    {"checks", "loader", "review"},
    {"cli"},
)
"""Rooms from the bottom up; one may import those below it, not those beside it."""

MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def layer_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are values, which docstrings are not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_no_module_lies_loose() -> None:
    loose = {path.name for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__.py", "errors.py"}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"errors"}
    assert rooms == set.union(*LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_its_room_and_from_below(path: Path) -> None:
    own, wrong = room_of(path), []
    for name in imports(path):
        package, _, rest = name.partition(".")
        room = rest.partition(".")[0]
        assert package != "snakemake", f"{path} imports snakemake"
        if package == "ecogpipe" and room != own and layer_of(room) >= layer_of(own):
            wrong.append(name)
    assert not wrong


def test_the_names_of_results_are_said_once() -> None:
    names = {RAW, SCAN, CHANNELS, MASK, EVENTS, RUN_CONFIG, REPORT, "_qc.html"}
    spelled = {path.relative_to(PACKAGE).as_posix() for path in MODULES for text in texts(path) if text in names}
    assert spelled == {"results/names.py"}


def test_the_rules_write_the_files_of_these_names() -> None:
    rules = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    folder = "<results>/{subject}/{session}/{recording}"
    outputs = RecordingFiles(Path(folder)).outputs(["{mirror}"])
    for output in outputs:
        rule = re.search(rf"^rule {output.step}:.*?(?=^rule |\Z)", rules, re.DOTALL | re.MULTILINE)
        assert rule
        outputs_of_rule = rule[0].partition("    output:")[2].partition("    log:")[0]
        assert f'"{output.path}"' in outputs_of_rule
    for name in (RUN_CONFIG, REPORT):
        assert f'"<results>/{name}"' in rules


def test_the_guide_for_contributors_tells_the_same_order() -> None:
    table = re.findall(
        r"^\| `src/ecogpipe/(\w+)/?(?:\.py)?`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE
    )
    assert set(table) == set.union(*LAYERS)
    assert [layer_of(room) for room in table] == sorted(layer_of(room) for room in table)
