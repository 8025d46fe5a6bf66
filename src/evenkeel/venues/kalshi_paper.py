"""Kalshi on paper: real quotes, real fees, real results, and an account that is a file of ours.

A venue like any other: durable, one transaction for an order or a settlement, idempotent by our order id. An order
takes what the public book shows at its limit or better, level by level, each a fill with its own fee; what is not there
is not filled. A market pays what the venue's own record says once it is final; where that record changes later, the
difference is booked as a row of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.events.board import ONE, series_of
from evenkeel.events.fees import fee, rate
from evenkeel.types import Fill, Holdings, IntentStatus, Order
from evenkeel.units import DAY_S, HOUR_S, decimal_sum, plain
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import IMMEDIATE, check
from evenkeel.venues.kalshi_account_rows import Settlement
from evenkeel.venues.kalshi_board import contract_of, ends_of
from evenkeel.venues.kalshi_book import Book
from evenkeel.venues.kalshi_rows import Market, Series
from evenkeel.venues.kalshi_wire import AbsentError, always

ZERO: Final = Decimal(0)
WATCHED_S: Final = DAY_S
"""So long a record that was paid is compared with the venue's again."""
_AT_ONCE: Final = 40
_SCHEMA: Final = """
create table if not exists account (name text primary key, usd text not null);
create table if not exists orders (
  number integer primary key, id text unique not null, ticker text not null, quantity text not null,
  price text not null, time integer not null
);
create table if not exists fills (
  id text primary key, order_id text not null, ticker text not null, quantity text not null, price text not null,
  fee text not null, time integer not null
);
create table if not exists positions (ticker text primary key, quantity text not null, ends integer not null);
create table if not exists settlements (
  number integer primary key, ticker text not null, event text not null, result text not null, quantity text not null,
  revenue text not null, time integer not null
);
"""


