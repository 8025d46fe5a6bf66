"""A calm risk slot is answered without the rules: the plan must be the one that the rules would have given."""

from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest
import world

from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.types import SlotKind

decide = import_module("evenkeel.decide")

NERVOUS = replace(
    world.RULES,
    overlay=OverlaySettings(
        atr_multiple=2.0, trailing=0.03, daily_loss=0.01, drawdown_start=0.01, drawdown_full=0.05, max_loss=0.04
    ),
)


def plans(rules, seed):
    """Every plan of three days."""
    made = []
    world.backtested(3, seed, rules=rules, on_plan=made.append)
    return made


def different(left, right):
    """Names of the fields in which two plans differ by a bit."""
    pairs = {x.name: (getattr(left, x.name), getattr(right, x.name)) for x in fields(left)}
    return [
        name
        for name, (a, b) in pairs.items()
        if name != "opinions" and not (world.same_bits(a, b) if isinstance(a, np.ndarray) else a == b)
    ]


@pytest.mark.parametrize("rules", [world.RULES, NERVOUS], ids=["usual", "nervous"])
def test_a_calm_risk_slot_has_the_plan_that_all_rules_would_give(monkeypatch, rules):
    """Bit for bit, over three days in which stops, the daily loss and the drawdown scale act."""
    calm = []
    honest = decide._calm
    monkeypatch.setattr(decide, "_calm", lambda *given: calm.append(honest(*given)) or calm[-1])
    quick = plans(rules, 7)
    monkeypatch.setattr(decide, "_calm", lambda *_: False)
    slow = plans(rules, 7)

    assert [different(a, b) for a, b in zip(quick, slow, strict=True)] == [[]] * len(slow)
    assert sum(calm) > 200
    assert rules is world.RULES or sum(plan.slot.kind is SlotKind.RISK and bool(plan.reasons) for plan in slow) > 5


def test_a_calm_that_overlooks_the_stops_is_caught(monkeypatch):
    """The comparison can fail."""
    slow = plans(NERVOUS, 7)
    monkeypatch.setattr(decide, "_touched", lambda *_: False)

    assert any(different(a, b) for a, b in zip(plans(NERVOUS, 7), slow, strict=False))
