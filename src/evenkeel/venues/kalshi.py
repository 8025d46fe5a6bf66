"""Kalshi's public market data: no key is needed, and every list is followed to its last page.

UTC s in; the rows of `kalshi_rows`, `kalshi_book` and `kalshi_hours` out. The law: a list is whole or it is an error.
Every method may raise VenueError (refused in words, or not sent at all) and VenueUnknownError (anything else).
Source: specs/kalshi.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from evenkeel.errors import VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues import kalshi_rows as rows
from evenkeel.venues.kalshi_book import Book, book_of
from evenkeel.venues.kalshi_fields import Row
from evenkeel.venues.kalshi_hours import Schedule, Status, schedule_of, status_of
from evenkeel.venues.kalshi_rows import Candle, Event, Market, Markets, Trade
from evenkeel.venues.kalshi_terms import Series, series_of
from evenkeel.venues.kalshi_wire import AbsentError, Endpoint, Params, Wire

T = TypeVar("T")

STATUS = Endpoint("GET", "/exchange/status")
SCHEDULE = Endpoint("GET", "/exchange/schedule")
SERIES_LIST = Endpoint("GET", "/series")
SERIES = Endpoint("GET", "/series/{series}")
EVENTS = Endpoint("GET", "/events")
EVENT = Endpoint("GET", "/events/{event}")
MARKETS = Endpoint("GET", "/markets")
MARKET = Endpoint("GET", "/markets/{ticker}")
BOOK = Endpoint("GET", "/markets/{ticker}/orderbook")
BOOKS = Endpoint("GET", "/markets/orderbooks")
TRADES = Endpoint("GET", "/markets/trades")
CANDLES = Endpoint("GET", "/series/{series}/markets/{ticker}/candlesticks")
CUTOFF = Endpoint("GET", "/historical/cutoff")
OLD_MARKETS = Endpoint("GET", "/historical/markets")
OLD_MARKET = Endpoint("GET", "/historical/markets/{ticker}")
OLD_TRADES = Endpoint("GET", "/historical/trades")

BOOKS_AT_ONCE: Final = 100
CANDLES_AT_ONCE: Final = 5_000
_PAGE: Final = "1000"
_EVENTS_PAGE: Final = "200"
_MOST_PAGES: Final = 10_000


class Kalshi:
    """The market. Safe for several threads, as its wire is."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def status(self) -> Status:
        """Whether the exchange is up and trades."""
        return self._wire.ask(STATUS, status_of)

    def schedule(self) -> Schedule:
        """Its weeks, by the clocks of New York, and announced maintenance."""
        return self._wire.ask(SCHEDULE, schedule_of)

    def series_list(self, category: str = "") -> tuple[Series, ...]:
        """Every series, or those of a category. The venue has no pages here."""
        return self._wire.ask(SERIES_LIST, lambda r: fields.each(r, "series", series_of), _given(category=category))

    def series(self, ticker: str) -> Series:
        """One series, whose fee it tells."""
        return self._wire.ask(SERIES, lambda r: series_of(fields.child(r, "series")), series=ticker)

    def events(self, series: str = "", status: str = "", *, nested: bool = False) -> tuple[Event, ...]:
        """Events, with their markets where `nested`. status  unopened, open, closed or settled."""
        given = _given(series_ticker=series, status=status, with_nested_markets="true" if nested else "")
        return self._whole(EVENTS, "events", rows.event_of, given, _EVENTS_PAGE)

    def event(self, ticker: str) -> Event:
        """One event with its markets."""

        def read(reply: Row) -> Event:
            found = dict(fields.child(reply, "event"))
            return rows.event_of({**found, "markets": found.get("markets") or reply.get("markets")})

        return self._wire.ask(EVENT, read, _given(with_nested_markets="true"), event=ticker)

    def markets(self, *, series: str = "", event: str = "", status: str = "", tickers: Sequence[str] = ()) -> Markets:
        """Markets, and what among them could not be read. status  unopened, open, paused, closed or settled."""
        given = _given(series_ticker=series, event_ticker=event, status=status, tickers=",".join(tickers))
        return rows.markets_of(self._whole(MARKETS, "markets", _as_it_is, given))

    def market(self, ticker: str) -> Market:
        """One market, however long ago it was settled. Raises AbsentError (a VenueError) where there never was one."""

        def read(reply: Row) -> Market:
            found = rows.market_of(fields.child(reply, "market"))
            if found.ticker != ticker:
                raise VenueUnknownError(f"{ticker} was asked for, another market came")
            return found

        try:
            return self._wire.ask(MARKET, read, ticker=ticker)
        except AbsentError:
            return self._wire.ask(OLD_MARKET, read, ticker=ticker)

    def book(self, ticker: str) -> Book:
        """Every level of one market."""
        return self._wire.ask(BOOK, lambda r: book_of(ticker, fields.child(r, "orderbook_fp")), ticker=ticker)

    def books(self, tickers: Sequence[str]) -> dict[str, Book]:
        """Books of many markets; one that the venue did not send, or that cannot be read, is left out."""
        found: dict[str, Book] = {}
        for at in range(0, len(tickers), BOOKS_AT_ONCE):
            asked = [("tickers", ticker) for ticker in tickers[at : at + BOOKS_AT_ONCE]]
            found |= self._wire.ask(BOOKS, _books, asked)
        return {ticker: found[ticker] for ticker in tickers if ticker in found}

    def trades(self, ticker: str = "", since: int | None = None, until: int | None = None) -> tuple[Trade, ...]:
        """Trades of one market or of all, oldest first, each once. since, until  UTC s, both included."""
        given = _given(ticker=ticker, min_ts=_text(since), max_ts=_text(until))
        found = {trade.id: trade for trade in self._whole(TRADES, "trades", rows.trade_of, given)}
        return tuple(sorted(found.values(), key=lambda trade: (trade.time, trade.id)))

    def candles(self, series: str, ticker: str, start: int, end: int, minutes: int) -> tuple[Candle, ...]:
        """Candles whose period ends in [start, end] (UTC s), oldest first, each once. minutes  1, 60 or 1440."""
        step, found = minutes * 60 * CANDLES_AT_ONCE, dict[int, Candle]()
        for at in range(start, end + 1, step):
            given = _given(start_ts=str(at), end_ts=str(min(at + step - 1, end)), period_interval=str(minutes))
            part = self._wire.ask(
                CANDLES, lambda r: fields.each(r, "candlesticks", rows.candle_of), given, series=series, ticker=ticker
            )
            found |= {candle.end: candle for candle in part}
        return tuple(found[end_s] for end_s in sorted(found))

    def cutoff(self) -> int:
        """UTC ms: markets that were settled before are only to be had by `settled_before`."""
        return self._wire.ask(CUTOFF, lambda reply: fields.time_ms(reply, "market_settled_ts"))

    def settled_before(self, *, series: str = "", event: str = "") -> Markets:
        """Markets that were settled before the cutoff."""
        given = _given(series_ticker=series, event_ticker=event)
        return rows.markets_of(self._whole(OLD_MARKETS, "markets", _as_it_is, given))

    def _whole(
        self, endpoint: Endpoint, name: str, read: Callable[[Row], T], given: Params, page: str = _PAGE
    ) -> tuple[T, ...]:
        return tuple(pages(self._wire, endpoint, name, read, given, page))


