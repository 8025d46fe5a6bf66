"""What does an exchange's answer mean in our nouns? ccxt's rows in, orders, fills and rules out; nothing is sent here.

Money and quantities are Decimal from the exchange's own strings. A pair that is quoted per `factor` coins is turned
into coins here and nowhere else. Our order id travels as the client order id behind a prefix, so that it can be read
back and a stranger's order is known as one. The law: a row that does not say what is needed is VenueUnknownError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, IntentStatus, Pair

Row = Mapping[str, Any]

DOLLARS = frozenset({"USD", "USDT", "USDC"})
_PREFIX = "ek-"
_LEGAL_ID = re.compile(r"^[A-Za-z0-9._:/-]{1,33}$")  # Binance takes 36 of these; the prefix needs three
_STATUS = {
    "open": IntentStatus.ACKED, "PENDING": IntentStatus.ACKED, "QUEUED": IntentStatus.ACKED,
    "CANCEL_QUEUED": IntentStatus.ACKED, "EDIT_QUEUED": IntentStatus.ACKED, "canceling": IntentStatus.ACKED,
    "closed": IntentStatus.FILLED, "canceled": IntentStatus.CANCELED, "expired": IntentStatus.CANCELED,
    "rejected": IntentStatus.REJECTED,
}  # fmt: skip
_BELIEVED = Decimal("1e-6")  # sizes given in quote currency are divided by rounded prices


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair of ours at an exchange: ccxt's name, the exchange's name, its currencies, coins per quoted unit."""

    pair: Pair
    symbol: str
    id: str
    base: str
    quote: str
    factor: Decimal
    market: Row


def listings(exchange_id: str, pairs: Mapping[str, Pair], exchange: Any) -> dict[str, Listing]:
    """The pairs that the exchange lists for spot trading, by asset."""
    found = {}
    for asset, pair in pairs.items():
        symbol, factor = pair.symbols.get(exchange_id, ("", 1))
        market = next((m for m in exchange.markets_by_id.get(symbol, ()) if m.get("spot")), None)
        if market is not None:
            symbol, known, base, quote = (str(market[name]) for name in ("symbol", "id", "base", "quote"))
            found[asset] = Listing(pair, symbol, known, base, quote, Decimal(factor), market)
    return found


def rule(listing: Listing) -> Pair:
    """The pair with the exchange's own precision and least notional (USD). Raises VenueUnknownError."""
    steps, cost = listing.market["precision"], listing.market["limits"]["cost"]["min"]
    return replace(
        listing.pair,
        price_decimals=decimals(_decimal(steps["price"], "price step") / listing.factor),
        amount_decimals=decimals(_decimal(steps["amount"], "lot") * listing.factor),
        min_notional=listing.pair.min_notional if cost is None else _decimal(cost, "least notional"),
    )


def decimals(step: Decimal) -> int:
    """The most decimals whose every value is a multiple of `step`: 0.01 -> 2, 0.5 -> 0, 10 -> -1."""
    return max(n for n in range(-12, 19) if (Decimal(1).scaleb(-n) % step) == 0)


def client_id(order_id: str) -> str:
    """Our order id as a client order id that both exchanges take. Raises VenueError: nothing is sent without one."""
    if not _LEGAL_ID.match(order_id):
        raise VenueError(f"order id {order_id!r} cannot travel: 1 to 33 letters, digits, . _ : / - are legal")
    return f"{_PREFIX}{order_id}"


def our_id(client: str | None) -> str:
    """The order id that `client_id` was made of, `` for a stranger's."""
    return client.removeprefix(_PREFIX) if client and client.startswith(_PREFIX) else ""


def order_of(row: Row, listing: Listing, fills: Iterable[Fill] = ()) -> VenueOrder:
    """An order as the exchange shows it, with those of `fills` that are its own. Raises VenueUnknownError.

    An order that is said to be filled further than its fills are known is not believed.
    """
    number, status = _text(row, "id"), _STATUS.get(str(row.get("status")))
    if status is None:
        raise VenueUnknownError(f"order {number} of {listing.id} has the unknown state {row.get('status')!r}")
    own = f"{listing.id}-{number}" if number.isdecimal() else number
    mine = tuple(fill for fill in fills if fill.order_id == own)
    filled = _decimal(row.get("filled"), f"filled amount of order {own}") * listing.factor
    known = sum((abs(fill.quantity) for fill in mine), Decimal(0))
    if abs(filled - known) > filled * _BELIEVED:
        raise VenueUnknownError(f"order {own}: {filled} are filled, fills tell of {known}: ask again")
    return VenueOrder(
        id=own,
        ours=our_id(row.get("clientOrderId")),
        asset=listing.pair.asset,
        quantity=_sign(row) * _decimal(row.get("amount"), f"amount of order {own}") * listing.factor,
        limit=_decimal(row["price"], "limit") / listing.factor if row.get("type") == "limit" else None,
        status=status,
        placed=int(_text(row, "timestamp")),
        fills=mine,
        number=int(number) if number.isdecimal() else None,
    )


def fill_of(row: Row, listing: Listing) -> tuple[Fill, tuple[Decimal, str] | None]:
    """A fill, and what was charged in a coin that is not the pair's dollars: that is no part of `Fill.fee`."""
    trade, number, fees = _text(row, "id"), _text(row, "order"), row.get("fees") or [row["fee"]]
    paid = [(_decimal(fee["cost"], f"fee of {trade}"), str(fee["currency"])) for fee in fees if fee.get("cost")]
    elsewhere = next(((cost, coin) for cost, coin in paid if coin not in DOLLARS and cost), None)
    fill = Fill(
        id=f"{listing.id}-t{trade}" if trade.isdecimal() else trade,
        order_id=f"{listing.id}-{number}" if number.isdecimal() else number,
        asset=listing.pair.asset,
        quantity=_sign(row) * _decimal(row.get("amount"), f"amount of fill {trade}") * listing.factor,
        price=_decimal(row.get("price"), f"price of fill {trade}") / listing.factor,
        fee=sum((cost for cost, coin in paid if coin in DOLLARS), Decimal(0)),
        time=int(_text(row, "timestamp")) // 1000,
    )
    return fill, elsewhere


def amount_of(balance: Row, currency: str, part: str = "total") -> Decimal:
    """Units of a currency in an account; 0 where there is no row.

    part  `total`, or `used` = what open orders hold back
    """
    found = balance[part]
    return _decimal(found[currency], f"balance of {currency}") if currency in found else Decimal(0)


def _sign(row: Row) -> int:
    side = row.get("side")
    if side not in {"buy", "sell"}:
        raise VenueUnknownError(f"a row of the exchange has the side {side!r}: neither buy nor sell")
    return 1 if side == "buy" else -1


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if value in {None, ""}:
        raise VenueUnknownError(f"a row of the exchange has no {name}: what happened is unknown")
    return str(value)


def _decimal(value: Any, what: str) -> Decimal:
    """A number that must be there. Raises VenueUnknownError."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if value is None or not number.is_finite():
        raise VenueUnknownError(f"the exchange gives {value!r} as {what}: no number")
    return number
