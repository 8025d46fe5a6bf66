"""Evidence that cannot flatter: published figures, slow twins written plainly, and Monte Carlo on pure luck."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from evenkeel.errors import DataError
from evenkeel.research import significance

ARCH = [(0.0, 1.0), (0.3, 5.696173677089138), (0.6, 10.773239698159122), (0.9, 30.443743555694677)]
YEARLY = 2.5 / math.sqrt(250)


def test_the_papers_example():
    """Bailey & Lopez de Prado 2014: 100 trials, variance 1/2 a year, Sharpe 2.5, 1250 days, skew -3, kurtosis 10."""
    hurdle = significance.expected_maximum(100, 0.5 / 250)

    assert round(hurdle, 4) == 0.1132
    assert round(significance.probabilistic_sharpe(YEARLY, hurdle, 1250, -3, 10), 4) == 0.9004


def test_the_papers_trials_at_95_percent():
    """The same paper: 46 trials still pass, or 88 had the returns been normal."""
    fat = significance.probabilistic_sharpe(YEARLY, significance.expected_maximum(46, 0.5 / 250), 1250, -3, 10)
    normal = significance.probabilistic_sharpe(YEARLY, significance.expected_maximum(88, 0.5 / 250), 1250)

    assert round(fat, 4) == 0.9505
    assert round(normal, 4) == 0.9505


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_the_expected_maximum_is_that_of_many_draws(trials):
    rng = np.random.default_rng(1)
    drawn = 0.3 * rng.standard_normal((4_000, trials)).max(axis=1)

    assert math.isclose(significance.expected_maximum(trials, 0.09), drawn.mean(), rel_tol=0.03)


def test_one_trial_has_no_hurdle_and_none_cannot_be():
    assert significance.expected_maximum(1, 5.0) == 0.0
    with pytest.raises(DataError, match="ledger"):
        significance.expected_maximum(0, 1.0)


def test_a_single_try_of_noise_is_believed_one_time_in_twenty():
    """With one trial the deflated Sharpe is uniform on noise, fat tails or not."""
    rng = np.random.default_rng(2)
    found = [significance.deflated_sharpe(row, 1, None).probability for row in 0.02 * rng.standard_t(5, (2_000, 400))]

    assert 0.035 < np.mean(np.array(found) >= 0.95) < 0.065
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_the_best_of_many_noises_is_not_believed():
    """100 tries: the winner's plain Sharpe convinces nearly always, its deflated one hardly ever."""
    rng = np.random.default_rng(3)
    plain, deflated = [], []
    for _ in range(300):
        tries = rng.standard_normal((100, 400))
        ratios = tries.mean(axis=1) / tries.std(axis=1, ddof=1)
        winner = tries[ratios.argmax()]
        plain.append(significance.deflated_sharpe(winner, 1, None).probability)
        deflated.append(significance.deflated_sharpe(winner, 100, float(np.var(ratios, ddof=1))).probability)

    assert np.mean(np.array(plain) >= 0.95) > 0.9
    assert np.mean(np.array(deflated) >= 0.95) < 0.05
    assert 0.4 < np.mean(deflated) < 0.6


def test_unknown_variance_is_what_luck_spreads():
    rng = np.random.default_rng(4)
    tries = rng.standard_normal((3_000, 300))
    spread = np.var(tries.mean(axis=1) / tries.std(axis=1, ddof=1))
    got = significance.deflated_sharpe(tries[0], 50, None)

    assert not got.measured
    assert math.isclose(got.hurdle, significance.expected_maximum(50, spread), rel_tol=0.03)


def test_nothing_is_said_about_a_curve_that_stands_still():
    assert significance.deflated_sharpe(np.zeros(100), 5, 0.1).probability is None
    assert significance.deflated_sharpe(np.full(100, 0.1), 5, 0.1).sharpe is None


# ---------------------------------------------------------------- PBO


def slow_pbo(returns, blocks):
    """The paper's algorithm, one split at a time."""
    size = len(returns) // blocks
    parts = np.array_split(returns[len(returns) - size * blocks :], blocks)
    below = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in range(blocks) if i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1)))
        rank = stats.rankdata(outside.mean(axis=0) / outside.std(axis=0, ddof=1))[best]
        share = rank / (returns.shape[1] + 1)
        below.append(math.log(share / (1 - share)) <= 0)
    return float(np.mean(below))


