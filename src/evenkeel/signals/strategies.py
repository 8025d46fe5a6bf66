"""The baselines: what one would do without us, under our own name, ledger, costs and clock.

A strategy says one of two things of every row: a *score*, which takes the place of all opinions and is blended and
allocated like any of them, or the *weights* that it wants, which `allocate.method: direct` takes as they are.
`rebalancer` and `inverse_vol` say neither: all opinions, and none; of `policy` the decision itself asks a trained model
for weights. What each needs switched off stands in
`config/strategies.py`. The one law: row t reads only rows <= t (design section 7, law 1).

Indicators are those of the `ta` library, per asset on whole hours, each phase within the hour a series of its own (as
in `market.features`). RSI and the long states are recursive: they begin at the declared origin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from evenkeel.signals.rank import ranks, zscores
from evenkeel.types import Array, BoolArray, IntArray, frozen
from evenkeel.units import DAY_S, HOUR_S

if TYPE_CHECKING:
    import pandas as pd

VERSION = "strategy-1"

Name = Literal[
    "rebalancer",
    "buy_and_hold",
    "equal_weight",
    "inverse_vol",
    "low_vol",
    "momentum",
    "random",
    "rsi",
    "rsi_sma",
    "ma_crossover",
    "policy",
]

RSI_H, RSI_LOW, RSI_HIGH = 14, 30.0, 70.0
FAST_H, SLOW_H = 50, 200

HALF_LIFE_DAYS, MEMORY_DAYS = 7, 70
_DRAWS = 16
_DRAW_MEAN, _DRAW_SD = _DRAWS * 65_535 / 2, (_DRAWS * (65_536**2 - 1) / 12) ** 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """What strategies read: T rows of prices from the origin on, the R newest of everything else.

    time (R,) UTC s · price (T, N) last believed USD, NaN = never seen · vol (R, N) annualised · r_168 (R, N) log
    return of 7 days · ready (R, N) listed long enough to be held · bar_s divides the hour
    """

    assets: tuple[str, ...]
    time: IntArray
    price: Array
    vol: Array
    r_168: Array
    ready: BoolArray
    bar_s: int
    benchmark: str
    seed: int

    def newest(self, x: Array) -> Array:
        """The last R rows of (T, N)."""
        return x[len(x) - len(self.time) :]


Formula = Callable[[Seen], Array]


# ---------------------------------------------------------------- scores: (R, N) in [-3, 3], NaN = unknown


def low_vol(seen: Seen) -> Array:
    """Z within the timestamp of the rank of -vol."""
    return zscores(ranks(-seen.vol))


def momentum(seen: Seen) -> Array:
    """Z within the timestamp of the rank of the 7-day return."""
    return zscores(ranks(seen.r_168))


def random(seen: Seen) -> Array:
    """A persistent score without meaning: AR(1) over UTC days with a half-life of 7, deviation 1.

    x_d = sqrt(1 - a^2) sum_{j < 70} a^j e_{d-j}, a = 2^(-1/7); e is drawn from the digest of (seed, asset, day), so
    that neither the other assets, nor their order, nor where the panel begins or ends changes it.
    """
    day = seen.time // DAY_S
    first, last = int(day[0]), int(day[-1])
    noise = _noise(seen.seed, seen.assets, range(first - MEMORY_DAYS + 1, last + 1))
    decay = 0.5 ** (1.0 / HALF_LIFE_DAYS)
    days = np.zeros((last - first + 1, len(seen.assets)))
    for age in range(MEMORY_DAYS):
        days += decay**age * noise[MEMORY_DAYS - 1 - age : len(noise) - age]
    score: Array = np.clip(np.sqrt(1.0 - decay**2) * days, -3.0, 3.0)[day - first]
    return score


def _noise(seed: int, assets: tuple[str, ...], days: range) -> Array:
    """(D, N) independent, mean 0, deviation 1, nearly normal: the sum of 16 two-byte numbers of a SHA-256."""
    digests = b"".join(hashlib.sha256(f"{seed} {asset} {day}".encode()).digest() for day in days for asset in assets)
    drawn = np.frombuffer(digests, dtype=">u2").reshape(len(days), len(assets), _DRAWS)
    noise: Array = (drawn.sum(axis=2, dtype=np.int64) - _DRAW_MEAN) / _DRAW_SD
    return noise


# ---------------------------------------------------------------- weights wanted: (R, N) in [0, 1], NaN = no wish


def buy_and_hold(seen: Seen) -> Array:
    """All of it in the benchmark; NaN until that is ready."""
    own = np.array(seen.assets) == seen.benchmark
    return np.where(own, np.where(seen.ready, 1.0, np.nan), 0.0)


def equal_weight(seen: Seen) -> Array:
    """1/n of the n assets that are ready."""
    return _shared(np.ones_like(seen.vol), seen.ready)


def rsi(seen: Seen) -> Array:
    """An n-th each of what is long: from RSI below 30 until RSI above 70."""
    strength = _by_hour(seen, _rsi)
    return _held(seen, strength, strength < RSI_LOW, strength > RSI_HIGH)


def rsi_sma(seen: Seen) -> Array:
    """The same in an up-trend only: entered above the 200 h mean, left when RSI exceeds 70 or below that mean."""
    strength, mean = _by_hour(seen, _rsi), _by_hour(seen, _sma(SLOW_H))
    above = seen.price > mean
    return _held(seen, strength * mean, (strength < RSI_LOW) & above, (strength > RSI_HIGH) | (seen.price < mean))


def ma_crossover(seen: Seen) -> Array:
    """An n-th each of what is long: while the 50 h mean lies above the 200 h mean."""
    fast, slow = _by_hour(seen, _sma(FAST_H)), _by_hour(seen, _sma(SLOW_H))
    return _held(seen, fast * slow, fast > slow, fast <= slow)


def long_states(enter: BoolArray, leave: BoolArray) -> BoolArray:
    """Whether one is in after each row, (T, N): since the last `enter` no `leave`; out at first. Leaving wins a row."""
    event = np.where(leave, -1, np.where(enter, 1, 0))
    row = np.where(event != 0, np.arange(len(event))[:, None], 0)
    last = np.take_along_axis(event, np.maximum.accumulate(row, axis=0), axis=0)
    inside: BoolArray = last > 0
    return inside


def _held(seen: Seen, known: Array, enter: BoolArray, leave: BoolArray) -> Array:
    """Shares of what is in; NaN where `known` (T, N) is."""
    inside = np.where(np.isfinite(known), long_states(enter, leave), np.nan)
    return _shared(seen.newest(inside), seen.ready)


def _shared(inside: Array, ready: BoolArray) -> Array:
    count = np.maximum(ready.sum(axis=1, keepdims=True), 1)
    return np.where(ready, inside / count, np.nan)


# ---------------------------------------------------------------- indicators of the `ta` library


def _rsi(close: pd.Series[float]) -> pd.Series[float]:
    from ta.momentum import RSIIndicator  # noqa: PLC0415 - imports pandas

    return RSIIndicator(close, window=RSI_H).rsi()


def _sma(hours: int) -> Callable[[pd.Series[float]], pd.Series[float]]:
    def mean(close: pd.Series[float]) -> pd.Series[float]:
        from ta.trend import SMAIndicator  # noqa: PLC0415 - imports pandas

        return SMAIndicator(close, window=hours).sma_indicator()

    return mean


def _by_hour(seen: Seen, indicator: Callable[[pd.Series[float]], pd.Series[float]]) -> Array:
    """The indicator (T, N) of each asset from its first price on, on hourly closes of each phase within the hour."""
    import pandas as pd  # noqa: PLC0415 - 0.5 s and 60 MB that only these three strategies pay

    phases = HOUR_S // seen.bar_s
    out = np.full_like(seen.price, np.nan)
    for column in range(seen.price.shape[1]):
        begin = _first_known(seen.price[:, column])
        for start in range(begin, min(begin + phases, len(out))):
            out[start::phases, column] = indicator(pd.Series(seen.price[start::phases, column])).to_numpy()
    return out


def _first_known(price: Array) -> int:
    known = np.isfinite(price)
    return int(known.argmax()) if known.any() else len(price)


# ---------------------------------------------------------------- the table

SCORES: Mapping[str, Formula] = {"low_vol": low_vol, "momentum": momentum, "random": random}
WEIGHTS: Mapping[str, Formula] = {
    "buy_and_hold": buy_and_hold,
    "equal_weight": equal_weight,
    "rsi": rsi,
    "rsi_sma": rsi_sma,
    "ma_crossover": ma_crossover,
}
OPINIONATED = "rebalancer"
"""The one strategy that listens to all opinions."""

LEARNED = "policy"
"""The strategy of weights that a trained policy wants: `decide` asks it, so it has no formula here."""

BASELINES: tuple[str, ...] = tuple(name for name in get_args(Name) if name not in {OPINIONATED, LEARNED})
"""Strategies that need no model: there to be beaten."""


def score(name: str, seen: Seen) -> Array | None:
    """The score that replaces all opinions, (R, N); None for a strategy that has none."""
    return frozen(SCORES[name](seen)) if name in SCORES else None


def wanted(name: str, seen: Seen) -> Array | None:
    """The weights that a strategy wants, (R, N); None for one that leaves them to `portfolio.allocate`."""
    return frozen(WEIGHTS[name](seen)) if name in WEIGHTS else None
