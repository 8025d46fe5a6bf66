"""A slot of a back-test is the slot of the service: `alone` leaves what prepare, act and close leave."""

from dataclasses import replace

import pytest
import world

from evenkeel.decide import decide
from evenkeel.engine import protocol, step
from evenkeel.types import Brain, TradingState


def remembered(memory):
    """All of Memory but what only the journal needs; text, because a stop that is NaN is equal to nothing."""
    return repr(replace(memory, outbox=None, audit_hash=""))


def sent(intents):
    return [(i.order, i.status, i.attempts, i.note, i.fills) for i in intents]


def compared(alone, steps, slot, market):
    """One slot both ways, each account with its own venue; -> both memories, and how many orders left."""
    (memory, broker), (other, venue) = alone, steps
    view = market.view(slot.time, memory.evidence)
    memory, plan, intents = step.alone(
        memory, slot, view, broker.holdings(slot.time), Brain(), world.RULES, decide,
        lambda opened, now: protocol.act_alone(opened, now, broker, slot.time),
    )  # fmt: skip
    ready = step.prepare(other, slot, view, venue.holdings(slot.time), Brain(), world.RULES)
    acted = protocol.act_alone(ready.step, ready.memory, venue, slot.time)
    other = step.close(ready.memory, acted)

    assert remembered(memory) == remembered(other)
    assert sent(intents) == sent(acted.intents)
    assert (plan.orders, plan.equity) == (ready.plan.orders, ready.plan.equity)
    return memory, other, len(intents)


@pytest.mark.parametrize("seed", [7, 8])
def test_every_slot_of_three_days_leaves_what_its_three_steps_leave(seed):
    market = world.feed(seed)
    alone, steps = world.venue(market), world.venue(market)
    memory = other = world.memory()
    counts = []
    for slot in world.window(3):
        memory, other, orders = compared((memory, alone), (other, steps), slot, market)
        counts.append(orders)
    assert counts.count(0) > 200
    assert sum(counts) > 20


def test_a_portfolio_that_was_closed_on_request_is_halted_by_the_first_slot_without_an_order():
    market = world.feed()
    alone, steps = world.venue(market), world.venue(market)
    memory = other = world.memory()
    states = []
    for slot in world.window(1):
        if slot.time == world.START + world.DAY // 2 and not memory.flatten and memory.positions:
            asked = {"flatten": True, "trading_state": TradingState.REDUCING}
            memory, other = replace(memory, **asked), replace(other, **asked)
        memory, other, orders = compared((memory, alone), (other, steps), slot, market)
        states.append((memory.trading_state, memory.flatten, orders))
    first = states.index(next(state for state in states if state[1]))
    assert states[first][2] > 0
    assert states[first + 1] == (TradingState.HALTED, False, 0)
    assert not memory.positions