def pages(
    wire: Wire, endpoint: Endpoint, name: str, read: Callable[[Row], T], given: Params, page: str = _PAGE
) -> Iterator[T]:
    """The rows of a list, page after page to the end.

    Raises VenueUnknownError where a cursor comes back a second time: the list would never end.
    """
    cursor, seen = "", set[str]()
    while len(seen) < _MOST_PAGES:
        asked = [*given, ("limit", page), *([("cursor", cursor)] if cursor else [])]
        found, cursor = wire.ask(endpoint, lambda reply: (fields.each(reply, name, read), _cursor(reply)), asked)
        yield from found
        if not cursor:
            return
        if cursor in seen:
            break
        seen.add(cursor)
    raise VenueUnknownError(f"kalshi {endpoint.path}: the pages do not end")


def _cursor(reply: Row) -> str:
    """Where the next page begins; `` = this was the last."""
    cursor = reply.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise VenueUnknownError("cursor is no text")
    return cursor or ""


def _books(reply: Row) -> dict[str, Book]:
    found = {}
    for row in fields.rows(reply, "orderbooks"):
        try:
            ticker = fields.text(row, "ticker")
            found[ticker] = book_of(ticker, fields.child(row, "orderbook_fp"))
        except VenueUnknownError:
            continue  # no book is no quote: the others are not to blame
    return found


def _given(**named: str) -> list[tuple[str, str]]:
    """Parameters that say something."""
    return [(name, value) for name, value in named.items() if value]


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _as_it_is(row: Row) -> Row:
    return row
