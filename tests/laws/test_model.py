"""A fitted alpha inside the laws: it decides, replays bit for bit, and its absence is the same as switching it off."""

import threading
from dataclasses import replace

import fitted
import numpy as np
import pytest
import world

from evenkeel.engine.replay import Replay
from evenkeel.journal import orders_sha256, recent
from evenkeel.research.backtest import backtest
from evenkeel.service import loop
from evenkeel.signals import blend
from evenkeel.types import Brain, Health


def run(brain, rules=world.RULES, days=1.5, on_plan=lambda _: None):
    """Back-test of the small world under a brain."""
    settings = replace(world.SIGNALS, opinions=rules.opinions)
    market = Replay(world.judged(brain, settings=settings))
    return backtest(world.window(days), market, world.venue(market), world.memory(), brain, rules, on_plan=on_plan)


def wanted(**changes):
    """Rules with other opinions configured."""
    return replace(world.RULES, opinions=replace(world.RULES.opinions, **changes))


def spoken(brain, name, rules=world.RULES):
    """That opinion in every trading plan."""
    plans = []
    run(brain, rules, on_plan=plans.append)
    return [next(o for o in plan.opinions if o.name == name) for plan in plans if plan.slot.kind.value != "risk"]


def test_a_fitted_alpha_decides_and_the_rule_steps_back():
    """Other orders than the rule's; version and digest stand in every plan."""
    assert orders_sha256(run(fitted.brain()).orders) != orders_sha256(run(Brain()).orders)

    said = spoken(fitted.brain(), "alpha")
    assert {o.health for o in said} == {Health.OK}
    assert {o.version for o in said} == {"v1 dddddddddddd"}
    assert all(np.isfinite(o.x).sum() > 8 for o in said)
    assert {o.health for o in spoken(fitted.brain(), "rule")} == {Health.OFF}


def test_the_service_sends_the_orders_of_the_back_test_with_a_model_in(tmp_path):
    """Law 3 through store, intents, journal and paper account; every plan of the journal names the model."""
    brain = fitted.brain()
    market = Replay(world.judged(brain))
    with world.service(tmp_path, market, lambda path: world.venue(market, path)) as runner:
        runner.brain = brain
        loop.replay(runner, world.START, world.START + 2 * world.DAY, world.CADENCE, stop=threading.Event())
    sent = recent(tmp_path / "state" / "journal.db", "orders", limit=100_000)

    assert len(sent) > 20
    assert orders_sha256(sent) == orders_sha256(run(brain, days=2).orders)
    plans = recent(tmp_path / "state" / "journal.db", "plans", limit=100_000)
    assert all("v1 dddddddddddd" in str(row) for row in plans)


@pytest.mark.parametrize("rule", [True, False])
def test_an_absent_model_decides_as_if_it_were_switched_off(rule):
    """Degraded: with the stand-in or without, the orders are those of a run that never wanted it."""
    absent = run(Brain(), wanted(rule=rule)).orders
    off = run(fitted.brain(), wanted(alpha=False, rule=rule)).orders

    assert orders_sha256(absent) == orders_sha256(off)


def test_an_expired_model_decides_as_if_it_were_switched_off():
    """A day after its expiry nothing is left of its weight, and the rule stands in."""
    expired = fitted.brain(expires=world.START - 2 * world.DAY)

    assert {o.health for o in spoken(expired, "alpha")} == {Health.EXPIRED}
    assert orders_sha256(run(expired).orders) == orders_sha256(run(Brain(), wanted(alpha=False)).orders)


def test_a_model_says_nothing_about_bars_it_was_trained_on():
    """Missing with its reason, unless asked for: then every plan says IN-SAMPLE."""
    early = Brain(alpha=(replace(fitted.model(), train_end=world.START + 30 * world.DAY),))

    assert {o.health for o in spoken(early, "alpha")} == {Health.MISSING}
    shown = spoken(early, "alpha", wanted(alpha_in_sample=True))
    assert {o.health for o in shown} == {Health.OK}
    assert all(o.reason.startswith("IN-SAMPLE") for o in shown)


def test_a_model_that_begins_or_expires_between_two_bars_is_told_so_at_once():
    """A risk slot a quarter of an hour after the close hears what has changed since: no opinion is shown too long."""
    model = fitted.model()
    close = int(world.panel().time[world.first_row(world.panel()) + 96])
    wait = model.valid_from(1800) - model.train_end

    def told(time, **changes):
        said = world.judged(Brain(alpha=(replace(model, **changes),))).at(time, 0)
        return next(o for o in said.opinions if o.name == "alpha"), said

    for late, health in ((0, Health.MISSING), (899, Health.MISSING), (900, Health.OK), (1799, Health.OK)):
        assert told(close + late, train_end=close + 900 - wait)[0].health is health
    for late, left in ((0, 1.0), (600, 1.0), (1500, 1.0 - 900 / world.DAY)):
        opinion, said = told(close + late, expires=close + 600)
        assert opinion.strength == pytest.approx(model.strength * left, rel=1e-12)
        expected, _ = blend.blend(said.opinions, said.vol, said.regime, world.SIGNALS.opinions)
        np.testing.assert_allclose(said.expected, expected, rtol=1e-12)


def test_models_follow_each_other_at_the_bar_from_which_the_next_is_valid():
    """Walk-forward: the newest model that had been trained by then speaks."""
    first, second = fitted.model(), fitted.model(trained_until=world.START - world.DAY // 2, version="v2")
    market = world.panel()
    turn = int(np.searchsorted(market.time, second.valid_from(market.bar_s))) - world.first_row(market)
    both, one, other = (world.judged(Brain(alpha=x)).alpha for x in ((first, second), (first,), (second,)))

    np.testing.assert_array_equal(both[:turn], one[:turn])
    assert not np.array_equal(both[turn + 4], one[turn + 4], equal_nan=True)
    late = turn + 48 * 2  # what is smoothed reaches back 48 h
    if late < len(both):
        np.testing.assert_allclose(both[late:], other[late:], atol=1e-12)
    signals = world.judged(Brain(alpha=(first, second)))
    told = [
        next(o for o in signals.at(int(market.time[world.first_row(market) + i]), 0).opinions if o.name == "alpha")
        for i in (turn - 1, turn)
    ]
    assert [o.version.split()[0] for o in told] == ["v1", "v2"]
