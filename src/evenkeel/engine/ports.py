"""What the engine needs of the world, as two small protocols. Time is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from evenkeel.types import Fill, Holdings, IntentStatus, Order, View, lean


@lean
@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order of the account as its venue shows it, ours or not.

    id      the venue's own, growing with time where `number` is not None
    ours    our order id where the venue keeps it, else ``
    quantity  signed units (+ buys) that were asked for · limit  USD per unit, None = market order
    status  ACKED (open), FILLED, CANCELED or REJECTED; one that was partly filled has fills and any of these
    placed  UTC ms, the venue's clock · fills  their `order_id` is the venue's id
    """

    id: str
    ours: str
    asset: str
    quantity: Decimal
    limit: Decimal | None
    status: IntentStatus
    placed: int
    fills: tuple[Fill, ...] = ()
    number: int | None = None


class Feed(Protocol):
    """Shows the market."""

    def refresh(self, time: int) -> None:
        """Bring in the bars that have closed by `time`; may wait for them. Called before a trading slot. FeedError."""

    def view(self, time: int, since: int) -> View:
        """What is known at `time` (UTC s); ranges cover the bars after `since`. Raises FeedError."""


class Broker(Protocol):
    """Takes orders and knows what we hold.

    Every method raises VenueError for an understood refusal and VenueUnknownError for anything else.
    """

    @property
    def again(self) -> bool:
        """Whether an order sent twice under its id is one order: then what it does not show was never placed."""

    def holdings(self, time: int) -> Holdings:
        """The venue's truth now."""

    def send(self, order: Order, time: int, may: Callable[[], bool] = ...) -> VenueOrder:
        """Place one order, once. `may` is asked last where an order has to wait for its turn; False = VenueError."""

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:
        """The account's orders of these assets above a number, or since UTC s where the venue keeps our ids."""

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What this account executed after `since` (UTC s), oldest first, ours or not."""
