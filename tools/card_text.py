"""Tables and numbers of a model card."""

from __future__ import annotations

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *rows))


def figure(value: float | None, digits: int = 4) -> str:
    """A number, or `-` where it is not known."""
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
