"""What people and programs read: tables for one, one JSON document for the other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; everything else on stderr.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file or shipped preset, relative to the working folder."),
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.key=value; may be given again.")]


@dataclass(frozen=True, slots=True)
class Context:
    """What every command gets: the home and the environment."""

    home: Path
    environ: Mapping[str, str]


def emit(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; decimals and paths as text."""
    sys.stdout.write(orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")


def console() -> Console:
    """Where people read. Plain when it is not a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def errors() -> Console:
    """Where progress and warnings go, so that stdout stays clean."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def fail(error: Exception) -> None:
    """One sentence on stderr."""
    sys.stderr.write(f"evenkeel: {error}\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> Table:
    """A table; columns whose position stands in `right` are numbers."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def say(text: str = "") -> None:
    """One line on stdout, without rich (which costs 0.1 s of CPU to import)."""
    sys.stdout.write(text + "\n")


def aligned(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> list[str]:
    """Lines of plain text in columns, a heading first; columns whose position stands in `right` are numbers."""
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def percent(fraction: float | None, digits: int = 2) -> str:
    """A fraction as people read it; `-` where it is unknown."""
    return "-" if fraction is None else f"{fraction:.{digits}%}"


def usd(amount: float | None) -> str:
    """Dollars with thousands; `-` where unknown."""
    return "-" if amount is None else f"${amount:,.2f}"
