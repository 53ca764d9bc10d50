"""The settings that the project ships, as a person's study begins with them."""

from typing import Any

import yaml

from ecogpipe.study.config import config_folder

CONFIG: dict[str, Any] = yaml.safe_load((config_folder() / "config.yaml").read_text(encoding="utf-8"))
AUTOMATIC: dict[str, float] = CONFIG["masks"]["automatic"]
