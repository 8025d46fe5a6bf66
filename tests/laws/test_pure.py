"""Laws 8 and 9: the same inputs give the same bytes; names, order and scale of the assets do not matter."""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import planted
import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.decide import decide
from evenkeel.market.panel import panel as make_panel
from evenkeel.market.panel import pick
from evenkeel.portfolio.allocate import ranking
from evenkeel.signals.compute import compute
from evenkeel.store.codec import to_json
from evenkeel.types import Book, Brain, DayMark, Holdings, Position, Slot, SlotKind


def book(view, seed, lots=None):
    """A random book at a view's prices; `lots` divides the units of each asset."""
    rng = np.random.default_rng(seed)
    holds = rng.permutation(np.arange(len(world.ASSETS)) % 2 == 0)
    units, positions, cooldowns = {}, {}, {}
    for i, asset in enumerate(sorted(world.ASSETS)):
        column = view.assets.index(asset)
        price = float(view.price[column])
        lot = (lots or {}).get(asset, 1.0)
        weight, edge = rng.uniform(500, 12_000), rng.uniform(0.85, 1.15)
        if holds[i]:
            size = Decimal(repr(round(weight / (price / lot), 3))) / Decimal(repr(lot))
            units[asset] = size
            basis = Decimal(repr(price / lot * edge)) * Decimal(repr(lot))
            positions[asset] = Position(size, basis, view.time - 86_400, price * max(1.0, edge * 1.02), price * 0.97)
        elif rng.random() < 0.1:
            cooldowns[asset] = view.time + 3_600
    cash = Decimal("31000.10")
    equity = float(cash) + sum(float(u) * float(view.price[view.assets.index(a)]) for a, u in units.items())
    day = view.time - view.time % 86_400
    memory = world.memory(
        cash=cash, positions=positions, cooldowns=cooldowns, evidence=view.since,
        days=(DayMark(day - 86_400, equity, equity * 1.13), DayMark(day, equity * 1.01, equity * 1.02)),
    )  # fmt: skip
    return Book(Holdings(view.time, cash, units), memory)


def decided(decider, market_view, seed, kind, rules=world.RULES, lots=None):
    return decider(market_view, book(market_view, seed, lots), Brain(), rules, Slot(kind, market_view.time))


CASES = {
    "seed": st.integers(0, 40),
    "hour": st.integers(0, 60),
    "kind": st.sampled_from(list(SlotKind)),
}


def view_of(seed, hour):
    time = world.START + hour * 3600
    return world.signals(seed % 4 + 1).at(time, time - 1800)


def sealed(x):
    """The same inputs with every array read-only."""
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    elif is_dataclass(x):
        for field in fields(x):
            sealed(getattr(x, field.name))
    elif isinstance(x, tuple):
        for part in x:
            sealed(part)
    return x


def is_pure(decider, seed, hour, kind):
    """Twice the same bytes, and inputs as before."""
    view = sealed(view_of(seed, hour))
    held = book(view, seed)
    before = pickle.dumps((view, held))
    slot = Slot(kind, view.time)
    plans = [pickle.dumps(to_json(decider(view, held, Brain(), world.RULES, slot))) for _ in range(2)]
    return plans[0] == plans[1] and pickle.dumps((view, held)) == before


@settings(max_examples=20)
@given(**CASES)
def test_deciding_twice_gives_the_same_bytes_and_changes_nothing(seed, hour, kind):
    assert is_pure(decide, seed, hour, kind)


def test_a_decider_with_a_memory_of_its_own_is_caught():
    assert not all(is_pure(planted.Counting(), seed, 6, SlotKind.REBALANCE) for seed in range(5))


@settings(max_examples=20)
@given(**CASES)
def test_the_order_of_mappings_does_not_matter(seed, hour, kind):
    """Holdings, positions and cool-downs turned around: the same plan."""
    view = view_of(seed, hour)
    held = book(view, seed)

    def turned(x: Mapping):
        return dict(reversed(list(x.items())))

    memory = replace(held.memory, positions=turned(held.memory.positions), cooldowns=turned(held.memory.cooldowns))
    other = Book(replace(held.holdings, units=turned(held.holdings.units)), memory)
    slot = Slot(kind, view.time)
    ours, theirs = (decide(view, b, Brain(), world.RULES, slot) for b in (held, other))

    assert pickle.dumps(to_json(ours)) == pickle.dumps(to_json(theirs))


