"""A Kalshi account as the engine's broker: orders by ticker, quantity in YES contracts, limit in USD of YES.

The market is asked for just before each order, so that its grid, status and shard are those of now; then the order is
asked for once, as an order that takes is over at once. What the venue does not show yet stays open.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Final

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import MAKER, Fill, Holdings, Order
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import IMMEDIATE, KalshiAccount, Terms
from evenkeel.venues.kalshi_account_rows import Settlement
from evenkeel.venues.kalshi_rows import Market
from evenkeel.venues.kalshi_wire import always

LONGEST_S: Final = 600
"""An order of ours that rests ends by itself after so long: nobody may be there to take it back."""


class KalshiBroker:
    """One account. Safe for several threads."""

    again = False

    def __init__(self, account: KalshiAccount, market: Kalshi) -> None:
        self._account, self._market = account, market

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:  # noqa: ARG002 - a port's
        """Cash and contracts, - = NO."""
        return self._account.holdings(time)

    def send(
        self,
        order: Order,
        time: int,
        may: Callable[[], bool] = always,
        *,
        limit: Decimal | None = None,
    ) -> VenueOrder:
        """Place one order, once; -> what became of it as far as the venue shows it."""
        if limit is None:
            raise VenueError(f"{order.asset}: Kalshi takes no order without a limit")
        resting = Terms("good_till_canceled", post_only=True, expires=time + LONGEST_S)
        terms = resting if order.style == MAKER else IMMEDIATE
        placed = self._account.send(order, self._now(order.asset), limit, terms, may)
        with suppress(VenueError, VenueUnknownError):  # it was taken: what became of it is asked for again
            return self._account.order(placed.id) or placed
        return placed

    def _now(self, ticker: str) -> Market:
        """The market as it is. Raises VenueError: nothing was sent."""
        try:
            return self._market.market(ticker)
        except VenueUnknownError as error:
            raise VenueError(f"not sent, the market cannot be had: {error}") from None

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:  # noqa: ARG002 - a port's
        """Take back one order; -> what became of it."""
        return self._account.cancel(venue_id)

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:  # noqa: ARG002 - a port's
        """Orders of these markets since UTC s, ours or not."""
        return self._account.orders(assets, since)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What was executed since UTC s."""
        return self._account.fills(since)

    def settlements(self, since: int) -> tuple[Settlement, ...]:
        """How markets that were held ended, since UTC s."""
        return self._account.settlements(since)
