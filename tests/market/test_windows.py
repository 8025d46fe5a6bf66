"""Machine code against slow plain Python that adds in the same order: every feature, bit for bit, holes included."""

import math
import subprocess
import sys

import numpy as np
import pytest

from evenkeel.market.features import ANNUAL, FEATURES, compute
from evenkeel.market.kernels import COVERAGE, FLAT, VOL_DECAY, decay_of, window_of, window_sum
from evenkeel.market.panel import panel

BARS = 1_900
ROWS = (0, 1, 167, 168, 335, 336, 719, 957, 958, 1_300, 1_435, 1_436, BARS - 1)
nan = math.nan


def summed(x, t, window, decay=1.0):
    """Sum of a window: its own block up to t, then the block before from back to front."""
    begin, weight = t - t % window, decay ** np.arange(window + 1.0)
    total = rest = -0.0
    for i in range(begin, t + 1):
        total = x[i] + decay * total
    for j, i in enumerate(range(begin - 1, max(-1, t - window), -1)):
        rest += x[i] * weight[j]
    return total + rest * weight[t - begin + 1]


def covered(weight, window, decay=1.0):
    """Return the weight of what is known, or NaN if it is less than 75 % of a whole window's."""
    whole = float(window) if decay == 1.0 else (1.0 - decay**window) / (1.0 - decay)
    return weight if weight >= whole * (COVERAGE - 1e-9) else nan


def mean(x, t, window, decay=1.0):
    """Weighted mean of the known values of a window."""
    known = np.isfinite(x)
    weight = covered(summed(known * 1.0, t, window, decay), window, decay)
    return summed(np.where(known, x, 0.0), t, window, decay) / weight


def positive(x):
    """Return a denominator: NaN unless above 0."""
    return x if x > 0 else nan


def lagged(x, hours):
    """Return values some hours earlier."""
    return np.concatenate([np.full(hours, nan), x[: len(x) - hours]])


