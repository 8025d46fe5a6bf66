"""The paper venue: a venue like any other, except that its market is the tape and its vault a SQLite file.

Durable, one transaction per order, idempotent by our order id, asked like any venue. A market order fills in full at
the tape's next price, half a spread and square-root impact worse, taker fee in USD; an order sent by a stop never fills
better than its level. Amounts follow the venue's arithmetic: prices rounded against us, fees up, to 1e-8 USD.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Protocol

import numpy as np

from evenkeel.engine.ports import Found
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.portfolio.costs import BPS, CostSettings, slippage
from evenkeel.types import Fill, Holdings, IntentStatus, Order, Pair
from evenkeel.units import plain

CENT = Decimal("0.00000001")

_SCHEMA = """
create table if not exists balances (asset text primary key, quantity text not null);
create table if not exists orders (
  id text primary key, number integer not null, asset text not null, quantity text not null,
  price text not null, fee text not null, time integer not null
);
"""


class Tape(Protocol):
    """The market that the paper venue trades on."""

    def price(self, asset: str, time: int) -> tuple[float, float] | None:
        """First price (USD) at or after `time` and the asset's daily volume (USD); None = there is no market."""


def fill_price(order: Order, reference: float, volume: float, pair: Pair, costs: CostSettings) -> Decimal:
    """What a taker gets, USD per unit: worse than the reference by slippage, at the pair's price precision.

    reference  first price after the decision, USD · volume  USD a day, NaN = unknown
    """
    start = min(reference, float(order.stop)) if order.stop is not None and order.quantity < 0 else reference
    notional = np.array([abs(float(order.quantity)) * start])
    slip = float(slippage(notional, np.array([volume]), np.array([pair.tier]), costs)[0])
    worse = start * (1.0 + slip) if order.quantity > 0 else start * (1.0 - slip)
    rounding = ROUND_CEILING if order.quantity > 0 else ROUND_FLOOR
    return Decimal(repr(worse)).quantize(Decimal(1).scaleb(-pair.price_decimals), rounding=rounding)


class PaperVenue:
    """A spot account in `paper.db`. `path` None keeps it in memory (back-tests)."""

    def __init__(
        self, path: Path | None, tape: Tape, pairs: Mapping[str, Pair], costs: CostSettings, capital: Decimal
    ) -> None:
        """Open the account; a new one starts with `capital` USD."""
        self._tape = tape
        self._pairs = pairs
        self._costs = costs
        self._one_at_a_time = threading.RLock()
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30)
        if path is not None:
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
        self._db.executescript(_SCHEMA)
        self._db.execute("insert or ignore into balances values ('USD', ?)", (plain(capital),))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def holdings(self, time: int) -> Holdings:
        """Cash and units, as the venue has them now."""
        with self._alone():
            rows = self._db.execute("select asset, quantity from balances").fetchall()
        balances = {asset: Decimal(quantity) for asset, quantity in rows}
        cash = balances.pop("USD")
        return Holdings(time, cash, {a: q for a, q in sorted(balances.items()) if q})

    def find(self, order: Order, time: int) -> Found | None:  # noqa: ARG002 - a port's signature
        """What became of an order of ours; None = never seen here."""
        query = "select asset, quantity, price, fee, time from orders where id = ?"
        with self._alone():
            row = self._db.execute(query, (order.id,)).fetchone()
        if row is None:
            return None
        asset, quantity, price, fee, when = row
        return _found(Fill(f"{order.id}-1", order.id, asset, Decimal(quantity), Decimal(price), Decimal(fee), when))

    def send(self, order: Order, time: int) -> Found:
        """Fill a market order in one transaction. The same id again gives the same answer and moves nothing.

        Raises VenueError: unknown pair, no market, precision, minimum notional, insufficient balance.
        """
        with self._alone():
            known = self.find(order, time)
            if known is not None:
                return _same(order, known)
            fill = self._fill(order, time)
            self._book(order, fill)
            return _found(fill)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """Everything filled after `since`, in the order of filling."""
        query = "select id, asset, quantity, price, fee, time from orders where time > ? order by number"
        with self._alone():
            rows = self._db.execute(query, (since,)).fetchall()
        return tuple(Fill(f"{o}-1", o, a, Decimal(q), Decimal(p), Decimal(f), t) for o, a, q, p, f, t in rows)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time; what the database cannot answer is unknown, never refused."""
        with self._one_at_a_time:
            try:
                yield
            except sqlite3.Error as error:
                raise VenueUnknownError(f"paper account: {error}") from error

    def _fill(self, order: Order, time: int) -> Fill:
        pair = self._pairs.get(order.asset)
        if pair is None:
            raise VenueError(f"{order.asset}: pair not found")
        market = self._tape.price(order.asset, time)
        if market is None:
            raise VenueError(f"{order.asset}: no market at this time")
        _check_precision(order, pair)
        price = fill_price(order, market[0], market[1], pair, self._costs)
        notional = abs(order.quantity) * price
        if notional <= pair.min_notional:
            raise VenueError(f"{order.asset}: notional {plain(notional)} USD is not above {pair.min_notional}")
        fee = (notional * Decimal(repr(self._costs.taker * BPS))).quantize(CENT, rounding=ROUND_CEILING)
        return Fill(f"{order.id}-1", order.id, order.asset, order.quantity, price, fee, time)

    def _book(self, order: Order, fill: Fill) -> None:
        """Move the balances and note the order, in one transaction, or refuse."""
        cash = self._balance("USD") - fill.quantity * fill.price - fill.fee
        units = self._balance(order.asset) + fill.quantity
        if cash < 0 or units < 0:
            raise VenueError(f"{order.asset}: insufficient balance for {plain(order.quantity)}")
        row = (order.id, order.asset, plain(fill.quantity), plain(fill.price), plain(fill.fee), fill.time)
        self._db.execute("begin immediate")
        try:
            self._db.execute(
                "insert into orders select ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? from orders", row
            )
            for asset, quantity in (("USD", cash), (order.asset, units)):
                self._db.execute("insert or replace into balances values (?, ?)", (asset, plain(quantity)))
            self._db.execute("commit")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    def _balance(self, asset: str) -> Decimal:
        row = self._db.execute("select quantity from balances where asset = ?", (asset,)).fetchone()
        return Decimal(row[0]) if row else Decimal(0)


def _check_precision(order: Order, pair: Pair) -> None:
    if order.quantity != order.quantity.quantize(Decimal(1).scaleb(-pair.amount_decimals)):
        limit = pair.amount_decimals
        raise VenueError(f"{order.asset}: quantity {plain(order.quantity)} has more than {limit} decimals")


def _same(order: Order, known: Found) -> Found:
    """The answer given before, unless another order is hiding behind the id."""
    if (known.fills[0].asset, known.fills[0].quantity) != (order.asset, order.quantity):
        raise VenueError(f"{order.asset}: order id {order.id} was used before for another order")
    return known


def _found(fill: Fill) -> Found:
    return Found(IntentStatus.FILLED, (fill,))
