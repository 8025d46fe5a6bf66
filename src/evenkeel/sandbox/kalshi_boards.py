"""Which event contracts are there, what do others bid for them, and how do they end? A synthetic Kalshi.

Hourly ladders and 15-minute markets over the sandbox's own prices, quoted by makers whose opinion is a
lognormal of the 60-second average, a little wrong. Everything follows from (seed, ticker, step); a step is `STEP_S`
long, and the world's quotes stand still inside it. `kalshi_recorded` has boards that were captured.
Source: specs/kalshi.md section 10.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from statistics import NormalDist
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from evenkeel.sandbox.market import Market
from evenkeel.units import HOUR_S, YEAR_S

STEP_S: Final = 10
COINS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE")
QUARTER_S: Final = 900
Grid = tuple[tuple[Decimal, Decimal, Decimal], ...]
"""(start, end, step), USD."""
CENT: Final[Grid] = ((Decimal(0), Decimal(1), Decimal("0.01")),)
TAPERED: Final[Grid] = (
    (Decimal(0), Decimal("0.1"), Decimal("0.001")),
    (Decimal("0.1"), Decimal("0.9"), Decimal("0.01")),
    (Decimal("0.9"), Decimal(1), Decimal("0.001")),
)
_NEW_YORK: Final = ZoneInfo("America/New_York")
_VOL: Final = 0.6
_RUNGS: Final = 20
_NORMAL: Final = NormalDist()
Levels = dict[Decimal, Decimal]
"""Price USD -> contracts."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One market; times UTC s."""

    ticker: str
    event: str
    series: str
    asset: str
    title: str
    strike: str
    floor: float | None
    cap: float | None
    opens: int
    closes: int
    grid: Grid = CENT
    shard: int = 2

    @property
    def structure(self) -> str:
        """The venue's name of the grid."""
        return "linear_cent" if self.grid == CENT else "tapered_deci_cent"


@dataclass(frozen=True, slots=True)
class Print:
    """A trade of others. yes  the taker bought YES."""

    yes: bool
    count: Decimal


class World(Protocol):
    """What is not ours: listings, other people's bids and trades, and the truth at the end."""

    def listings(self, since: float, until: float) -> Iterable[Listing]:
        """Markets that are not over by `since` and opened by `until`, by close and ticker."""

    def listing(self, ticker: str) -> Listing | None:
        """One market, however old."""

    def bids(self, listing: Listing, at: int) -> tuple[Levels, Levels]:
        """Others' bids for YES and for NO in the step that begins at `at`."""

    def prints(self, listing: Listing, at: int) -> Print | None:
        """The trade that happens as the step begins."""

    def outcome(self, listing: Listing) -> tuple[str, str] | None:
        """Result and the index value as text, once it has closed; None = nobody can say."""


