"""The laws hold for every strategy: causality, purity, replay = back-test; and none touches what is not ready."""

import pickle
import threading
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import world
from test_causality import poisoned

from evenkeel.config.strategies import PRESETS
from evenkeel.config.values import build
from evenkeel.decide import decide
from evenkeel.engine.replay import Replay
from evenkeel.journal import orders_sha256, recent
from evenkeel.market.panel import panel as make_panel
from evenkeel.market.panel import pick, rows
from evenkeel.research.backtest import backtest
from evenkeel.service import loop
from evenkeel.signals.compute import compute
from evenkeel.signals.strategies import SCORES, WEIGHTS
from evenkeel.store.codec import to_json
from evenkeel.types import Book, Brain, Health, Holdings, Slot, SlotKind

SPEAKING = (*SCORES, *WEIGHTS)
BASELINES = ("inverse_vol", *SPEAKING)


def rules(name):
    """The small world's rules with the settings that a strategy brings."""
    preset = PRESETS[name]
    changed = {key: build(getattr(world.RULES, key), preset[key], {"": "test"}) for key in preset}
    return replace(world.RULES, **changed)


def signals(name, market, first, min_history_days=10.0):
    opinions = replace(rules(name).opinions, min_history_days=min_history_days)
    settings = replace(world.SIGNALS, opinions=opinions, strategy=name, seed=3)
    return compute(market, Brain(), settings, first)


@cache
def feed(name, seed=7):
    market = world.panel(seed)
    return Replay(signals(name, market, world.first_row(market)))


def said(name, market, first):
    """What a strategy says, (R, N)."""
    shown = signals(name, market, first)
    return shown.score if name in SCORES else shown.wanted


def played(name, shown, days):
    return backtest(world.window(days), shown, world.venue(shown), world.memory(), Brain(), rules(name))


@pytest.mark.parametrize(("name", "bar_s"), [*((name, 1800) for name in SPEAKING), ("rsi", 3600), ("random", 3600)])
def test_no_strategy_knows_what_follows(name, bar_s):
    """Bitwise, whether the panel ends at t, goes on, or lies from t on; and wherever the kept rows begin."""
    market = world.panel(1, bar_s=bar_s)
    row = len(market.time) - 31
    first = row - 100
    whole = said(name, market, first)[:101]

    assert np.isfinite(whole).any()
    assert world.same_bits(whole, np.ascontiguousarray(said(name, rows(market, 0, row + 1), first)))
    assert world.same_bits(whole, np.ascontiguousarray(said(name, poisoned(market, row, 5), first)[:101]))
    assert world.same_bits(whole[-7:], np.ascontiguousarray(said(name, market, row - 6)[:7]))


