"""The profile and the rules agree with each other and with what the page on SLURM says."""

import re
from pathlib import Path

import pytest
import yaml

from ecogpipe.results.names import STEPS
from ecogpipe.study.config import workflow_folder

PROFILE, BY_RECORDING = (
    workflow_folder() / "profiles" / name / "config.yaml" for name in ("slurm", "slurm_by_recording")
)
RULES = "\n".join(path.read_text() for path in sorted((workflow_folder() / "rules").glob("*.smk")))
PAGE = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text()


@pytest.mark.parametrize("profile", [PROFILE, BY_RECORDING], ids=["slurm", "slurm_by_recording"])
@pytest.mark.parametrize("key", yaml.safe_load(PROFILE.read_text()))
def test_every_setting_has_its_reason_above_it(key: str, profile: Path) -> None:
    lines = profile.read_text().splitlines()
    [number] = [number for number, line in enumerate(lines) if line.startswith(f"{key}:")]
    assert lines[number - 1].startswith("# ")


def test_groups_name_rules_that_exist() -> None:
    grouped = {entry.partition("=")[0] for entry in yaml.safe_load(PROFILE.read_text())["groups"]}
    assert grouped <= set(re.findall(r"^rule (\w+):", RULES, re.MULTILINE))


def test_a_recording_is_one_job_of_all_its_steps_and_everything_else_is_as_in_the_other_profile() -> None:
    by_step, by_recording = (yaml.safe_load(profile.read_text()) for profile in (PROFILE, BY_RECORDING))
    assert by_recording.pop("groups") == [f"{step.name}=recording" for step in STEPS]
    del by_step["groups"]
    assert by_recording == by_step


def test_every_rule_asks_for_memory_and_time() -> None:
    for name, rule in re.findall(r"^rule (\w+):$(.*?)(?=^rule |\Z)", RULES, re.MULTILINE | re.DOTALL):
        by_step = f'**asked_by("{name}"),' in rule or "**asked_by_report()," in rule
        by_study = re.search(r"^ +mem_mb=of_study\(\d+\),\n +runtime=of_study\(\d+\),$", rule, re.MULTILINE)
        assert by_step or by_study, name


def test_the_page_shows_settings_of_the_profile_as_they_are() -> None:
    for key, value in yaml.safe_load(PROFILE.read_text()).items():
        if isinstance(value, str | int) and f"`{key}: " in PAGE:
            assert f"`{key}: {value}`".lower() in PAGE.lower()
