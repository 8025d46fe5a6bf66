"""What do Kalshi's public objects mean? Pure: a parsed object in; a market, event, series, trade or candle out.

The laws: a price that is missing, empty, 0 or 1 is *no quote*, never a number; a field that we do not know is
tolerated; a word, a price or a grid that we do not understand makes the market one that is not traded, and says why in
`doubts`. Only an object without a name or times is not a market at all. Source: specs/kalshi.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from evenkeel.errors import VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_fields import Row
from evenkeel.venues.kalshi_terms import Terms, own_terms

T = TypeVar("T")

STATUSES: Final = frozenset(
    {"initialized", "inactive", "active", "closed", "determined", "disputed", "amended", "finalized"}
)
STRIKES: Final = frozenset(
    {"greater", "greater_or_equal", "less", "less_or_equal", "between", "functional", "custom", "structured"}
)
RESULTS: Final = frozenset({"", "yes", "no", "scalar"})
ONE: Final = Decimal(1)
_ABSENT: Final = (None, "")


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a price grid: prices in [start, end], every `step` from `start` on. USD."""

    start: Decimal
    end: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """One market. Prices USD per contract that pays 1 USD, counts contracts; None = no quote, or not told.

    status   active is the only one that trades · result  ``, yes, no or scalar · value  what a YES was settled at, USD
    floor, cap  strikes · settled_as  the index value as the venue wrote it · opens, closes, settled  UTC ms
    fractional  counts down to 0.01 are allowed · shard  where its collateral has to be, None = not told
    doubts   why it is not traded, whatever its quotes say
    """

    ticker: str
    event: str
    title: str
    status: str
    opens: int
    closes: int
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    last: Decimal | None
    volume: Decimal | None
    interest: Decimal | None
    strike: str
    floor: Decimal | None
    cap: Decimal | None
    grid: tuple[Range, ...]
    fractional: bool
    result: str = ""
    value: Decimal | None = None
    settled_as: str = ""
    settled: int | None = None
    expected: int | None = None
    occurs: int | None = None
    early: bool = False
    rules: str = ""
    shard: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def tradable(self) -> bool:
        """Whether orders may be sent at all."""
        return self.status == "active" and not self.doubts

    @property
    def no_bid(self) -> Decimal | None:
        """1 - the YES ask."""
        return None if self.yes_ask is None else ONE - self.yes_ask

    @property
    def no_ask(self) -> Decimal | None:
        """1 - the YES bid."""
        return None if self.yes_bid is None else ONE - self.yes_bid


