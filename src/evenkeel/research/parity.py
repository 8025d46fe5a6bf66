"""Is what a run recorded what the back-test decides on the same bars? A journal in, the first difference out.

Every recorded slot is decided again by the back-test's own code, from the memory that the replay itself has come to;
its rows are then compared with the recorded ones in the order in which a decision is made (`STAGES`). The walk ends at
the first difference: what follows it would only be its consequence.

Taken from the record as they are: what a person ordered (trading state, flatten). Features are in the journal as one
digest for each trading slot: that one of them changed is told, which one is seen in opinions, the regime and scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from evenkeel.decide import Rules, decide
from evenkeel.engine import record, slots, step
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.errors import NotReadyError
from evenkeel.journal import recent
from evenkeel.research.backtest import Result, backtest
from evenkeel.research.stages import STAGES, WORDS, Again, Difference, Table, Told, fill_bps, first, pages, parsed
from evenkeel.types import Book, Brain, Memory, Plan, Slot, SlotKind, TradingState, View
from evenkeel.venues.sim import PaperVenue

SERVICE_ONLY = frozenset({"coalesced", "late", "busy"})
"""Reasons for which only a service skips: they come of lateness, which a back-test has none of."""
EVERYTHING = 2**62


@dataclass(frozen=True, slots=True)
class Parts:
    """What the back-test of the recorded run is made of.

    feed  bars, as a feed and as a tape · start  UTC s of the run's beginning · memory  of a new run · capital  USD
    """

    feed: Replay
    start: int
    brain: Brain
    rules: Rules
    cadence: Cadence
    memory: Memory
    capital: Decimal


@dataclass(slots=True)
class Parity:
    """What was compared. decisions  replayed · left_out  slots that no back-test has · values  compared, by stage."""

    slots: int = 0
    decisions: int = 0
    orders: int = 0
    left_out: int = 0
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    fill_bps: list[float] = field(default_factory=list)
    difference: Difference | None = None


def recorded_digest(journal: Path) -> str:
    """Digest of the configuration that decided. Raises NotReadyError where nothing was decided."""
    rows = recent(journal, "plans", limit=1)
    if not rows:
        raise NotReadyError(f"{journal} holds no decision to compare with: run something in this home first")
    return str(rows[0]["config_digest"])


def count(journal: Path) -> int:
    """Slots that the journal holds."""
    return len(recent(journal, "slots", limit=EVERYTHING))


def compare(journal: Path, parts: Parts, advance: Callable[[int], None] = lambda _: None) -> Parity:
    """Replay a recorded run, slot by slot, up to the first difference. Raises NotReadyError for an empty journal."""
    rows = recent(journal, "slots", limit=EVERYTHING)
    if not rows:
        raise NotReadyError(f"{journal} holds no slot: run something in this home first")
    begin = next(slots.between(parts.start, int(rows[-1]["time"]) + 1, parts.cadence))
    if _slot(rows[0]) != begin:
        raise NotReadyError(
            f"{journal} begins with {rows[0]['slot']}, its run began with {begin.id}: what came before is lost (a "
            "damaged journal is set aside), and nothing can be replayed without it"
        )
    found, memory = Parity(), parts.memory
    lost = _lost(rows, parts.cadence)
    for i, row in enumerate(rows):
        told = _told(journal, row)
        if told.slot == lost:
            found.difference = Difference("slots", told.slot.id, "the slot before it", "nothing", "a slot of its own")
            break
        found.slots += 1
        if told.outcome == "failed" or told.reason in SERVICE_ONLY:
            found.left_out += 1
            memory = step.end(memory, told.slot, told.outcome, told.reason)
        else:
            memory = _replay(told, memory, parts, found, lambda i=i: _words_after(journal, rows[i:]))  # type: ignore[misc]
        advance(1)
        if found.difference is not None:
            break
    return found


def _lost(rows: Table, cadence: Cadence) -> Slot | None:
    """The first recorded slot before which the grid has one that is not recorded; None where all are there."""
    begin, last = int(rows[0]["time"]), int(rows[-1]["time"])
    grid = {slot.id: number for number, slot in enumerate(slots.between(begin, last + 1, cadence))}
    expected = grid.get(str(rows[0]["slot"]), 0)
    for row in rows:
        if grid.get(str(row["slot"])) != expected:
            return _slot(row)
        expected += 1
    return None


# ---------------------------------------------------------------- one slot


def _replay(
    told: Told, memory: Memory, parts: Parts, found: Parity, words_after: Callable[[], Mapping[str, Any]]
) -> Memory:
    """Decide a slot again, note the first difference; -> memory after it.

    A risk check that sent nothing left no memory in the journal: a person may have spoken before it, and the next
    record says so.
    """
    again = _decided(told.slot, _with(memory, told.memory), parts)
    compared = pages(told, again)
    difference = first(told, compared)
    if difference is not None and not told.memory:
        other = _decided(told.slot, _with(memory, words_after()), parts)
        if first(told, pages(told, other)) is None:
            again, difference = other, None
    found.difference = difference
    found.decisions += told.outcome == "done"
    for stage, values in compared:
        found.values[stage] += len(values)
        if difference is not None and stage == difference.stage:
            break
    found.orders += len(told.orders)
    found.fill_bps += fill_bps(told, again)
    return again.memory


def _decided(slot: Slot, memory: Memory, parts: Parts) -> Again:
    cash = parts.capital if memory.cash is None else memory.cash
    venue = PaperVenue(None, parts.feed, {pair.asset: pair for pair in parts.rules.pairs}, parts.rules.costs, cash)
    for asset, position in memory.positions.items():
        venue.vault.put(asset, position.units)
    seen: list[tuple[Plan, View, Book]] = []

    def decider(view: View, book: Book, brain: Brain, rules: Rules, at: Slot) -> Plan:
        plan = decide(view, book, brain, rules, at)
        seen.append((plan, view, Book(book.holdings, slots.begun(book.memory, at))))
        return plan

    result: Result = backtest([slot], parts.feed, venue, memory, parts.brain, parts.rules, decider=decider)
    ended = result.memory.slots[-1]
    rows: dict[str, Table] = {"orders": result.orders}
    for plan, view, book in seen:
        rows |= record.draft(plan, view, book, ())["tables"]
    return Again(ended.outcome, ended.reason, result.memory, rows, venue.fills(-1))


def _with(memory: Memory, words: Mapping[str, Any]) -> Memory:
    """Memory in which a person has ordered what the record says."""
    if not words:
        return memory
    state, reason, flatten = (words[name] for name in WORDS)
    return replace(memory, trading_state=TradingState(state), state_reason=reason, flatten=flatten)


# ---------------------------------------------------------------- reading


def _told(journal: Path, row: Mapping[str, Any]) -> Told:
    def rows(table: str) -> list[dict[str, Any]]:
        return [parsed(r) for r in recent(journal, table, limit=EVERYTHING, where={"sequence": row["sequence"]})]

    plans = rows("plans")
    outcome, reason = str(row["outcome"]), str(row["reason"])
    return Told(_slot(row), outcome, reason, plans[0] if plans else {}, rows("targets"), rows("orders"), rows("fills"))


def _slot(row: Mapping[str, Any]) -> Slot:
    return Slot(SlotKind(row["kind"]), int(row["time"]))


def _words_after(journal: Path, rows: Table) -> Mapping[str, Any]:
    """What a person had ordered by the next decision whose memory is recorded; empty for none."""
    for row in rows:
        memory = _told(journal, row).memory
        if memory:
            return memory
    return {}