@pytest.mark.parametrize(("blocks", "rows"), [(4, 203), (6, 211), (8, 160)])
def test_pbo_equals_its_slow_twin(blocks, rows):
    returns = np.random.default_rng(blocks).standard_normal((rows, 13))

    assert significance.overfitting(returns, blocks).probability == slow_pbo(returns, blocks)


def test_pbo_of_noise_is_about_one_half():
    rng = np.random.default_rng(5)
    found = [significance.overfitting(rng.standard_normal((320, 20)), 8).probability for _ in range(60)]

    assert 0.42 < np.mean(found) < 0.58


def test_pbo_with_one_truly_good_strategy_is_near_zero():
    returns = np.random.default_rng(6).standard_normal((640, 40))
    returns[:, 17] += 0.25
    got = significance.overfitting(returns)

    assert got.splits == 12_870
    assert got.probability < 0.01


def test_pbo_is_not_computed_below_ten_trials():
    got = significance.overfitting(np.random.default_rng(7).standard_normal((320, 9)))

    assert got.probability is None
    assert got.reason == "9 trials, 10 are needed"
    assert significance.overfitting(np.zeros((20, 12))).reason == "20 periods, 32 are needed"
    assert "same days" in significance.overfitting(np.full((64, 12), np.nan)).reason
    with pytest.raises(DataError, match="halved"):
        significance.overfitting(np.zeros((64, 12)), 7)


# ---------------------------------------------------------------- bootstrap


def test_stationary_rows_equal_their_slow_twin():
    count, length = 50, 7.0
    rows = significance.stationary(count, 30, length, np.random.default_rng(8))
    rng = np.random.default_rng(8)
    starts, fresh = rng.integers(0, count, (30, count)), rng.random((30, count)) < 1 / length
    slow = np.empty_like(rows)
    for r in range(30):
        for place in range(count):
            new = place == 0 or fresh[r, place]
            slow[r, place] = starts[r, place] if new else (slow[r, place - 1] + 1) % count

    assert np.array_equal(rows, slow)


def test_circular_rows_are_blocks_of_one_length():
    rows = significance.circular(20, 50, 6, np.random.default_rng(9))
    steps = (rows[:, 1:] - rows[:, :-1]) % 20

    assert (np.delete(steps, [5, 11, 17], axis=1) == 1).all()
    assert (steps[:, [5, 11, 17]] != 1).any()


def test_rows_are_drawn_evenly_and_blocks_have_the_length_asked_for():
    rows = significance.stationary(40, 4_000, 8.0, np.random.default_rng(10))
    broken = (rows[:, 1:] - rows[:, :-1]) % 40 != 1

    assert stats.chisquare(np.bincount(rows[:, 23], minlength=40)).pvalue > 0.001
    assert math.isclose(broken.mean(), 1 / 8 * 39 / 40, rel_tol=0.03)


@pytest.mark.parametrize(("phi", "wanted"), ARCH)
def test_block_length_is_that_of_the_arch_library(phi, wanted):
    """`arch.bootstrap.optimal_block_length` 8.0 on the same series, its 0.106 raised to 1."""
    assert math.isclose(significance.block_length(autoregressive(phi)), wanted, rel_tol=1e-9)


def autoregressive(phi, count=700, seed=0):
    steps = np.random.default_rng(seed).standard_normal(count)
    for i in range(1, count):
        steps[i] += phi * steps[i - 1]
    return steps


def test_the_interval_covers_the_truth_nine_times_in_ten():
    """Also with memory, where a plain bootstrap would be too sure."""
    hits = []
    for seed in range(200):
        series = 0.01 * autoregressive(0.4, 400, seed) + 0.001
        found = significance.intervals(series, np.zeros(400) + 1e-9, np.random.default_rng(seed), resamples=300).active
        hits.append(found.low <= 0.001 <= found.high)

    assert 0.82 < np.mean(hits) < 0.95


