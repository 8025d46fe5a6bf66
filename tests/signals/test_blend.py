"""Opinions into one expected return."""

from dataclasses import replace

import numpy as np
import pytest
import world

from evenkeel.decide import decide
from evenkeel.signals.blend import OpinionSettings, WeightByRegime, blend, day_vol, lost, strength
from evenkeel.types import Book, Brain, Health, Holdings, Opinion, Slot, SlotKind

REGIME = np.array([0.2, 0.5, 0.3, 0, 1, 0])
VOL = np.array([0.5, 1.0, np.nan])
X = np.array([1.0, -2.0, 1.0])
NAN = float("nan")


def opinion(name="alpha", x=X, health=Health.OK, b=0.01):
    return Opinion(name, np.asarray(x, dtype=float), health, b)


def test_one_opinion_by_hand():
    """M = g b x sigma_24h; s = b x g; no volatility, no opinion."""
    settings = OpinionSettings(alpha_weight=WeightByRegime(1.0, 2.0, 0.0))
    m, s = blend([opinion()], VOL, REGIME, settings)

    np.testing.assert_allclose(s, [0.012, -0.024, 0.0])
    np.testing.assert_allclose(m[:2], s[:2] * VOL[:2] / np.sqrt(365.25))
    assert m[2] == 0.0


@pytest.mark.parametrize("health", [Health.OFF, Health.MISSING, Health.STALE, Health.EXPIRED])
def test_an_opinion_that_is_not_well_adds_nothing_and_nobody_gets_louder(health):
    alone = blend([opinion()], VOL, REGIME, OpinionSettings())
    beside = blend([opinion(), opinion("edge", [9, 9, 9], health)], VOL, REGIME, OpinionSettings())

    np.testing.assert_array_equal(alone, beside)


def test_unknown_x_adds_nothing():
    _, s = blend([opinion(), opinion("edge", [NAN, 1.0, NAN])], VOL, REGIME, OpinionSettings())

    np.testing.assert_allclose(s, [0.01, -0.01, 0.0])


@pytest.mark.parametrize(
    ("ic", "t", "expected"),
    [
        (0.05, 3.0, 0.002 + 0.048 * (1 - 1 / 9)),
        (0.05, 1.0, 0.002),
        (0.05, 0.5, 0.002),
        (-0.05, -1.5, max(0.0, 0.002 - 0.052 * (1 - 1 / 2.25))),
        (-0.05, -2.1, 0.0),
        (NAN, 3.0, 0.002),
        (0.05, NAN, 0.002),
        (0.05, 0.0, 0.002),
    ],
)
def test_strength_by_hand(ic, t, expected):
    assert strength(ic, t) == pytest.approx(expected)


def test_day_vol_is_a_days_share_of_the_year():
    assert day_vol(np.array([1.0]))[0] == pytest.approx((1 / 365.25) ** 0.5)


def test_lost_means_wanted_and_all_failed():
    silent = opinion(x=[NAN] * 3)
    gone, off, well = opinion(health=Health.MISSING), opinion(health=Health.OFF), opinion("rule")

    assert lost([gone, off])
    assert lost([silent])
    assert not lost([off])
    assert not lost([gone, well])
    assert not lost([])


def decided(at, lost_since):
    """A rebalance of an all-cash book while no opinion can be had and none stands in."""
    settings = replace(world.RULES.opinions, rule=False)
    view = world.view(at)
    silent, nothing = tuple(replace(o, health=Health.MISSING) for o in view.opinions), np.zeros(len(view.assets))
    view = replace(view, opinions=silent, expected=nothing, score=nothing, heard=False)
    memory = world.memory(cash=world.Decimal(100_000), opinions_lost=lost_since)
    book = Book(Holdings(at, world.Decimal(100_000), {}), memory)
    return decide(view, book, Brain(), replace(world.RULES, opinions=settings), Slot(SlotKind.REBALANCE, at))


def test_when_all_opinions_are_lost_nothing_is_bought_for_a_day_then_the_base():
    at = world.START + world.DAY

    assert decided(at, 0).orders == ()
    assert decided(at, 0).carry.opinions_lost == at
    assert decided(at, at - world.DAY + 1).orders == ()
    later = decided(at, at - world.DAY)
    assert later.orders
    np.testing.assert_array_equal(later.score, 0.0)
    assert later.carry.opinions_lost == at - world.DAY
