"""Do state, journal and venue say the same, to the last decimal? What does not is listed, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from evenkeel.types import Memory

Row = Mapping[str, Any]
Venue = Mapping[str, Any]
"""Roostoo's part of `GET /sandbox/state`: `accounts` and `orders`, exact."""

ACCOUNT = "sandbox"
UNITS = Decimal("1e-6")


def disagreements(
    memory: Memory, orders: Sequence[Row], fills: Sequence[Row], venue: Venue, capital: Decimal
) -> list[str]:
    """Everything that is not alike; orders and fills are the journal's, memory has no open slot."""
    theirs = {str(order["id"]): order for order in venue["orders"] if order["account"] == ACCOUNT}
    executed = {number: order for number, order in theirs.items() if order["status"] == "FILLED"}
    return [
        *_account(memory, venue["accounts"][ACCOUNT]),
        *_bindings(orders, fills, executed),
        *_sums(memory, fills, executed.values(), capital),
    ]


def _account(memory: Memory, wallet: Mapping[str, Row]) -> list[str]:
    held = {coin: Decimal(row["free"]) + Decimal(row["lock"]) for coin, row in wallet.items()}
    ours = {"USD": memory.cash or Decimal(0), **{asset: position.units for asset, position in memory.positions.items()}}
    coins = sorted({coin for coin, amount in held.items() if amount} | set(ours))
    return [
        f"{coin}: state {ours.get(coin)}, venue {held.get(coin)}"
        for coin in coins
        if ours.get(coin, Decimal(0)) != held.get(coin, Decimal(0))
    ]


def _bindings(orders: Sequence[Row], fills: Sequence[Row], executed: Mapping[str, Row]) -> list[str]:
    """Every executed order of the venue is one order of ours, and the other way round."""
    numbers = Counter(str(fill["id"]).partition("-")[0] for fill in fills)
    intents = Counter(str(fill["order_id"]) for fill in fills)
    said = [order["id"] for order in orders if order["status"] == "FILLED"]
    by_id = {order["id"]: order for order in orders}
    return [
        *(f"venue order {number} is bound to no intent" for number in executed if number not in numbers),
        *(f"venue order {number} is bound {n} times" for number, n in numbers.items() if n > 1),
        *(f"order {intent} has {n} venue orders" for intent, n in intents.items() if n > 1),
        *(f"order {intent} has a fill of {number}, which the venue does not know" for intent, number in _pairs(fills)
          if number not in executed),
        *(f"order {intent} is FILLED without a fill" for intent in said if intent not in intents),
        *(f"order {intent} stands in the journal twice" for intent, n in Counter(by_id[o]["id"] for o in said).items()
          if n > 1),
        *(f"order {intent} is another one at the venue: {number}" for intent, number in _pairs(fills)
          if number in executed and intent in by_id and not _same(by_id[intent], executed[number])),
    ]  # fmt: skip


def _pairs(fills: Iterable[Row]) -> list[tuple[str, str]]:
    return [(fill["order_id"], str(fill["id"]).partition("-")[0]) for fill in fills]


def _same(ours: Row, theirs: Row) -> bool:
    return (ours["asset"], ours["side"].upper(), Decimal(ours["quantity"])) == (
        theirs["pair"].partition("/")[0], theirs["side"], Decimal(theirs["quantity"]),
    )  # fmt: skip


def _sums(memory: Memory, fills: Sequence[Row], executed: Iterable[Row], capital: Decimal) -> list[str]:
    """Cash is what came in less fills and fees; fees are the venue's commissions and what its arithmetic cut off."""
    executed = list(executed)
    paid = sum((Decimal(f["quantity"]) * Decimal(f["price"]) + Decimal(f["fee"]) for f in fills), Decimal(0))
    fees = sum((Decimal(f["fee"]) for f in fills), Decimal(0))
    commissions = sum((Decimal(order["commission"]) for order in executed), Decimal(0))
    told = {
        "flows": (memory.flows, Decimal(0)),
        "cash": (memory.cash, capital - paid),
        "fees": (memory.fees, fees),
    }
    wrong = [f"{name}: state {ours}, journal {theirs}" for name, (ours, theirs) in told.items() if ours != theirs]
    if abs(fees - commissions) > UNITS * len(executed):
        wrong.append(f"fees: journal {fees}, venue's commissions {commissions}")
    return wrong
