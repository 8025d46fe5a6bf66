"""Two accounts of one slot, recorded and replayed, compared in the order in which a decision is made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from evenkeel.journal import canonical
from evenkeel.types import Fill, Memory, Slot
from evenkeel.units import plain

STAGES = ("slots", "features", "book", "scores", "raw weights", "target weights", "orders", "fills")
WORDS = ("trading_state", "state_reason", "flatten")
"""What of memory a person changes while a run goes on."""
_NOT_COMPARED = (*WORDS, "records", "audit_hash")
"""What a command changes on its way: its words, and the rows that it leaves in the journal."""
_JSON = ("book", "inputs", "plan", "reasons")
SENT = ("id", "asset", "side", "quantity", "reason", "style", "stop")
_BPS = 1e4
_AMOUNT = re.compile(r"-?\d+\.\d+")

Table = Sequence[Mapping[str, Any]]
Value = tuple[str, Any, Any]
"""What it is, as it was recorded, as it was replayed."""
Page = tuple[str, list[Value]]
"""A stage and what is compared in it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not the same."""

    stage: str
    slot: str
    what: str
    recorded: Any
    replayed: Any

    def sentence(self) -> str:
        """The same for people."""
        was, now = _short(self.recorded), _short(self.replayed)
        return f"{self.stage}: {self.what} of {self.slot} was recorded as {was}, the back-test has {now}"


@dataclass(frozen=True, slots=True)
class Told:
    """One slot as recorded."""

    slot: Slot
    outcome: str
    reason: str
    plan: Mapping[str, Any]
    targets: Table
    orders: Table
    fills: Table

    @property
    def memory(self) -> Mapping[str, Any]:
        """Memory before the decision; empty for a risk check that sent nothing."""
        book: Mapping[str, Any] = self.plan.get("book") or {}
        return book.get("memory") or {}


@dataclass(frozen=True, slots=True)
class Again:
    """One slot as the back-test ends it."""

    outcome: str
    reason: str
    memory: Memory
    rows: Mapping[str, Table]
    fills: Sequence[Fill]


def first(told: Told, pages: Sequence[Page]) -> Difference | None:
    """The first value, stage by stage, that is not the same."""
    for stage, values in pages:
        for what, ours, theirs in values:
            if ours != theirs:
                return Difference(stage, told.slot.id, what, ours, theirs)
    return None


def pages(told: Told, again: Again) -> list[Page]:
    """The values of each stage; only the first stage where nothing was decided."""
    outcome: list[Value] = [("outcome", told.outcome, again.outcome), ("reason", told.reason, again.reason)]
    if "done" not in (told.outcome, again.outcome):
        return [("slots", outcome)]
    ours, theirs = told.plan, parsed(again.rows["plans"][0]) if "plans" in again.rows else {}
    said, now = ours.get("plan", {}), theirs.get("plan", {})
    targets = _Targets(told.targets, [parsed(row) for row in again.rows.get("targets", ())])
    orders = [parsed(row) for row in again.rows["orders"]]
    return [
        ("slots", outcome),
        ("features", _at(("as_of", "inputs"), ours, theirs) + _at(("opinions",), said, now) + targets.of("price")),
        (
            "book",
            _inside("", _known(ours.get("book", {})), _known(theirs.get("book", {})))
            + _at(("equity", "drawdown", "drawdown_scale"), said, now)
            + targets.of("held", 0.0),
        ),
        ("scores", _at(("regime",), said, now) + targets.of("score") + targets.of("expected")),
        ("raw weights", targets.of("raw", 0.0)),
        ("target weights", targets.of("weight", 0.0) + targets.of("reasons")),
        ("orders", _by_leg(told.orders, orders, SENT) + _at(("dropped",), said, now) + targets.of("code")),
        ("fills", _by_leg(told.orders, orders, ("status", "note")) + _filled(told, again)),
    ]


@dataclass(frozen=True, slots=True)
class _Targets:
    """Rows of table `targets` of both sides. An asset without a row has weight 0, and nothing else is known of it."""

    ours: Table
    theirs: Table

    def of(self, column: str, none: Any = None) -> list[Value]:
        """One column of every asset that either side has; without `none`, of those that both have."""
        ours, theirs = ({row["asset"]: row[column] for row in side} for side in (self.ours, self.theirs))
        assets = sorted(ours | theirs if none is not None else ours.keys() & theirs.keys())
        return [(f"{column} of {a}", ours.get(a, none), theirs.get(a, none)) for a in assets]


def _at(names: Sequence[str], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Value]:
    return [value for name in names for value in _inside(name, ours.get(name), theirs.get(name))]


def _inside(name: str, ours: Any, theirs: Any) -> list[Value]:
    """The leaves of two JSON values, by path."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [v for key in keys for v in _inside(f"{name}.{key}".lstrip("."), ours.get(key), theirs.get(key))]
    return [(name, _digits(ours), _digits(theirs))]


def _digits(value: Any) -> Any:
    """An amount without trailing zeros: the same money, whichever vault it lay in."""
    return plain(Decimal(value)) if isinstance(value, str) and _AMOUNT.fullmatch(value) else value


def _known(book: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recorded book without what a person's command changes."""
    memory = {k: v for k, v in (book.get("memory") or {}).items() if k not in _NOT_COMPARED}
    return {**book, "memory": memory} if book else book


def _by_leg(ours: Table, theirs: Table, columns: Sequence[str]) -> list[Value]:
    left, right = ({str(row["leg"]): row for row in side} for side in (ours, theirs))
    return _paired("order", left, right, columns)


def _filled(told: Told, again: Again) -> list[Value]:
    ours = {str(row["id"]): row for row in told.fills}
    theirs = {f.id: {"quantity": plain(f.quantity), "price": plain(f.price), "fee": plain(f.fee)} for f in again.fills}
    return _paired("fill", ours, theirs, ("quantity", "price", "fee"))


def _paired(
    kind: str, ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]], columns: Sequence[str]
) -> list[Value]:
    """Columns of the rows that either side has; nothing stands for a row that is not there."""
    keys = sorted(ours.keys() | theirs.keys())
    return [
        (f"{c} of {kind} {k}", ours[k][c] if k in ours else None, theirs[k][c] if k in theirs else None)
        for k in keys
        for c in columns
    ]


def fill_bps(told: Told, again: Again) -> list[float]:
    """Price of each fill that both sides have, as replayed against as recorded."""
    theirs = {fill.id: float(fill.price) for fill in again.fills}
    ours = {row["id"]: float(row["price"]) for row in told.fills}
    return [_BPS * (theirs[key] / price - 1.0) for key, price in ours.items() if key in theirs and price > 0]


def parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as plain JSON values, whether it comes from the file or from a replay."""
    made = {name: _plain(value) for name, value in row.items()}
    return {k: orjson.loads(v) if k in _JSON and isinstance(v, str) else v for k, v in made.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return orjson.loads(canonical(value)) if isinstance(value, Mapping | list | tuple) else value


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
