"""What does Kalshi answer about an account? Cash, positions, fills, settlements and orders of the sandbox's one.

Source: specs/kalshi.md sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from evenkeel.sandbox import kalshi_objects as objects
from evenkeel.sandbox.faults import struck
from evenkeel.sandbox.kalshi_call import Answering, Call, Json, page
from evenkeel.sandbox.kalshi_orders import Refusal
from evenkeel.sandbox.kalshi_venue import Venue


def balance(venue: Venue, call: Call) -> Json:
    """Free cash and what positions cost, in cents; per shard as well."""
    free = {shard: venue.free(shard) for shard in venue.cash}
    whole = sum(free.values(), Decimal(0))
    held = sum((one.cost for one in venue.held.values()), Decimal(0))
    return {
        "balance": int(whole * 100), "portfolio_value": int(held * 100), "updated_ts": int(call.now),
        "balance_dollars": objects.usd(whole),
        "balance_breakdown": [{"exchange_index": s, "balance": objects.usd(usd)} for s, usd in free.items()],
    }  # fmt: skip


def positions(venue: Venue, call: Call) -> Json:
    """Positions as they were `lag_s` ago."""
    hidden: dict[str, Decimal] = {}
    for one in reversed(venue.fills):
        if one.time <= call.now - venue.rules.lag_s:
            break
        ticker, count = one.order.listing.ticker, one.count if one.order.bid else -one.count
        hidden[ticker] = hidden.get(ticker, Decimal(0)) + count
    rows = [(held, held.count - hidden.get(ticker, 0)) for ticker, held in sorted(venue.held.items())]
    shown = [(one, count) for one, count in rows if count and call.get("ticker") in ("", one.listing.ticker)]
    found = page(call, "market_positions", shown, 1000, lambda row: objects.position(*row))
    return {**found, "event_positions": []}


def fills(venue: Venue, call: Call) -> Json:
    """Fills, newest first, `lag_s` late."""
    since, until = call.time("min_ts", 0), min(call.time("max_ts", call.now), call.now - venue.rules.lag_s)
    chosen = [
        one for one in reversed(venue.fills)
        if call.get("ticker") in ("", one.order.listing.ticker) and call.get("order_id") in ("", one.order.id)
        and since <= one.time <= until
    ]  # fmt: skip
    return page(call, "fills", chosen, 1000, objects.fill)


def settlements(venue: Venue, call: Call) -> Json:
    """How markets ended that were held, newest first."""
    since = call.time("min_ts", 0)
    chosen = [one for one in reversed(venue.settled) if one.time >= since]
    return page(call, "settlements", chosen, 1000, objects.settlement)


def orders(venue: Venue, call: Call) -> Json:
    """Orders, newest first."""
    since, until = call.time("min_ts", 0), call.time("max_ts", 1e12)
    chosen = [
        one for one in reversed(venue.orders.values())
        if call.get("ticker") in ("", one.listing.ticker) and call.get("status") in ("", one.status)
        and since <= one.created <= until
    ]  # fmt: skip
    return page(call, "orders", chosen, 1000, objects.order)


def order(venue: Venue, call: Call) -> Json:
    """One order, in whatever state."""
    if call.place["order"] not in venue.orders:
        raise Refusal(404, "not_found", "order not found")
    return {"order": objects.order(venue.orders[call.place["order"]])}


def create(venue: Venue, call: Call) -> Json:
    """A new order."""
    ticker = str(call.body.get("ticker", ""))
    part = struck(call.scope, "partial", ticker)
    share = Decimal(1) if part is None else Decimal(repr(part.fraction))
    made = venue.place(call.body, call.now, share=share, suspended=struck(call.scope, "suspend", ticker) is not None)
    return objects.placed(made, venue.fills)


def cancel(venue: Venue, call: Call) -> Json:
    """Take back an order; a fault may confirm it and do nothing."""
    if struck(call.scope, "lost_cancel") is not None:
        kept = venue.resting(call.place["order"], call.now)
        return _reduced(kept.id, kept.client, kept.left, call.now)
    gone, left = venue.cancel(call.place["order"], call.now)
    return _reduced(gone.id, gone.client, left, call.now)


def amend(venue: Venue, call: Call) -> Json:
    """Another price and size in all."""
    return objects.placed(venue.amend(call.place["order"], call.body, call.now), venue.fills)


def decrease(venue: Venue, call: Call) -> Json:
    """Fewer contracts: by so many, or to so many."""
    one = venue.resting(call.place["order"], call.now)
    by, to = call.body.get("reduce_by"), call.body.get("reduce_to")
    if (by is None) == (to is None):
        raise Refusal(400, "invalid_parameters", "reduce_by or reduce_to")
    left = one.left - Decimal(str(by)) if to is None else Decimal(str(to))
    if not 0 <= left <= one.left:
        raise Refusal(400, "invalid_parameters", "an order can only become smaller")
    less = one.left - left
    if not left:
        venue.cancel(one.id, call.now)
    else:
        one.count -= less
    return _reduced(one.id, one.client, less, call.now)


def _reduced(name: str, client: str, by: Decimal, now: float) -> Json:
    return {
        "order_id": name, "client_order_id": client, "reduced_by": objects.contracts(by), "ts_ms": int(now * 1000)
    }  # fmt: skip


def transfer(venue: Venue, call: Call) -> Json:
    """Cash from one shard to another; the amount is in hundredths of a cent."""
    given = [call.body.get(name) for name in ("source_exchange_shard", "destination_exchange_shard", "amount")]
    source, target, amount = (value if type(value) is int else -1 for value in given)
    if min(source, target, amount) < 0:
        raise Refusal(400, "invalid_parameters", "amount and both shards are whole numbers")
    venue.transfer(source, target, Decimal(amount).scaleb(-4))
    return {}


def limits(venue: Venue, call: Call) -> Json:  # noqa: ARG001 - the same at all times
    """Tokens per second."""
    return {"usage_tier": "basic", "read_limit": venue.rules.reads, "write_limit": venue.rules.writes}


ACCOUNT: Final[Mapping[str, Answering]] = {
    "/portfolio/balance": balance,
    "/portfolio/positions": positions,
    "/portfolio/fills": fills,
    "/portfolio/settlements": settlements,
    "/portfolio/orders": orders,
    "/portfolio/orders/{order}": order,
    "/account/limits": limits,
}
