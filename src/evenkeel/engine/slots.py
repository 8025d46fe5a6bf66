"""The slot ledger: which slots exist, which are due, which have to be skipped. Pure.

A slot is `(kind, scheduled UTC time)` and ends exactly once: done, skipped(reason) or failed(reason). The ledger is one
watermark per kind; APScheduler only wakes us (design section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from evenkeel.lean import changed
from evenkeel.types import Memory, Slot, SlotKind, SlotOutcome
from evenkeel.units import HOUR_S, Key

KEEP = 200

TRADING = frozenset({SlotKind.SCORE, SlotKind.REBALANCE})


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often each kind is due, in seconds, on the UTC grid; and how late a rebalance may still run."""

    risk: Annotated[int, Ge(1), Key("risk checks")] = 900
    score: Annotated[int, Ge(1), Key("scoring passes")] = 1_800
    rebalance: Annotated[int, Ge(1), Key("full rebalances")] = 6 * HOUR_S
    late: Annotated[int, Ge(0), Key("how late a rebalance may run")] = HOUR_S

    def of(self, kind: SlotKind) -> int:
        """Seconds between slots of a kind."""
        return int(getattr(self, kind.value))

    def exists(self, slot: Slot) -> bool:
        """Whether the slot is on the grid; a score slot does not exist where a rebalance is."""
        return slot in between(slot.time, slot.time + 1, self)


def between(start: int, end: int, cadence: Cadence) -> Iterator[Slot]:
    """Every slot in [start, end) in the order in which they run: by time, risk first, then the trading slot."""
    step = min(cadence.risk, cadence.score, cadence.rebalance)
    kinds = [(kind, cadence.of(kind)) for kind in SlotKind]
    for time in range(start + (-start) % step, end, step):
        for kind, every in kinds:
            if time % every == 0 and not (kind is SlotKind.SCORE and time % cadence.rebalance == 0):
                yield Slot(kind, time)


def due(watermark: int, kind: SlotKind, now: int, cadence: Cadence) -> list[tuple[Slot, str]]:
    """Slots of a kind after the watermark up to `now`, oldest first, each with the reason to skip it or ``.

    risk: the newest runs, older ones are coalesced. score: only the newest, which is current until the next is due.
    rebalance: only the newest, and only within `late`.
    """
    step = cadence.of(kind)
    first = watermark + step - watermark % step
    slots = [Slot(kind, t) for t in range(first, now + 1, step) if cadence.exists(Slot(kind, t))]
    if not slots:
        return []
    newest = slots[-1]
    older = "coalesced" if kind is SlotKind.RISK else "late"
    return [(slot, older) for slot in slots[:-1]] + [(newest, _too_late(newest, now, cadence))]


def _too_late(slot: Slot, now: int, cadence: Cadence) -> str:
    limit = {SlotKind.RISK: now, SlotKind.SCORE: cadence.score - 1, SlotKind.REBALANCE: cadence.late}[slot.kind]
    return "late" if now - slot.time > limit else ""


def begun(memory: Memory, slot: Slot) -> Memory:
    """Memory with the slot spent: whatever becomes of it, it never begins again. Raises ValueError if it had begun."""
    return changed(memory, watermarks=spent(memory, slot))


def spent(memory: Memory, slot: Slot) -> dict[str, int]:
    """The watermarks once a slot has begun. Raises ValueError if it had begun before."""
    kind = str(slot.kind)
    mark = memory.watermarks.get(kind, -1)
    if slot.time <= mark:
        raise ValueError(f"slot {slot.id} has begun before (watermark {mark})")
    return {**memory.watermarks, kind: slot.time}


def ended(memory: Memory, outcome: SlotOutcome) -> Memory:
    """Memory with one more slot ended. It has begun; an open one may end after newer ones."""
    return changed(memory, **counted(memory, outcome))


def counted(memory: Memory, outcome: SlotOutcome) -> dict[str, Any]:
    """The fields of Memory that say what ended, once a slot has."""
    kind = dict(memory.counts.get(outcome.kind, {}))
    kind[outcome.outcome] = kind.get(outcome.outcome, 0) + 1
    return {
        "records": memory.records + 1,
        "slots": memory.slots[1 - KEEP :] + (outcome,),  # noqa: RUF005 - one copy, not three
        "counts": {**memory.counts, outcome.kind: kind},
    }


def finished(memory: Memory, start: int, end: int, cadence: Cadence) -> bool:
    """Whether every slot in [start, end) has ended."""
    last = {slot.kind.value: slot.time for slot in between(max(start, end - 2 * cadence.rebalance), end, cadence)}
    begun_all = all(memory.watermarks.get(kind, -1) >= time for kind, time in last.items())
    return begun_all and not memory.open_slots
