"""Scores and intervals that count independent events, the slope of a longshot bias, splits that do not leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import DataError, EvidenceError
from evenkeel.research.kalshi import bias, scores, split
from evenkeel.research.kalshi.settled import Settled
from research.kalshi_files import logit, sigmoid


def quotes(close, per_close=1, begins=None):
    """Rows of events that close at `close`, each seen `per_close` times before."""
    close = np.repeat(np.asarray(close, dtype=np.int64), per_close)
    time = close - 100 if begins is None else np.repeat(np.asarray(begins, dtype=np.int64), per_close)
    name = close.astype(np.str_)
    half = np.full(len(close), 0.5)
    return Settled(name, name, name, name, time, close, half - 0.01, half + 0.01, np.zeros(len(close)))


def test_scores_are_their_textbook_values():
    p, y = np.array([0.8, 0.3, 1.0]), np.array([1.0, 0.0, 0.0])

    assert scores.brier(p, y) == pytest.approx([0.04, 0.09, 1.0])
    assert scores.log_loss(p, y) == pytest.approx([-np.log(0.8), -np.log(0.7), -np.log(0.001)])


def test_quotes_of_one_event_count_once():
    """Ten copies of every row change neither a mean nor its interval; ten events in one cluster are one."""
    rng = np.random.default_rng(1)
    value, names = rng.standard_normal((1, 40)), np.arange(40).astype(np.str_)

    once = scores.means(value, names, 5)[0]
    ten = scores.means(np.repeat(value, 10, axis=1), np.repeat(names, 10), 5)[0]

    assert ten.clusters == once.clusters == 40
    assert (ten.value, ten.low, ten.high) == pytest.approx((once.value, once.low, once.high))
    assert scores.means(value, np.repeat(["a", "b", "c", "d"], 10), 5)[0].clusters == 4


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """300 samples of 40 clusters with a shared error each: 84 % to 96 % of the intervals hold 0; naive ones do not."""
    rng = np.random.default_rng(2)
    names = np.repeat(np.arange(40), 8).astype(np.str_)
    rows = np.arange(320).astype(np.str_)
    shared = rng.standard_normal((300, 40)).repeat(8, axis=1) + 0.3 * rng.standard_normal((300, 320))

    def covered(cluster):
        found = scores.means(shared, cluster, 3)
        return np.mean([one.low <= 0 <= one.high for one in found])

    assert 0.84 <= covered(names) <= 0.96
    assert covered(rows) < 0.6


def test_the_market_against_itself_is_no_difference():
    rng = np.random.default_rng(4)
    mid, outcome = rng.uniform(0.05, 0.95, 200), (rng.random(200) < 0.5).astype(float)

    found = scores.compared(mid, mid, outcome, np.arange(200).astype(np.str_), 1)

    assert found.brier_difference.value == found.log_loss_difference.value == 0
    assert found.brier_difference.sure == 0


def test_every_forecast_is_in_one_bucket_and_a_perfect_one_is_not_sure():
    """Counts add up, 0 and 1 too; where all came alike the bound is that of as many like draws."""
    p = np.array([0.0, 0.04, 0.05, 0.5, 0.97, 0.98, 1.0])
    outcome = np.array([0, 0, 1, 1, 1, 1, 1.0])

    found = scores.reliability(p, outcome, np.arange(7).astype(np.str_), 1)

    assert sum(one.rows for one in found) == 7
    assert found[-1].rows == 3
    assert (found[-1].came.low, found[-1].came.high) == (pytest.approx(0.05 ** (1 / 3)), 1.0)
    assert found[0].came.high == pytest.approx(1 - 0.05**0.5)


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (1.0, "no longshot bias is shown"),
        (1.8, "a longshot bias is shown"),
        (0.5, "no longshot bias, but its opposite"),
    ],
)
def test_a_planted_slope_is_found(slope, words):
    rng = np.random.default_rng(6)
    mid = rng.uniform(0.05, 0.95, 1500)
    outcome = (rng.random(1500) < sigmoid(slope * logit(mid))).astype(float)

    found = bias.bias(mid, outcome, np.arange(1500).astype(np.str_), 7)

    assert found.slope.low <= slope <= found.slope.high
    assert found.words.startswith(words)


def test_the_slope_solves_the_score_equations():
    """At the maximum of the likelihood the residuals are orthogonal to 1 and to the log odds."""
    rng = np.random.default_rng(8)
    x = np.stack([np.ones(300), rng.standard_normal(300)], axis=1)
    y = (rng.random(300) < sigmoid(0.4 + 1.3 * x[:, 1])).astype(float)

    beta = bias.slopes(x, y, np.ones((1, 300)))[0]

    assert x.T @ (y - sigmoid(x @ beta)) == pytest.approx([0, 0], abs=1e-5)


def test_few_games_have_no_slope():
    found = bias.bias(np.full(20, 0.4), np.tile([0.0, 1.0], 10), np.arange(20).astype(np.str_), 1)

    assert found.words.startswith("not judged: 20 events")
    assert np.isnan(found.slope.value)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 60), min_size=26, max_size=60, unique=True), st.integers(1, 4), st.floats(0.4, 0.6))
def test_a_split_by_close_shares_nothing(closes, rows, part):
    """Events that close together are on one side; what was learned had settled before the first judged quote."""
    close = 1_000_000 + 900 * np.sort(np.array(closes))
    given_ = quotes(close, rows, begins=close - 600)

    train = split.by_time(given_, part)

    split.refuse(given_, train)
    assert set(given_.cluster[train]).isdisjoint(given_.cluster[~train])
    assert given_.close[train].max() <= given_.time[~train].min()


def test_events_that_close_together_are_not_torn_apart():
    """Four games a day: the cut falls between days, whatever share is asked for."""
    close = np.repeat(86_400 * np.arange(1, 21), 4)
    games = quotes(close, begins=close - 43_200)
    alone = np.arange(80).astype(np.str_)
    games = replace(games, event=alone, cluster=alone)
    for part in (0.41, 0.5, 0.58):
        train = split.by_time(games, part)

        split.refuse(games, train)
        assert set(games.close[train]).isdisjoint(games.close[~train])
        assert 0 < train.sum() < 80


def test_a_split_by_random_rows_is_refused():
    given_ = quotes(1_000_000 + 900 * np.arange(40), per_close=10)

    with pytest.raises(EvidenceError, match="on both sides of the split"):
        split.refuse(given_, split.by_rows(given_, 2 / 3, 7))


def test_a_split_that_judges_before_all_was_known_is_refused():
    """Random whole events share no event, and still know the future."""
    close = 1_000_000 + 900 * np.arange(40)
    given_ = quotes(close)

    with pytest.raises(EvidenceError, match="not known then"):
        split.refuse(given_, np.arange(40) % 2 == 0)


def test_a_split_with_too_little_on_a_side_is_refused():
    given_ = quotes(1_000_000 + 900 * np.arange(40))

    with pytest.raises(DataError, match="each needs 10"):
        split.by_time(given_, 0.5, before=1_000_000 + 900 * 3)


def test_folds_learn_only_from_what_had_settled():
    """Expanding: each learns from more, and from nothing that closes after its first test quote."""
    close = 1_000_000 + 900 * np.arange(50)
    given_ = quotes(close, per_close=3, begins=close - 1_500)
    cuts = list(split.folds(given_))

    assert len(cuts) == split.FOLDS
    assert all(given_.close[train].max() <= given_.time[test].min() for train, test in cuts)
    assert [int(train.sum()) for train, _ in cuts] == sorted(int(train.sum()) for train, _ in cuts)
    assert not any((train & test).any() for train, test in cuts)
