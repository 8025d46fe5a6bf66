"""Laws 1 and 2: no bit of a row depends on what follows it, and the declared warm-up gives the last row."""

from dataclasses import fields, replace

import fitted
import numpy as np
import planted
import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.decide import decide
from evenkeel.market import quality
from evenkeel.market.features import warmup_bars
from evenkeel.market.panel import panel as make_panel
from evenkeel.market.panel import rows
from evenkeel.signals import rule as rules
from evenkeel.signals.compute import compute
from evenkeel.signals.moves import COVARIANCE_H
from evenkeel.signals.rule import WINDOW_H
from evenkeel.types import Book, Brain, Holdings, Slot, SlotKind

PRICES = ("open", "high", "low", "close", "volume")
WIDE = ("price", "age", "fault", "logs", "moves", "low", "high")
NARROW = ("ready", "rule", "alpha", "regime", "variance")


def of(market, first):
    return compute(market, fitted.brain(bar_s=market.bar_s), world.SIGNALS, first)


def poisoned(market, row, seed):
    """Every bar after `row` is a lie: unknown, zero, infinite, huge or noise."""
    rng = np.random.default_rng(seed)
    lies = {}
    for name in PRICES:
        array = getattr(market, name).copy()
        shape = array[row + 1 :].shape
        kinds = np.stack([np.full(shape, x) for x in (np.nan, 0.0, np.inf, 1e300)] + [rng.lognormal(0, 9, shape)])
        array[row + 1 :] = np.take_along_axis(kinds, rng.integers(0, len(kinds), (1, *shape)), axis=0)[0]
        lies[name] = array
    return make_panel(market.time, market.assets, bar_s=market.bar_s, **lies)


def parts(view):
    """Every array of a view, by name, its opinions included."""
    arrays = {f.name: getattr(view, f.name) for f in fields(view) if isinstance(getattr(view, f.name), np.ndarray)}
    return arrays | {f"opinion {o.name}": o.x for o in view.opinions}


def differences(market, row, first, seed):
    """Names of everything at rows <= row that changes with what comes later."""
    whole = of(market, first)
    changed = set()
    for other in (of(rows(market, 0, row + 1), first), of(poisoned(market, row, seed), first)):
        for name in WIDE:
            if not world.same_bits(getattr(whole, name)[: row + 1], getattr(other, name)[: row + 1]):
                changed.add(name)
        kept = row + 1 - first
        for name in NARROW:
            if not world.same_bits(getattr(whole, name)[:kept], getattr(other, name)[:kept]):
                changed.add(name)
        for block in ("values", "market"):
            ours, theirs = (np.ascontiguousarray(getattr(s.features, block)[:kept]) for s in (whole, other))
            if not world.same_bits(ours, theirs):
                changed.add(f"features.{block}")
        for time, since in _moments(market, row, first):
            ours, theirs = parts(whole.at(time, since)), parts(other.at(time, since))
            changed |= {f"view.{n}" for n in ours if not world.same_bits(_flat(ours[n]), _flat(theirs[n]))}
    return changed


def _flat(array):
    return np.ascontiguousarray(array)


def _moments(market, row, first):
    """The last row as a slot sees it: at the close, inside the next bar, after a pause, and from nothing."""
    time = int(market.time[row])
    yield time, time - market.bar_s
    yield time + market.bar_s // 2, time
    yield time, int(market.time[max(first, row - 5)])
    yield time, 0


@settings(max_examples=6)
@given(seed=st.integers(0, 50), bar_s=st.sampled_from([1800, 3600]), back=st.integers(1, 100))
def test_no_signal_knows_what_follows(seed, bar_s, back):
    """Bitwise, for all signals and for the view of a slot, whether the panel ends at t or lies from t on."""
    market = world.panel(seed % 5, bar_s=bar_s)
    row = len(market.time) - 1 - back
    first = row - seed

    assert differences(market, row, first, seed) == set()


@pytest.mark.parametrize("plant", [planted.peeking, planted.demeaned], ids=["next row", "mean of all rows"])
def test_an_opinion_that_looks_ahead_is_caught(monkeypatch, plant):
    monkeypatch.setattr(rules, "rule", plant(rules.rule))
    market = world.panel()

    assert {"rule", "view.opinion rule"} <= differences(market, len(market.time) - 30, len(market.time) - 60, 1)


def test_a_verdict_that_waits_for_the_next_bar_is_caught(monkeypatch):
    """A spike filter that confirms with the following bar is look-ahead too."""
    honest = quality.codes
    monkeypatch.setattr(
        quality, "codes", lambda p, s: np.roll(honest(p, s), -1, axis=0)
    )  # fmt: skip
    market = world.panel()
    rows_with_a_fault = np.flatnonzero((honest(market, world.RULES.quality)[100:-1] != 0).any(axis=1)) + 100

    assert "fault" in differences(market, int(rows_with_a_fault[-1]) - 1, int(rows_with_a_fault[-1]) - 30, 1)


@settings(max_examples=4)
@given(back=st.integers(1, 140), kind=st.sampled_from(list(SlotKind)))
def test_a_decision_is_the_same_whatever_the_future_holds(back, kind):
    """The same law one floor up: orders, targets and reasons of a plan."""
    market = world.panel()
    row = len(market.time) - 1 - back
    time = int(market.time[row])
    book = Book(Holdings(time, world.Decimal(100_000), {}), world.memory(cash=world.Decimal(100_000)))
    plans = [
        decide(of(p, row).at(time, time - 1800), book, Brain(), world.RULES, Slot(kind, time))
        for p in (market, rows(market, 0, row + 1), poisoned(market, row, back))
    ]

    assert plans[0].orders == plans[1].orders == plans[2].orders
    assert plans[0].reasons == plans[1].reasons == plans[2].reasons
    assert all(world.same_bits(plans[0].target, p.target) for p in plans[1:])


@pytest.mark.parametrize("bar_s", [1800, 3600])
@pytest.mark.parametrize("seed", [1, 4])
def test_the_declared_warm_up_gives_the_last_row(seed, bar_s):
    """Law 2: features' warm-up plus the rule's own window and the covariance's, to 1e-6."""
    market = world.panel(seed, 20, bar_s)
    per_hour = 3600 // bar_s
    last = len(market.time) - 1
    needed = warmup_bars(bar_s) + WINDOW_H * per_hour
    assert COVARIANCE_H * per_hour < needed < last
    tail = rows(market, last + 1 - needed, last + 1)
    time = int(market.time[-1])
    whole, short = of(market, last).at(time, time - bar_s), of(tail, needed - 1).at(time, time - bar_s)

    for name, expected in parts(whole).items():
        got = parts(short)[name]
        if name == "ready":
            assert (got <= expected).all()
        elif name != "moves":
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(short.moves, whole.moves[-len(short.moves) :], atol=1e-12)


def test_half_of_the_warm_up_is_not_enough():
    """The check of law 2 can fail: with half the window some feature of the last row differs."""
    market = world.panel(1, 20, 3600)
    last = len(market.time) - 1
    tail = rows(market, last + 1 - warmup_bars(3600) // 2, last + 1)
    time = int(market.time[-1])
    whole, short = of(market, last).at(time, 0), of(tail, len(tail.time) - 1).at(time, 0)

    assert not np.allclose(short.features, whole.features, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_what_signals_hand_out_cannot_be_written_to():
    """Arrays are shared by every slot of a replay: nobody may change them."""
    view = world.signals().at(world.START + 3600, 0)

    assert {
        name for name, array in parts(replace(view)).items() if array.base is not None and array.flags.writeable
    } == set()