class PaperKalshi:
    """One account in a file, over the public data of a venue. Not for several threads at once."""

    again = True

    def __init__(self, path: Path, capital: Decimal, market: Kalshi, now: Callable[[], float]) -> None:
        """A new file starts with `capital` USD. now  UTC s. Raises sqlite3.Error where it cannot be used."""
        self._market, self._now = market, now
        self._terms: dict[str, tuple[float, Series]] = {}
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.executescript(_SCHEMA)
        self._db.execute("insert or ignore into account values ('cash', ?)", (plain(capital),))

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    # ---------------------------------------------------------------- what is there

    def cash(self) -> Decimal:
        """USD."""
        return Decimal(self._rows("select usd from account where name = 'cash'")[0][0])

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:  # noqa: ARG002 - a port's
        """Cash and contracts, - = NO."""
        units = {ticker: Decimal(count) for ticker, count in self._rows("select ticker, quantity from positions")}
        return Holdings(time, self.cash(), units)

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:  # noqa: ARG002 - a port's
        """Every order of these markets from `since` (UTC s) on."""
        rows = self._rows("select id, ticker from orders where time >= ? order by number", since)
        found = [self._order(name) for name, ticker in rows if ticker in assets]
        return tuple(order for order in found if order is not None)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """Everything filled after `since`, UTC s, in its order."""
        query = "select id, order_id, ticker, quantity, price, fee, time from fills where time > ? order by rowid"
        return tuple(_fill(*row) for row in self._rows(query, since))

    def settlements(self, since: int) -> tuple[Settlement, ...]:
        """How markets that were held ended, from `since` (UTC s) on, by the venue's newest record of each."""
        self._settle()
        query = "select ticker, event, result, quantity, revenue, time from settlements where time >= ? order by number"
        newest = {row[0]: _settlement(*row) for row in self._rows(query, since)}
        return tuple(newest.values())

    def _order(self, name: str) -> VenueOrder | None:
        rows = self._rows("select ticker, quantity, price, time from orders where id = ?", name)
        if not rows:
            return None
        ticker, asked, limit, time = rows[0]
        query = "select id, order_id, ticker, quantity, price, fee, time from fills where order_id = ? order by rowid"
        fills = tuple(_fill(*row) for row in self._rows(query, name))
        whole = decimal_sum(one.quantity for one in fills) == Decimal(asked)
        status = IntentStatus.FILLED if whole else IntentStatus.CANCELED
        return VenueOrder(name, name, ticker, Decimal(asked), Decimal(limit), status, int(time) * 1000, fills)

    # ---------------------------------------------------------------- orders

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = always, *, limit: Decimal | None = None
    ) -> VenueOrder:
        """Take what the book shows at the limit or better. The same id again gives the same answer and moves nothing.

        Raises VenueError: no limit, a market or a price that is none, fee terms unknown, not enough cash.
        """
        known = self._order(order.id)
        if known is not None:
            return known
        if limit is None:
            raise VenueError(f"{order.asset}: Kalshi takes no order without a limit")
        market = self._market.market(order.asset)
        check(order, market, limit, IMMEDIATE)
        if self._now() * 1000 >= market.closes:
            raise VenueError(f"{market.ticker}: the market has closed")
        terms = self._rate(market)
        fills = _taken(order, self._market.book(order.asset), limit, terms, time)
        if not may():
            raise VenueError("not sent, no longer allowed when its turn came")
        self._book(order, limit, fills, ends_of(market) // 1000, time)
        done = self._order(order.id)
        assert done is not None
        return done

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:  # noqa: ARG002 - a port's
        """Nothing rests here: what became of the order."""
        return self._order(venue_id)

    def _rate(self, market: Market) -> Decimal:
        name, now = series_of(market.ticker), self._now()
        known = self._terms.get(name)
        if known is None or not 0 <= now - known[0] < HOUR_S:
            known = self._terms[name] = now, self._market.series(name)
        found = rate(contract_of(market, known[1], exclusive=False))
        if found is None:
            raise VenueError(f"{market.ticker}: the fee of {name} is not known")
        return found

    def _book(self, order: Order, limit: Decimal, fills: Sequence[Fill], ends: int, time: int) -> None:
        held = self.holdings(time)
        before = held.units.get(order.asset, ZERO)
        cash, after = held.cash, before
        for fill in fills:
            cash += _paid(after, fill.quantity, fill.price) - fill.fee
            after += fill.quantity
        if cash < 0:
            raise VenueError(f"{order.asset}: insufficient balance for {plain(order.quantity)}")
        with self._transaction() as db:
            row = (order.id, order.asset, plain(order.quantity), plain(limit), time)
            db.execute("insert into orders (id, ticker, quantity, price, time) values (?, ?, ?, ?, ?)", row)
            db.executemany("insert into fills values (?, ?, ?, ?, ?, ?, ?)", [_columns(fill) for fill in fills])
            _put(db, cash, order.asset, after, ends)

    # ---------------------------------------------------------------- ends

    def _settle(self) -> None:
        """Pay what the venue calls final, and what it calls otherwise than it did."""
        now = int(self._now())
        due = {
            ticker: Decimal(count)
            for ticker, count in self._rows("select ticker, quantity from positions where ends <= ?", now)
        }
        paid = {row.ticker: row for row in self._paid_since(now - WATCHED_S)}
        for market in self._asked([*due, *(ticker for ticker in paid if ticker not in due)]):
            count = due.get(market.ticker)
            value = _value(market)
            if value is None:
                continue
            if count is not None:
                self._pay(market, count, _revenue(count, value), now)
            elif (before := paid[market.ticker]).result != market.result or _revenue(_held(before), value) != (
                before.revenue
            ):
                self._pay(market, _held(before), _revenue(_held(before), value), now, before.revenue)

    def _paid_since(self, since: int) -> tuple[Settlement, ...]:
        query = "select ticker, event, result, quantity, revenue, time from settlements where time >= ? order by number"
        return tuple(_settlement(*row) for row in self._rows(query, since))

    def _asked(self, tickers: Sequence[str]) -> Iterator[Market]:
        """The venue's records of these markets now; one that is only in its history is asked for alone."""
        for at in range(0, len(tickers), _AT_ONCE):
            part = tickers[at : at + _AT_ONCE]
            found = {market.ticker: market for market in self._market.markets(tickers=part).rows}
            for ticker in part:
                try:
                    yield found[ticker] if ticker in found else self._market.market(ticker)
                except AbsentError:
                    continue  # the venue has it no more, or not yet: nothing is paid on a guess

    def _pay(self, market: Market, count: Decimal, revenue: Decimal, now: int, before: Decimal = ZERO) -> None:
        cash = self.cash() + revenue - before
        row = (market.ticker, market.event, market.result, plain(count), plain(revenue), now)
        with self._transaction() as db:
            db.execute(
                "insert into settlements (ticker, event, result, quantity, revenue, time) values (?, ?, ?, ?, ?, ?)",
                row,
            )
            _put(db, cash, market.ticker, ZERO, 0)

    # ---------------------------------------------------------------- the file

    def _rows(self, query: str, *given: object) -> list[tuple[str, ...]]:
        with _answering():
            return self._db.execute(query, given).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _answering():
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise


def _taken(order: Order, book: Book, limit: Decimal, terms: Decimal, time: int) -> list[Fill]:
    """Fills of an order against a book, best level first; price USD of YES, the fee of each its own."""
    yes = order.quantity > 0
    levels = book.fill("yes" if yes else "no", abs(order.quantity), limit if yes else ONE - limit)
    sign, name = (1 if yes else -1), order.id
    return [
        Fill(f"{name}.{n}", name, order.asset, sign * size, at if yes else ONE - at, fee(size, at, terms), time)
        for n, (at, size) in enumerate(levels)
    ]


def _paid(held: Decimal, quantity: Decimal, price: Decimal) -> Decimal:
    """Change of cash, USD, without fees: NO is YES sold against one USD a contract that is kept back."""
    return -quantity * price - (max(-held - quantity, ZERO) - max(-held, ZERO))


def _value(market: Market) -> Decimal | None:
    """What a YES is worth by a record that is final; None before, and where the record does not say."""
    if market.status != "finalized":
        return None
    if market.value is not None and ZERO <= market.value <= ONE:
        return market.value
    return {"yes": ONE, "no": ZERO}.get(market.result)


def _revenue(count: Decimal, value: Decimal) -> Decimal:
    return count * value if count > 0 else -count * (ONE - value)


def _held(row: Settlement) -> Decimal:
    return row.yes - row.no


def _put(db: sqlite3.Connection, cash: Decimal, ticker: str, count: Decimal, ends: int) -> None:
    db.execute("insert or replace into account values ('cash', ?)", (plain(cash),))
    if count:
        db.execute("insert or replace into positions values (?, ?, ?)", (ticker, plain(count), ends))
    else:
        db.execute("delete from positions where ticker = ?", (ticker,))


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise VenueUnknownError(f"paper account: {error}") from error


def _columns(fill: Fill) -> tuple[str | int, ...]:
    numbers = plain(fill.quantity), plain(fill.price), plain(fill.fee)
    return (fill.id, fill.order_id, fill.asset, *numbers, fill.time)


def _fill(*row: str) -> Fill:
    name, order_id, ticker, quantity, price, paid, time = row
    return Fill(name, order_id, ticker, Decimal(quantity), Decimal(price), Decimal(paid), int(time))


def _settlement(*row: str) -> Settlement:
    ticker, event, result, quantity, revenue, time = row
    count = Decimal(quantity)
    yes, no = max(count, ZERO), max(-count, ZERO)
    return Settlement(ticker, event, result, yes, no, Decimal(revenue), ZERO, int(time) * 1000)