@pytest.mark.parametrize("name", SPEAKING)
def test_the_order_of_assets_does_not_matter(name):
    market = world.panel(2)
    order = np.random.default_rng(0).permutation(len(world.ASSETS))
    first = len(market.time) - 100
    turned = said(name, pick(market, [world.ASSETS[i] for i in order]), first)

    np.testing.assert_allclose(turned, said(name, market, first)[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["random", "buy_and_hold", "equal_weight", "rsi"])
def test_the_service_sends_exactly_the_orders_of_the_back_test(tmp_path, name):
    """Law 3, a day, through store, intents and journal."""
    shown, days = feed(name), 1.0
    with world.service(tmp_path, shown, lambda path: world.venue(shown, path), rules=rules(name)) as runner:
        end = world.START + round(days * world.DAY)
        loop.replay(runner, world.START, end, world.CADENCE, stop=threading.Event())
        memory = runner.store.memory
    sent = recent(tmp_path / "state" / "journal.db", "orders", limit=100_000)
    result = played(name, shown, days)

    assert len(sent) == len(result.orders) > 0
    assert orders_sha256(sent) == orders_sha256(result.orders)
    assert memory.cash == result.memory.cash
    assert repr(memory.positions) == repr(result.memory.positions)  # a stop that is none is NaN


@pytest.mark.parametrize("kind", list(SlotKind))
@pytest.mark.parametrize("name", BASELINES)
def test_deciding_twice_gives_the_same_bytes(name, kind):
    time = world.START + 6 * 3600
    view = feed(name).view(time, time - 1800)
    price = float(view.price[0])
    units = {"BTC": world.Decimal(repr(round(30_000 / price, 5)))}
    book = Book(Holdings(time, world.Decimal(70_000), units), world.memory(cash=world.Decimal(70_000)))
    before = pickle.dumps((view, book))
    plans = [pickle.dumps(to_json(decide(view, book, Brain(), rules(name), Slot(kind, time)))) for _ in range(2)]

    assert plans[0] == plans[1]
    assert pickle.dumps((view, book)) == before


def late(asset, since):
    """The small world's bars, one asset listed only after a moment."""
    market = world.panel(7)
    hidden = (market.time[:, None] <= since) & (np.array(market.assets) == asset)
    bars = {n: np.where(hidden, np.nan, getattr(market, n)) for n in ("open", "high", "low", "close", "volume")}
    return make_panel(market.time, market.assets, bar_s=market.bar_s, **bars)


@pytest.mark.parametrize("name", ["inverse_vol", "random", "equal_weight", "ma_crossover"])
def test_nothing_is_bought_before_it_is_ready(name):
    """ETH is listed 25 days before and needs 26: it is first bought on the second day."""
    market = late("ETH", world.START - 25 * world.DAY)
    if name == "ma_crossover":  # the 50 h mean of a rise lies above its 200 h mean
        rising = market.time[:, None] * (np.array(market.assets) == "ETH") / world.DAY % 1e4 * 0.01
        market = make_panel(
            market.time, market.assets, bar_s=market.bar_s, volume=market.volume,
            **{n: getattr(market, n) * np.exp(rising - rising.min(axis=0)) for n in ("open", "high", "low", "close")},
        )  # fmt: skip
    shown = Replay(signals(name, market, world.first_row(market), 26.0))
    traded = [order for order in played(name, shown, 2).orders if order["asset"] == "ETH"]
    column = world.ASSETS.index("ETH")
    ready = next(
        t for t in range(world.START, world.START + 3 * world.DAY, 1800) if shown.view(t, t - 1800).ready[column]
    )

    assert world.START + world.DAY <= ready < world.START + 2 * world.DAY
    assert all(order["time"] >= ready for order in traded)
    assert traded or name in SCORES


@pytest.mark.parametrize("name", BASELINES)
def test_no_strategy_ever_buys_what_is_not_ready(name):
    """Two days with a late listing and gaps: only a stop may sell such an asset; one of weights leaves it alone."""
    market = late("SOL", world.START - 9 * world.DAY)
    shown = Replay(signals(name, market, world.first_row(market)))
    orders = played(name, shown, 2).orders

    assert orders
    for order in orders if name in WEIGHTS else [order for order in orders if order["side"] == "BUY"]:
        view = shown.view(order["time"], order["time"] - 1800)
        assert view.ready[view.assets.index(order["asset"])], order


@pytest.mark.parametrize("name", SCORES)
def test_a_score_takes_the_place_of_all_opinions(name):
    """It alone is ok; everything but the opinions is the rebalancer's own."""
    time = world.START + 6 * 3600
    view = feed(name).view(time, time - 1800)
    book = Book(Holdings(time, world.Decimal(100_000), {}), world.memory(cash=world.Decimal(100_000)))
    plan = decide(view, book, Brain(), rules(name), Slot(SlotKind.REBALANCE, time))
    health = {o.name: o.health for o in plan.opinions}

    assert [o for o, h in health.items() if h is not Health.OFF] == [name]
    own = next(o for o in plan.opinions if o.name == name)
    np.testing.assert_allclose(plan.score, own.strength * np.nan_to_num(own.x), atol=1e-15)
    assert np.abs(own.x).max() <= 3
    assert set(PRESETS[name]) == {"opinions"}


# ---------------------------------------------------------------- what the plain ones do


def test_buy_and_hold_follows_btc_less_its_first_costs():
    """equity(t) = capital - q open (1 + slippage) (1 + fee) + q close(t), q = 0.99 capital / close, rounded down."""
    shown = feed("buy_and_hold")
    result = played("buy_and_hold", shown, 3)
    market, start = world.panel(7), world.START
    at = int(np.searchsorted(market.time, start))
    btc, costs = world.ASSETS.index("BTC"), world.RULES.costs
    units = np.floor(0.99e5 / market.close[at, btc] * 1e5) / 1e5
    opening, dollars = shown.price("BTC", start)
    slip = costs.half_spread.tier1 * 1e-4 + costs.impact.tier1 * 1e-4 * np.sqrt(units * opening / dollars)
    paid = units * opening * (1 + slip) * (1 + costs.taker * 1e-4)

    assert [(o["asset"], float(o["quantity"]), o["time"]) for o in result.orders] == [("BTC", units, start)]
    assert float(result.memory.turnover) > 0.98e5
    for time, equity in result.equity[1:]:
        view = shown.view(time, time - 1800)
        if time > start:
            assert equity == pytest.approx(1e5 - paid + units * view.price[btc], abs=0.05)


def test_equal_weight_wants_an_nth_of_each_and_restores_it_at_rebalances_only():
    """Each that is ready wants 1/n; what is held of the others stays, and is taken from what may be spent."""
    plans = []
    backtest(
        world.window(2), feed("equal_weight"), world.venue(feed("equal_weight")), world.memory(), Brain(),
        rules("equal_weight"), on_plan=plans.append,
    )  # fmt: skip
    full = [p for p in plans if p.slot.kind is SlotKind.REBALANCE]

    for plan in full:
        ready = feed("equal_weight").view(plan.slot.time, plan.slot.time - 1800).ready
        kept = plan.held[~ready]
        each = min(1 / ready.sum(), (0.99 - kept.sum()) / ready.sum())
        np.testing.assert_allclose(plan.target[ready], each, rtol=1e-12)
        np.testing.assert_allclose(plan.target[~ready], kept, rtol=1e-12)
        assert plan.reasons == ()
        assert len(plan.orders) or np.abs(plan.target - plan.held).max() <= 0.002
    assert len(full[0].orders) == feed("equal_weight").view(world.START, 0).ready.sum() == 10
    assert {p.slot.kind for p in plans if p.orders} == {SlotKind.REBALANCE}


def test_a_strategy_of_weights_has_no_stops_and_leaves_no_reasons():
    """The same small world, in which the rebalancer's stops fire."""
    plans = []
    for name in ("rsi", "ma_crossover"):
        backtest(
            world.window(3), feed(name), world.venue(feed(name)), world.memory(), Brain(), rules(name),
            on_plan=plans.append,
        )  # fmt: skip

    assert {o["reason"] for o in world.backtested(3).orders} > {"TARGET"}
    assert {o.reason for p in plans for o in p.orders} == {"TARGET"}
    assert {r.rule for p in plans for r in p.reasons} == set()
    assert {d.code for p in plans for d in p.dropped} <= {"INSIDE_BAND", "BELOW_MIN_NOTIONAL"}
    assert max(p.raw.sum() for p in plans if p.slot.kind is not SlotKind.RISK) <= 0.99 + 1e-12