def draw(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone."""
    digest = hashlib.blake2b("|".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def snapped(price: float, grid: Grid, rounding: str) -> Decimal | None:
    """The nearest price of a grid below or above; None = 0, 1 or beyond."""
    exact = Decimal(repr(round(price, 6)))
    for start, end, step in grid:
        if start <= exact <= end:
            found = start + ((exact - start) / step).to_integral_value(rounding) * step
            return found if 0 < found < 1 else None
    return None


class Synthetic:
    """Ladders over a sandbox market, for those of `COINS` that it has."""

    def __init__(self, market: Market, seed: int) -> None:
        self._market, self._seed = market, seed
        self._coins = [coin for coin in COINS if coin in market.symbols()]
        self._known: dict[str, Listing] = {}
        self._event = lru_cache(maxsize=50_000)(self._made)

    def listings(self, since: float, until: float) -> list[Listing]:
        """Markets that are not over by `since` and opened by `until`."""
        begin, end = max(since, self._market.begin + HOUR_S), min(until + HOUR_S, self._market.end)
        found: list[Listing] = []
        for closes in range(math.floor(begin / QUARTER_S) * QUARTER_S, math.ceil(end), QUARTER_S):
            if closes > begin:
                for coin in self._coins:
                    for length in (QUARTER_S, HOUR_S) if closes % HOUR_S == 0 else (QUARTER_S,):
                        if closes - length <= until and closes - length >= self._market.begin:
                            found += self._event(coin, closes, length)
        return found

    def listing(self, ticker: str) -> Listing | None:
        """One market; its event is made where nobody has asked for it yet."""
        if ticker not in self._known:
            closes = _closes(ticker)
            if closes is None or not self._market.begin + HOUR_S <= closes <= self._market.end:
                return None
            self.listings(closes - 1, closes - 1)
        return self._known.get(ticker)

    def bids(self, listing: Listing, at: int) -> tuple[Levels, Levels]:
        """Three levels a side, two to six ticks apart, around a chance that is a little off."""
        fair = self._fair(listing, at)
        if fair is None:
            return {}, {}
        wrong = 0.06 * (draw(self._seed, listing.ticker, at // 300) - 0.5)
        middle = min(max(fair + wrong * 4 * fair * (1 - fair), 0.0), 1.0)
        half = 0.01 + 0.02 * draw(self._seed, listing.ticker, at // 60, "spread")
        return self._side(listing, at, middle - half, "yes"), self._side(listing, at, 1 - middle - half, "no")

    def prints(self, listing: Listing, at: int) -> Print | None:
        """One step in five has a trade of 1 to 20 contracts."""
        if draw(self._seed, listing.ticker, at, "print") >= 0.2:
            return None
        count = 1 + int(20 * draw(self._seed, listing.ticker, at, "count"))
        return Print(draw(self._seed, listing.ticker, at, "taker") < 0.5, Decimal(count))

    def outcome(self, listing: Listing) -> tuple[str, str] | None:
        """The mean of the last sixty one-second prices against the strikes."""
        average = self._average(listing.asset, listing.closes)
        if average is None:
            return None
        return ("yes" if happened(listing, average) else "no"), f"{average:.{_decimals(average)}f}"

    def _side(self, listing: Listing, at: int, best: float, side: str) -> Levels:
        levels: Levels = {}
        for rung in range(3):
            price = snapped(best - 0.02 * rung, listing.grid, ROUND_FLOOR)
            if price is not None:
                count = 5 + int(150 * draw(self._seed, listing.ticker, at, side, rung))
                levels[price] = levels.get(price, Decimal(0)) + count
        return levels

    def _fair(self, listing: Listing, at: int) -> float | None:
        price = self._market.last(listing.asset, at)
        if price is None:
            return None
        sd = _VOL * math.sqrt(max(listing.closes - at - 40, 5) / YEAR_S)

        def above(strike: float) -> float:
            return _NORMAL.cdf((math.log(price / strike) - sd**2 / 2) / sd)

        low = 1.0 if listing.floor is None else above(listing.floor)
        return low - (0.0 if listing.cap is None else above(listing.cap))

    def _average(self, asset: str, until: int) -> float | None:
        prices = [self._market.last(asset, until - second - 1e-3) for second in range(60)]
        known = [price for price in prices if price is not None]
        if len(known) < len(prices):
            return None
        average = sum(known) / 60
        return round(average, _decimals(average))

    def _made(self, coin: str, closes: int, length: int) -> tuple[Listing, ...]:
        """The markets of the events that close then; none where there was no price at their opening."""
        opens = closes - length
        price = self._market.last(coin, opens)
        made: list[Listing] = []
        if price is not None and length == QUARTER_S:
            average = self._average(coin, opens) if opens - 60 >= self._market.begin else price
            made = [] if average is None else [_quarter(coin, opens, closes, average)]
        elif price is not None:
            made = [*_ladder(coin, opens, closes, price), *_thresholds(coin, opens, closes, price)]
        # an hour that New York's clocks show twice has one name: the first one keeps it
        made = [listing for listing in made if _closes(listing.ticker) == closes]
        self._known |= {listing.ticker: listing for listing in made}
        return tuple(made)


def happened(listing: Listing, value: float) -> bool:
    """Whether a market settles YES at an index value. "greater" and "less" are strict, "between" is not."""
    match listing.strike:
        case "greater":
            return listing.floor is not None and value > listing.floor
        case "greater_or_equal":
            return listing.floor is not None and value >= listing.floor
        case "less":
            return listing.cap is not None and value < listing.cap
        case _:
            return listing.floor is not None and listing.cap is not None and listing.floor <= value <= listing.cap


def _name(closes: int, form: str) -> str:
    return datetime.fromtimestamp(closes, UTC).astimezone(_NEW_YORK).strftime(form).upper()


def _closes(ticker: str) -> int | None:
    """When a market of ours closes, from its name; None = it is none of ours. The first of two equal clock times."""
    parts = ticker.split("-")
    try:
        form = "%y%b%d%H%M" if "15M" in parts[0] else "%y%b%d%H"
        moment = datetime.strptime(parts[1], form).replace(tzinfo=_NEW_YORK)
    except (ValueError, IndexError):
        return None
    return int(moment.timestamp())


def _decimals(price: float) -> int:
    return max(2, 4 - math.floor(math.log10(price)))


def _width(price: float) -> float:
    """A round distance between strikes near a quarter of a percent: 100 USD at 64,000."""
    exact = price * 0.0025
    power = 10.0 ** math.floor(math.log10(exact))
    return float(max(step for step in (1, 2, 5) if step * power <= exact) * power)


def _ladder(coin: str, opens: int, closes: int, price: float) -> Iterable[Listing]:
    """Ranges side by side with a tail at each end: exactly one of them happens."""
    width, series = _width(price), f"KX{coin}"
    event = f"{series}-{_name(closes, '%y%b%d%H')}"
    middle, decimals = math.floor(price / width), _decimals(price)
    gap = 10.0**-decimals
    for rung in range(middle - _RUNGS, middle + _RUNGS + 1):
        low, high = round(rung * width, decimals), round((rung + 1) * width - gap, decimals)
        title = f"${low:,g} to {high:,.{decimals}f}"
        ticker = f"{event}-B{round(rung * width + width / 2, decimals):g}"
        yield Listing(ticker, event, series, coin, title, "between", low, high, opens, closes)
    bottom, top = round((middle - _RUNGS) * width, decimals), round((middle + _RUNGS + 1) * width - gap, decimals)
    yield Listing(f"{event}-T{bottom}", event, series, coin, f"below ${bottom}", "less", None, bottom, opens, closes)
    yield Listing(f"{event}-T{top}", event, series, coin, f"above ${top}", "greater", top, None, opens, closes)


def _thresholds(coin: str, opens: int, closes: int, price: float) -> Iterable[Listing]:
    width, series = _width(price), f"KX{coin}D"
    event = f"{series}-{_name(closes, '%y%b%d%H')}"
    middle, decimals = round(price / width), _decimals(price)
    for rung in range(middle - _RUNGS, middle + _RUNGS + 1):
        strike = round(rung * width - 10.0**-decimals, decimals)
        title = f"${rung * width:,g} or above"
        yield Listing(f"{event}-T{strike}", event, series, coin, title, "greater", strike, None, opens, closes)


def _quarter(coin: str, opens: int, closes: int, average: float) -> Listing:
    series = f"KX{coin}15M"
    event = f"{series}-{_name(closes, '%y%b%d%H%M')}"
    ticker = f"{event}-{_name(closes, '%M')}"
    return Listing(
        ticker, event, series, coin, "up", "greater_or_equal", average, None, opens, closes, TAPERED
    )  # fmt: skip
