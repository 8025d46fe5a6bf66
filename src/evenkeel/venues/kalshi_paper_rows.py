"""What an order takes and costs on paper, what a market pays, and rows of the paper account's file. Pure.

Counts are signed YES contracts, prices USD of YES. NO is YES sold against one USD a contract that is kept back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from evenkeel.events.board import ONE
from evenkeel.events.fees import fee
from evenkeel.types import Fill, Order
from evenkeel.units import plain
from evenkeel.venues.kalshi_account_rows import Settlement
from evenkeel.venues.kalshi_book import Book
from evenkeel.venues.kalshi_rows import Market

ZERO: Final = Decimal(0)


def taken(order: Order, book: Book, limit: Decimal, terms: Decimal, time: int) -> list[Fill]:
    """Fills of an order against a book, best level first; price USD of YES, the fee of each its own."""
    yes = order.quantity > 0
    levels = book.fill("yes" if yes else "no", abs(order.quantity), limit if yes else ONE - limit)
    sign, name = (1 if yes else -1), order.id
    return [
        Fill(f"{name}.{n}", name, order.asset, sign * size, at if yes else ONE - at, fee(size, at, terms), time)
        for n, (at, size) in enumerate(levels)
    ]


def worst(quantity: Decimal, limit: Decimal) -> Decimal:
    """What an order may cost, USD: two cents for each fee that is rounded up are kept free."""
    return abs(quantity) * (limit if quantity > 0 else ONE - limit) + Decimal("0.02") * abs(quantity)


def paid(held: Decimal, quantity: Decimal, price: Decimal) -> Decimal:
    """Change of cash, USD, without fees: NO is YES sold against one USD a contract that is kept back."""
    return -quantity * price - (max(-held - quantity, ZERO) - max(-held, ZERO))


def value_of(market: Market) -> Decimal | None:
    """What a YES is worth by a record that is final; None before, and where the record does not say."""
    if market.status != "finalized":
        return None
    if market.value is not None and ZERO <= market.value <= ONE:
        return market.value
    return {"yes": ONE, "no": ZERO}.get(market.result)


def revenue(count: Decimal, value: Decimal) -> Decimal:
    """What contracts pay, USD, where a YES is worth `value`."""
    return count * value if count > 0 else -count * (ONE - value)


def held(row: Settlement) -> Decimal:
    """Contracts that were settled, - = NO."""
    return row.yes - row.no


def columns(fill: Fill) -> tuple[str | int, ...]:
    """A fill as a row of the table `fills`."""
    numbers = plain(fill.quantity), plain(fill.price), plain(fill.fee)
    return (fill.id, fill.order_id, fill.asset, *numbers, fill.time)


def fill_of(*row: str) -> Fill:
    """A row of the table `fills`."""
    name, order_id, ticker, quantity, price, paid, time = row
    return Fill(name, order_id, ticker, Decimal(quantity), Decimal(price), Decimal(paid), int(time))


def settlement_of(*row: str) -> Settlement:
    """A row of the table `settlements`."""
    ticker, event, result, quantity, revenue, time = row
    count = Decimal(quantity)
    yes, no = max(count, ZERO), max(-count, ZERO)
    return Settlement(ticker, event, result, yes, no, Decimal(revenue), ZERO, int(time) * 1000)
