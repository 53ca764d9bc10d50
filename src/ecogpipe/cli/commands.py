"""What the modules of the commands share: the type of the set that they add themselves to, and tables on the screen."""

import argparse
from collections.abc import Sequence
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_grid(cells: Sequence[Sequence[str]]) -> None:
    """Print one cell per site, row 0 on top, with the numbers of rows and columns beside them."""
    header = ["", *map(str, range(len(cells[0])))]
    table = [header, *([str(number), *row] for number, row in enumerate(cells))]
    width = max(len(cell) for row in table for cell in row)
    for row in table:
        print(" ".join(cell.rjust(width) for cell in row))
