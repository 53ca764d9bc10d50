"""The step that writes down what the results of a study are made with: the settings, and the rows of the table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ecogpipe.results.provenance import provenance
from ecogpipe.storage.atomic import whole_file

_HEADING = "# The settings and the rows of the recordings table that the last run made these results with.\n"


def run_config(config: Mapping[str, Any], recordings: Sequence[Mapping[str, Any]], output: Path) -> Path:
    """Write the settings and the recordings of a run as YAML; the file appears whole or not at all.

    Parameters
    ----------
    config
        The settings, with what other config files and the command line have changed.
    recordings
        Rows of the recordings table, their cells parsed into values, with files relative to the study folder.
    output
        The YAML file to write.

    Returns
    -------
    Path
        `output`.
    """
    made_by = provenance("run_config", [], {}, output.parent)
    text = yaml.safe_dump(
        {"config": dict(config), "recordings": [dict(row) for row in recordings], "versions": made_by["versions"]},
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )
    with whole_file(output) as part:
        part.write_text(_HEADING + text, encoding="utf-8")
    return output
