"""How much of a result is luck: the checks that a published back-test should survive, and one word per baseline.

Daily simple returns in, probabilities and intervals out; Sharpe ratios are per period (not annualised) unless said.
Every function that draws takes a Generator. What cannot be computed honestly is None with a sentence, never a figure.

Bailey & Lopez de Prado 2014 (deflated Sharpe); Bailey, Borwein, Lopez de Prado & Zhu 2017 (PBO by CSCV);
Politis & Romano 1992, 1994 (circular and stationary bootstrap); Politis & White 2004 with the 2009 correction (block
length); Newey & West 1987.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from evenkeel.errors import DataError
from evenkeel.metrics import DAYS_A_YEAR
from evenkeel.types import Array, BoolArray, IntArray

EULER = 0.5772156649015329
NORMAL = NormalDist()
LEVEL = 0.90
RESAMPLES = 2_000
SURE = 0.95
BLOCKS = 16
FEWEST_TRIALS = 10
FEWEST_DAYS = 60
_CHUNK = 512

BEATS, EQUAL, WORSE = "beats", "not distinguishable", "worse"


# ---------------------------------------------------------------- Sharpe ratios and what luck makes of them


@dataclass(frozen=True, slots=True)
class Deflated:
    """A Sharpe ratio judged against the best that `trials` tries without skill would have shown.

    sharpe       per period; None = not known · hurdle  expected maximum of the tries, per period
    probability  that the true ratio exceeds the hurdle, in [0, 1]; None = not known
    measured     whether the variance between the trials was measured, or taken as what luck alone spreads
    """

    sharpe: float | None
    hurdle: float
    probability: float | None
    trials: int
    measured: bool


def sharpe_ratio(returns: Array) -> float:
    """Mean over sample deviation; NaN below 2 returns or at 0 risk."""
    if len(returns) < 2:
        return math.nan
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation if deviation > 1e-12 else math.nan


def probabilistic_sharpe(sharpe: float, hurdle: float, count: int, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Probability that the true Sharpe ratio exceeds the hurdle, both per period, after `count` returns.

    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1)/4 SR^2)); kurtosis 3 = normal
    """
    variance = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return NORMAL.cdf((sharpe - hurdle) * math.sqrt(count - 1) / math.sqrt(max(variance, 1e-12)))


def expected_maximum(trials: int, variance: float) -> float:
    """Expected highest Sharpe ratio of `trials` independent tries without skill whose ratios have this variance.

    sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))), g = Euler's constant; 0 for a single try
    """
    if trials < 1 or variance < 0:
        raise DataError(f"{trials} trials with a variance of {variance} cannot be: enter every trial in the ledger")
    if trials == 1:
        return 0.0
    upper = (1.0 - EULER) * NORMAL.inv_cdf(1.0 - 1.0 / trials) + EULER * NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * upper


def deflated_sharpe(returns: Array, trials: int, variance: float | None) -> Deflated:
    """The probabilistic Sharpe ratio of daily returns against the expected maximum of all tries.

    trials    every configuration ever tried in the family, interrupted ones too, this one included
    variance  of the trials' Sharpe ratios, per period; None = not known: 1/(n - 1), what luck alone spreads
    """
    ratio, count = sharpe_ratio(returns), len(returns)
    hurdle = expected_maximum(trials, variance if variance is not None else 1.0 / max(count - 1, 1))
    if not math.isfinite(ratio):
        return Deflated(None, hurdle, None, trials, variance is not None)
    centred = returns - np.mean(returns)
    square = float(np.mean(centred**2))
    skew, kurtosis = float(np.mean(centred**3)) / square**1.5, float(np.mean(centred**4)) / square**2
    probability = probabilistic_sharpe(ratio, hurdle, count, skew, kurtosis)
    return Deflated(ratio, hurdle, probability, trials, variance is not None)


# ---------------------------------------------------------------- probability of back-test overfitting


@dataclass(frozen=True, slots=True)
class Overfit:
    """How often the best configuration in one half of the blocks falls below the median in the other half.

    probability  in [0, 1]; None = not computed, and `reason` says why
    logits       (C,) ln(w / (1 - w)) of the winner's relative rank w out of sample, one per split
    """

    probability: float | None
    trials: int
    splits: int
    reason: str
    logits: Array


