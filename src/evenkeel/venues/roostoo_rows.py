"""What do Roostoo's replies mean in our words? Pure: a parsed reply in; holdings, orders, rules and ticks out.

The law: nothing is filled in. A field that is missing, of another type or against another field raises
VenueUnknownError, except in a ticker row, which then simply is no price. Source: specs/roostoo.md sections 2, 3, 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueUnknownError
from evenkeel.types import Fill, IntentStatus
from evenkeel.units import floor_to

Row = Mapping[str, Any]

CENT = Decimal("0.01")
USD = "USD"
_DIGITS = 13
_FINEST = -40
_FEE_DECIMALS = 6
_CUT_OFF = Decimal("2e-6")
_NOISE = Decimal("1e-8")
_IN_COIN = "the fee is said to be in coin; booked in USD by its rate, to be compared with the balance"
_STATUS = {
    "PENDING": IntentStatus.ACKED,
    "FILLED": IntentStatus.FILLED,
    "CANCELED": IntentStatus.CANCELED,
    "REJECTED": IntentStatus.REJECTED,
}
_SIGN = {"BUY": 1, "SELL": -1}
_TYPES = {"MARKET", "LIMIT"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the venue allows for one pair.

    min_notional  USD; price times quantity has to be *above* it
    kind          `crypto`, `stock`, or None = the venue does not say
    """

    asset: str
    pair: str
    tradable: bool
    price_decimals: int
    amount_decimals: int
    min_notional: Decimal
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """One pair at one time: USD per unit. day_units = units traded in the 24 h before, None = not usable.

    time  UTC ms, the venue's clock
    """

    time: int
    bid: Decimal
    ask: Decimal
    last: Decimal
    day_units: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One order of the account, and what a person should know of its row (mostly nothing)."""

    order: VenueOrder
    note: str = ""


# ---------------------------------------------------------------- fields


def amount(row: Row, name: str) -> Decimal:
    """A JSON number as Decimal. Raises VenueUnknownError if it is missing, text, true or beyond all sense."""
    value = _field(row, name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise VenueUnknownError(f"{name} is no number")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < _FINEST or number.adjusted() >= _DIGITS:
        raise VenueUnknownError(f"{name} is no amount that can be true")
    return number


def whole(row: Row, name: str) -> int:
    """A JSON integer >= 0. Raises VenueUnknownError."""
    value = _field(row, name)
    if type(value) is not int or value < 0:
        raise VenueUnknownError(f"{name} is no whole number")
    return value


def text(row: Row, name: str) -> str:
    """A text that is not empty. Raises VenueUnknownError."""
    value = _field(row, name)
    if not isinstance(value, str) or not value:
        raise VenueUnknownError(f"{name} is no text")
    return value


def truth(row: Row, name: str) -> bool:
    """True or false. Raises VenueUnknownError."""
    value = _field(row, name)
    if not isinstance(value, bool):
        raise VenueUnknownError(f"{name} is neither true nor false")
    return value


def child(row: Row, name: str) -> Row:
    """An object inside. Raises VenueUnknownError."""
    return _object(_field(row, name), name)


def children(row: Row, name: str) -> tuple[Row, ...]:
    """A list of objects. Raises VenueUnknownError."""
    value = _field(row, name)
    if not isinstance(value, list):
        raise VenueUnknownError(f"{name} is no list")
    return tuple(_object(item, name) for item in value)


def _object(value: Any, name: str) -> Row:
    if not isinstance(value, dict):
        raise VenueUnknownError(f"{name} is no object")
    return value


def _field(row: Row, name: str) -> Any:
    if name not in row:
        raise VenueUnknownError(f"{name} is missing")
    return row[name]


# ---------------------------------------------------------------- the account


def balances(reply: Row) -> tuple[Decimal, Decimal, Decimal, dict[str, Decimal], dict[str, Decimal]]:
    """Cash in USD, what of it is locked, by how much it is shown cut at most; units per coin, and what of them is
    locked (no zero rows).

    Cash and units are free and locked together. The USD locked as collateral of a short stands in `Lock` already, so
    `ShortCollateral` is not added. Both parts of USD are shown cut to cents; coins are exact.
    """
    wallet = child(reply, "SpotWallet" if "SpotWallet" in reply else "Wallet")
    parts = {coin: _parts(child(wallet, coin)) for coin in wallet}
    held = {coin: free + lock for coin, (free, lock) in parts.items()}
    if USD not in held:
        raise VenueUnknownError("the wallet has no USD row")
    cash = _not_negative(held.pop(USD), CENT, USD)
    locked = parts[USD][1]
    cut = 2 * CENT if locked else CENT
    units = {coin: _not_negative(total, _NOISE, coin) for coin, total in held.items()}
    tied = {coin: lock for coin, (_, lock) in parts.items() if lock > 0 and coin != USD}
    return cash, max(locked, Decimal(0)), cut, {coin: total for coin, total in units.items() if total}, tied


def _parts(row: Row) -> tuple[Decimal, Decimal]:
    return amount(row, "Free"), amount(row, "Lock")


def _not_negative(total: Decimal, noise: Decimal, coin: str) -> Decimal:
    """The venue's rounding may show a hair below zero; more than that is no spot account as we know it."""
    if total < -noise:
        raise VenueUnknownError(f"the balance of {coin} is negative")
    return max(total, Decimal(0))


