"""What a stranger meets first agrees with itself: config, comments, pages, rules, scripts, commands."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecogpipe.results.revisions import CHANGES, REVISIONS
from ecogpipe.study.config import load_schema
from ecogpipe.study.recordings import COLUMNS

ROOT = Path(__file__).parents[1]
RULES = tuple(
    name
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for name in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
)
PAGE = (ROOT / "config" / "README.md").read_text()


def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted path and the schema of every setting that is not a mapping of others."""
    for key, value in schema["properties"].items():
        path = f"{prefix}{key}"
        if path == "mirrors":
            yield from leaves(load_schema("config")["$defs"]["mirror"], "mirrors.<name>.")
        elif "properties" in value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


SETTINGS = dict(leaves(load_schema("config")))
OVERRIDES = load_schema("recordings")["properties"]["overrides"]["properties"]


class TestConfig:
    @pytest.mark.parametrize("path", SETTINGS)
    def test_every_setting_is_described_in_schema_and_page(self, path: str) -> None:
        assert len(SETTINGS[path]["description"].split()) > 3
        assert f"| `{path}` |" in PAGE

    def test_the_page_describes_no_other_setting(self) -> None:
        table = PAGE[PAGE.index("## config.yaml") : PAGE.index("## recordings.tsv")]
        assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) - {"mirrors.<name>"} == set(SETTINGS)

    def test_every_key_of_the_config_has_a_comment_above_it(self) -> None:
        lines = (ROOT / "config" / "config.yaml").read_text().splitlines()
        for above, line in pairwise(lines):
            key = re.match(r" *([\w]+):", line)
            if key and key[1] not in {"compression", "automatic", "Fs1000"}:
                assert above.lstrip().startswith("#"), f"{key[1]} has no comment"

    def test_a_mirror_of_the_config_names_every_setting_but_the_ratio(self) -> None:
        config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
        settings = {path.rpartition(".")[2] for path in SETTINGS if path.startswith("mirrors.")}
        assert set(config["mirrors"]["Fs1000"]) == settings - {"ratio"}

    @pytest.mark.parametrize("column", COLUMNS)
    def test_every_column_is_described(self, column: str) -> None:
        assert load_schema("recordings")["properties"][column]["description"]
        assert re.search(rf"^\| [^|]*`{column}`[^|]* \| \w", PAGE, re.MULTILINE)

    @pytest.mark.parametrize("key", OVERRIDES)
    def test_every_override_is_described(self, key: str) -> None:
        assert OVERRIDES[key]["description"]
        assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE)


class TestWorkflow:
    @pytest.mark.parametrize("rule", RULES)
    def test_each_rule_has_a_thin_script_that_calls_the_step_of_its_name(self, rule: str) -> None:
        text = (ROOT / "workflow" / "scripts" / f"{rule}.py").read_text()
        assert len(text.splitlines()) <= 25
        imported = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
        [step] = [node for node in imported if node.module == f"ecogpipe.steps.{rule}"]
        assert hasattr(import_module(str(step.module)), step.names[0].name)

    def test_there_are_no_other_scripts(self) -> None:
        assert {path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py")} == set(RULES)

    def test_each_rule_has_a_revision_and_what_the_last_one_changed_is_described(self) -> None:
        assert set(REVISIONS) == set(RULES)
        for step, changes in CHANGES.items():
            assert max(changes) == REVISIONS[step]

    @pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "rules").glob("*.smk")), ids=lambda path: path.name)
    def test_rule_files_stay_short(self, path: Path) -> None:
        assert len(path.read_text().splitlines()) <= (175 if path.stem == "common" else 120)


class TestCommands:
    def test_the_readme_names_targets_of_the_makefile(self) -> None:
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = set(re.findall(r"\bmake (\w+)", (ROOT / "README.md").read_text()))
        assert {"demo", "test"} <= named <= targets

    def test_ci_runs_the_tests_the_lint_the_browser_the_field_and_the_cluster(self) -> None:
        script = ROOT / ".ci" / "run"
        assert script.stat().st_mode & 0o100
        assert re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE) == [
            "test",
            "lint",
            "browser",
            "field",
            "slurm",
        ]

    @pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
    def test_make_says_so_where_there_is_no_suitable_python(self, tmp_path: Path) -> None:
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        run = subprocess.run(["make", "PYTHON=", "demo"], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode != 0
        assert "No Python 3.11, 3.12 or 3.13 with venv was found" in run.stderr
        assert not (tmp_path / ".venv").exists()


class TestPythons:
    def test_the_same_ones_are_stated_searched_for_and_tested(self) -> None:
        stated = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
        searched = re.findall(
            r"python(3\.\d+)", (ROOT / "Makefile").read_text().partition("PYTHON ?=")[2].partition("done")[0]
        )
        tested = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]["strategy"]
        assert set(stated) == set(searched) == set(tested["matrix"]["python"])
        bounds = re.search(r"\((3), (\d+)\) <= .* <= \((3), (\d+)\)", (ROOT / "Makefile").read_text())
        assert bounds is not None
        assert [f"{bounds[1]}.{bounds[2]}", f"{bounds[3]}.{bounds[4]}"] == [stated[0], stated[-1]]
        readme = (ROOT / "README.md").read_text()
        assert f"With Python {', '.join(stated[:-1])} or {stated[-1]}" in readme


class TestConstraints:
    lines = tuple(line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))

    def test_each_line_pins_one_public_package(self) -> None:
        assert [line for line in self.lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line)] == []

    def test_everything_that_the_project_asks_for_is_pinned(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        asked = [*project["dependencies"], *extras["dev"], *extras["slurm"]]
        names = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in asked}  # type: ignore[index]
        assert names <= {line.partition("==")[0] for line in self.lines}
