"""What do Kalshi's objects about an account mean? Pure: a parsed object in; cash, positions, orders and fills out.

The law: nothing is filled in and nothing left out: one row that cannot be read spoils the whole answer. Everything is
told in YES: quantity signed (+ = YES bought, - = YES sold or NO bought), price USD of YES. Source: specs/kalshi.md
sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueUnknownError
from evenkeel.types import Fill, IntentStatus
from evenkeel.units import decimal_sum
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_fields import Row
from evenkeel.venues.kalshi_rows import count_of, price_of

CENT: Final = Decimal("0.01")
RESULTS: Final = frozenset({"yes", "no", "scalar", "void"})
_SIGN: Final = {"bid": 1, "ask": -1}
_OLD_SIGN: Final = {("yes", "buy"): 1, ("no", "sell"): 1, ("yes", "sell"): -1, ("no", "buy"): -1}
_STATUS: Final = {
    "resting": IntentStatus.ACKED,
    "executed": IntentStatus.FILLED,
    "canceled": IntentStatus.CANCELED,
}


@dataclass(frozen=True, slots=True)
class Balance:
    """Cash that is free, USD. shards  per exchange shard, where the venue tells it · value  of the positions, USD."""

    cash: Decimal
    value: Decimal
    shards: Mapping[int, Decimal] = field(default_factory=dict)

    def on(self, shard: int | None) -> Decimal:
        """What can be spent on a market of this shard: money on another one does not count."""
        return self.cash if shard is None or not self.shards else self.shards.get(shard, Decimal(0))


@dataclass(frozen=True, slots=True)
class Position:
    """Contracts of one market, signed (- = NO). exposure, realized, fees  USD, by the venue's own book."""

    ticker: str
    count: Decimal
    exposure: Decimal
    realized: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a market that was held ended. yes, no  contracts held · revenue  USD paid out · fee  USD · time  UTC ms."""

    ticker: str
    event: str
    result: str
    yes: Decimal
    no: Decimal
    revenue: Decimal
    fee: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class Told:
    """An order as the venue shows it, and how much of it the venue says is filled, contracts without sign."""

    order: VenueOrder
    filled: Decimal


def balance_of(reply: Row) -> Balance:
    """`/portfolio/balance`: cents, unless the later dollar field is there."""
    cents = Decimal(fields.whole(reply, "balance")) * CENT
    exact = fields.maybe_fixed(reply, "balance_dollars")
    shards = {}
    for row in fields.rows(reply, "balance_breakdown") if reply.get("balance_breakdown") else []:
        shards[fields.whole(row, "exchange_index")] = _dollars(row, "balance")
    return Balance(cents if exact is None else exact, fields.whole(reply, "portfolio_value") * CENT, shards)


def position_of(row: Row) -> Position:
    """A row of `market_positions`."""
    return Position(
        fields.text(row, "ticker"),
        fields.fixed(row, "position_fp"),
        *(fields.fixed(row, f"{name}_dollars") for name in ("market_exposure", "realized_pnl", "fees_paid")),
    )


def settlement_of(row: Row) -> Settlement:
    """A row of `settlements`. A result that we do not know is refused: nothing is booked on a guess."""
    return Settlement(
        fields.text(row, "ticker"), fields.text(row, "event_ticker"), fields.one_of(row, "market_result", RESULTS),
        count_of(row, "yes_count_fp"), count_of(row, "no_count_fp"), fields.whole(row, "revenue") * CENT,
        fields.fixed(row, "fee_cost"), fields.time_ms(row, "settled_time"),
    )  # fmt: skip


def fill_of(row: Row) -> Fill:
    """A row of `fills`; time UTC s."""
    return Fill(
        fields.text(row, "fill_id") if "fill_id" in row else fields.text(row, "trade_id"),
        fields.text(row, "order_id"), _ticker(row), _sign(row) * count_of(row, "count_fp"),
        price_of(row, "yes_price_dollars"), fields.fixed(row, "fee_cost"), fields.time_ms(row, "created_time") // 1000,
    )  # fmt: skip


def order_of(row: Row) -> Told:
    """A row of `orders`, without its fills."""
    status = fields.one_of(row, "status", frozenset(_STATUS))
    filled, asked = count_of(row, "fill_count_fp"), count_of(row, "initial_count_fp")
    order = VenueOrder(
        fields.text(row, "order_id"), fields.maybe_text(row, "client_order_id"), fields.text(row, "ticker"),
        _sign(row) * asked, price_of(row, "yes_price_dollars"), _STATUS[status], fields.time_ms(row, "created_time"),
    )  # fmt: skip
    return Told(order, filled)


def joined(told: Iterable[Told], fills: Iterable[Fill]) -> tuple[VenueOrder, ...]:
    """Orders with their fills. While the fills that are shown are fewer than the order says, it stays open: the venue
    shows fills a second late, and an order that is closed without them would lose them.
    """
    of: dict[str, dict[str, Fill]] = {}
    for fill in fills:
        of.setdefault(fill.order_id, {})[fill.id] = fill
    found = []
    for item in told:
        own = tuple(sorted(of.get(item.order.id, {}).values(), key=lambda fill: (fill.time, fill.id)))
        whole = abs(decimal_sum(fill.quantity for fill in own)) == item.filled
        found.append(replace(item.order, fills=own, status=item.order.status if whole else IntentStatus.ACKED))
    return tuple(found)


def placed_of(reply: Row, sent: Mapping[str, Any], at_ms: int) -> VenueOrder:
    """The reply to a new order: taken by the venue, and no more is believed of it; its fills are asked for.

    Raises VenueUnknownError for a reply about another order, or one whose counts cannot be.
    """
    ours = fields.text(reply, "client_order_id")
    if ours != sent["client_order_id"]:
        raise VenueUnknownError("the reply is about another order")
    filled, left, asked = count_of(reply, "fill_count"), count_of(reply, "remaining_count"), Decimal(sent["count"])
    if filled + left > asked:
        raise VenueUnknownError(f"the reply has {filled} filled and {left} left of {asked}")
    placed = fields.whole(reply, "ts_ms") if "ts_ms" in reply else at_ms
    return VenueOrder(
        fields.text(reply, "order_id"), ours, sent["ticker"], _SIGN[sent["side"]] * asked, Decimal(sent["price"]),
        IntentStatus.ACKED, placed,
    )  # fmt: skip


def _sign(row: Row) -> int:
    """+1 for YES bought. The later word decides; the older pair of words is read where it is missing."""
    if row.get("book_side") is not None:
        return _SIGN[fields.one_of(row, "book_side", frozenset(_SIGN))]
    words = fields.text(row, "side"), fields.text(row, "action")
    if words not in _OLD_SIGN:
        raise VenueUnknownError(f"side and action {words!r} are words that we do not know")
    return _OLD_SIGN[words]


def _ticker(row: Row) -> str:
    return fields.text(row, "ticker") if "ticker" in row else fields.text(row, "market_ticker")


def _dollars(row: Row, name: str) -> Decimal:
    """Text is dollars, a whole number cents."""
    return fields.fixed(row, name) if isinstance(row.get(name), str) else fields.whole(row, name) * CENT