def test_estimates_are_those_of_the_days_themselves():
    rng = np.random.default_rng(11)
    ours, theirs = 0.002 + 0.02 * rng.standard_normal((2, 500))
    got = significance.intervals(ours, theirs, np.random.default_rng(0), resamples=200)

    assert math.isclose(got.active.estimate, (ours - theirs).mean(), rel_tol=1e-12)
    assert math.isclose(got.sharpe.estimate, ours.mean() / ours.std(ddof=1) * 365.25**0.5, rel_tol=1e-12)
    growth = [np.prod(1 + row) ** (365.25 / 500) - 1 for row in (ours, theirs)]
    assert math.isclose(got.cagr_difference.estimate, growth[0] - growth[1], rel_tol=1e-9)
    assert got.sharpe.low < got.sharpe.estimate < got.sharpe.high


def test_the_same_seed_gives_the_same_interval():
    ours, theirs = np.random.default_rng(12).standard_normal((2, 100)) * 0.01
    first, second = (significance.intervals(ours, theirs, np.random.default_rng(1), resamples=50) for _ in range(2))

    assert first == second


def test_unlike_days_cannot_be_paired():
    with pytest.raises(DataError, match="same days"):
        significance.intervals(np.zeros(3), np.zeros(4), np.random.default_rng(0))


def test_newey_west_equals_a_plain_double_sum():
    series = autoregressive(0.5, 120) + 0.2
    e, n, lags = series - series.mean(), 120, 6
    total = sum(
        max(0.0, 1 - abs(i - j) / (lags + 1)) * e[i] * e[j] for i in range(n) for j in range(n) if abs(i - j) <= lags
    )

    assert math.isclose(significance.newey_west(series, lags), series.mean() / math.sqrt(total / n**2), rel_tol=1e-9)
    plain = stats.ttest_1samp(series, 0).statistic * math.sqrt(n / (n - 1))
    assert math.isclose(significance.newey_west(series, 0), plain, rel_tol=1e-9)
    assert significance.newey_west(series) < plain


# ---------------------------------------------------------------- the verdict


def judged(gap, *, days=700, trials=1, variance=None):
    rng = np.random.default_rng(13)
    other = 0.02 * rng.standard_normal(days)
    ours = other + gap + 0.005 * rng.standard_normal(days)
    return significance.verdict(
        "buy-and-hold BTC", ours, other, np.random.default_rng(0), trials=trials, variance=variance
    )


def test_a_clear_lead_beats():
    got = judged(0.001)

    assert got.word == "beats"
    assert got.sentence.startswith("Beats buy-and-hold BTC: +0.0")
    assert "after 1 trial." in got.sentence


def test_a_clear_lag_is_worse():
    assert judged(-0.001).word == "worse"


def test_no_difference_cannot_be_distinguished():
    assert judged(0.0).word == "not distinguishable"


def test_the_same_lead_after_many_trials_is_no_longer_believed():
    """The bound is above zero, but the best of so many tries would be too."""
    once, often = judged(0.0006), judged(0.0006, trials=5_000, variance=0.01)

    assert once.word == "beats"
    assert often.intervals.active.low > 0
    assert often.word == "not distinguishable"


def test_a_short_record_tells_nothing():
    got = judged(0.01, days=59)

    assert got.word == "not distinguishable"
    assert "under 60 days nothing can be told" in got.sentence


def test_an_identical_curve_is_not_distinguishable():
    same = 0.01 * np.random.default_rng(14).standard_normal(200)
    got = significance.verdict("itself", same, same, np.random.default_rng(0), trials=1, variance=None)

    assert got.word == "not distinguishable"
    assert "not known" in got.sentence


def test_noise_beats_a_baseline_rarely():
    """Of 300 strategies without any lead at most one in twenty is said to beat."""
    rng = np.random.default_rng(15)
    words = [
        significance.verdict("noise", a, b, rng, trials=1, variance=None, resamples=200).word
        for a, b in 0.01 * rng.standard_normal((300, 2, 250))
    ]

    assert words.count("beats") <= 24
    assert 3 <= words.count("worse") <= 27


def test_just_under_is_not_shown_as_enough():
    assert significance.two_digits(0.9499999) == 0.94
    assert significance.two_digits(0.95) == 0.95
