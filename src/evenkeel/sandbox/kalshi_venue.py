"""What does Kalshi do with an order? Matching, cash per shard, fees and settlement; the time is an argument.

One account. The laws: cash changes by trades, fees, settlements and transfers and by nothing else; every market is
settled once. Source: specs/kalshi.md sections 5, 6, 9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from evenkeel.sandbox.kalshi_boards import STEP_S, Levels, Listing, World
from evenkeel.sandbox.kalshi_orders import (
    ONE,
    ZERO,
    Fill,
    Held,
    Refusal,
    Resting,
    Rules,
    Settled,
    expiry,
    fee,
    read,
    reserve,
)
from evenkeel.units import decimal_sum, plain


def step_of(now: float) -> int:
    """When the step of a moment began, UTC s."""
    return math.floor(now / STEP_S) * STEP_S


class Venue:
    """One account over a world. Not for several threads at once."""

    def __init__(self, world: World, capital: Decimal, now: float, rules: Rules | None = None, shard: int = 2) -> None:
        """All of `capital` (USD) lies on `shard`."""
        self.world, self.rules = world, rules or Rules()
        self.begun = now
        self.cash: dict[int, Decimal] = {0: ZERO, shard: capital}
        self.held: dict[str, Held] = {}
        self.orders: dict[str, Resting] = {}
        self.fills: list[Fill] = []
        self.settled: list[Settled] = []
        self.changes = 0
        self._open: dict[str, Resting] = {}
        self._seen = step_of(now)
        self._taken: dict[str, tuple[int, dict[tuple[bool, Decimal], Decimal]]] = {}
        self._names = 0

    # ---------------------------------------------------------------- the market

    def listing(self, ticker: str, now: float) -> Listing:
        """A market that is open or was. Raises Refusal 404."""
        found = self.world.listing(ticker)
        if found is None or found.opens > now:
            raise Refusal(404, "not_found", "market not found")
        return found

    def status(self, listing: Listing, now: float) -> str:
        """Where a market's life stands."""
        if now < listing.closes:
            return "active" if now >= listing.opens else "initialized"
        if now < listing.closes + self.rules.determined_s or self.world.outcome(listing) is None:
            return "closed"
        return "determined" if now < listing.closes + self.rules.finalized_s else "finalized"

    def book(self, listing: Listing, now: float, *, ours: bool = True) -> tuple[Levels, Levels]:
        """Bids for YES and NO: the world's, less what we took in this step, and our own."""
        if self.status(listing, now) != "active":
            return {}, {}
        at = max(step_of(now), listing.opens)
        sides = tuple(dict(side) for side in self.world.bids(listing, at))
        step, taken = self._taken.get(listing.ticker, (0, {}))
        for (yes, price), count in taken.items() if step == at else ():
            side = sides[0 if yes else 1]
            if side.get(price, ZERO) <= count:
                side.pop(price, None)
            else:
                side[price] -= count
        for order in self.waiting(listing.ticker) if ours else ():
            side, price = (sides[0], order.price) if order.bid else (sides[1], ONE - order.price)
            side[price] = side.get(price, ZERO) + order.left
        return sides[0], sides[1]

    def waiting(self, ticker: str | None = None) -> list[Resting]:
        """Orders of ours that rest, oldest first."""
        return [o for o in self._open.values() if o.status == "resting" and ticker in (None, o.listing.ticker)]

    # ---------------------------------------------------------------- orders

    def place(self, wish: Mapping[str, Any], now: float, *, share: Decimal = ONE, suspended: bool = False) -> Resting:
        """Take an order as the client sent it; share  of others' bids that is really there. Raises Refusal."""
        self.advance(now)
        listing = self._wanted(wish, now, suspended=suspended)
        bid, price, count = read(wish, listing)
        client = str(wish.get("client_order_id") or "")
        known = [o for o in self.orders.values() if client and o.client == client]
        if any(o.status == "resting" or self.rules.ids == "ever" for o in known):
            raise Refusal(409, "order_already_exists", "an order with this client_order_id exists")
        self._names += 1
        order = Resting(
            f"ord-{self._names:08d}", client, listing, bid, price, count, now, expiry(wish), updated=now
        )  # fmt: skip
        levels, terms = list(self._crossing(order, now, share)), wish["time_in_force"]
        killed = terms == "fill_or_kill" and decimal_sum(size for _, size in levels) < count
        if killed or (levels and wish.get("post_only") is True):
            order.status = "canceled"
        else:
            self._check_money(order, levels, rests=terms == "good_till_canceled")
            self._take(order, levels, now, rests=terms == "good_till_canceled")
        self.orders[order.id] = self._open[order.id] = order
        self.changes += 1
        return order

    def cancel(self, order_id: str, now: float) -> tuple[Resting, Decimal]:
        """Take an order back; -> it and by how much it was reduced. Raises Refusal 404 where none rests."""
        order = self.resting(order_id, now)
        left = order.left
        order.status, order.updated = "canceled", now
        return order, left

    def resting(self, order_id: str, now: float) -> Resting:
        """An order that rests now. Raises Refusal 404."""
        self.advance(now)
        order = self.orders.get(order_id)
        if order is None or order.status != "resting":
            raise Refusal(404, "not_found", "order not found")
        self.changes += 1  # whoever asks for it is about to change it
        return order

    def amend(self, order_id: str, wish: Mapping[str, Any], now: float) -> Resting:
        """Another price and size in all; what crosses now is taken at once. Raises Refusal."""
        order = self.resting(order_id, now)
        bid, price, count = read({**wish, "time_in_force": "good_till_canceled"}, order.listing)
        if bid != order.bid or count <= order.filled:
            raise Refusal(400, "invalid_amend", "side and size have to fit the order")
        before = order.price, order.count
        order.price, order.count, order.updated = price, count, now
        if self.free(order.listing.shard) < 0:
            order.price, order.count = before
            raise Refusal(400, "insufficient_balance", "insufficient balance")
        self._take(order, list(self._crossing(order, now, ONE)), now, rests=True)
        return order

    def transfer(self, source: int, target: int, usd: Decimal) -> None:
        """Move cash between shards. Raises Refusal."""
        if usd <= 0 or self.free(source) < usd:
            raise Refusal(400, "insufficient_balance", "not enough on the source shard")
        self.cash[source] -= usd
        self.cash[target] = self.cash.get(target, ZERO) + usd

    def free(self, shard: int) -> Decimal:
        """Cash that no resting order holds back, USD."""
        tickers = {o.listing.ticker for o in self.waiting() if o.listing.shard == shard}
        return self.cash.get(shard, ZERO) - decimal_sum(self._reserve(ticker) for ticker in sorted(tickers))

    # ---------------------------------------------------------------- time

    def advance(self, now: float) -> None:
        """Everything that happened since the last time: fills of resting orders, ends, settlements."""
        until = step_of(now)
        for at in range(self._seen + STEP_S, until + 1, STEP_S):
            tickers = sorted({order.listing.ticker for order in self.waiting() if at < order.listing.closes})
            if not tickers:
                break
            for ticker in tickers:
                self._step(ticker, at)
        self._seen = max(until, self._seen)
        for order in self.waiting():
            if now >= order.listing.closes or (order.expires is not None and now >= order.expires):
                order.status, order.updated = "canceled", min(now, order.listing.closes)
                self.changes += 1
        self._open = {order.id: order for order in self.waiting()}
        for held in sorted(
            (one for one in self.held.values() if one.count), key=lambda one: (one.listing.closes, one.listing.ticker)
        ):
            self._settle(held, now)

    def _step(self, ticker: str, at: int) -> None:
        """One step of one market: new quotes that cross our orders, and a print that hits them."""
        waiting = [o for o in self.waiting(ticker) if o.created <= at < o.listing.closes]
        for order in waiting:
            if order.expires is None or at < order.expires:
                levels = list(self._crossing(order, at, ONE))
                self._take(order, levels, at, rests=True, taker=False)
        traded = self.world.prints(waiting[0].listing, at) if waiting else None
        if traded is None:
            return
        left = traded.count
        for order in sorted(waiting, key=lambda o: -o.price if o.bid else o.price):
            if order.bid != traded.yes and self._first(order, at) and order.left and left:
                count = min(order.left, left)
                left -= count
                self._book(order, count, order.price, at, taker=False)

    def _first(self, order: Resting, at: int) -> bool:
        """Whether our order is better than everybody else's on its side; at the same price others came first."""
        yes, no = self.world.bids(order.listing, at)
        side, price = (yes, order.price) if order.bid else (no, ONE - order.price)
        return not side or price > max(side)

    def _settle(self, held: Held, now: float) -> None:
        listing = held.listing
        if self.status(listing, now) != "finalized":
            return
        outcome = self.world.outcome(listing)
        assert outcome is not None
        value = ONE if outcome[0] == "yes" else ZERO
        revenue = held.count * value if held.count > 0 else -held.count * (ONE - value)
        time = float(listing.closes + self.rules.finalized_s)
        self.settled.append(Settled(listing, outcome[0], held.count, held.cost, revenue, time))
        self.cash[listing.shard] = self.cash.get(listing.shard, ZERO) + revenue
        held.realized += revenue - held.cost
        held.count, held.cost, held.updated = ZERO, ZERO, time

    # ---------------------------------------------------------------- inside

    def _wanted(self, wish: Mapping[str, Any], now: float, *, suspended: bool) -> Listing:
        listing = self.listing(str(wish.get("ticker", "")), now)
        if suspended or self.status(listing, now) != "active":
            raise Refusal(400, "market_closed", "the market does not take orders")
        if wish.get("exchange_index", -1) not in (-1, listing.shard):
            raise Refusal(400, "invalid_exchange_index", "the market is on another shard")
        return listing

    def _crossing(self, order: Resting, now: float, share: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
        """Others' bids that an order meets, best first: price of YES and contracts, up to what is left of it."""
        yes, no = self.book(order.listing, now, ours=False)
        met = [(ONE - price, size) for price, size in no.items()] if order.bid else list(yes.items())
        left = order.count - order.filled
        for price, size in sorted(met, reverse=not order.bid):
            if left <= 0 or (price > order.price if order.bid else price < order.price):
                return
            count = min(left, size) if share == ONE else min(left, (size * share).quantize(ONE))
            if count > 0:
                left -= count
                yield price, count

    def _take(
        self,
        order: Resting,
        levels: list[tuple[Decimal, Decimal]],
        now: float,
        *,
        rests: bool,
        taker: bool = True,
    ) -> None:
        at = max(step_of(now), order.listing.opens)
        for price, count in levels:
            step, taken = self._taken.get(order.listing.ticker, (0, {}))
            if step != at:
                taken = {}
                self._taken[order.listing.ticker] = at, taken
            key = (not order.bid, price if not order.bid else ONE - price)
            taken[key] = taken.get(key, ZERO) + count
            self._book(order, count, price if taker else order.price, now, taker=taker)
        if order.status == "resting" and not rests:
            order.status = "canceled"

    def _book(self, order: Resting, count: Decimal, price: Decimal, now: float, *, taker: bool) -> None:
        """One fill: cash, position, order and record move together."""
        listing, cost = order.listing, self._fee(count, price, taker=taker)
        held = self.held.setdefault(listing.ticker, Held(listing))
        moved = held.trade(count if order.bid else -count, price)
        held.fees, held.updated = held.fees + cost, now
        self.cash[listing.shard] = self.cash.get(listing.shard, ZERO) + moved - cost
        order.filled, order.updated = order.filled + count, now
        self.changes += 1
        order.fees[taker] += cost
        order.paid[taker] += count * (price if order.bid else ONE - price)
        if order.filled == order.count:
            order.status = "executed"
        name = f"fill-{len(self.fills) + 1:08d}"
        self.fills.append(Fill(name, order, count, price, cost, taker, now, held.count))

    def _fee(self, count: Decimal, price: Decimal, *, taker: bool) -> Decimal:
        return fee(count, price, taker=taker, multiplier=self.rules.multiplier)

    def _check_money(self, order: Resting, levels: list[tuple[Decimal, Decimal]], *, rests: bool) -> None:
        """Refuse what the shard cannot pay: what is taken now with its fees, and what rests afterwards."""
        ticker, shard = order.listing.ticker, order.listing.shard
        known = self.held.get(ticker, Held(order.listing))
        after = Held(order.listing, known.count, known.cost)
        sign = 1 if order.bid else -1
        moved = decimal_sum(
            after.trade(sign * size, price) - self._fee(size, price, taker=True) for price, size in levels
        )
        left = order.count - decimal_sum(size for _, size in levels) if rests else ZERO
        waiting = [*self._sides(ticker), (order.bid, order.price, left)]
        before = self._reserve(ticker)
        if self.free(shard) + before + moved - reserve(after.count, waiting) < 0:
            raise Refusal(400, "insufficient_balance", "insufficient balance")

    def _reserve(self, ticker: str) -> Decimal:
        count = self.held[ticker].count if ticker in self.held else ZERO
        return reserve(count, self._sides(ticker))

    def _sides(self, ticker: str) -> list[tuple[bool, Decimal, Decimal]]:
        return [(o.bid, o.price, o.left) for o in self.waiting(ticker)]

    def state(self, now: float) -> dict[str, Any]:
        """Everything, exact: amounts as decimal strings. For checks, not part of the venue."""
        self.advance(now)
        return {
            "cash": {str(shard): plain(usd) for shard, usd in self.cash.items()},
            "positions": {ticker: plain(held.count) for ticker, held in self.held.items() if held.count},
            "orders": [
                {"id": o.id, "client": o.client, "ticker": o.listing.ticker, "side": "bid" if o.bid else "ask",
                 "price": plain(o.price), "count": plain(o.count), "filled": plain(o.filled), "status": o.status}
                for o in self.orders.values()
            ],
            "fills": [
                {"id": f.id, "order": f.order.id, "count": plain(f.count), "price": plain(f.price),
                 "fee": plain(f.fee), "taker": f.taker}
                for f in self.fills
            ],
            "settlements": [
                {"ticker": s.listing.ticker, "result": s.result, "count": plain(s.count), "revenue": plain(s.revenue)}
                for s in self.settled
            ],
        }  # fmt: skip
