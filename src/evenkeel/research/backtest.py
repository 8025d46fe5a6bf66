"""The same decision, step and fills as the service, without store, intents on disk, journal or scheduler.

Slots in, one `Result` out. What a replay through the service does must be equal to this, order by order (law 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evenkeel.decide import Rules, decide
from evenkeel.engine import protocol, step
from evenkeel.engine.ports import Broker, Feed
from evenkeel.engine.step import Decider
from evenkeel.errors import FeedError
from evenkeel.types import Brain, Memory, Plan, Slot


@dataclass(slots=True)
class Result:
    """What a back-test leaves: the last memory, a journal row per order, and the equity (time, USD) at each slot."""

    memory: Memory
    orders: list[Mapping[str, Any]] = field(default_factory=list)
    equity: list[tuple[int, float]] = field(default_factory=list)


def backtest(
    slots: Iterable[Slot],
    feed: Feed,
    broker: Broker,
    memory: Memory,
    brain: Brain,
    rules: Rules,
    *,
    decider: Decider = decide,
    on_plan: Callable[[Plan], None] = lambda _: None,
) -> Result:
    """Run the slots in order, starting from `memory`."""
    result = Result(memory)
    for slot in slots:
        _slot(slot, feed, broker, brain, rules, decider, on_plan, result)
    return result


def _slot(
    slot: Slot,
    feed: Feed,
    broker: Broker,
    brain: Brain,
    rules: Rules,
    decider: Decider,
    on_plan: Callable[[Plan], None],
    result: Result,
) -> None:
    try:
        view = feed.view(slot.time, result.memory.evidence)
    except FeedError:
        result.memory = step.end(result.memory, slot, "skipped", "feed_unavailable")
        return
    reason = step.skip_reason(slot, view, result.memory, rules)
    if reason:
        result.memory = step.end(result.memory, slot, "skipped", reason, view.as_of)
        return
    ready = step.prepare(result.memory, slot, view, broker.holdings(slot.time), brain, rules, decider)

    def commit(change: Callable[[Memory], Memory]) -> Memory:
        ready_memory[0] = change(ready_memory[0])
        return ready_memory[0]

    ready_memory = [ready.memory]
    memory = protocol.act(slot, ready.memory, broker, commit, lambda: False, slot.time)
    memory = step.finish(memory, slot)
    record = step.outbox(memory)
    result.orders += record.tables.get("orders", ()) if record else ()
    result.memory = replace(memory, outbox=None)
    result.equity.append((slot.time, ready.plan.equity))
    on_plan(ready.plan)
