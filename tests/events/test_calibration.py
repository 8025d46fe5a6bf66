"""Isotonic curves of settled prices, and the model that serves them."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.events.calibration import Calibrated, fitted, isotonic
from events.laddered import NOW, board, made


def best_by_trying(y, weight, levels):
    """The least weighted squares over every non-decreasing sequence of the levels."""
    rising = np.array(list(combinations_with_replacement(levels.tolist(), len(y))))
    return float(((rising - y) ** 2 @ weight).min())


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([1.0, 2.0])), min_size=1, max_size=5))
def test_pooling_is_nearest_of_all_rising_sequences(rows):
    """Against every rising sequence of 13 levels: none is nearer, and pooled means are kept."""
    y, weight = (np.array(x) for x in zip(*rows, strict=True))

    found = isotonic(y, weight)

    assert (np.diff(found) >= 0).all()
    assert float(weight @ (found - y) ** 2) <= best_by_trying(y, weight, np.linspace(0, 1, 13)) + 1e-12
    assert weight @ found == pytest.approx(weight @ y)


def test_a_planted_longshot_bias_is_found_on_both_sides():
    """Prices of 0.1 that come true 5 % of the time, of 0.9 that do 95 %: inside its interval, the diagonal outside."""
    rng = np.random.default_rng(3)
    price = rng.choice([0.1, 0.5, 0.9], 6000)
    true = np.select([price == 0.1, price == 0.9], [0.05, 0.95], 0.5)

    curve = fitted(price, (rng.random(6000) < true).astype(float), np.ones(6000))
    low, high = curve.interval

    assert curve.price.tolist() == pytest.approx([0.1, 0.5, 0.9])
    assert (np.abs(curve.p - [0.05, 0.5, 0.95]) < 3 * curve.error).all()
    assert high[0] < 0.1
    assert low[2] > 0.9
    assert curve.count.sum() == 6000


def test_contracts_of_one_event_count_once():
    """Weights that sum to 1 in an event: ten copies have the counts and the error of one."""
    price, outcome = np.linspace(0.05, 0.95, 50), (np.arange(50) % 3 == 0).astype(float)
    once = fitted(price, outcome, np.ones(50))

    ten = fitted(np.repeat(price, 10), np.repeat(outcome, 10), np.full(500, 0.1))

    assert ten.p == pytest.approx(once.p)
    assert ten.error == pytest.approx(once.error)
    assert ten.count == pytest.approx(once.count)


def test_a_step_that_never_came_has_an_error():
    """Twenty times no YES: p is 0, and its error is not."""
    curve = fitted(np.full(20, 0.03), np.zeros(20), np.ones(20))

    assert curve.p.tolist() == [0]
    assert 0.01 < curve.error[0] < 0.1


def test_the_model_speaks_only_of_what_it_saw():
    """Other series, other times to close, prices outside of the fit, one-sided quotes: NaN."""
    curve = fitted(np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.0, 1.0]), np.ones(3))
    model = Calibrated("calibration@1", frozenset({"KXBTCD"}), (60.0, 7200.0, 86400.0), (curve, None))
    rows = [made(floor=1.0, bid="0.68", ask="0.72"), made(floor=2.0, bid="0.68", ask="0.72", ticker="KXETHD-X-1"),
            made(floor=3.0, bid="0.96", ask="0.98"), made(floor=4.0, bid=None, ask="0.72"),
            made(floor=5.0, bid="0.68", ask="0.72", expiry=NOW + 7201),
            made(floor=6.0, bid="0.68", ask="0.72", expiry=NOW + 30),
            made(floor=7.0, bid="0.68", ask="0.72", expiry=NOW + 90_000)]  # fmt: skip

    fair = model(board(*rows), {})

    assert fair.p[0] == pytest.approx(np.interp(0.7, curve.price, curve.p))
    assert np.isnan(fair.p[1:]).all()
    assert np.isnan(fair.error[1:]).all()
