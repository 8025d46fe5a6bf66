"""Where the paper venue keeps its accounts: a SQLite file that survives everything, or this process's memory.

The two hold the same balances and the same orders, by the same arithmetic (that is the venue's), and answer alike. The
file is for runs that must outlive a crash; back-tests keep theirs in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from evenkeel.errors import VenueUnknownError
from evenkeel.types import Fill
from evenkeel.units import plain

CASH = "USD"
NONE = Decimal(0)

_SCHEMA = """
create table if not exists balances (asset text primary key, quantity text not null);
create table if not exists orders (
  id text primary key, number integer not null, asset text not null, quantity text not null,
  price text not null, fee text not null, time integer not null
);
"""


class Vault(Protocol):
    """Balances, cash among them as `USD`, and every order that was filled, each by one fill."""

    def cash(self) -> Decimal:
        """Cash in USD."""

    def units(self) -> Mapping[str, Decimal]:
        """Units by asset, sorted by name, no zero rows. The mapping given is never changed afterwards."""

    def balance(self, asset: str) -> Decimal:
        """Quantity of one asset or of USD; 0 = none."""

    def find(self, order_id: str) -> Fill | None:
        """The fill of an order; None = never seen."""

    def fills(self, since: int) -> tuple[Fill, ...]:
        """All fills after `since`, UTC s, in the order of filling."""

    def book(self, order_id: str, fill: Fill, cash: Decimal, units: Decimal) -> Fill:
        """Note the fill under an order's id together with the balances after it: all of it or nothing.

        -> the fill as `find` will give it, to the last digit: a trailing zero more would be another number in a journal
        """

    def put(self, asset: str, quantity: Decimal) -> None:
        """Set one balance: what the account begins with, or what came from outside."""

    def close(self) -> None:
        """Give the file back."""


class MemoryVault:
    """Accounts that live as long as this object."""

    def __init__(self, capital: Decimal) -> None:
        """A new account with `capital` USD."""
        self._cash = capital
        self._balances: dict[str, Decimal] = {}
        self._shown: Mapping[str, Decimal] | None = None
        self._orders: dict[str, Fill] = {}

    def cash(self) -> Decimal:
        """Cash in USD."""
        return self._cash

    def units(self) -> Mapping[str, Decimal]:
        """Units by asset; the same object until they change."""
        if self._shown is None:
            self._shown = dict(sorted(self._balances.items()))
        return self._shown

    def balance(self, asset: str) -> Decimal:
        """Quantity of one asset or of USD."""
        return self._cash if asset == CASH else self._balances.get(asset, NONE)

    def find(self, order_id: str) -> Fill | None:
        """The fill of an order."""
        return self._orders.get(order_id)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """All fills after `since`."""
        return tuple(fill for fill in self._orders.values() if fill.time > since)

    def book(self, order_id: str, fill: Fill, cash: Decimal, units: Decimal) -> Fill:
        """Note the fill and the balances after it."""
        own = fill if fill.order_id == order_id else replace(fill, id=f"{order_id}-1", order_id=order_id)
        self._orders[order_id] = own
        self._cash = cash
        self.put(fill.asset, units)
        return own

    def put(self, asset: str, quantity: Decimal) -> None:
        """Set one balance."""
        if asset == CASH:
            self._cash = quantity
            return
        self._shown = None
        if quantity:
            self._balances[asset] = quantity
        else:
            self._balances.pop(asset, None)

    def close(self) -> None:
        """Nothing to give back."""


class FileVault:
    """Accounts in a SQLite file, one transaction per order, flushed to the disk. What it cannot answer is unknown."""

    def __init__(self, path: Path, capital: Decimal) -> None:
        """Open the file; a new one starts with `capital` USD. Raises sqlite3.Error where it cannot be used."""
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=full")
        self.db.executescript(_SCHEMA)
        self.db.execute("insert or ignore into balances values (?, ?)", (CASH, plain(capital)))

    def cash(self) -> Decimal:
        """Cash in USD."""
        return self.balance(CASH)

    def units(self) -> Mapping[str, Decimal]:
        """Units by asset."""
        with _answering():
            rows = self.db.execute("select asset, quantity from balances order by asset").fetchall()
        found = {asset: Decimal(quantity) for asset, quantity in rows if asset != CASH}
        return {asset: quantity for asset, quantity in found.items() if quantity}

    def balance(self, asset: str) -> Decimal:
        """Quantity of one asset or of USD."""
        with _answering():
            row = self.db.execute("select quantity from balances where asset = ?", (asset,)).fetchone()
        return Decimal(row[0]) if row else NONE

    def find(self, order_id: str) -> Fill | None:
        """The fill of an order."""
        query = "select id, asset, quantity, price, fee, time from orders where id = ?"
        with _answering():
            row = self.db.execute(query, (order_id,)).fetchone()
        return _fill(*row) if row else None

    def fills(self, since: int) -> tuple[Fill, ...]:
        """All fills after `since`."""
        query = "select id, asset, quantity, price, fee, time from orders where time > ? order by number"
        with _answering():
            rows = self.db.execute(query, (since,)).fetchall()
        return tuple(_fill(*row) for row in rows)

    def book(self, order_id: str, fill: Fill, cash: Decimal, units: Decimal) -> Fill:
        """Note the fill and the balances after it, in one transaction."""
        row = (order_id, fill.asset, plain(fill.quantity), plain(fill.price), plain(fill.fee), fill.time)
        with _answering():
            self.db.execute("begin immediate")
            try:
                self.db.execute(
                    "insert into orders select ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? from orders", row
                )
                self.put(CASH, cash)
                self.put(fill.asset, units)
                self.db.execute("commit")
            except (sqlite3.Error, VenueUnknownError):
                if self.db.in_transaction:
                    self.db.execute("rollback")
                raise
        return _fill(*row)

    def put(self, asset: str, quantity: Decimal) -> None:
        """Set one balance."""
        with _answering():
            self.db.execute("insert or replace into balances values (?, ?)", (asset, plain(quantity)))

    def close(self) -> None:
        """Close the file."""
        self.db.close()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise VenueUnknownError(f"paper account: {error}") from error


def _fill(order_id: str, asset: str, quantity: str, price: str, fee: str, time: int) -> Fill:
    return Fill(f"{order_id}-1", order_id, asset, Decimal(quantity), Decimal(price), Decimal(fee), time)
