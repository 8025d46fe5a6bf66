"""The same decision, step and fills as the service, without store, intents on disk, journal or scheduler.

Slots in, one `Result` out. What a replay through the service does must be equal to this, order by order (law 3).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from evenkeel.decide import Rules, decide
from evenkeel.engine import protocol, record, step
from evenkeel.engine.ports import Broker, Feed
from evenkeel.engine.step import Decider
from evenkeel.errors import FeedError
from evenkeel.types import Brain, Intent, Memory, Plan, Slot


@dataclass(slots=True)
class Result:
    """What a back-test leaves: the last memory, every intent by slot, and the equity (time, USD) at each slot."""

    memory: Memory
    sent: list[tuple[Slot, tuple[Intent, ...]]] = field(default_factory=list)
    equity: list[tuple[int, float]] = field(default_factory=list)

    @property
    def orders(self) -> list[Mapping[str, Any]]:
        """A journal row per order, in the order of sending."""
        return [record.order_row(slot, intent) for slot, intents in self.sent for intent in intents]


def backtest(
    slots: Iterable[Slot],
    feed: Feed,
    broker: Broker,
    memory: Memory,
    brain: Brain,
    rules: Rules,
    *,
    decider: Decider = decide,
    on_plan: Callable[[Plan], None] | None = None,
) -> Result:
    """Run the slots in order, starting from `memory`. Keeps no journal: memory's audit chain stays as it is."""
    result = Result(memory)
    with _no_search_for_cycles():
        for slot in slots:
            plan = _slot(slot, feed, broker, brain, rules, decider, result)
            if plan is not None and on_plan is not None:
                on_plan(plan)
    return result


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """A slot leaves no cycles, and to search what a back-test keeps for some takes a thirtieth of its time."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def _slot(
    slot: Slot, feed: Feed, broker: Broker, brain: Brain, rules: Rules, decider: Decider, result: Result
) -> Plan | None:
    memory = result.memory
    try:
        view = feed.view(slot.time, memory.evidence)
    except FeedError:
        result.memory = step.end(memory, slot, "skipped", "feed_unavailable", recorded=False)
        return None
    reason = step.skip_reason(slot, view, memory, rules)
    if reason:
        result.memory = step.end(memory, slot, "skipped", reason, view.as_of, recorded=False)
        return None
    result.memory, plan, sent = step.alone(
        memory, slot, view, broker.holdings(slot.time), brain, rules, decider,
        lambda opened, now: protocol.act_alone(opened, now, broker, slot.time),
    )  # fmt: skip
    if sent:
        result.sent.append((slot, sent))
    result.equity.append((slot.time, plan.equity))
    return plan
