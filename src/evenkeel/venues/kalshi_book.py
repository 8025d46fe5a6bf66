"""Who wants to trade at which price? An order book of one market: what REST and the stream show, and what a fill costs.

Kalshi shows bids only, of YES and of NO: an ask for YES at p is a bid for NO at 1 - p. The laws: levels stand best
first whatever order they came in; every price is strictly between 0 and 1; a book that is read never crosses.
Source: specs/kalshi.md section 4 "Order book" and section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from evenkeel.errors import VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_fields import Row

Outcome = Literal["yes", "no"]
Level = tuple[Decimal, Decimal]
"""Price USD and contracts."""
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Book:
    """Bids for YES and for NO as price -> contracts; USD of that outcome."""

    ticker: str
    yes: Mapping[Decimal, Decimal] = field(default_factory=dict)
    no: Mapping[Decimal, Decimal] = field(default_factory=dict)

    def bids(self, outcome: Outcome = "yes") -> tuple[Level, ...]:
        """What can be sold into, best (highest) first."""
        side = self.yes if outcome == "yes" else self.no
        return tuple(sorted(side.items(), reverse=True))

    def asks(self, outcome: Outcome = "yes") -> tuple[Level, ...]:
        """What can be bought, best (lowest) first: the other outcome's bids at 1 - price."""
        other: Outcome = "no" if outcome == "yes" else "yes"
        return tuple((_ONE - price, count) for price, count in self.bids(other))

    def best(self, outcome: Outcome = "yes") -> tuple[Level | None, Level | None]:
        """Best bid and best ask; None = no quote."""
        bids, asks = self.bids(outcome), self.asks(outcome)
        return (bids[0] if bids else None), (asks[0] if asks else None)

    def fill(self, outcome: Outcome, count: Decimal, limit: Decimal) -> tuple[Level, ...]:
        """What a purchase of `count` at `limit` or better takes now, best first; less than `count` where it is thin."""
        return taken(self.asks(outcome), count, lambda price: price <= limit)

    def sale(self, outcome: Outcome, count: Decimal, limit: Decimal) -> tuple[Level, ...]:
        """What a sale of `count` at `limit` or better takes now, best first."""
        return taken(self.bids(outcome), count, lambda price: price >= limit)


def taken(levels: Iterable[Level], count: Decimal, good: Any) -> tuple[Level, ...]:
    """Walk levels, best first, while the price is good, until `count` is reached."""
    found, left = [], count
    for price, size in levels:
        if left <= 0 or not good(price):
            break
        found.append((price, min(size, left)))
        left -= size
    return tuple(found)


def book_of(ticker: str, row: Row, *, suffix: str = "") -> Book:
    """A book from the two lists of an object; `suffix` is `_fp` in the stream. Raises VenueUnknownError.

    A list that is missing is an empty side only where the other one is there.
    """
    names = {"yes": f"yes_dollars{suffix}", "no": f"no_dollars{suffix}"}
    if all(name not in row for name in names.values()):
        raise VenueUnknownError("neither yes nor no bids are there")
    yes, no = (_side(row, name) if name in row else {} for name in names.values())
    return sound(Book(ticker, yes, no))


def changed(book: Book, side: str, price: Decimal, delta: Decimal) -> Book:
    """The book after a change of one level. Raises VenueUnknownError where it cannot follow from this book."""
    if side not in {"yes", "no"}:
        raise VenueUnknownError(f"side {side!r} of a book is a word that we do not know")
    mine = book.yes if side == "yes" else book.no
    count = mine.get(price, Decimal(0)) + delta
    if count < 0 or not 0 < price < 1:
        raise VenueUnknownError(f"{book.ticker}: {count} contracts at {price}")
    levels = {level: size for level, size in mine.items() if level != price} | ({price: count} if count else {})
    return Book(book.ticker, levels, book.no) if side == "yes" else Book(book.ticker, book.yes, levels)


def sound(book: Book) -> Book:
    """The book itself. Raises VenueUnknownError for one that crosses: it is not true, or not of one moment."""
    bid, ask = book.best()
    if bid is not None and ask is not None and bid[0] >= ask[0]:
        raise VenueUnknownError(f"{book.ticker}: bid {bid[0]} is not below ask {ask[0]}")
    return book


def _side(row: Row, name: str) -> dict[Decimal, Decimal]:
    levels: dict[Decimal, Decimal] = {}
    for item in fields.items(row, name):
        if not isinstance(item, list) or len(item) != 2:
            raise VenueUnknownError(f"a level of {name} is no pair")
        price, count = (fields.fixed({name: part}, name) for part in item)
        if not 0 < price < 1 or count < 0 or price in levels:
            raise VenueUnknownError(f"{name}: {count} contracts at {price}")
        if count:
            levels[price] = count
    return levels
