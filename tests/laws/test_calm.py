"""A risk slot from which nothing can come is decided without the rules; the plan is the one they would have given."""

from dataclasses import replace

import pytest
import world

from evenkeel import decide as room
from evenkeel.decide import decide
from evenkeel.store.codec import to_json
from evenkeel.types import SlotKind, TradingState

OVERLAY = world.RULES.overlay
NERVOUS = replace(OVERLAY, daily_loss=0.01, drawdown_start=0.005, drawdown_full=0.05, trailing=0.03, max_loss=0.03)


def plans(seed, rules, state):
    """Every plan of three days; from the second on in that state, and at the end everything is to be sold."""
    kept = []

    def decider(view, book, brain, rules, slot):
        if slot.time >= world.START + world.DAY:
            flatten = slot.time >= world.START + 2.5 * world.DAY and state is not TradingState.HALTED
            book = replace(book, memory=replace(book.memory, trading_state=state, flatten=flatten))
        plan = decide(view, book, brain, rules, slot)
        kept.append(plan)
        return plan

    world.backtested(3, seed, rules=rules, decider=decider)
    return kept


@pytest.mark.parametrize("state", list(TradingState), ids=lambda state: state.value)
@pytest.mark.parametrize(
    "overlay", [OVERLAY, NERVOUS, replace(NERVOUS, exits=False)], ids=["default", "nervous", "exits off"]
)
def test_a_calm_slot_is_decided_as_by_all_rules(monkeypatch, overlay, state):
    """Byte for byte, over three days in which stops, drawdown and daily loss do fire."""
    rules, calm, honest = replace(world.RULES, overlay=overlay), [], room._calm
    monkeypatch.setattr(room, "_calm", lambda *given: calm.append(honest(*given)) or calm[-1])
    quick = plans(8, rules, state)
    monkeypatch.setattr(room, "_calm", lambda *_: False)
    whole = plans(8, rules, state)

    assert [to_json(plan) for plan in quick] == [to_json(plan) for plan in whole]
    assert sum(calm) > (150 if overlay.exits else 0)
    fired = [plan for plan in whole if plan.slot.kind is SlotKind.RISK and plan.reasons]
    assert len(fired) > 3 or overlay is not NERVOUS


def test_a_slot_that_is_wrongly_called_calm_is_caught(monkeypatch):
    """Planted: every risk slot is calm, so a stop does not fire."""
    rules = replace(world.RULES, overlay=NERVOUS)
    whole = plans(8, rules, TradingState.ACTIVE)
    monkeypatch.setattr(room, "_calm", lambda view, memory, rules, slot, marks: slot.kind is SlotKind.RISK)

    assert [to_json(plan) for plan in plans(8, rules, TradingState.ACTIVE)] != [to_json(plan) for plan in whole]
