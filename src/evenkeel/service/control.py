"""What a person may ask of a running service, and do to its clock. Each is remembered and audited."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evenkeel.engine import record
from evenkeel.portfolio import breakers
from evenkeel.store import Command
from evenkeel.types import Memory, TradingState
from evenkeel.units import iso

CLOCK_AHEAD = "CLOCK_AHEAD"
_STATE = {
    "halt": TradingState.HALTED,
    "reduce": TradingState.REDUCING,
    "resume": TradingState.ACTIVE,
    "flatten": TradingState.REDUCING,
}


def obey(memory: Memory, command: Command, time: int) -> Memory:
    """Memory after a command, with its audit row in the outbox."""
    memory = told(memory, command.command, command.reason)
    memory = replace(memory, records=memory.records + 1)
    detail: dict[str, Any] = {"id": command.id, "reason": command.reason, "by": command.by}
    memory, rows = record.audit(memory, time, f"command.{command.command}", detail)
    return replace(memory, outbox={"sequence": memory.records, "tables": {"audit": rows}})


def set_back(memory: Memory, now: int, period: int, until: int) -> Memory:
    """Memory whose slots up to `until` (UTC s) were spent by a clock that was ahead, with a page of it (ADR 23).

    What was seen later than now was seen before it: prices of the last period (s), and from now on, are evidence.
    """
    text = f"the clock was ahead and is set back: nothing is traded before {iso(until)}, risk checks go on"
    memory = replace(memory, evidence=min(memory.evidence, now - period))
    return record.alerted(memory, [record.alert_row(now, "page", CLOCK_AHEAD, text)], now, "clock")


def told(memory: Memory, word: str, reason: str) -> Memory:
    """Memory in the trading state that a command asks for.

    flatten keeps REDUCING until nothing is left that can be sold, then the last slot sets HALTED. resume says that a
    person has looked: quarantined pairs trade again, and what a cold start held back is bought. It closes no circuit
    breaker: under an open one it is REDUCING at once, and ACTIVE when the breaker closes.
    """
    said = f"{word}: {reason}" if reason else word
    state, why = breakers.trading_state(_STATE[word], said, tuple(memory.trips))
    return replace(
        memory,
        quarantined={} if word == "resume" else memory.quarantined,
        trading_state=state,
        state_reason=why,
        flatten=word == "flatten",
        cold=0 if word == "resume" else memory.cold,
    )
