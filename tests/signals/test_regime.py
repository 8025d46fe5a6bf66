"""Regime probabilities and the label's inertia."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.signals.regime import LABELS, RegimeSettings, probabilities, step
from evenkeel.types import Regime

S = RegimeSettings(dwell=3)


def row(label, p=0.6):
    out = np.full(6, 1 / 3)
    out[:3] = [p if name == label else (1 - p) / 2 for name in LABELS]
    return out


@settings(max_examples=100)
@given(
    breadth=st.one_of(st.floats(0, 1), st.just(float("nan"))),
    week=st.one_of(st.floats(-2, 2), st.just(float("nan"))),
    vol=st.one_of(st.floats(1e-6, 50), st.sampled_from([float("nan"), 0.0])),
)
def test_probabilities_are_probabilities(breadth, week, vol):
    """Direction and volatility each sum to 1 and are never NaN."""
    p = probabilities(np.array([breadth]), np.array([week]), np.array([vol]), S)[0]

    assert (p >= 0).all()
    assert p[:3].sum() == pytest.approx(1.0)
    assert p[3:].sum() == pytest.approx(1.0)


def test_a_broad_rise_is_trend_a_broad_fall_is_down_and_nothing_is_chop():
    p = probabilities(np.array([0.95, 0.5, 0.05]), np.array([0.15, 0.0, -0.15]), np.full(3, 0.5), S)

    assert [LABELS[i] for i in p[:, :3].argmax(axis=1)] == ["trend", "chop", "down"]
    np.testing.assert_allclose(p[0, [0, 1, 2]], p[2, [2, 1, 0]])


def test_volatility_labels_follow_their_limits():
    p = probabilities(np.full(3, 0.5), np.zeros(3), np.array([0.2, 0.5, 1.2]), S)

    assert p[:, 3:].argmax(axis=1).tolist() == [0, 1, 2]


def test_the_unknown_is_uniform():
    np.testing.assert_allclose(probabilities(np.array([np.nan]), np.array([0.0]), np.array([0.5]), S)[0, :3], 1 / 3)


def test_a_challenger_must_lead_three_times_in_a_row():
    regime = Regime("chop", 0)
    for time, label in enumerate(["trend", "trend", "chop", "trend", "trend"]):
        regime = step(regime, row(label), time, S)
    assert regime.label == "chop"

    regime = step(regime, row("trend"), 5, S)

    assert regime == Regime("trend", 5)


def test_another_challenger_begins_anew():
    regime = Regime("chop", 0)
    for time, label in enumerate(["trend", "trend", "down", "down"]):
        regime = step(regime, row(label), time, S)

    assert (regime.label, regime.challenger, regime.streak) == ("chop", "down", 2)


def test_an_unknown_market_keeps_the_label():
    """Uniform probabilities would have argmax at trend: the most exposed label of all."""
    regime = Regime("down", 0)
    for time in range(20):
        regime = step(regime, np.full(6, 1 / 3), time, S)

    assert regime == Regime("down", 0)
