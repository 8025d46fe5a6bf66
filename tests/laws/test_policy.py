"""A policy inside the laws: it decides, replays bit for bit, and its absence is the same as switching it off."""

import threading
from dataclasses import replace
from decimal import Decimal
from functools import cache

import numpy as np
import orjson
import pytest
import taught
import world
from test_causality import poisoned

from evenkeel.config.strategies import PRESETS
from evenkeel.config.values import build
from evenkeel.decide import decide, proposed
from evenkeel.engine.replay import Replay
from evenkeel.journal import orders_sha256, recent
from evenkeel.market.panel import pick, rows
from evenkeel.research.backtest import backtest
from evenkeel.service import loop, people
from evenkeel.signals import policy
from evenkeel.types import Book, Brain, DayMark, Health, Holdings, Opinion, Position, Slot, SlotKind

TRAINED = world.START - 3 * world.DAY
ALONE = replace(
    world.RULES,
    **{key: build(getattr(world.RULES, key), preset, {"": "test"}) for key, preset in PRESETS["policy"].items()},
)
"""Rules of the strategy `policy`; with the small world's they are the two ways in which a policy has a say."""
KINDS = {
    "continuous": {},
    "discrete": {"discrete": True},
    "routed": {"specialists": ("trend", "down")},
}


def brain(**how):
    return Brain(policy=taught.model(until=TRAINED, **how))


def market_of(made, rules):
    return Replay(world.judged(made, settings=replace(world.SIGNALS, opinions=rules.opinions)))


@cache
def alone(**how):
    """The small world as a policy that trades alone sees it."""
    return market_of(brain(**how), ALONE)


def run(made, rules=world.RULES, days=1.0, **more):
    """Back-test of the small world under a brain."""
    market = market_of(made, rules)
    return backtest(world.window(days), market, world.venue(market), world.memory(), made, rules, **more)


def wanted(rules, **changes):
    return replace(rules, opinions=replace(rules.opinions, **changes))


def spoken(made, rules=world.RULES, **more):
    """The policy's opinion in every plan, by kind of slot."""
    plans = []
    run(made, rules, on_plan=plans.append, **more)
    return [(plan.slot.kind, next(o for o in plan.opinions if o.name == "policy")) for plan in plans]


