"""What an exam says is what was earned: figures of made-up books, and evidence of what was learned."""

import math

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

from evenkeel.errors import NotReadyError
from evenkeel.research import exams
from evenkeel.research.exams import Exam
from evenkeel.research.significance import EQUAL, WORSE
from evenkeel.research.tilts import proven, tilt, tilted
from evenkeel.signals.policy import NAMES
from research import planted_school as school
from signals.straight import line

HOUR = 3_600


def exam(net, matched=None, won=True):
    """One budget, one book that stands open at every hour."""
    net = np.array([net], dtype=np.float64)
    matched = np.zeros_like(net) if matched is None else np.array([matched], dtype=np.float64)
    time = HOUR * np.arange(1, net.shape[1] + 1)
    books, nought = np.ones(net.shape, dtype=np.int64), np.zeros((1, 1))
    return Exam(time, (1_000.0,), books, net, matched, np.array([[won]]), nought, nought.astype(np.int64))


def test_the_sharpe_ratio_is_that_of_the_active_return():
    net, matched = np.tile([0.02, 0.0, 0.01], 40), np.tile([0.01, 0.0, 0.005], 40)
    active = net - matched

    found = exam(net, matched).figures()

    assert found.sharpe == pytest.approx(active.mean() / active.std(ddof=1) * math.sqrt(365.25 * 24))


def test_a_drawdown_is_measured_from_the_highest_wealth():
    assert exam(np.log([1.1, 0.8, 1.05, 0.9, 1.5])).figures().max_drawdown == pytest.approx(1 - 0.8 * 1.05 * 0.9)
    assert exam([-0.1, 0.0]).figures().max_drawdown == pytest.approx(1 - math.exp(-0.1))


def test_what_stands_still_has_no_sharpe_and_the_worst_score():
    found = exam(np.zeros(50)).figures()

    assert math.isnan(found.sharpe)
    assert found.score == -math.inf
    assert found.to_json() == {"sharpe": None, "max_drawdown": 0.0, "win_rate": 1.0, "score": None}


def test_days_are_sums_of_their_hours():
    ours, theirs = exam(np.full(48, 0.01), np.full(48, 0.005)).daily()

    np.testing.assert_allclose(ours, np.expm1([0.24, 0.24]))
    np.testing.assert_allclose(theirs, np.expm1([0.12, 0.12]))


def test_rows_without_books_are_left_out():
    made = exam([0.01, 0.5, 0.02])
    made.books[0, 1] = 0

    time, net, _ = made.growth()

    assert net.tolist() == [0.01, 0.02]
    assert time.tolist() == [HOUR, 3 * HOUR]


def test_the_words_are_those_of_every_verdict():
    """A hundred days: losing every day is worse, as good as equal is neither; two days are too few for any word."""
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal(2_400)

    assert exams.verdict(exam(noise - 0.002), rng).word == WORSE
    assert exams.verdict(exam(noise - noise.mean()), rng).word == EQUAL
    with pytest.raises(NotReadyError, match="1 days of books"):
        exams.verdict(exam([0.1]), rng)


def test_a_tilt_is_asked_of_a_half_held_slot():
    """Its share, no gain, no age, no cool-down, and what of the budget a full slot invests."""
    market = np.zeros((1, 2, len(NAMES) - 6), dtype=np.float32)
    for name, wanted in zip(NAMES[-6:], (0.5, 0.5, 0.0, 0.0, 0.0, math.log10(0.97 * 2e4) - 4), strict=True):
        one = exams.alone(line(**{name: 1.0}))

        found = tilt(one, market, np.full((1, 3), 1 / 3), np.full((1, 2), 0.05), 2e4)

        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_was_learned_has_evidence():
    """The tilt of an actor that learned a planted pattern orders the assets; one that learned noise does not."""
    found = {}
    for strength in (0.2, 0.0):
        learner, desk = school.learned(strength, 3, 2, books=128)
        since = int(desk.tape.time[school.CUT])
        player = exams.alone(learner.actor())
        found[strength] = tilted(player, desk.tape, desk.market, desk.regime, since, 1e4).evidence

    assert found[0.2].ic > 0.15
    assert found[0.2].ic_t > 5
    assert abs(found[0.0].ic) < 0.08
    assert proven(found[0.2])