@dataclass(frozen=True, slots=True)
class Event:
    """What markets are about. exclusive = exactly one of its markets can settle YES.

    own  what it says of fees instead of its series
    """

    ticker: str
    series: str
    title: str
    exclusive: bool
    markets: tuple[Market, ...] = ()
    unread: tuple[str, ...] = ()
    own: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Trade:
    """One public trade. price USD of YES · taker  yes, no, or None = not told · time  UTC ms."""

    id: str
    ticker: str
    price: Decimal
    count: Decimal
    taker: str | None
    time: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, low, high and close of one price in a period, USD; None = there was none."""

    open: Decimal | None
    low: Decimal | None
    high: Decimal | None
    close: Decimal | None


@dataclass(frozen=True, slots=True)
class Candle:
    """A period of a market. end  UTC s · price  of trades."""

    end: int
    yes_bid: Bar
    yes_ask: Bar
    price: Bar
    volume: Decimal
    interest: Decimal


@dataclass(frozen=True, slots=True)
class Markets:
    """Markets that were read, and the objects that are none, each with its reason."""

    rows: tuple[Market, ...]
    unread: tuple[str, ...] = ()


def market_of(row: Row) -> Market:
    """A market. Raises VenueUnknownError only where name, event or times cannot be read."""
    ticker, event = fields.text(row, "ticker"), fields.text(row, "event_ticker")
    opens, closes = fields.time_ms(row, "open_time"), fields.time_ms(row, "close_time")
    doubts: list[str] = []

    def known(name: str, words: frozenset[str]) -> str:
        return _believed(doubts, lambda: _word(row, name, words), "unknown")

    def amount(name: str) -> Decimal | None:
        return _believed(doubts, lambda: fields.maybe_fixed(row, name), None)

    def strike(name: str) -> Decimal | None:
        return _believed(doubts, lambda: fields.maybe_number(row, name), None)

    def moment(name: str) -> int | None:
        return _believed(doubts, lambda: fields.maybe_time_ms(row, name), None)

    known("market_type", frozenset({"binary"}))
    bid = _believed(doubts, lambda: quote_of(row, "yes_bid_dollars"), None)
    ask = _believed(doubts, lambda: quote_of(row, "yes_ask_dollars"), None)
    doubts += _disagreements(row, bid, ask)
    return Market(
        ticker, event, fields.maybe_text(row, "yes_sub_title"), known("status", STATUSES), opens, closes, bid, ask,
        amount("yes_bid_size_fp"), amount("yes_ask_size_fp"), _last(amount("last_price_dollars")),
        amount("volume_fp"), amount("open_interest_fp"), known("strike_type", STRIKES), strike("floor_strike"),
        strike("cap_strike"), _believed(doubts, lambda: grid_of(row), ()),
        row.get("fractional_trading_enabled") is True,
        known("result", RESULTS), amount("settlement_value_dollars"), fields.maybe_text(row, "expiration_value"),
        moment("settlement_ts"), moment("expected_expiration_time"), moment("occurrence_datetime"),
        row.get("can_close_early") is True, fields.maybe_text(row, "rules_primary"),
        _believed(doubts, lambda: _shard(row), None), tuple(dict.fromkeys(doubts)),
    )  # fmt: skip


_QUOTES: Final = ("yes_bid_dollars", "yes_ask_dollars")


def markets_of(found: Iterable[Row]) -> Markets:
    """Every market that can be read; the others are named, and spoil nothing but themselves."""
    read, unread = [], []
    for row in found:
        try:
            read.append(market_of(row))
        except VenueUnknownError as error:
            unread.append(f"{fields.maybe_text(row, 'ticker') or 'a market without a name'}: {error}")
    return Markets(tuple(read), tuple(unread))


def quote_of(row: Row, name: str) -> Decimal | None:
    """A price strictly between 0 and 1 USD; None = no quote: missing, null, empty, "0.0000" or "1.0000".

    Raises VenueUnknownError for a JSON number (cents), text that is no decimal, or a price outside [0, 1].
    """
    price = fields.maybe_fixed(row, name)
    if price is None or price in {Decimal(0), ONE}:
        return None
    if not 0 < price < 1:
        raise VenueUnknownError(f"{name} {price} is not between 0 and 1 USD")
    return price


def grid_of(row: Row) -> tuple[Range, ...]:
    """The price grid, by rising price. Raises VenueUnknownError where there is none, or it is no grid."""
    found = [Range(*(fields.fixed(part, name) for name in ("start", "end", "step"))) for part in _parts(row)]
    grid = tuple(sorted(found, key=lambda part: part.start))
    if not grid or any(not (0 <= part.start < part.end <= 1 and part.step > 0) for part in grid):
        raise VenueUnknownError("price_ranges is no grid of prices")
    return grid


def on_grid(price: Decimal, grid: Iterable[Range]) -> bool:
    """Whether an order may stand at a price."""
    return 0 < price < 1 and any(
        part.start <= price <= part.end and (price - part.start) % part.step == 0 for part in grid
    )


def event_of(row: Row) -> Event:
    """An event, with its markets where they came along."""
    found = markets_of(fields.rows(row, "markets") if row.get("markets") is not None else [])
    return Event(
        fields.text(row, "event_ticker"), fields.text(row, "series_ticker"), fields.maybe_text(row, "title"),
        fields.truth(row, "mutually_exclusive"), found.rows, found.unread, own_terms(row),
    )  # fmt: skip


def trade_of(row: Row) -> Trade:
    """A public trade over REST."""
    return Trade(
        fields.text(row, "trade_id"), fields.text(row, "ticker"), price_of(row, "yes_price_dollars"),
        count_of(row, "count_fp"), taker_of(row), fields.time_ms(row, "created_time"),
    )  # fmt: skip


def price_of(row: Row, name: str) -> Decimal:
    """The price of something that happened, in [0, 1] USD. Raises VenueUnknownError."""
    price = fields.fixed(row, name)
    if not 0 <= price <= 1:
        raise VenueUnknownError(f"{name} {price} is not between 0 and 1 USD")
    return price


def count_of(row: Row, name: str) -> Decimal:
    """Contracts, 0 or more. Raises VenueUnknownError."""
    count = fields.fixed(row, name)
    if count < 0:
        raise VenueUnknownError(f"{name} is {count}")
    return count


def taker_of(row: Row) -> str | None:
    """Which outcome the taker of a trade bought; None = not told, or in words that we do not know."""
    side = row.get("taker_outcome_side", row.get("taker_side"))
    return side if side in ("yes", "no") else None


def candle_of(row: Row) -> Candle:
    """A candle; quotes that were never there are None."""
    return Candle(
        fields.whole(row, "end_period_ts"), _bar(row, "yes_bid"), _bar(row, "yes_ask"), _bar(row, "price"),
        count_of(row, "volume_fp"), count_of(row, "open_interest_fp"),
    )  # fmt: skip


def _bar(row: Row, name: str) -> Bar:
    found = row.get(name)
    prices = {} if found is None else fields.an_object(found, name)
    return Bar(*(quote_of(prices, f"{part}_dollars") for part in ("open", "low", "high", "close")))


def _believed(doubts: list[str], read: Callable[[], T], otherwise: T) -> T:
    """What is read, or `otherwise` and a doubt."""
    try:
        return read()
    except VenueUnknownError as error:
        doubts.append(str(error))
        return otherwise


def _word(row: Row, name: str, words: frozenset[str]) -> str:
    """A word of an enum; `result` alone may be missing or empty."""
    return "" if "" in words and row.get(name) in _ABSENT else fields.one_of(row, name, words)


def _parts(row: Row) -> list[Row]:
    return list(fields.rows(row, "price_ranges"))


def _last(price: Decimal | None) -> Decimal | None:
    """The price of the last trade; "0.0000" = there was none."""
    return price if price is not None and 0 < price < 1 else None


def _shard(row: Row) -> int | None:
    return None if row.get("exchange_index") is None else fields.whole(row, "exchange_index")


def _disagreements(row: Row, bid: Decimal | None, ask: Decimal | None) -> list[str]:
    """What cannot be true of quotes: bid at or above ask, no price field at all, a NO side that is not 1 - YES."""
    found = []
    if bid is not None and ask is not None and bid >= ask:
        found.append(f"bid {bid} is not below ask {ask}")
    if all(row.get(name) in _ABSENT for name in _QUOTES):
        found.append("yes_bid_dollars and yes_ask_dollars are missing")
    for mine, name in ((ask, "no_bid_dollars"), (bid, "no_ask_dollars")):
        other = row.get(name)
        if mine is not None and isinstance(other, str) and other not in ("", str(ONE - mine)):
            try:
                agrees = fields.fixed(row, name) == ONE - mine
            except VenueUnknownError:
                agrees = False
            found += [] if agrees else [f"{name} {other[:20]} is not 1 - {mine}"]
    return found
