"""The paper venue: a venue like any other, except that its market is the tape and its vault a file of ours.

Durable, one transaction per order, idempotent by our order id, asked like any venue. A market order fills in full at
the tape's next price, half a spread and square-root impact worse, taker fee in USD; an order sent by a stop never fills
better than its level. Amounts follow the venue's arithmetic: prices rounded against us, fees up, to 1e-8 USD. A limit
order rests until it is cancelled or the program ends and is never filled: maker fills are never assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Protocol

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError
from evenkeel.portfolio.costs import BPS, CostSettings, slippage_of
from evenkeel.types import Fill, Holdings, IntentStatus, Order, Pair
from evenkeel.units import plain
from evenkeel.venues.vault import FileVault, MemoryVault, Vault

CENT = Decimal("0.00000001")


class Tape(Protocol):
    """The market that the paper venue trades on."""

    def price(self, asset: str, time: int) -> tuple[float, float] | None:
        """First price (USD) at or after `time` and the asset's daily volume (USD); None = there is no market."""


def fill_price(order: Order, reference: float, volume: float, pair: Pair, costs: CostSettings) -> Decimal:
    """What a taker gets, USD per unit: worse than the reference by slippage, at the pair's price precision.

    reference  first price after the decision, USD · volume  USD a day, NaN = unknown
    """
    start = min(reference, float(order.stop)) if order.stop is not None and order.quantity < 0 else reference
    slip = slippage_of(abs(float(order.quantity)) * start, volume, pair.tier, costs)
    worse = start * (1.0 + slip) if order.quantity > 0 else start * (1.0 - slip)
    rounding = ROUND_CEILING if order.quantity > 0 else ROUND_FLOOR
    return Decimal(repr(worse)).quantize(Decimal(1).scaleb(-pair.price_decimals), rounding=rounding)


def _at_once() -> bool:
    return True


class PaperVenue:
    """A spot account in `paper.db`. `path` None keeps it in memory (back-tests)."""

    again = True

    def __init__(
        self,
        path: Path | None,
        tape: Tape,
        pairs: Mapping[str, Pair],
        costs: CostSettings,
        capital: Decimal,
        *,
        exact: bool = False,
    ) -> None:
        """Open the account; a new one starts with `capital` USD.

        exact  take prices and amounts as they come, without precision and minimum: for comparisons with engines that
               have none. No configuration can ask for it.
        """
        self.vault: Vault = MemoryVault(capital) if path is None else FileVault(path, capital)
        self._tape = tape
        self._pairs = pairs
        self._costs = costs
        self._exact = exact
        self._fee = Decimal(repr(costs.taker * BPS))
        self._resting: dict[str, VenueOrder] = {}
        self._one_at_a_time = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        self.vault.close()

    def holdings(self, time: int, *, urgent: bool = False) -> Holdings:  # noqa: ARG002 - nobody waits here
        """Cash and units, as the venue has them now."""
        with self._one_at_a_time:
            return Holdings(time, self.vault.cash(), self.vault.units())

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:  # noqa: ARG002 - a port's
        """Every order that was filled here in these assets, and those that rest or did."""
        with self._one_at_a_time:
            rested = tuple(order for order in self._resting.values() if order.asset in assets)
            return rested + tuple(_shown(fill) for fill in self.vault.fills(0) if fill.asset in assets)

    def send(
        self,
        order: Order,
        time: int,
        may: Callable[[], bool] = _at_once,  # noqa: ARG002
        *,
        limit: Decimal | None = None,
    ) -> VenueOrder:
        """Fill a market order in one transaction. The same id again gives the same answer and moves nothing.

        limit  the order rests at this price, USD per unit, and moves nothing
        Raises VenueError: unknown pair, no market, precision, minimum notional, insufficient balance.
        """
        with self._one_at_a_time:
            if limit is not None:
                return self._rest(order, limit, time)
            fill = self.vault.find(order.id)
            if fill is None:
                fill = self._book(order, self._fill(order, time))
            elif (fill.asset, fill.quantity) != (order.asset, order.quantity):
                raise VenueError(f"{order.asset}: order id {order.id} was used before for another order")
        return _shown(fill)

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:  # noqa: ARG002
        """End a resting order; -> what became of it, None for one that is not known here."""
        with self._one_at_a_time:
            fill = self.vault.find(venue_id)
            if fill is None and venue_id in self._resting:
                self._resting[venue_id] = replace(self._resting[venue_id], status=IntentStatus.CANCELED)
            return self._resting.get(venue_id) if fill is None else _shown(fill)

    def fills(self, since: int) -> tuple[Fill, ...]:
        """Everything filled after `since`, in the order of filling."""
        with self._one_at_a_time:
            return self.vault.fills(since)

    def _rest(self, order: Order, limit: Decimal, time: int) -> VenueOrder:
        status = IntentStatus.ACKED
        made = VenueOrder(order.id, order.id, order.asset, order.quantity, limit, status, time * 1000)
        return self._resting.setdefault(order.id, made)

    def _fill(self, order: Order, time: int) -> Fill:
        pair = self._pairs.get(order.asset)
        if pair is None:
            raise VenueError(f"{order.asset}: pair not found")
        market = self._tape.price(order.asset, time)
        if market is None:
            raise VenueError(f"{order.asset}: no market at this time")
        if self._exact:
            price = Decimal(repr(market[0]))
            notional = abs(order.quantity) * price
        else:
            _check_precision(order, pair)
            price = fill_price(order, market[0], market[1], pair, self._costs)
            notional = abs(order.quantity) * price
            if notional <= pair.min_notional:
                raise VenueError(f"{order.asset}: notional {plain(notional)} USD is not above {pair.min_notional}")
        fee = (notional * self._fee).quantize(CENT, ROUND_CEILING)
        return Fill(f"{order.id}-1", order.id, order.asset, order.quantity, price, fee, time)

    def _book(self, order: Order, fill: Fill) -> Fill:
        """Move the balances and note the order, or refuse; -> the fill as it is kept."""
        vault, quantity = self.vault, fill.quantity
        cash = vault.cash() - quantity * fill.price - fill.fee
        units = vault.balance(order.asset) + quantity
        if cash < 0 or units < 0:
            raise VenueError(f"{order.asset}: insufficient balance for {plain(order.quantity)}")
        return vault.book(order.id, fill, cash, units)


def _shown(fill: Fill) -> VenueOrder:
    name, status = fill.order_id, IntentStatus.FILLED
    return VenueOrder(name, name, fill.asset, fill.quantity, None, status, fill.time * 1000, (fill,))


def _check_precision(order: Order, pair: Pair) -> None:
    if order.quantity != order.quantity.quantize(Decimal(1).scaleb(-pair.amount_decimals)):
        limit = pair.amount_decimals
        raise VenueError(f"{order.asset}: quantity {plain(order.quantity)} has more than {limit} decimals")
