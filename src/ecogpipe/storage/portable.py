"""How values and names of files are written into results, so that a study folder can move and be compared."""

import json
import os
from pathlib import Path
from typing import Any


def to_json(value: Any) -> str:
    """Write `value` as JSON on one line, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def relative_name(path: Path, folder: Path) -> str:
    """Name a file as seen from a folder, so that both can move together.

    A symbolic link that stands inside the study is named, not the file it leads to, wherever that reaches the file.
    """
    name = os.path.relpath(path.absolute(), folder.absolute())
    reached = folder.resolve() / name
    if reached.exists() and reached.samefile(path):
        return name
    return os.path.relpath(path.resolve(), folder.resolve())