def test_the_hash_seed_does_not_matter():
    """Three interpreters with different hash seeds run half a day: the same orders."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import world; from evenkeel.journal import orders_sha256;"
        "print(orders_sha256(world.backtested(0.5, 7).orders))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }  # fmt: skip

    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


# ---------------------------------------------------------------- law 9


def permuted(decider, seed, hour, kind):
    """(plan, plan with the assets in another order, that order)."""
    order = np.random.default_rng(seed).permutation(len(world.ASSETS))
    pairs = tuple(world.PAIRS[i] for i in order)
    time = world.START + hour * 3600
    market = world.panel(seed % 4 + 1)
    row = int(np.searchsorted(market.time, time))
    turned = compute(pick(market, [p.asset for p in pairs]), Brain(), world.SIGNALS, row)
    plan = decided(decider, view_of(seed, hour), seed, kind)
    other = decided(decider, turned.at(time, time - 1800), seed, kind, replace(world.RULES, pairs=pairs))
    return plan, other, order


def worst(decider, seed, hour, kind):
    plan, other, order = permuted(decider, seed, hour, kind)
    return max(
        float(np.abs(getattr(plan, n)[order] - getattr(other, n)).max()) for n in ("held", "raw", "base", "target")
    )


@settings(max_examples=12)
@given(**CASES)
def test_permuted_assets_have_the_same_weights_and_orders(seed, hour, kind):
    """Weights to 1e-9; orders the same, in the same order, to one lot."""
    plan, other, order = permuted(decide, seed, hour, kind)
    lots = {p.asset: Decimal(1).scaleb(-p.amount_decimals) for p in world.PAIRS}

    for name in ("held", "raw", "base", "target"):
        np.testing.assert_allclose(getattr(other, name), getattr(plan, name)[order], rtol=0, atol=1e-9)
    assert [(o.id, o.asset, o.reason) for o in plan.orders] == [(o.id, o.asset, o.reason) for o in other.orders]
    assert all(abs(a.quantity - b.quantity) <= lots[a.asset] for a, b in zip(plan.orders, other.orders, strict=True))
    assert {(d.asset, d.code) for d in plan.dropped} == {(d.asset, d.code) for d in other.dropped}


def test_a_decider_that_uses_the_order_of_columns_is_caught():
    assert max(worst(planted.first_column_wins, seed, 6, SlotKind.REBALANCE) for seed in range(3)) > 1e-6


def test_ties_break_by_liquidity_then_by_symbol():
    """Equal scores: the more traded; equally traded: the first in the alphabet, wherever it stands."""
    depth = np.array([1e6, 1e6, 1e6, 2e6])
    for names in (("D", "C", "B", "A"), ("B", "D", "C", "Z"), ("Z", "Y", "X", "W")):
        ranked = ranking(np.zeros(4), depth, names, np.ones(4, dtype=bool))

        assert [names[i] for i in ranked] == [names[3], *sorted(names[:3])]


def scaled(decider, seed, hour, kind):
    """(plan, plan of the same market in lots of other powers of two)."""
    powers = np.random.default_rng(seed).integers(-12, 13, len(world.ASSETS))
    lots = 2.0**powers
    market = world.panel(seed % 4 + 1)
    other = make_panel(
        market.time, market.assets, market.open * lots, market.high * lots, market.low * lots, market.close * lots,
        market.volume / lots, market.bar_s,
    )  # fmt: skip
    time = world.START + hour * 3600
    row = int(np.searchsorted(market.time, time))
    view = compute(other, Brain(), world.SIGNALS, row).at(time, time - 1800)
    named = dict(zip(world.ASSETS, lots.tolist(), strict=True))
    return decided(decider, view_of(seed, hour), seed, kind), decided(decider, view, seed, kind, lots=named)


@settings(max_examples=12)
@given(**CASES)
def test_prices_in_other_lots_give_the_same_weights(seed, hour, kind):
    """Powers of two: held, raw, base and target to 1e-9, and the same reasons."""
    plan, other = scaled(decide, seed, hour, kind)

    for name in ("held", "raw", "base", "target"):
        np.testing.assert_allclose(getattr(other, name), getattr(plan, name), rtol=0, atol=1e-9)
    assert [(r.asset, r.rule) for r in plan.reasons] == [(r.asset, r.rule) for r in other.reasons]


def test_a_decider_that_takes_a_price_for_a_size_is_caught():
    plan, other = scaled(planted.cheapest_wins, 1, 6, SlotKind.REBALANCE)

    assert np.abs(plan.target - other.target).max() > 1e-6


@pytest.mark.parametrize("kind", list(SlotKind))
def test_the_random_books_exercise_the_rules(kind):
    """The laws above would be empty without exits, caps and orders."""
    plans = [decided(decide, view_of(seed, 6), seed, kind) for seed in range(12)]

    assert sum(len(p.orders) for p in plans) > 5
    assert {r.rule for p in plans for r in p.reasons} & {"ATR_STOP", "TRAILING_STOP", "MAX_LOSS"}