def pending_counts(reply: Row) -> dict[str, int]:
    """Open orders per asset; an empty reply is none."""
    pairs = child(reply, "OrderPairs") if reply else {}
    return {asset_of(pair): whole(pairs, pair) for pair in pairs}


# ---------------------------------------------------------------- orders


def matched(reply: Row) -> tuple[Row, ...]:
    """The rows of a query; an empty reply is none."""
    return children(reply, "OrderMatched") if reply else ()


def number(row: Row) -> int:
    """The venue's order number."""
    return whole(row, "OrderID")


def is_short(row: Row) -> bool:
    """Whether this is an opening or closing of a short position: not an order of the spot book."""
    return text(row, "Side").startswith("SHORT_")


def order_of(row: Row) -> Told:
    """An order row, from the reply to placing or from a query.

    Only `Status` FILLED is a fill, and only if the coins moved: rows that are pending or canceled show a
    `FilledQuantity` too. Raises VenueUnknownError for a row that contradicts itself.
    """
    status, side, kind = text(row, "Status"), text(row, "Side"), text(row, "Type")
    if status not in _STATUS or side not in _SIGN or kind not in _TYPES:
        raise VenueUnknownError(f"order {number(row)} has a status, side or type that is not known")
    quantity = _SIGN[side] * _positive(row, "Quantity")
    limit = _positive(row, "Price") if kind == "LIMIT" else None
    fill, note = _fill(row, quantity) if status == "FILLED" else (None, "")
    if fill is None and "CoinChange" in row and amount(row, "CoinChange") != 0:
        raise VenueUnknownError(f"order {number(row)} is not filled, yet coins moved")
    order = VenueOrder(
        id=str(number(row)),
        ours="",
        asset=asset_of(text(row, "Pair")),
        quantity=quantity,
        limit=limit,
        status=_STATUS[status],
        placed=whole(row, "CreateTimestamp"),
        fills=() if fill is None else (fill,),
        number=number(row),
    )
    return Told(order, note)


def asset_of(pair: str) -> str:
    """`BTC` of `BTC/USD`. Raises VenueUnknownError for a pair against anything else."""
    coin, slash, unit = pair.partition("/")
    if not coin or not slash or unit != USD:
        raise VenueUnknownError("a pair is not COIN/USD")
    return coin


