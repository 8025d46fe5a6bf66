"""Probabilities of strikes against closed forms and against simulated minutes of one-second prints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.events.fair import Lognormal, Spot, inside, normal, remaining, sd, vega
from evenkeel.events.volatility import Volatility, realised
from evenkeel.units import YEAR_S
from events.laddered import NOW, board, made, partitioned

PRINTS, PATHS = 60, 4096
VOL = 0.6 / math.sqrt(YEAR_S)


def spot(price=60000.0, sigma=VOL, error=0.0, **changes):
    return {"BTC": Spot(price, 0.0, Volatility(sigma, error), **changes)}


def cases(count, rng):
    """Spot 1; time to close from 1 s to 8 h, a third within the last minute; strikes within 2.5 sd; ranges, tails."""
    left = np.where(
        rng.random(count) < 1 / 3,
        rng.integers(1, 60, count),
        np.exp(rng.uniform(np.log(60), np.log(28800), count)).round(),
    )
    sigma = np.exp(rng.uniform(np.log(0.2), np.log(1.5), count)) / math.sqrt(YEAR_S)
    width = sd(sigma, left)
    done = np.maximum(60 - left, 0)
    averaged = np.where(done > 0, np.exp(sigma * np.sqrt(done) * rng.standard_normal(count)), np.nan)
    centre = np.where(done > 0, (done * averaged + (60 - done)) / 60, 1.0)
    scale = width * np.where(done > 0, left / 60, 1.0)
    a, b = np.sort(centre * np.exp(scale * rng.uniform(-2.5, 2.5, (2, count))), axis=0)
    kind = rng.integers(0, 3, count)
    return left, sigma, averaged, np.where(kind == 0, 0.0, a), np.where(kind == 1, np.inf, b)


def simulated(left, sigma, averaged, low, high, noise):
    """Share of paths whose mean of 60 one-second prints lies in [low, high): prints stand in the middle of seconds.

    noise (PATHS, PRINTS + 1) standard normals: the way to the first open second, then each half second's step.
    """
    open_ = int(min(left, PRINTS))
    way = sigma * math.sqrt(max(left - PRINTS, 0)) * noise[:, 0] - sigma**2 * max(left - PRINTS, 0) / 2
    gaps = np.r_[0.5, np.ones(open_ - 1)]
    steps = sigma * np.sqrt(gaps) * noise[:, 1 : open_ + 1] - sigma**2 * gaps / 2
    prints = np.exp(way[:, None] + np.cumsum(steps, axis=1))
    done = PRINTS - open_
    mean = (prints.sum(axis=1) + (done * averaged if done else 0.0)) / PRINTS
    return float(((mean >= low) & (mean < high)).mean())


def stratified(rng):
    """Normals whose sum over the minute and whose way to it are stratified: the sample is even, not lucky.

    Plain sampling would put one case in 370 beyond three standard errors by chance, and so one run in four.
    """
    direction = np.arange(PRINTS, 0, -1) / np.linalg.norm(np.arange(PRINTS, 0, -1))
    noise = rng.standard_normal((PATHS, PRINTS))
    grid = np.array([quantile((i + 0.5) / PATHS) for i in range(PATHS)])
    even = rng.permutation(grid)
    noise += np.outer(even - noise @ direction, direction)
    return np.column_stack([rng.permutation(grid), noise])


def quantile(p):
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


def test_probabilities_agree_with_simulated_averages():
    """500 random thresholds, ranges and tails, before and within the last minute: within 3 standard errors each."""
    rng = np.random.default_rng(20261121)
    left, sigma, averaged, low, high = cases(500, rng)
    noise = stratified(rng)
    p = inside(remaining(low, left, averaged), remaining(high, left, averaged), np.ones(500), sd(sigma, left))

    found = np.array([simulated(*case, noise) for case in zip(left, sigma, averaged, low, high, strict=True)])

    error = np.sqrt(np.maximum(p * (1 - p), 1 / PATHS) / PATHS)
    z = (found - p) / error
    assert len(p) == 500
    assert np.abs(z).max() < 3, (z[np.abs(z) > 3], left[np.abs(z) > 3])
    assert abs(z.mean()) < 0.1
    assert ((p > 0.02) & (p < 0.98)).sum() > 400


def test_a_point_lognormal_would_be_seen():
    """The same simulation tells sigma^2 (T - 40 s) from sigma^2 T and from the last minute as a point."""
    rng = np.random.default_rng(1)
    left, sigma, averaged, low, high = cases(500, rng)
    short = left < 300
    noise = stratified(rng)
    found = np.array(
        [
            simulated(*c, noise)
            for c in zip(left[short], sigma[short], averaged[short], low[short], high[short], strict=True)
        ]
    )
    point = inside(low[short], high[short], np.ones(short.sum()), sigma[short] * np.sqrt(left[short]))

    z = (found - point) / np.sqrt(np.maximum(point * (1 - point), 1 / PATHS) / PATHS)

    assert (np.abs(z) > 3).mean() > 0.5


@pytest.mark.parametrize(
    ("left", "effective"),
    [(3600, 3560), (60, 20), (61, 21), (59, 59 / 3 + 1 / 354), (2, 0.75), (1, 0.5), (0.5, 0.25)],
)
def test_the_variance_of_the_average(left, effective):
    """sigma^2 (T - 40 s) while a minute or more remains, then that of T prints; the two meet at 60 s."""
    assert sd(2.0, np.array([float(left)]))[0] == pytest.approx(2 * math.sqrt(effective))


@pytest.mark.parametrize("left", [0, -1, -3600])
def test_nothing_is_said_after_the_close(left):
    """NaN at and after the close: who knows the result does not ask for a probability."""
    assert np.isnan(sd(1.0, np.array([float(left)]))).all()


def test_the_closed_form_of_a_threshold():
    """P(above K) = N((ln(S / K) - v / 2) / sqrt(v)), v = sigma^2 (T - 40 s), the strike just above the strict one."""
    b = board(made(floor=60999.99), made("less", None, 61000.0))
    v = VOL**2 * 3560

    fair = Lognormal()(b, spot())

    expected = 0.5 * math.erfc(-(math.log(60000 / 60999.995) - v / 2) / math.sqrt(2 * v))
    assert fair.p[0] == pytest.approx(expected, abs=1e-12)
    assert fair.p.sum() == pytest.approx(1, abs=1e-12)
    assert fair.error.tolist() == [0, 0]


def test_the_printed_part_of_the_minute_decides():
    """With 10 s left and 50 s printed far above the strike the outcome is known; without the prints nothing is."""
    rows = [made(floor=60000.0, expiry=NOW + 10), made("less", None, 60000.0, expiry=NOW + 10)]

    known = Lognormal()(board(*rows), spot(averaged={NOW + 10: 60500.0}))
    unknown = Lognormal()(board(*rows), spot())

    assert known.p.tolist() == [1.0, 0.0]
    assert np.isnan(unknown.p).all()


@pytest.mark.parametrize(
    "spots",
    [{}, {"ETH": Spot(1.0, 0.0, Volatility(VOL, 0.0))}, {"BTC": Spot(60000.0, 61.0, Volatility(VOL, 0.0))},
     {"BTC": Spot(math.nan, 0.0, Volatility(VOL, 0.0))}, {"BTC": Spot(60000.0, 0.0)}],
    ids=["none", "another's", "stale", "no price", "no volatility"],
)  # fmt: skip
def test_what_is_not_known_is_nan(spots):
    """No price, an old one, or no volatility: NaN, never 0.5."""
    assert np.isnan(Lognormal()(board(made(floor=60000.0)), spots).p).all()


@given(st.floats(0.2, 2.0), st.floats(-3, 3), st.floats(0.01, 2))
def test_the_error_of_a_range_is_that_of_its_width(scale, z, wide):
    """The slope in the width, against a finite difference of the probability itself."""
    low, high = np.exp([[0.01 * scale * z], [0.01 * scale * (z + wide)]])
    one, sd_ = np.ones(1), np.array([0.01])

    slope = (inside(low, high, one, sd_ * 1.0001) - inside(low, high, one, sd_ * 0.9999)) / 2e-4

    assert vega(low, high, one, sd_) == pytest.approx(slope, abs=1e-6)


def test_an_uncertain_volatility_is_an_uncertain_probability():
    """At the money it hardly matters, in the wings it does."""
    fair = Lognormal()(board(made(floor=60000.0), made(floor=60800.0)), spot(error=0.2 * VOL))

    assert fair.error[0] < 0.002
    assert 0.015 < fair.error[1] < 0.1


@settings(deadline=None)
@given(
    st.floats(0.05, 3.0),
    st.integers(1, 7 * 86400),
    st.lists(st.integers(40_000, 80_000), min_size=2, max_size=30, unique=True),
)
def test_outcomes_sum_to_one_and_thresholds_fall(vol, left, strikes):
    """A partition sums to 1; a higher strike is never more likely; everything lies in [0, 1]."""
    strikes = sorted(strikes)
    rows = partitioned(strikes, expiry=NOW + left)
    above = [made(floor=float(k), expiry=NOW + left, event="E") for k in strikes]
    spots = spot(sigma=vol / math.sqrt(YEAR_S), averaged={NOW + left: 60000.0})

    p = Lognormal()(board(*rows, *above), spots).p

    assert p[: len(rows)].sum() == pytest.approx(1, abs=1e-9)
    assert (np.diff(p[len(rows) :]) <= 1e-12).all()
    assert ((p >= 0) & (p <= 1)).all()


def test_far_ranges_keep_their_digits():
    """Eight sd above, a range is worth what the tail's difference is, not the rounding of 1 - 1."""
    p = inside(np.array([1.08, -1.0]), np.array([1.09, 0.0]), np.ones(2), np.array([0.01, 0.01]))

    exact = 0.5 * (
        math.erfc((math.log(1.08) + 5e-5) / 0.01 / math.sqrt(2))
        - math.erfc((math.log(1.09) + 5e-5) / 0.01 / math.sqrt(2))
    )
    assert p[0] == pytest.approx(exact, rel=1e-9)
    assert p[0] > 0
    assert p[1] == 0


