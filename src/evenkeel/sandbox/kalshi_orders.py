"""What is an order at Kalshi, a position, a fee? The parts of its sandbox that know no world and no time.

The laws: YES + NO pays exactly 1 USD; what closes a position holds back no cash. What nobody has written down about the
venue is a field of `Rules`. Source: specs/kalshi.md sections 5, 6, 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, Literal

from evenkeel.sandbox.kalshi_boards import Listing

ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)
CENT: Final = Decimal("0.01")
_TERMS: Final = ("fill_or_kill", "good_till_canceled", "immediate_or_cancel")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is disputed or unknown; defaults are hard on the client.

    ids             `open`: an id may be used again once its order is over; `ever`: never again
    lag_s           positions and fills are shown so much later
    determined_s, finalized_s  after the close
    reads, writes   tokens per second, as much may be saved up; 0 = without a limit
    window_ms       how far a timestamp may be off; 0 = it is not checked
    public_books    order books need no key
    multiplier      of fees, that every event says of itself; None = nothing, its series' holds
    """

    ids: Literal["open", "ever"] = "open"
    lag_s: float = 0.0
    determined_s: int = 60
    finalized_s: int = 120
    reads: int = 200
    writes: int = 100
    window_ms: int = 0
    public_books: bool = True
    multiplier: Decimal | None = None


class Refusal(Exception):  # noqa: N818 - an answer of the venue
    """An HTTP status, and the venue's code and words."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.status, self.code, self.message = status, code, message or code.replace("_", " ")


@dataclass(slots=True)
class Resting:
    """An order, in whatever state; prices USD of YES, times UTC s."""

    id: str
    client: str
    listing: Listing
    bid: bool
    price: Decimal
    count: Decimal
    created: float
    expires: float | None
    status: Literal["resting", "canceled", "executed"] = "resting"
    filled: Decimal = ZERO
    updated: float = 0.0
    fees: dict[bool, Decimal] = field(default_factory=lambda: {True: ZERO, False: ZERO})
    paid: dict[bool, Decimal] = field(default_factory=lambda: {True: ZERO, False: ZERO})

    @property
    def left(self) -> Decimal:
        """Contracts that still wait."""
        return self.count - self.filled if self.status == "resting" else ZERO


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill of ours; count unsigned, price USD of YES."""

    id: str
    order: Resting
    count: Decimal
    price: Decimal
    fee: Decimal
    taker: bool
    time: float
    after: Decimal


@dataclass(slots=True)
class Held:
    """A position: contracts (- = NO) and what they cost, USD; realized and fees USD over its life."""

    listing: Listing
    count: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    traded: Decimal = ZERO
    updated: float = 0.0

    def trade(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Take a trade in (quantity + = YES bought); -> the change of cash, USD, without fees."""
        closing = min(abs(quantity), abs(self.count)) if quantity * self.count < 0 else ZERO
        opening = abs(quantity) - closing
        gained = closing * (price if self.count > 0 else ONE - price)
        released = self.cost * closing / abs(self.count) if closing else ZERO
        spent = opening * (price if quantity > 0 else ONE - price)
        self.realized += gained - released
        self.cost += spent - released
        self.traded += gained + spent
        self.count += quantity
        return gained - spent


@dataclass(frozen=True, slots=True)
class Settled:
    """How a market ended for us. revenue, cost USD."""

    listing: Listing
    result: str
    count: Decimal
    cost: Decimal
    revenue: Decimal
    time: float


def fee(count: Decimal, price: Decimal, *, taker: bool, multiplier: Decimal | None = None) -> Decimal:
    """USD of one fill: 0.07 C P (1 - P) x multiplier, up to the next cent; makers of `quadratic` series pay none.

    multiplier  None = 1
    """
    exact = Decimal("0.07") * count * price * (ONE - price) * (ONE if multiplier is None else multiplier)
    return exact.quantize(CENT, rounding=ROUND_CEILING) if taker else ZERO


def reserve(count: Decimal, waiting: list[tuple[bool, Decimal, Decimal]]) -> Decimal:
    """Cash that resting orders hold back: (bid, price, left) each, beside a position of `count`.

    What closes a position needs none; the dearest order is counted as closing last.
    """
    need = ZERO
    for bid in (True, False):
        closable = max(-count, ZERO) if bid else max(count, ZERO)
        costs = sorted((price if bid else ONE - price, left) for side, price, left in waiting if side == bid)
        for cost, left in costs:
            closing = min(left, closable)
            closable -= closing
            need += (left - closing) * cost
    return need


def read(wish: Mapping[str, Any], listing: Listing) -> tuple[bool, Decimal, Decimal]:
    """Side, price and count of an order. Raises Refusal 400 for what is none."""
    side, terms = wish.get("side"), wish.get("time_in_force")
    if side not in ("bid", "ask") or terms not in _TERMS:
        raise Refusal(400, "invalid_parameters", "side is bid or ask, time_in_force one of three")
    price, count = (_decimal(wish.get(name), name) for name in ("price", "count"))
    if count <= 0 or count % ONE:
        raise Refusal(400, "invalid_count", "whole contracts only")
    on = any(start <= price <= end and (price - start) % step == 0 for start, end, step in listing.grid)
    if not (0 < price < 1 and on):
        raise Refusal(400, "invalid_price", "the price is off the tick grid")
    if wish.get("expiration_time") is not None and terms != "good_till_canceled":
        raise Refusal(400, "invalid_parameters", "only good_till_canceled expires")
    return side == "bid", price, count


def expiry(wish: Mapping[str, Any]) -> float | None:
    """When an order ends by itself, UTC s; None = it does not."""
    return None if wish.get("expiration_time") is None else float(wish["expiration_time"])


def _decimal(value: Any, name: str) -> Decimal:
    try:
        found = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except ArithmeticError:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Refusal(400, "invalid_parameters", f"{name} has to be a decimal written as text")
    return found