def _fill(row: Row, quantity: Decimal) -> tuple[Fill, str]:
    filled, moved = _positive(row, "FilledQuantity"), _positive(row, "CoinChange")
    if abs(filled - moved) > _NOISE:
        raise VenueUnknownError(f"order {number(row)} says two filled quantities")
    price = _positive(row, "FilledAverPrice")
    fee, note = _fee(row, moved, price, buys=quantity > 0)
    fill = Fill(
        id=f"{number(row)}-1",
        order_id=str(number(row)),
        asset=asset_of(text(row, "Pair")),
        quantity=moved if quantity > 0 else -moved,
        price=price,
        fee=fee,
        time=whole(row, "FinishTimestamp") // 1000,
    )
    return fill, note


def _fee(row: Row, moved: Decimal, price: Decimal, *, buys: bool) -> tuple[Decimal, str]:
    """All that the venue takes beyond quantity times price, USD: cash moves by exactly that product and this fee.

    That is its commission, and what its arithmetic cuts off (ADR 0017). A maker buy was seen whose commission is said
    to be in coin while the wallet paid USD: it is booked by its rate, in USD, with a note, never taken off the units.
    """
    in_usd, product = text(row, "CommissionCoin") == USD, float(moved) * float(price)
    rate = amount(row, "CommissionPercent")
    told = amount(row, "CommissionChargeValue") if in_usd else moved * price * rate
    if told < 0:
        raise VenueUnknownError(f"order {number(row)} has a negative fee")
    value = _booked(product, amount(row, "UnitChange"))
    commission = _booked(product * float(rate), told)
    lost = value - moved * price if buys else moved * price - value
    return commission + lost, "" if in_usd else _IN_COIN


def _booked(exact: float, told: Decimal) -> Decimal:
    """USD as the wallet moves by them: a product of doubles cut to 6 decimals; `told` where that is another amount.

    A query tells the cut amount, the reply to placing the product itself.
    """
    cut = Decimal(math.floor(exact * 10**_FEE_DECIMALS)).scaleb(-_FEE_DECIMALS)
    return cut if abs(cut - told) < _CUT_OFF else floor_to(told, _FEE_DECIMALS)


def _positive(row: Row, name: str) -> Decimal:
    value = amount(row, name)
    if value <= 0:
        raise VenueUnknownError(f"{name} is not positive")
    return value


# ---------------------------------------------------------------- the market


def rules_of(reply: Row) -> tuple[Rule, ...]:
    """The rules of every pair against USD. Nothing is tradable while the venue is not running."""
    running, pairs = truth(reply, "IsRunning"), child(reply, "TradePairs")
    rows = [(pair, child(pairs, pair)) for pair in pairs]
    return tuple(_rule(pair, row, running) for pair, row in rows if text(row, "Unit") == USD)


def _rule(pair: str, row: Row, running: bool) -> Rule:  # noqa: FBT001 - a fact of the venue
    price, units = whole(row, "PricePrecision"), whole(row, "AmountPrecision")
    if max(price, units) > 18:
        raise VenueUnknownError(f"{pair} has more than 18 decimals")
    return Rule(
        asset=asset_of(pair),
        pair=pair,
        tradable=running and truth(row, "CanTrade"),
        price_decimals=price,
        amount_decimals=units,
        min_notional=amount(row, "MiniOrder"),
        kind=text(row, "AssetType") if "AssetType" in row else None,
    )


def ticks_of(reply: Row) -> dict[str, Tick]:
    """Ticks by asset; pairs whose prices are missing, zero, crossed or no numbers are absent."""
    time, data = whole(reply, "ServerTime"), child(reply, "Data")
    found = {pair.removesuffix("/USD"): _tick(row, time) for pair, row in data.items() if pair.endswith("/USD")}
    return {asset: tick for asset, tick in found.items() if tick is not None}


def _tick(row: Any, time: int) -> Tick | None:
    try:
        row = _object(row, "Data")
        bid, ask, last = (_positive(row, name) for name in ("MaxBid", "MinAsk", "LastPrice"))
    except VenueUnknownError:
        return None
    return Tick(time, bid, ask, last, _day_units(row)) if bid <= ask else None


def _day_units(row: Row) -> Decimal | None:
    try:
        units = amount(row, "CoinTradeValue")
    except VenueUnknownError:
        return None
    return units if units >= 0 else None