@pytest.mark.parametrize("rules", [world.RULES, ALONE], ids=["tilt", "alone"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_service_sends_the_orders_of_the_back_test_with_a_policy_in(tmp_path, kind, rules):
    """Law 3 through store, intents, journal and paper account; rows hold the policy's x, version and health."""
    made = brain(**KINDS[kind])
    market = market_of(made, rules)
    with world.service(tmp_path, market, lambda path: world.venue(market, path), rules=rules) as runner:
        runner.brain = made
        loop.replay(runner, world.START, world.START + world.DAY, world.CADENCE, stop=threading.Event())
    journal = tmp_path / "state" / "journal.db"
    sent = recent(journal, "orders", limit=100_000)
    tested = run(made, rules)

    assert len(sent) > 10
    assert orders_sha256(sent) == orders_sha256(tested.orders) != orders_sha256(run(Brain(), rules).orders)
    for row in recent(journal, "plans", limit=100_000):
        said = orjson.loads(row["plan"])["opinions"]["policy"]
        assert (said["health"], said["version"]) == ("ok", made.policy.name)
        assert ("x" in said) is not row["slot"].startswith("risk@")
        assert all(-1 <= x <= 1 for x in said.get("x", {}).values())


def test_a_policy_is_heard_in_trading_slots_and_silent_in_risk_slots():
    for kind, said in spoken(brain()):
        heard = np.isfinite(said.x)
        assert said.health is Health.OK
        assert heard.any() if kind is not SlotKind.RISK else not heard.any()


@pytest.mark.parametrize("rule", [True, False])
def test_an_absent_policy_decides_as_if_it_were_switched_off(rule):
    rules = wanted(world.RULES, rule=rule)
    gone, off = run(Brain(), rules), run(brain(), wanted(rules, policy=False))

    assert orders_sha256(gone.orders) == orders_sha256(off.orders)
    assert bool(gone.orders) is rule  # without the rule nobody speaks, and for a day nothing is bought


def test_a_book_that_only_a_policy_decides_buys_nothing_without_it():
    """Missing, said with its reason; every slot is done, none has an order."""
    told = spoken(Brain(), ALONE)
    result = run(Brain(), ALONE)

    assert {(said.health, said.reason) for _, said in told} == {(Health.MISSING, "no model under models/policy")}
    assert result.orders == []
    assert result.memory.counts["rebalance"] == {"done": 4}
    assert result.memory.opinions_lost == world.START


def test_an_expired_policy_loses_its_weight_within_a_day():
    """Half is left after half a day; after a day the rebalancer decides as without it, a book of it stands still."""
    late = world.START + world.DAY // 2
    fading = brain(expires=world.START - world.DAY // 2)
    told = [said for kind, said in spoken(fading) if kind is SlotKind.REBALANCE]

    assert [round(said.strength / fading.policy.strength, 3) for said in told] == [0.5, 0.25, 0.0, 0.0]
    assert [said.health for said in told] == [Health.OK, Health.OK, Health.EXPIRED, Health.EXPIRED]
    assert "50% of its weight is left" in told[0].reason
    gone = brain(expires=world.START - 2 * world.DAY)
    off = run(Brain(), wanted(world.RULES, policy=False))
    assert orders_sha256(run(gone).orders) == orders_sha256(off.orders)
    bought = [order for order in run(fading, ALONE).orders if order["reason"] == "TARGET"]
    assert bought
    assert max(order["time"] for order in bought) < late
    assert run(gone, ALONE).orders == []


def test_a_policy_says_nothing_about_bars_it_was_taught_on():
    early = Brain(policy=replace(taught.model(until=TRAINED), train_end=world.START + 30 * world.DAY))

    assert {said.health for _, said in spoken(early)} == {Health.MISSING}
    assert run(early, ALONE).orders == []
    assert orders_sha256(run(early).orders) == orders_sha256(run(Brain(), wanted(world.RULES, policy=False)).orders)


@pytest.mark.parametrize("how", [{"gain": 1e4}, {"gain": 1e38}], ids=["saturated", "not a number"])
def test_an_answer_beyond_belief_is_neutral_and_said(how):
    """It counts as 0, the book holds, and plan, journal and state say which assets it was neutral on."""
    made = brain(**how)
    told = [said for kind, said in spoken(made, ALONE) if kind is not SlotKind.RISK]

    assert run(made, ALONE).orders == []
    for said in told:
        assert said.health is Health.OK
        assert np.nanmax(np.abs(said.x)) == 0.0
        assert said.reason.startswith("neutral on BTC, ETH")
        assert said.reason.endswith("beyond what was learned")
    off = run(Brain(), wanted(world.RULES, policy=False))
    assert orders_sha256(run(made).orders) == orders_sha256(off.orders)
    plan = first_plan(made, ALONE)
    assert people.opinions(plan)["policy"]["reason"].startswith("neutral on BTC")


def first_plan(made, rules):
    plans = []
    run(made, rules, days=0.1, on_plan=plans.append)
    return next(plan for plan in plans if plan.slot.kind is SlotKind.REBALANCE)


def test_what_was_neutralised_stands_in_the_journal(tmp_path):
    made = brain(gain=1e4)
    market = market_of(made, ALONE)
    with world.service(tmp_path, market, lambda path: world.venue(market, path), rules=ALONE) as runner:
        runner.brain = made
        loop.replay(runner, world.START, world.START + 3600, world.CADENCE, stop=threading.Event())
    plans = recent(tmp_path / "state" / "journal.db", "plans", limit=100)
    said = [orjson.loads(row["plan"])["opinions"]["policy"] for row in plans if row["slot"].startswith("rebalance")]

    assert said[0]["reason"].startswith("neutral on BTC, ETH")
    assert set(said[0]["x"].values()) == {0.0}


def book(time, price, units=(), **memory):
    """100,000 USD of which units of some assets are held, bought at the price."""
    held = {a: Decimal(repr(float(u))) for a, u in units}
    cash = Decimal(repr(round(100_000 - float(sum(u * price[a] for a, u in units)), 2)))
    positions = {
        a: Position(u, Decimal(repr(price[a])), time - world.DAY, price[a], float("nan")) for a, u in held.items()
    }
    return Book(Holdings(time, cash, held), world.memory(cash=cash, positions=positions, **memory))


def priced(view):
    return dict(zip(view.assets, view.price.tolist(), strict=True))


@pytest.mark.parametrize("rules", [world.RULES, ALONE], ids=["tilt", "alone"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_decision_is_the_same_whatever_the_future_holds(kind, rules):
    """Law 1 with the policy in: bitwise, whether the panel ends at t, or lies from t on."""
    market, made = world.panel(), brain(**KINDS[kind])
    row = len(market.time) - 40
    time = int(market.time[row])
    settings = replace(world.SIGNALS, opinions=rules.opinions)
    plans = []
    for seen in (market, rows(market, 0, row + 1), poisoned(market, row, 3)):
        view = world.compute(seen, made, settings, row).at(time, time - 1800)
        price = priced(view)
        mine = book(time, price, [("BTC", round(5_000 / price["BTC"], 5)), ("UNI", round(4_000 / price["UNI"], 2))])
        plans.append(decide(view, mine, made, rules, Slot(SlotKind.REBALANCE, time)))

    assert plans[0].orders == plans[1].orders == plans[2].orders
    assert np.isfinite(plans[0].opinions[-1].x).all()
    assert len(set(plans[0].opinions[-1].x.tolist())) > 1
    for other in plans[1:]:
        for name in ("target", "raw", "score"):
            assert world.same_bits(getattr(plans[0], name), getattr(other, name))
        assert world.same_bits(plans[0].opinions[-1].x, other.opinions[-1].x)


@pytest.mark.parametrize("rules", [world.RULES, ALONE], ids=["tilt", "alone"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_assets_does_not_matter(kind, rules):
    market, made = world.panel(2), brain(**KINDS[kind])
    order = np.random.default_rng(1).permutation(len(world.ASSETS))
    turned = replace(rules, pairs=tuple(rules.pairs[i] for i in order))
    row = len(market.time) - 50
    time, settings = int(market.time[row]), replace(world.SIGNALS, opinions=rules.opinions)
    plans = []
    for panel, own in ((market, rules), (pick(market, [world.ASSETS[i] for i in order]), turned)):
        view = world.compute(panel, made, settings, row).at(time, time - 1800)
        price = priced(view)
        mine = book(time, price, [("ETH", round(6_000 / price["ETH"], 4))])
        plans.append(decide(view, mine, made, own, Slot(SlotKind.REBALANCE, time)))

    np.testing.assert_allclose(plans[1].opinions[-1].x, plans[0].opinions[-1].x[order], atol=1e-6)
    np.testing.assert_allclose(plans[1].target, plans[0].target[order], atol=1e-6)
    assert plans[0].target.max() > 0


# ---------------------------------------------------------------- the policy alone


def scaled(applied, fall, rules=ALONE):
    """Plan of a policy that holds all, at a drawdown, of which `applied` is applied already."""
    made = brain(still=True)
    time = world.START + 6 * 3600
    view = alone(still=True).view(time, time - 1800)
    price = priced(view)
    units = [(a, round(0.05 * 100_000 / price[a], 6)) for a in ("BTC", "ETH")]
    peak = DayMark(time - time % world.DAY - world.DAY, 100_000.0, 100_000.0 / (1 - fall))
    mine = book(time, price, units, drawdown_scale=applied, days=(peak,))
    return [decide(view, mine, made, rules, Slot(kind, time)) for kind in (SlotKind.SCORE, SlotKind.REBALANCE)]


def test_what_is_held_on_is_cut_by_a_drawdown_once():
    """At the step down by its factor, never again at the next slot, and not bought back when it ends."""
    for plan in scaled(1.0, 0.2):
        np.testing.assert_allclose(plan.target, plan.held * plan.carry.drawdown_scale, rtol=1e-12)
        assert 0 < plan.carry.drawdown_scale < 1
        assert len(plan.orders) == 2
        step = plan.carry.drawdown_scale
    for plan in (*scaled(step, 0.2), *scaled(step, 0.0)):
        np.testing.assert_allclose(plan.target, plan.held, rtol=1e-12)
        assert plan.orders == ()


def test_a_slot_is_an_equal_share_of_what_may_be_invested_but_at_most_the_cap():
    """So a full slot is full whatever the number of coins; in the blend it is the cap."""
    np.testing.assert_allclose(ALONE.slot, np.minimum(0.97 / 12, ALONE.allocate.caps.of(ALONE.tier)))
    np.testing.assert_array_equal(world.RULES.slot, world.RULES.allocate.caps.of(world.RULES.tier))
    pair = replace(ALONE, pairs=ALONE.pairs[:1])
    assert pair.slot.tolist() == [0.5]


def test_wishes_become_weights_and_the_drawdown_scale_shrinks_the_slot():
    """A buyer of everything that is full at the scale in force wants nothing more."""
    made = Brain(policy=replace(brain().policy, actors={"general": Always()}))
    time = world.START + 6 * 3600
    view = alone().view(time, time - 1800)
    price = priced(view)
    peak = DayMark(time - time % world.DAY - world.DAY, 100_000.0, 125_000.0)
    calm = decide(view, book(time, price), made, ALONE, Slot(SlotKind.SCORE, time))
    steps = scaled(1.0, 0.2)[0].carry.drawdown_scale
    units = [("BTC", ALONE.slot[0] * steps * 100_000 / price["BTC"])]
    full = book(time, price, [(a, round(u, 5)) for a, u in units], drawdown_scale=steps, days=(peak,))
    said = proposed(view, full, made, ALONE, Slot(SlotKind.SCORE, time))

    buyable = view.ready & (view.fault == 0)
    np.testing.assert_allclose(calm.raw[buyable], ALONE.slot[buyable], rtol=1e-9)
    np.testing.assert_allclose(said.wanted[0], ALONE.slot[0], rtol=1e-9)
    free = replace(ALONE, overlay=replace(ALONE.overlay, vol_target=5.0))
    plan = decide(view, full, made, free, Slot(SlotKind.SCORE, time))
    assert abs(plan.target[0] - plan.held[0]) < ALONE.orders.band.score


class Always:
    """An actor that always buys."""

    discrete = False

    def act(self, seen, allowed):
        """+1."""
        return np.ones(len(seen))


def test_a_routed_policy_says_who_speaks():
    regime = np.array([0.5, 0.3, 0.2, 0.0, 1.0, 0.0])

    assert taught.model().voices(regime) == {policy.GENERAL: 1.0}
    routed = taught.model(specialists=("trend", "down")).voices(regime)
    assert routed == pytest.approx({"trend": 0.5, "general": 0.3, "down": 0.2})
    assert isinstance(spoken(brain(specialists=("trend", "down")))[0][1], Opinion)
