"""A decision made only to be shown: the parts of a run, its memory, one slot, and nothing written or sent.

The law: the home is read and never changed. `plan` and `why` show what this gives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from evenkeel import store
from evenkeel.cli.opening import settings
from evenkeel.cli.output import Context
from evenkeel.cli.remembered import recall
from evenkeel.decide import Rules, decide, unavailable
from evenkeel.engine import step
from evenkeel.errors import FeedError, NotReadyError, UsageError
from evenkeel.types import Book, Brain, Holdings, Memory, Plan, Slot, SlotKind, TradingState, View
from evenkeel.units import iso, utc

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.wiring import Engine


@dataclass(frozen=True, slots=True)
class Start:
    """What a decision starts from. `source` is `home` (its newest memory), `journal` (a past slot) or `fresh`."""

    slot: Slot
    memory: Memory
    holdings: Holdings
    source: str


@dataclass(frozen=True, slots=True)
class Look:
    """A decision and everything that it saw. `unavailable`: why trading would fail closed, else empty."""

    loaded: Loaded
    engine: Engine
    start: Start
    view: View
    book: Book
    plan: Plan
    unavailable: str


def look(home: Path, loaded: Loaded, at: str | None) -> Look:
    """Decide one trading slot from what the home remembers.

    at  None: a rebalance as of now (virtual clock: the last slot of the run); else the trading slot that was decided at
        or before then, decided again from the journal
    Raises NotReadyError when there is no market data to look at, UsageError for a time outside of it.
    """
    with parts(home, loaded) as engine:
        start = _start(home, loaded, engine, moment(at))
        try:
            view = engine.feed.view(start.slot.time, start.memory.evidence)
        except FeedError as error:
            if at is None:
                raise
            raise UsageError(f"--at {at}: {error}") from error
    memory = replace(start.memory, watermarks={})  # the slot may have ended already; it is only looked at
    seen: list[Book] = []

    def decider(view: View, book: Book, brain: Brain, rules: Rules, slot: Slot) -> Plan:
        seen.append(book)
        return decide(view, book, brain, rules, slot)

    made_up = step.prepare(memory, start.slot, view, start.holdings, engine.brain, engine.rules, decider)
    return Look(loaded, engine, start, view, seen[-1], made_up.plan, unavailable(view, engine.rules))


@contextmanager
def parts(home: Path, loaded: Loaded) -> Iterator[Engine]:
    """Feed, rules and brain; nothing is opened for writing.

    A live feed stores the bars that it downloads: it gets a folder of its own, with links to what is stored already.
    """
    from evenkeel import wiring

    if loaded.config.clock.kind == "virtual":
        yield wiring.build(loaded.config, home, loaded.digest, durable=False)
        return
    with TemporaryDirectory(prefix="evenkeel-plan-") as folder:
        copy = Path(folder)
        _link(home, copy)
        yield wiring.build_live(loaded.config, copy, threading.Event())


def _link(home: Path, copy: Path) -> None:
    """The home's configuration, models, journal and candles; whatever is written beside them stays in the copy."""
    for name in ("config", "models"):
        if (home / name).is_dir():
            (copy / name).symlink_to((home / name).resolve())
    if (home / "state" / "journal.db").exists():  # what earlier passes read of event contracts
        (copy / "state").mkdir(exist_ok=True)
        (copy / "state" / "journal.db").symlink_to((home / "state" / "journal.db").resolve())
    for path in (home / "data" / "candles").rglob("*.parquet"):
        target = copy / path.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.resolve())


def moment(at: str | None) -> int | None:
    """UTC s of a time that a person wrote. Raises UsageError."""
    try:
        return None if at is None else utc(at)
    except ValueError:
        raise UsageError(f"{at!r} is no time: write a UTC date or time such as 2025-07-01T06:00") from None


# ---------------------------------------------------------------- which configuration


def resolved(made: Context, config: Path | None, overrides: list[str]) -> Loaded:
    """The configuration that was given; without one, that of the run in this home."""
    if config is not None:
        return settings(made, config, overrides)
    path, found = recall(made)
    return settings(made, path, [*found, *overrides])


# ---------------------------------------------------------------- where to start from


def _start(home: Path, loaded: Loaded, engine: Engine, at: int | None) -> Start:
    memory = _memory_of(home, engine)
    if at is not None:
        return _recorded(home, at) if memory is not None and _has_past(memory, at) else _fresh(loaded, engine, at)
    if memory is None or memory.cash is None:
        return _fresh(loaded, engine, None)
    slot = Slot(SlotKind.REBALANCE, _now(loaded, memory))
    units = {asset: position.units for asset, position in memory.positions.items()}
    return Start(slot, _halted(home, memory), Holdings(slot.time, memory.cash, units), "home")


def _now(loaded: Loaded, memory: Memory | None) -> int:
    """UTC s: the computer's clock, or where a virtual one stands (its last slot, or its beginning)."""
    if loaded.config.clock.kind == "real":
        return int(time.time())
    marks = memory.watermarks.values() if memory else ()
    return max(marks, default=loaded.config.clock.start or 0)


def _memory_of(home: Path, engine: Engine) -> Memory | None:
    """What the home remembers, if it is of the same kind of run."""
    memory = store.peek(home).memory
    if memory is None:
        return None
    same = ("venue", "account", "clock")
    alike = all(getattr(memory.identity, name) == getattr(engine.identity, name) for name in same)
    return memory if alike and memory.origin == engine.origin else None


def _has_past(memory: Memory, at: int) -> bool:
    start = memory.identity.window.partition("..")[0]
    return at >= utc(start) if start else True


def _halted(home: Path, memory: Memory) -> Memory:
    if not store.halted(home) or memory.trading_state is TradingState.HALTED:
        return memory
    return replace(memory, trading_state=TradingState.HALTED, state_reason="marker state/HALT", flatten=False)


def _fresh(loaded: Loaded, engine: Engine, at: int | None) -> Start:
    now = _now(loaded, None) if at is None else at
    memory = engine.memory(loaded.digest)
    return Start(Slot(SlotKind.REBALANCE, now), memory, Holdings(now, loaded.config.venue.capital, {}), "fresh")


def _recorded(home: Path, at: int) -> Start:
    """The newest trading slot decided at or before `at`, with the book that it was decided on."""
    from evenkeel.journal import recent

    journal = home / "state" / "journal.db"
    rows = recent(journal, "slots", limit=2**31, where={"outcome": "done"})
    past = [row for row in rows if row["time"] <= at and row["kind"] != SlotKind.RISK.value]
    book = _book(journal, str(past[-1]["slot"])) if past else None
    if book is None:
        raise NotReadyError(f"no trading slot was decided at or before {iso(at)}: give a later --at")
    slot = Slot(SlotKind(past[-1]["kind"]), int(past[-1]["time"]))
    holdings = store.from_json(Holdings, book["holdings"])
    return Start(slot, store.from_json(Memory, book["memory"]), holdings, "journal")


def _book(journal: Path, slot: str) -> Mapping[str, Any] | None:
    import orjson

    from evenkeel.journal import recent

    rows = recent(journal, "plans", limit=1, where={"slot": slot})
    book: Mapping[str, Any] | None = orjson.loads(rows[0]["book"]) if rows and rows[0]["book"] else None
    return book or None
