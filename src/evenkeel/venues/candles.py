"""Which bars and prices does a public exchange show? Closed candles and best bid and ask over REST, through ccxt.

Symbols and times in; rows `(n, 6)` out: open time UTC s, open, high, low, close (quote currency), volume (base units).
The law: a bar that is still open is never handed out, judged by the exchange's own clock. Only reads are made, so only
here may a request be repeated. ccxt (1 s, 100 MB) is imported at the first request, nowhere else.
Sources: Binance spot REST, Coinbase Exchange and Advanced Trade, ccxt 4.5 (`specs/market_data.md`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenkeel.errors import DataError, FeedError
from evenkeel.types import Array
from evenkeel.units import duration
from evenkeel.venues.ccxt_wire import Refused, UnknownSymbol, Wire

Store = Callable[[str, Array], None]
"""Takes a symbol and its new closed rows (n, 6); returns once they are durable."""
OnProgress = Callable[[str, int, int], None]
"""Takes the symbol at work, bars covered so far and bars wanted in all."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How an exchange answers: bars per page, least s between requests, where a page that is empty leads.

    skips  True: a page begins at the first bar after `since`, so an empty page means there are no more (Binance)
    """

    page: int
    gap_s: float
    skips: bool
    hosts: tuple[str, ...] = ()


_SHAPES: Mapping[str, Shape] = {
    "binance": Shape(1000, 0.05, True, ("https://api.binance.com/api/v3", "https://data-api.binance.vision/api/v3")),
    "coinbase": Shape(300, 0.12, False),
    "coinbaseexchange": Shape(300, 0.12, False),
}
_OTHER = Shape(300, 0.25, False)


@dataclass(frozen=True, slots=True)
class Touch:
    """Best bid and ask (quote currency; NaN = none) and the exchange's time when they were read, UTC s."""

    bid: float
    ask: float
    time: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed rows (n, 6) per symbol, n >= 1, and why each other symbol has none."""

    rows: Mapping[str, Array]
    absent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """New rows handed to the store per symbol, why symbols were skipped, and what else a person should know."""

    rows: Mapping[str, int]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]


class CandleSource:
    """One exchange's public market data. Not for two threads at once: give each lane its own.

    exchange_id  a ccxt id: binance, coinbase, coinbaseexchange
    hosts        base addresses, the later ones tried in order where the country is refused (HTTP 451); None = real ones
    timeout_s    longest that one request may take in all, s
    sleep, clock waiting and UTC s now
    """

    def __init__(
        self,
        exchange_id: str = "binance",
        *,
        hosts: Sequence[str] | None = None,
        timeout_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = exchange_id
        self._shape = _SHAPES.get(exchange_id, _OTHER)
        chosen = self._shape.hosts if hosts is None else tuple(hosts)
        self._wire = Wire(exchange_id, chosen, timeout_s, self._shape.gap_s, sleep, clock)
        self._clock = clock
        self._offset_s: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of this connection, such as a switch to the mirror."""
        return tuple(self._wire.notes)

    def now(self) -> int:
        """The exchange's time, UTC s; measured at the first request of each call. Raises FeedError."""
        if self._offset_s is None:
            self._measure(None)
        return int(self._clock() + (self._offset_s or 0.0))

    def symbols(self, quote: str = "") -> tuple[str, ...]:
        """Every spot symbol as the exchange writes it (`BTCUSDT`), or those of one quote currency. Raises FeedError."""
        markets = self._wire.markets().values()
        return tuple(sorted(m["id"] for m in markets if m.get("spot") and quote in ("", m["quote"])))

    def download(
        self,
        ranges: Mapping[str, Sequence[tuple[int, int]]],
        bar_s: int,
        store: Store,
        on_progress: OnProgress | None = None,
    ) -> Downloaded:
        """Fetch closed bars of many symbols and hand them to `store`, one call per range, in the order given.

        ranges  per symbol: half-open ranges of open times [from, to), UTC s on the grid (`archive.plan_ranges`)
        A symbol that the exchange does not know or refuses is skipped with a word; others go on. Raises FeedError when
        the exchange cannot be had; what is stored stays, the same download resumes. DataError for an unknown exchange
        or a bar that it does not offer.
        """
        bar = self._bar(bar_s)
        self._measure(None)
        total = sum((end - start) // bar_s for spans in ranges.values() for start, end in spans)
        tell = _Tally(on_progress, total)
        rows: dict[str, int] = {}
        skipped: dict[str, str] = {}
        for symbol, spans in ranges.items():
            tell.begin(symbol, sum((end - start) // bar_s for start, end in spans))
            try:
                rows[symbol] = self._fetch_ranges(symbol, spans, bar, bar_s, store, tell)
            except (UnknownSymbol, Refused) as error:
                skipped[symbol] = str(error)
            tell.end()
        return Downloaded(rows, skipped, self.notes)

    def closed_bars(self, symbols: Sequence[str], bar_s: int, count: int, budget_s: float = 60.0) -> Closed:
        """Each symbol's closed bars of the last `count` bar lengths (fewer where it is young or has gaps).

        budget_s  longest that all of it may take, s; symbols not reached are told in `absent`
        Raises FeedError if no symbol has an answer.
        """
        deadline = self._clock() + budget_s
        bar = self._bar(bar_s)
        self._measure(deadline)
        end = self.now() // bar_s * bar_s
        rows: dict[str, Array] = {}
        absent: dict[str, str] = {}
        for symbol in symbols:
            try:
                pages = list(self._pages(symbol, bar, bar_s, (end - count * bar_s, end), deadline))
                if pages:
                    rows[symbol] = np.concatenate([page for page, _ in pages])
                else:
                    absent[symbol] = f"{self.id} has no closed {bar} bar of {symbol} since then"
            except (UnknownSymbol, FeedError) as error:
                absent[symbol] = str(error)
        if symbols and not rows:
            raise FeedError(f"{self.id} gave no closed {bar} bars: {next(iter(absent.values()))}")
        return Closed(rows, absent)

    def best_bid_ask(self, symbols: Sequence[str], budget_s: float = 20.0) -> dict[str, Touch]:
        """Best bid and ask of each symbol that has one; unknown and silent symbols are left out.

        Binance is asked once for all, others once per symbol. Raises FeedError if the exchange cannot be had or no
        symbol has a price.
        """
        deadline = self._clock() + budget_s
        self._measure(deadline)
        names = {unified: symbol for symbol in symbols if (unified := self._wire.unified(symbol, deadline))}
        tickers = self._tickers(list(names), deadline) if names else {}
        at = self.now()
        touches = {
            names[unified]: Touch(_price(ticker.get("bid")), _price(ticker.get("ask")), at)
            for unified, ticker in tickers.items()
            if unified in names
        }
        found = {name: touch for name, touch in touches.items() if np.isfinite([touch.bid, touch.ask]).any()}
        if symbols and not found:
            raise FeedError(f"{self.id} gave no bid or ask for any of {len(symbols)} symbols: check their names")
        return found

    def _tickers(self, names: list[str], deadline: float) -> Mapping[str, Mapping[str, Any]]:
        if self.id == "binance":
            return self._bulk_tickers(names, deadline)
        tickers = {}
        for name in names:
            try:
                tickers[name] = self._wire.ask("fetch_ticker", name, deadline=deadline)
            except (UnknownSymbol, Refused):
                continue
        return tickers

    def _bulk_tickers(self, names: list[str], deadline: float) -> Mapping[str, Mapping[str, Any]]:
        """One refused name refuses the whole list: then all are asked for and ours picked out."""
        found: Mapping[str, Mapping[str, Any]]
        try:
            found = self._wire.ask("fetch_bids_asks", names, deadline=deadline)
        except (UnknownSymbol, Refused):
            found = self._wire.ask("fetch_bids_asks", deadline=deadline)
        return found

    def _measure(self, deadline: float | None) -> None:
        """How far our clock is from the exchange's, asked anew at the start of each public call."""
        server_ms = self._wire.ask("fetch_time", deadline=deadline)
        if not isinstance(server_ms, int | float):
            raise FeedError(f"{self.id} does not tell its time: use another exchange")
        self._offset_s = server_ms / 1000 - self._clock()

    def _bar(self, bar_s: int) -> str:
        bar, offered = duration(bar_s), self._wire.timeframes()
        if bar not in offered:
            raise DataError(
                f"{self.id} has no {bar} candles: choose one of {', '.join(offered)}, or a finer one and resample"
            )
        return bar

    def _fetch_ranges(
        self, symbol: str, spans: Sequence[tuple[int, int]], bar: str, bar_s: int, store: Store, tell: _Tally
    ) -> int:
        closed_end, count = self.now() // bar_s * bar_s, 0
        for start, end in spans:
            pages = []
            for page, cursor in self._pages(symbol, bar, bar_s, (start, min(end, closed_end)), None):
                pages.append(page)
                tell.step((cursor - start) // bar_s)
            made = np.concatenate(pages) if pages else np.empty((0, 6))
            if len(made):
                store(symbol, made)
            count += len(made)
            tell.keep((end - start) // bar_s)
        return count

    def _pages(
        self, symbol: str, bar: str, bar_s: int, span: tuple[int, int], deadline: float | None
    ) -> Iterator[tuple[Array, int]]:
        """Pages of rows with start <= open < end, ascending, and the open time up to which the range is covered."""
        unified = self._wire.unified(symbol, deadline)
        if unified is None:
            raise UnknownSymbol(f"{self.id} does not know {symbol}: look at its name in config/universe.yaml")
        cursor, end = span
        while cursor < end:
            last = min(cursor + (self._shape.page - 1) * bar_s, end - bar_s)
            rows = self._page(unified, bar, (cursor, last, (end - cursor) // bar_s + 1), deadline)
            rows = rows[(rows[:, 0] >= cursor) & (rows[:, 0] < end)]
            if len(rows):
                cursor = int(rows[-1, 0]) + bar_s
                yield rows, min(cursor, end)
            else:
                cursor = end if self._shape.skips else last + bar_s

    def _page(self, unified: str, bar: str, window: tuple[int, int, int], deadline: float | None) -> Array:
        """One answer as ascending unique rows; the window is first and last open time (s) and bars wanted at most."""
        first, last, wanted = window
        limit = min(self._shape.page, wanted)
        params = {} if self._shape.skips else {"until": last * 1000}
        answer = self._wire.ask("fetch_ohlcv", unified, bar, first * 1000, limit, params, deadline=deadline)
        rows: Array = np.array(answer, dtype=np.float64).reshape(-1, 6)
        rows = rows[np.isfinite(rows).all(axis=1)]
        rows[:, 0] /= 1000.0
        _, at = np.unique(rows[:, 0], return_index=True)
        return rows[at]


class _Tally:
    """Bars covered so far, for a progress bar: whole symbols, whole ranges, and the range at work."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._tell, self._total = on_progress or (lambda _symbol, _done, _total: None), total
        self._symbol, self._before, self._kept, self._all = "", 0, 0, 0

    def begin(self, symbol: str, bars: int) -> None:
        self._symbol, self._kept, self._all = symbol, 0, bars
        self.step(0)

    def step(self, bars: int) -> None:
        self._tell(self._symbol, self._before + self._kept + bars, self._total)

    def keep(self, bars: int) -> None:
        self._kept += bars
        self.step(0)

    def end(self) -> None:
        self._before, self._kept = self._before + self._all, 0
        self.step(0)


def _price(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else float("nan")
