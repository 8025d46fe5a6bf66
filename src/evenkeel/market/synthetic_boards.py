"""What would the crowd on Kalshi quote in the embedded market? Panel and row -> Board of hourly ladders.

Thresholds ("above 60,250 at 17:00?") on the majors, fair under a lognormal whose variance is that of the final 60 s
average (specs/kalshi.md section 10), with the volatility that the panel shows up to this row, inside a random spread.

The law: with `crowd_knows` = 0 a board has the same bits whatever lies after its row. With `crowd_knows` > 0 the
crowd's mean is shifted by that part of the move that really comes; only `_shift` looks ahead, and only then.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import numpy as np

from evenkeel.market.synthetic import SyntheticSettings
from evenkeel.types import Array, Board, Contract, Panel
from evenkeel.units import HOUR_S, YEAR_S, plain

MAJORS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE")
_AVERAGE_S: Final = 40  # a final 60 s average has the variance of a point 40 s earlier
_SPACING: Final = 0.0015  # between strikes, as a fraction of spot, before rounding to 1, 2.5, 5 x 10^n
_VOL_WINDOW_S: Final = 48 * HOUR_S
_VOL_UNKNOWN: Final = 0.6
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class _Crowd:
    """How a crowd prices one event: mean and sd of the final log price."""

    mean: float
    sd: float


def board(panel: Panel, row: int, settings: SyntheticSettings, *, hours: int = 2, strikes: int = 25) -> Board:
    """Quotes at the close of bar `row` on every major of the panel that has a price there.

    row      0 <= row < T
    hours    how many of the next full hours have a ladder
    strikes  contracts per ladder, centred on spot
    ->       contracts by asset, expiry, strike; kind `greater`; tickers as Kalshi writes them, but with the UTC hour
    """
    time = int(panel.time[row])
    contracts: list[Contract] = []
    for asset in MAJORS:
        column = panel.assets.index(asset) if asset in panel.assets else -1
        if column >= 0 and panel.close[row, column] > 0:
            for ahead in range(1, hours + 1):
                expiry = (time // HOUR_S + ahead) * HOUR_S
                crowd = _crowd(panel, row, column, expiry, settings)
                spot = float(panel.close[row, column])
                rng = _randomness(settings.seed, asset, time, expiry)
                contracts.extend(_ladder(asset, spot, expiry, crowd, strikes, rng))
    return Board(time, tuple(contracts))


def _crowd(panel: Panel, row: int, column: int, expiry: int, settings: SyntheticSettings) -> _Crowd:
    left = max(expiry - int(panel.time[row]) - _AVERAGE_S, 1)
    sd = _vol(panel.close[: row + 1, column], panel.bar_s) * math.sqrt(left / YEAR_S)
    mean = math.log(float(panel.close[row, column])) - sd**2 / 2
    if settings.crowd_knows > 0:
        mean += settings.crowd_knows * _shift(panel, row, column, expiry)
    return _Crowd(mean, sd)


def _vol(close: Array, bar_s: int) -> float:
    """Annualised vol of the last 48 h of closes (rows,); a market of unknown vol is taken to have 60 %."""
    moves = np.diff(np.log(close[-(_VOL_WINDOW_S // bar_s + 1) :]))
    known = moves[np.isfinite(moves)]
    if len(known) < 4 or not known.any():
        return _VOL_UNKNOWN
    return math.sqrt(float(np.mean(known**2)) * YEAR_S / bar_s)


def _shift(panel: Panel, row: int, column: int, expiry: int) -> float:
    """The log return that really comes until expiry, at most one hour of it; 0 where the panel ends before."""
    now = int(panel.time[row])
    ahead = row + (min(expiry, now + HOUR_S) - now) // panel.bar_s
    if ahead >= len(panel.time):
        return 0.0
    move = math.log(panel.close[ahead, column] / panel.close[row, column])
    return move if math.isfinite(move) else 0.0


def _randomness(seed: int, asset: str, time: int, expiry: int) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed}|board|{asset}|{time}|{expiry}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))


def _ladder(
    asset: str, spot: float, expiry: int, crowd: _Crowd, strikes: int, rng: np.random.Generator
) -> Iterator[Contract]:
    """One event: equally spaced thresholds around spot, lowest first; a bid never stands above an ask of any rung."""
    step = _nice(spot * _SPACING)
    middle = int(Decimal(spot) / step)
    series = f"KX{asset}D"
    event = f"{series}-{datetime.fromtimestamp(expiry, UTC).strftime('%y%b%d%H').upper()}"
    spreads = (0.004 + 0.016 * rng.random((strikes, 2))).tolist()
    sizes = np.ceil(np.exp(5.0 + rng.standard_normal((strikes, 2)))).astype(np.int64).tolist()
    for rung in range(strikes):
        strike = step * (middle + rung - strikes // 2)
        if strike > 0:
            fair = _above(float(strike), crowd)
            bid, ask = _cents(fair - spreads[rung][0], math.floor), _cents(fair + spreads[rung][1], math.ceil)
            yield Contract(
                ticker=f"{event}-T{plain(strike)}",
                event=event,
                asset=asset,
                kind="greater",
                floor=float(strike),
                cap=None,
                expiry=expiry,
                yes_bid=bid,
                yes_ask=ask,
                bid_size=Decimal(sizes[rung][0] if bid is not None else 0),
                ask_size=Decimal(sizes[rung][1] if ask is not None else 0),
                ticks=((Decimal(0), Decimal(1), _CENT),),
                fee_type="quadratic",
                fee_multiplier=Decimal(1),
                status="active",
            )


def _nice(width: float) -> Decimal:
    """The largest of 1, 2.5, 5 x 10^n that is not wider."""
    power = math.floor(math.log10(width))
    lead = width / 10.0**power
    return (Decimal(5) if lead >= 5 else Decimal("2.5") if lead >= 2.5 else Decimal(1)).scaleb(power)


def _above(strike: float, crowd: _Crowd) -> float:
    """P(final price > strike) under a lognormal."""
    return 0.5 * math.erfc((math.log(strike) - crowd.mean) / (crowd.sd * math.sqrt(2)))


def _cents(price: float, rounding: Callable[[float], int]) -> Decimal | None:
    """A price on the cent grid, rounded away from fair; None where nobody quotes: at 0 and at 1."""
    cents = rounding(price * 100)
    return cents * _CENT if 0 < cents < 100 else None