def ranked(x):
    """Median of 30 values of which 75 % must be known."""
    some = sorted(v for v in x if math.isfinite(v))
    if len(some) < COVERAGE * 30:
        return nan
    return 0.5 * (some[(len(some) - 1) // 2] + some[len(some) // 2])


class Twin:
    """One asset's hours beside the benchmark's, and each feature of an hour by its formula."""

    def __init__(self, market, asset):
        def hourly(x):
            return np.where(np.isfinite(market.close[:, asset]), x[:, asset], nan)

        self.close, self.high, self.low = hourly(market.close), hourly(market.high), hourly(market.low)
        volume = hourly(market.volume)
        self.dollars = np.where(volume >= 0, self.close * volume, nan)
        self.price, self.base = np.log(self.close), np.log(market.close[:, 0])
        self.quiet = np.log(np.where(self.dollars > 0, self.dollars, nan))
        self.ret, self.base_ret = (x - lagged(x, 1) for x in (self.price, self.base))
        self.day = np.array([mean(self.dollars, t, 24) for t in range(len(self.close))])
        self.short = np.array([mean(self.quiet, t, 6) for t in range(len(self.close))])

    def vol(self, t):
        """Sd of hourly returns about zero, per sqrt(h)."""
        return math.sqrt(mean(self.ret * self.ret, t, window_of(VOL_DECAY), VOL_DECAY))

    def line(self, t):
        """Least squares on the benchmark: slope and sd of the rest."""
        known = np.isfinite(self.ret) & np.isfinite(self.base_ret)
        x, y = np.where(known, self.base_ret, 0.0), np.where(known, self.ret, 0.0)
        n = covered(summed(known * 1.0, t, 336), 336)
        mean_x, mean_y, square, square_y, both = (summed(v, t, 336) / n for v in (x, y, x * x, y * y, x * y))
        variance = square - mean_x * mean_x
        slope = (both - mean_x * mean_y) / (variance if variance > FLAT * square else nan)
        left = (square_y - mean_y * mean_y) - slope * (both - mean_x * mean_y)
        return slope, math.sqrt(max(left, 0.0))

    def change(self, x, t, hours):
        """Return over some hours."""
        return x[t] - x[t - hours] if t >= hours else nan

    def emaz(self, t, span):
        """Distance from the exponential mean in sd."""
        decay = decay_of(span=span)
        return (self.price[t] - mean(self.price, t, window_of(decay), decay)) / positive(self.vol(t) * math.sqrt(span))

    def resmom(self, t, hours):
        """What the benchmark does not explain, in sd."""
        rest = self.change(self.price, t, hours) - self.line(t)[0] * self.change(self.base, t, hours)
        return rest / positive(self.vol(t) * math.sqrt(hours))

    def rsi(self, t):
        """Share of moves that are rises."""
        decay = decay_of(wilder=14)
        move = self.close - lagged(self.close, 1)
        rise, moved = (mean(x, t, window_of(decay), decay) for x in (np.maximum(move, 0.0), np.abs(move)))
        return rise / positive(moved)

    def bb(self, t):
        """Place in the band, from deviations from the latest close."""
        past = [self.close[i] - self.close[t] for i in range(t, max(-1, t - 20), -1)]
        some = [x if math.isfinite(x) else 0.0 for x in past]
        n = covered(float(np.isfinite(past).sum()), 20)
        average = sum(some) / n
        left = sum(x * x for x in some) / n - average * average
        return 0.5 - average / positive(4.0 * math.sqrt(left) if left >= 0 else nan)

    def atr(self, t):
        """Mean true range over the close."""
        before = lagged(self.close, 1)
        return mean(np.maximum(self.high, before) - np.minimum(self.low, before), t, 24) / self.close[t]

    def dd(self, t):
        """Distance from the week's high."""
        window = self.price[max(0, t - 167) : t + 1]
        known = window[np.isfinite(window)]
        return self.price[t] - known.max() if len(known) >= 126 else nan

    def volz(self, t):
        """Z score of the 6 h mean of log volume."""
        average, square = mean(self.short, t, 168), mean(self.short * self.short, t, 168)
        variance = square - average * average
        return (self.short[t] - average) / (math.sqrt(variance) if variance > FLAT * square else nan)

    def amihud(self, t):
        """Log mean move per dollar."""
        return np.log(mean(np.abs(self.ret) / np.where(self.dollars > 0, self.dollars, nan), t, 168))

    def said(self, name, t):
        """Return a feature by its name."""
        stem, _, number = name.partition("_")
        if stem == "r":
            return self.change(self.price, t, int(number))
        if number:
            return getattr(self, stem)(t, int(number))
        if name in ("beta", "ivol"):
            slope, rest = self.line(t)
            return slope if name == "beta" else rest * ANNUAL
        if name == "vol":
            return self.vol(t) * ANNUAL
        if name == "liq":
            return np.log(ranked([24.0 * self.day[t - 24 * i] for i in range(30) if t >= 24 * i]))
        if name == "dvchg":
            return np.log(self.day[t] / positive(mean(self.dollars, t, 720)))
        return getattr(self, name)(t)


@pytest.fixture(scope="module")
def market():
    """Hourly bars of three assets: gaps, hours without trade, a late listing, a stretch that does not move."""
    rng = np.random.default_rng(3)
    shape = (BARS, 3)
    steps = 0.004 * rng.standard_normal((BARS, 1)) + 0.004 * rng.standard_normal(shape)
    steps[900:1_000, 2] = 0.0
    close = 50.0 * np.exp(np.cumsum(steps, axis=0))
    high, low = (close * (1 + sign * np.abs(0.002 * rng.standard_normal(shape))) for sign in (1, -1))
    volume = rng.lognormal(6.0, 1.0, shape)
    volume[rng.random(shape) < 0.02], high[rng.random(shape) < 0.01] = 0.0, nan
    volume[rng.random(shape) < 0.01] = nan
    close[rng.random(shape) < 0.01], close[:130, 2], close[1_200:1_260, 1] = nan, nan, nan
    close[list(ROWS), 1] = 50.0
    return panel(3_600 * np.arange(1, BARS + 1), ("BTC", "ETH", "SOL"), close, high, low, close, volume, 3_600)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("asset", range(3))
def test_every_feature_is_that_of_plain_python_bit_for_bit(market, asset):
    ours, twin = compute(market), Twin(market, asset)
    compared = 0

    for t in ROWS:
        for name in (x.name for x in FEATURES):
            expected = twin.said(name, t) if math.isfinite(market.close[t, asset]) else nan
            got = ours.column(name)[t, asset]
            assert got == expected or (math.isnan(got) and not math.isfinite(expected)), (name, t)
            compared += math.isfinite(expected)
    assert compared > 100


@pytest.mark.parametrize(("window", "decay"), [(1, 1.0), (7, 1.0), (48, 0.9), (300, 1.0), (300, 0.99)])
def test_a_window_sum_adds_its_block_and_then_the_block_before(window, decay):
    """More columns than go through together, fewer rows than two blocks and more."""
    x = np.random.default_rng(1).standard_normal((200, 21))
    ours = window_sum(x, window, decay)

    for column in (0, 15, 16, 20):
        assert [summed(x[:, column], t, window, decay) for t in range(200)] == ours[:, column].tolist()


def test_a_window_sum_leaves_what_it_is_given_alone():
    x = np.ones((30, 1))

    assert window_sum(x, 5).tolist() == [[float(min(t, 5))] for t in range(1, 31)]
    assert (x == 1.0).all()


def test_whoever_reads_the_table_of_features_does_not_load_the_compiler():
    """Half a second and 60 MB that `status` does not need."""
    code = "import sys, evenkeel.market.features, evenkeel.market.kernels; sys.exit('numba' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
