"""Kalshi on paper: real quotes, real fees, real results, and an account that is a file of ours.

A venue like any other: durable, one transaction for an order or a settlement, idempotent by our order id. An order
takes what the public book shows at its limit or better, level by level, each a fill with its own fee; what is not there
is not filled. One that rests is filled only by public trades beyond its limit, at its limit. A market pays what the
venue's own record says once it is final; where that record changes later, the difference is booked as a row of its own.
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
from evenkeel.types import MAKER, Fill, Holdings, IntentStatus, Order
from evenkeel.units import DAY_S, decimal_sum, plain
from evenkeel.venues import kalshi_paper_rows as paper
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import IMMEDIATE, check
from evenkeel.venues.kalshi_account_rows import Settlement
from evenkeel.venues.kalshi_board import Fees, contract_of, ends_of
from evenkeel.venues.kalshi_open import Doors
from evenkeel.venues.kalshi_paper_rows import ZERO
from evenkeel.venues.kalshi_rows import Market
from evenkeel.venues.kalshi_wire import AbsentError, always

WATCHED_S: Final = DAY_S
"""So long a record that was paid is compared with the venue's again."""
_AT_ONCE: Final = 40
_SCHEMA: Final = """
create table if not exists account (name text primary key, usd text not null);
create table if not exists orders (
  number integer primary key, id text unique not null, ticker text not null, quantity text not null,
  price text not null, time integer not null, rests integer not null
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
        self._market, self._now, self._doors = market, now, Doors(market, now)
        self._fees = Fees(market, now)
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
        for (name,) in self._rows("select id from orders where rests = 1 order by number"):
            self._advance(name)
        rows = self._rows("select id, ticker from orders where time >= ? order by number", since)
        found = [self._order(name) for name, ticker in rows if ticker in assets]
        return tuple(order for order in found if order is not None)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """Everything filled after `since`, UTC s, in its order."""
        query = "select id, order_id, ticker, quantity, price, fee, time from fills where time > ? order by rowid"
        return tuple(paper.fill_of(*row) for row in self._rows(query, since))

    def settlements(self, since: int) -> tuple[Settlement, ...]:
        """How markets that were held ended, from `since` (UTC s) on, by the venue's newest record of each."""
        self._settle()
        query = "select ticker, event, result, quantity, revenue, time from settlements where time >= ? order by number"
        newest = {row[0]: paper.settlement_of(*row) for row in self._rows(query, since)}
        return tuple(newest.values())

    def _order(self, name: str) -> VenueOrder | None:
        rows = self._rows("select ticker, quantity, price, time, rests from orders where id = ?", name)
        if not rows:
            return None
        ticker, asked, limit, time, rests = rows[0]
        query = "select id, order_id, ticker, quantity, price, fee, time from fills where order_id = ? order by rowid"
        fills = tuple(paper.fill_of(*row) for row in self._rows(query, name))
        whole = decimal_sum(one.quantity for one in fills) == Decimal(asked)
        status = IntentStatus.FILLED if whole else IntentStatus.ACKED if rests else IntentStatus.CANCELED
        return VenueOrder(name, name, ticker, Decimal(asked), Decimal(limit), status, int(time) * 1000, fills)

    # ---------------------------------------------------------------- orders

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = always, *, limit: Decimal | None = None
    ) -> VenueOrder:
        """Take what the book shows at the limit or better. The same id again gives the same answer and moves nothing.

        Raises VenueError: no limit, a market or a price that is none, a closed exchange, fee terms unknown, not enough
        cash.
        """
        known = self._order(order.id)
        if known is not None:
            return known
        if limit is None:
            raise VenueError(f"{order.asset}: Kalshi takes no order without a limit")
        try:
            market, book = self._market.market(order.asset), self._market.book(order.asset)
            terms = self._rate(market)
        except VenueUnknownError as error:
            raise VenueError(f"{order.asset}: not sent, the market cannot be had: {error}") from None
        check(order, market, limit, IMMEDIATE)
        self._doors.check(market)
        fills = paper.taken(order, book, limit, terms, time)
        if not may():
            raise VenueError("not sent, no longer allowed when its turn came")
        if order.style == MAKER:
            self._rest(order, limit, rests=not fills, time=time)  # what would take is canceled by the venue
        else:
            self._book(order, limit, fills, ends_of(market) // 1000, time)
        done = self._order(order.id)
        assert done is not None
        return done

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:  # noqa: ARG002 - a port's
        """Take back what rests; -> what became of the order."""
        if self._rows("select id from orders where id = ? and rests = 1", venue_id):
            self._advance(venue_id)
            self._over(venue_id)
        return self._order(venue_id)

    def _rest(self, order: Order, limit: Decimal, *, rests: bool, time: int) -> None:
        """Note an order that waits, if all that wait could be paid."""
        if rests and self._reserved() + paper.worst(order.quantity, limit) > self.cash():
            raise VenueError(f"{order.asset}: insufficient balance for {plain(order.quantity)}")
        row = (order.id, order.asset, plain(order.quantity), plain(limit), time, int(rests))
        with self._transaction() as db:
            db.execute("insert into orders (id, ticker, quantity, price, time, rests) values (?, ?, ?, ?, ?, ?)", row)

    def _reserved(self) -> Decimal:
        rows = self._rows("select quantity, price from orders where rests = 1")
        return decimal_sum(paper.worst(Decimal(quantity), Decimal(limit)) for quantity, limit in rows)

    def _advance(self, name: str) -> None:
        """Fill a resting order by the trades that went beyond its limit since it was placed; each once."""
        order = self._order(name)
        if order is None or order.limit is None:
            return
        market = self._market.market(order.asset)
        known, rows = {fill.id for fill in order.fills}, []
        left = abs(order.quantity) - abs(decimal_sum(fill.quantity for fill in order.fills))
        for trade in self._market.trades(order.asset, since=order.placed // 1000):
            beyond = trade.price < order.limit if order.quantity > 0 else trade.price > order.limit
            if beyond and left > 0 and trade.time > order.placed and f"{name}.{trade.id}" not in known:
                count = min(left, trade.count)
                left -= count
                rows.append((f"{name}.{trade.id}", count, trade.time // 1000))
        if rows:
            self._filled(order, market, rows)
        if not left or self._now() * 1000 >= market.closes:
            self._over(name)

    def _filled(self, order: VenueOrder, market: Market, rows: Sequence[tuple[str, Decimal, int]]) -> None:
        assert order.limit is not None
        yes, terms = order.quantity > 0, self._rate(market, maker=True)
        price = order.limit if yes else ONE - order.limit
        fills = [
            Fill(name, order.id, order.asset, count if yes else -count, order.limit, fee(count, price, terms), at)
            for name, count, at in rows
        ]
        cash, after = self._after(order.asset, fills)
        with self._transaction() as db:
            db.executemany("insert into fills values (?, ?, ?, ?, ?, ?, ?)", [paper.columns(fill) for fill in fills])
            _put(db, cash, order.asset, after, ends_of(market) // 1000)

    def _over(self, name: str) -> None:
        with self._transaction() as db:
            db.execute("update orders set rests = 0 where id = ?", (name,))

    def _rate(self, market: Market, *, maker: bool = False) -> Decimal:
        found = rate(contract_of(market, self._fees.of(market), exclusive=False), maker=maker)
        if found is None:
            raise VenueError(f"{market.ticker}: the fee of {series_of(market.ticker)} is not known")
        return found

    def _book(self, order: Order, limit: Decimal, fills: Sequence[Fill], ends: int, time: int) -> None:
        cash, after = self._after(order.asset, fills)
        if cash < 0:
            raise VenueError(f"{order.asset}: insufficient balance for {plain(order.quantity)}")
        row = (order.id, order.asset, plain(order.quantity), plain(limit), time)
        with self._transaction() as db:
            db.execute("insert into orders (id, ticker, quantity, price, time, rests) values (?, ?, ?, ?, ?, 0)", row)
            db.executemany("insert into fills values (?, ?, ?, ?, ?, ?, ?)", [paper.columns(fill) for fill in fills])
            _put(db, cash, order.asset, after, ends)

    def _after(self, ticker: str, fills: Sequence[Fill]) -> tuple[Decimal, Decimal]:
        """Cash and contracts of a market after fills."""
        held = self.holdings(0)
        cash, after = held.cash, held.units.get(ticker, ZERO)
        for fill in fills:
            cash += paper.paid(after, fill.quantity, fill.price) - fill.fee
            after += fill.quantity
        return cash, after

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
            value = paper.value_of(market)
            if value is None:
                continue
            if count is not None:
                self._pay(market, count, paper.revenue(count, value), now)
                continue
            before = paid[market.ticker]
            owed = paper.revenue(paper.held(before), value)
            if (before.result, before.revenue) != (market.result, owed):
                self._pay(market, paper.held(before), owed, now, before.revenue)

    def _paid_since(self, since: int) -> tuple[Settlement, ...]:
        query = "select ticker, event, result, quantity, revenue, time from settlements where time >= ? order by number"
        return tuple(paper.settlement_of(*row) for row in self._rows(query, since))

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