@given(st.floats(-30, 30))
def test_the_normal_distribution_is_symmetric(z):
    """N(z) + N(-z) = 1, in any shape."""
    assert normal(np.array([[z, -z]])).sum() == pytest.approx(1, abs=1e-15)


def test_volatility_is_what_the_prices_did():
    """A walk of known volatility at irregular times, within three of its own errors; the error shrinks with more."""
    rng = np.random.default_rng(5)
    time = np.cumsum(rng.integers(20, 100, 4000)) + NOW
    price = 100 * np.exp(np.cumsum(VOL * np.sqrt(np.diff(time, prepend=NOW)) * rng.standard_normal(4000)))

    long, short = (realised(time, price, int(time[-1]), half_life_s=h) for h in (1e9, 3600.0))

    assert abs(long.sigma - VOL) < 3 * long.error
    assert long.error == pytest.approx(VOL / math.sqrt(2 * 4000), rel=0.15)
    assert short.error > 2 * long.error


def test_volatility_reads_nothing_of_the_future():
    """The same bits whatever comes after now; gaps too long to see into are left out; NaN prices are skipped."""
    time = NOW + 60 * np.arange(100)
    price = 100 + np.sin(np.arange(100.0) ** 2)
    price[10] = np.nan
    poisoned = np.where(time > NOW + 60 * 50, 1e6, price)

    assert realised(time, price, NOW + 60 * 50) == realised(time, poisoned, NOW + 60 * 50)
    assert realised(time, price, NOW + 60 * 50) == realised(time[:51], price[:51], NOW + 60 * 50)
    assert math.isnan(realised(time * 1000, price, NOW * 1000 + 10**9).sigma)
    assert math.isnan(realised(time, np.full(100, 5.0), NOW + 6000).sigma)
    assert math.isnan(realised(time, price, NOW + 60 * 5).sigma)