def overfitting(returns: Array, blocks: int = BLOCKS) -> Overfit:
    """PBO by combinatorially symmetric cross-validation; performance is the Sharpe ratio.

    returns (T, N) per period of N trials over the same T periods; the oldest T mod `blocks` rows are left out
    """
    periods, trials = returns.shape
    if blocks < 2 or blocks % 2:
        raise DataError(f"{blocks} blocks cannot be halved: give an even number")
    reason = ""
    if trials < FEWEST_TRIALS:
        reason = f"{trials} trials, {FEWEST_TRIALS} are needed"
    elif periods < 2 * blocks:
        reason = f"{periods} periods, {2 * blocks} are needed"
    elif not np.isfinite(returns).all():
        reason = "the trials do not cover the same days"
    if reason:
        return Overfit(None, trials, 0, reason, np.empty(0))
    size = periods // blocks
    parts = returns[periods - size * blocks :].reshape(blocks, size, trials)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    picks = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(picks), blocks))
    chosen[np.arange(len(picks))[:, None], picks] = 1.0
    groups = np.array_split(chosen, max(1, len(chosen) // _CHUNK))
    rank = np.concatenate([_winner_rank(group, sums, squares, size * blocks // 2) for group in groups])
    share = rank / (trials + 1)
    logits: Array = np.log(share / (1.0 - share))
    return Overfit(float(np.mean(logits <= 0)), trials, len(logits), "", logits)


def _winner_rank(chosen: Array, sums: Array, squares: Array, count: int) -> Array:
    """Rank (1 = worst, ties share the mean) out of sample of each split's winner in sample; chosen (C, S)."""
    inside = _ratios(chosen @ sums, chosen @ squares, count)
    outside = _ratios((1.0 - chosen) @ sums, (1.0 - chosen) @ squares, count)
    own = outside[np.arange(len(inside)), inside.argmax(axis=1)][:, None]
    rank: Array = (outside < own).sum(axis=1) + ((outside == own).sum(axis=1) + 1.0) / 2.0
    return rank


def _ratios(total: Array, square: Array, count: int) -> Array:
    """Sharpe ratios from sums and sums of squares; 0 for a series that stands still."""
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0.0) * count / (count - 1)
    ratio: Array = np.divide(mean, np.sqrt(variance), out=np.zeros_like(mean), where=variance > 1e-24)
    return ratio


# ---------------------------------------------------------------- block bootstrap


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its two-sided interval; `level` 0.90 leaves 5 % on either side. NaN = not known."""

    estimate: float
    low: float
    high: float
    level: float


def block_length(series: Array) -> float:
    """Expected block length of the stationary bootstrap that suits the series' memory; 1 = no memory.

    (2 G^2 / D)^(1/3) n^(1/3) with a flat-top window up to twice the lag where correlation becomes noise
    """
    count = len(series)
    if count < 8:
        return 1.0
    centred = series - np.mean(series)
    run = max(5, int(math.log10(count)))
    reach = min(math.ceil(math.sqrt(count)) + run, count - 1)
    products = np.array([float(centred[: count - lag] @ centred[lag:]) for lag in range(reach + 1)])
    if products[0] <= 1e-24 * count:
        return 1.0
    scale = [float(np.linalg.norm(centred[: count - lag]) * np.linalg.norm(centred[lag:])) for lag in range(reach + 1)]
    quiet = np.abs(products) < 2.0 * math.sqrt(math.log10(count) / count) * np.array(scale)
    starts = [lag for lag in range(1, reach - run + 2) if quiet[lag : lag + run].all()]
    window = min(2 * (starts[0] if starts else int(np.flatnonzero(~quiet)[-1])), reach)
    lags = np.arange(-window, window + 1)
    taper = np.where(np.abs(lags) <= window / 2, 1.0, 2.0 * (1.0 - np.abs(lags) / window))
    weighted = taper * products[np.abs(lags)] / count
    drift, spectrum = float(np.sum(np.abs(lags) * weighted)), float(np.sum(weighted))
    length = (drift**2 / spectrum**2 * count) ** (1.0 / 3.0) if spectrum > 0 else 1.0
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(count), count / 3.0))))


def stationary(count: int, resamples: int, length: float, rng: np.random.Generator) -> IntArray:
    """Row numbers (resamples, count): blocks of geometric length with mean `length`, wrapped round the end."""
    starts = rng.integers(0, count, (resamples, count))
    fresh = rng.random((resamples, count)) < 1.0 / length
    fresh[:, 0] = True
    return _follow(starts, fresh)


def circular(count: int, resamples: int, length: int, rng: np.random.Generator) -> IntArray:
    """Row numbers (resamples, count): blocks of one `length`, wrapped round the end."""
    starts = rng.integers(0, count, (resamples, count))
    return _follow(starts, np.broadcast_to(np.arange(count) % length == 0, starts.shape))


def _follow(starts: IntArray, fresh: BoolArray) -> IntArray:
    """Each row goes on from its last fresh start, one step at a time, round the end."""
    place = np.arange(starts.shape[1])
    begun = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    rows: IntArray = (np.take_along_axis(starts, begun, axis=1) + place - begun) % len(place)
    return rows


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the paired block bootstrap says: daily active return, yearly Sharpe ratios, difference of CAGR."""

    active: Interval
    sharpe: Interval
    sharpe_difference: Interval
    cagr_difference: Interval
    length: float
    resamples: int


def intervals(
    returns: Array,
    baseline: Array,
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    length: float | None = None,
) -> Intervals:
    """Stationary bootstrap of paired daily returns (D,), (D,): the same days are drawn for both.

    length  expected block length in days; None = chosen from the active return's own memory
    """
    count = len(returns)
    if count != len(baseline) or count < 2:
        raise DataError(f"{count} and {len(baseline)} daily returns cannot be compared: give the same days, at least 2")
    days = length if length is not None else block_length(returns - baseline)
    step = max(1, 2_000_000 // count)
    drawn = []
    for done in range(0, resamples, step):
        rows = stationary(count, min(step, resamples - done), days, rng)
        drawn.append(_figures(returns[rows], baseline[rows]))
    own = _figures(returns[None, :], baseline[None, :])[:, 0]
    rows_of = np.concatenate(drawn, axis=1)
    made = [_interval(float(estimate), row, level) for estimate, row in zip(own, rows_of, strict=True)]
    return Intervals(made[0], made[1], made[2], made[3], days, resamples)


def _figures(returns: Array, baseline: Array) -> Array:
    """Rows of figures (4, R): mean active, Sharpe, difference of Sharpe, difference of CAGR; returns (R, D)."""
    year = DAYS_A_YEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, theirs = (row.mean(axis=1) / row.std(axis=1, ddof=1) * math.sqrt(year) for row in (returns, baseline))
        growth = [np.expm1(np.log1p(row).mean(axis=1) * year) for row in (returns, baseline)]
        return np.array([(returns - baseline).mean(axis=1), ours, ours - theirs, growth[0] - growth[1]])


def _interval(estimate: float, sample: Array, level: float) -> Interval:
    if not (math.isfinite(estimate) and np.isfinite(sample).all()):
        return Interval(estimate, math.nan, math.nan, level)
    low, high = np.quantile(sample, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(low), float(high), level)


def newey_west(series: Array, lags: int | None = None) -> float:
    """Statistic t of the mean with Bartlett weights over `lags` (None: 4 (n/100)^(2/9)); NaN if it cannot be known."""
    count = len(series)
    if count < 3:
        return math.nan
    reach = min(lags if lags is not None else int(4.0 * (count / 100.0) ** (2.0 / 9.0)), count - 1)
    centred = series - np.mean(series)
    variance = float(centred @ centred) / count
    for lag in range(1, reach + 1):
        variance += 2.0 * (1.0 - lag / (reach + 1.0)) * float(centred[lag:] @ centred[:-lag]) / count
    return float(np.mean(series)) / math.sqrt(variance / count) if variance > 1e-24 else math.nan


# ---------------------------------------------------------------- the verdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word about one baseline, and everything that it stands on.

    word  `beats`, `not distinguishable` or `worse` · sentence  the same for people, claiming no more
    t     Newey-West t of the daily active return; NaN = not known
    """

    baseline: str
    word: str
    sentence: str
    days: int
    intervals: Intervals
    t: float
    deflated: Deflated


def verdict(
    baseline: str,
    returns: Array,
    other: Array,
    rng: np.random.Generator,
    *,
    trials: int,
    variance: float | None,
    resamples: int = RESAMPLES,
) -> Verdict:
    """Judge daily returns (D,) against a baseline's of the same days.

    *beats* needs both: the lower bound of the 90 % interval of the daily active return > 0, and its deflated Sharpe
    ratio >= 0.95. *worse*: the upper bound < 0. All else, and anything under 60 days, is *not distinguishable*.
    """
    difference = returns - other
    found = intervals(returns, other, rng, resamples=resamples)
    judged = deflated_sharpe(difference, trials, variance)
    word = EQUAL
    if len(returns) >= FEWEST_DAYS:
        if found.active.low > 0 and (judged.probability or 0.0) >= SURE:
            word = BEATS
        elif found.active.high < 0:
            word = WORSE
    sentence = _sentence(baseline, word, found.active, judged, len(returns))
    return Verdict(baseline, word, sentence, len(returns), found, newey_west(difference), judged)


def two_digits(probability: float) -> float:
    """Rounded down, so that 0.949 is never shown as what is asked for."""
    return math.floor(probability * 100.0) / 100.0


def _sentence(baseline: str, word: str, active: Interval, judged: Deflated, days: int) -> str:
    start = {BEATS: f"Beats {baseline}", WORSE: f"Worse than {baseline}", EQUAL: f"Not distinguishable from {baseline}"}
    probability = "not known" if judged.probability is None else f"{two_digits(judged.probability):.2f}"
    short = f"; under {FEWEST_DAYS} days nothing can be told" if days < FEWEST_DAYS else ""
    return (
        f"{start[word]}: {active.estimate:+.3%} a day, {active.level:.0%} interval {active.low:+.3%} to "
        f"{active.high:+.3%} over {days} days; deflated Sharpe ratio of the difference {probability} after "
        f"{judged.trials} {'trial' if judged.trials == 1 else 'trials'}{short}."
    )
