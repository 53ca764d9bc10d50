"""Reading what made an output, of whatever kind it is."""

import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from ecogpipe import layout
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.errors import FormatError
from ecogpipe.tsv import read_header

_REPORT = re.compile(r'<script type="application/json" id="provenance">(.*?)</script>', re.DOTALL)


def read_provenance(output: Path) -> dict[str, Any]:
    """Read what made an output, as `ecogpipe.outputs.provenance` described it.

    Raises
    ------
    FormatError
        If the file cannot be read, or does not say what made it.
    """
    readers = {".h5": _of_hdf5, ".tsv": _of_table, ".png": _of_picture, ".html": _of_report}
    try:
        return readers[output.suffix](output)
    except (KeyError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{output}: does not say what made it; run the workflow to make it again.") from error


def _of_hdf5(path: Path) -> dict[str, Any]:
    with open_hdf5(path) as file:
        layout.check_canonical(file)
        return layout.read_provenance(file)


def _of_table(path: Path) -> dict[str, Any]:
    made_by: dict[str, Any] = read_header(path)["provenance"]
    return made_by


def _of_picture(path: Path) -> dict[str, Any]:
    with Image.open(path) as picture:
        made_by: dict[str, Any] = json.loads(picture.info["provenance"])
        return made_by


def _of_report(path: Path) -> dict[str, Any]:
    found = _REPORT.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise KeyError("provenance")
    made_by: dict[str, Any] = json.loads(found[1])
    return made_by
