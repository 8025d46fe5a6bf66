"""IC of what decided, against returns that the decision did not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import world

from evenkeel.research import dataset, evidence
from evenkeel.research.report import Skill
from evenkeel.types import Health, SlotKind

DAYS = 4


@pytest.fixture(scope="module")
def plans():
    """Every rebalance of a real back-test."""
    made = []
    world.backtested(DAYS, on_plan=made.append)
    return [plan for plan in made if plan.slot.kind is SlotKind.REBALANCE]


def seen(plans):
    """A skill that took in some plans."""
    skill = Skill()
    for plan in plans:
        skill.on_plan(plan)
    return skill


def spoken(plan, **changes):
    """The plan with its rule opinion changed."""
    said = tuple(replace(o, **changes) if o.name == "rule" else o for o in plan.opinions)
    return replace(plan, opinions=said)


def test_it_is_the_correlation_with_the_return_from_the_next_open(plans):
    """Counted the other way: from the panel's opens, decision by decision."""
    found = {one.horizon: one for one in seen(plans).forecasts(world.feed(days=DAYS))}
    panel = world.panel(days=DAYS)

    assert set(found) == {"6 h rule", "24 h rule"}
    for hours in (6, 24):
        one, returns = found[f"{hours} h rule"], dataset.forward_returns(panel, hours)
        for time, ic in zip(one.time, one.ic, strict=True):
            x = next(o.x for p in plans for o in p.opinions if p.slot.time == time and o.name == "rule")
            later = returns[np.searchsorted(panel.time, time)]
            both = np.isfinite(x) & np.isfinite(later)
            assert np.isclose(ic, np.corrcoef(x[both], later[both])[0, 1])
    assert 4 * (DAYS - 1) - 1 <= len(found["24 h rule"].time) < len(found["6 h rule"].time) <= len(plans)


def test_what_knows_the_outcome_is_perfect(plans):
    """An opinion that is the coming return itself has IC and RankIC 1."""
    panel = world.panel(days=DAYS)
    returns = dataset.forward_returns(panel, 24)
    knowing = [spoken(p, x=returns[np.searchsorted(panel.time, p.slot.time)]) for p in plans]
    one = next(f for f in seen(knowing).forecasts(world.feed(days=DAYS)) if f.horizon == "24 h rule")

    assert len(one.time) > 4
    assert np.allclose(one.ic, 1.0)
    assert np.allclose(one.rank_ic, 1.0)


@pytest.mark.parametrize(
    "changes", [{"health": Health.OFF}, {"health": Health.EXPIRED}, {"reason": "IN-SAMPLE: trained on this"}]
)
def test_what_did_not_decide_or_was_trained_on_it_does_not_count(plans, changes):
    assert seen([spoken(plan, **changes) for plan in plans]).forecasts(world.feed(days=DAYS)) == ()


def test_too_few_assets_are_no_decision(plans):
    """Fewer than eight known assets: nothing to correlate."""
    few = [spoken(p, x=np.where(np.arange(len(p.assets)) < evidence.MIN_ASSETS - 1, 1.0, np.nan)) for p in plans]

    assert seen(few).forecasts(world.feed(days=DAYS)) == ()


def test_nothing_seen_is_nothing_said():
    assert Skill().forecasts(world.feed()) == ()
