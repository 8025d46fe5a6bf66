"""Orders that are sent over time and the venue's circuit breakers, as `status` and `why` show them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenkeel.cli.output import aligned
from evenkeel.errors import StateError
from evenkeel.units import iso

if TYPE_CHECKING:
    from evenkeel.types import Memory

_NEWEST = 100
"""Plans of the journal that are looked through for an asset's last schedule."""


def executing(memory: Memory, now: int) -> list[dict[str, Any]]:
    """Schedules of the slots that are open, each slice's target beside what was executed; UTC s `now`."""
    if not any("schedules" in step.plan for step in memory.open_slots):
        return []
    from evenkeel.engine import parents

    return [
        {"slot": step.slot.id, **row}
        for step in memory.open_slots
        for row in parents.told(step, memory, now, halted=False)
    ]


def breakers_of(memory: Memory, view: Mapping[str, Any]) -> dict[str, Any]:
    """Breakers that are open, pairs whose trades rest at limits, and what was measured at the last slot."""
    return {
        "open": {code: iso(since) for code, since in memory.trips.items()},
        "limit_only": {asset: iso(until) for asset, until in memory.limit_only.items()},
        "readings": dict(view.get("breakers", {})),
    }


def last(home: Path, asset: str) -> dict[str, Any] | None:
    """The newest schedule of an asset in the journal that is over; None where there is none."""
    from evenkeel.journal import recent

    try:
        rows = recent(home / "state" / "journal.db", "plans", limit=_NEWEST, columns=("slot", "plan"))
    except StateError:
        return None
    found = (
        {"slot": row["slot"], **schedule}
        for row in reversed(rows)
        for schedule in _plan(row).get("schedules", ())
        if schedule["asset"] == asset
    )
    return next(found, None)


def _plan(row: Mapping[str, Any]) -> Mapping[str, Any]:
    plan = row["plan"]
    found: Mapping[str, Any] = json.loads(plan) if isinstance(plan, str) else plan or {}
    return found


def lines(schedules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Executed beside target, for people."""
    for row in schedules:
        said = f", {row['reason']}" if row["reason"] else ""
        noted = f" ({row['note']})" if row["note"] else ""
        yield f"{row['asset']} {row['quantity']} by {row['style']}{noted}, until {row['end']}: {row['left']} left{said}"
        yield from aligned(
            ("  slice", "target", "executed", "price", "bps"),
            [("  " + s["time"], s["target"], s["executed"], s["price"] or "-", _bps(s["bps"])) for s in row["slices"]],
            right=(1, 2, 3, 4),
        )


def breaker_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What stands out: open breakers and pairs at limits."""
    for code, since in document["open"].items():
        yield f"{code} is open since {since}: only reducing"
    for asset, until in document["limit_only"].items():
        yield f"{asset} trades at limits until {until} (BREAKER_SLIPPAGE)"


def readings(document: Mapping[str, Any]) -> str:
    """One line of what is measured beside its limit; `` where nothing is."""
    return ", ".join(
        f"{code.removeprefix('BREAKER_').lower()} {'-' if r['value'] is None else format(r['value'], '.3g')}"
        f" of {r['limit']:g}"
        for code, r in document["readings"].items()
    )


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
