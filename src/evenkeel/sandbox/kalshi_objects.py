"""How does Kalshi write things down? Its objects as JSON: dollars and counts as text, times as ISO text.

Source: specs/kalshi.md sections 3 to 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from evenkeel.sandbox.kalshi_boards import STEP_S, Levels, Listing
from evenkeel.sandbox.kalshi_orders import ONE, ZERO, Fill, Held, Resting, Settled
from evenkeel.sandbox.kalshi_venue import Venue, step_of
from evenkeel.units import iso

Json = dict[str, Any]
NAMES: Final = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "Ripple", "DOGE": "Dogecoin"}
_LOOK_BACK: Final = 30


def usd(amount: Decimal) -> str:
    """Dollars as they travel."""
    return f"{amount:.4f}"


def contracts(count: Decimal) -> str:
    """A count as it travels."""
    return f"{count:.2f}"


def moment(time: float) -> str:
    """A time as it travels, to the millisecond."""
    whole = int(time)
    return iso(whole).replace("Z", f".{int((time - whole) * 1000):03d}Z")


def market(venue: Venue, listing: Listing, now: float) -> Json:
    """A market object. Volumes are no sums of its trades: they grow by two contracts a step."""
    yes, no = venue.book(listing, now)
    bid, ask = (max(yes) if yes else ZERO), (ONE - max(no) if no else ONE)
    status = venue.status(listing, now)
    outcome = venue.world.outcome(listing) if status in {"determined", "finalized"} else None
    result, printed = outcome or ("", "")
    volume = contracts(Decimal(2 * int((min(now, listing.closes) - listing.opens) // STEP_S)))
    last = next((price for _, price, _, _ in _prints(venue, listing, now - _LOOK_BACK * STEP_S, now)), ZERO)
    return {
        "ticker": listing.ticker, "event_ticker": listing.event, "market_type": "binary", "status": status,
        "yes_sub_title": listing.title, "no_sub_title": listing.title, "title": "", "can_close_early": True,
        "created_time": iso(listing.opens), "open_time": iso(listing.opens), "close_time": iso(listing.closes),
        "expected_expiration_time": iso(listing.closes + 300), "latest_expiration_time": iso(listing.closes + 604_800),
        "settlement_timer_seconds": venue.rules.determined_s, "yes_bid_dollars": usd(bid), "yes_ask_dollars": usd(ask),
        "no_bid_dollars": usd(ONE - ask), "no_ask_dollars": usd(ONE - bid), "liquidity_dollars": "0.0000",
        "yes_bid_size_fp": contracts(yes.get(bid, ZERO)), "yes_ask_size_fp": contracts(no.get(ONE - ask, ZERO)),
        "last_price_dollars": usd(last), "volume_fp": volume, "volume_24h_fp": volume, "open_interest_fp": volume,
        "notional_value_dollars": "1.0000", "result": result, "expiration_value": printed,
        "strike_type": listing.strike, "price_level_structure": listing.structure,
        "price_ranges": [
            {"start": usd(start), "end": usd(end), "step": usd(step)} for start, end, step in listing.grid
        ],
        "rules_primary": f"The mean of the sixty {listing.asset} index values before the close decides.",
        "rules_secondary": "", "fractional_trading_enabled": False, "exchange_index": listing.shard,
        **({} if listing.floor is None else {"floor_strike": listing.floor}),
        **({} if listing.cap is None else {"cap_strike": listing.cap}),
        **({"settlement_value_dollars": usd(ONE if result == "yes" else ZERO),
            "settlement_ts": iso(listing.closes + venue.rules.finalized_s)} if status == "finalized" else {}),
    }  # fmt: skip


def levels(side: Levels) -> list[list[str]]:
    """Bids, best last, as the venue was seen to send them."""
    return [[usd(price), contracts(count)] for price, count in sorted(side.items())]


def series(ticker: str) -> Json:
    """A series object."""
    coin = ticker[2:].removesuffix("15M").removesuffix("D")
    return {
        "ticker": ticker, "title": NAMES.get(coin, coin), "category": "Crypto", "frequency": "hourly", "tags": [coin],
        "settlement_sources": [{"name": "the sandbox's own prices", "url": ""}], "contract_url": "",
        "contract_terms_url": "", "fee_type": "quadratic", "fee_multiplier": 1, "additional_prohibitions": [],
    }  # fmt: skip


def event(venue: Venue, listing: Listing) -> Json:
    """An event object, without its markets."""
    own = venue.rules.multiplier
    return {
        "event_ticker": listing.event, "series_ticker": listing.series, "sub_title": iso(listing.closes),
        "title": f"{NAMES.get(listing.asset, listing.asset)} at {iso(listing.closes)}", "collateral_return_type": "",
        "mutually_exclusive": listing.series == f"KX{listing.asset}", "strike_date": iso(listing.closes),
        "available_on_brokers": False, "fee_type_override": None,
        "fee_multiplier_override": None if own is None else float(own),
    }  # fmt: skip


def trades(venue: Venue, listing: Listing, since: float, until: float) -> list[Json]:
    """Trades in [since, until], newest first: others', and those that we took."""
    found = [
        (at, f"t-{listing.ticker}-{int(at)}", price, count, yes)
        for at, price, count, yes in _prints(venue, listing, since, until)
    ]
    found += [
        (fill.time, fill.id, fill.price, fill.count, fill.order.bid)
        for fill in venue.fills
        if fill.taker and fill.order.listing == listing and since <= fill.time <= until
    ]
    return [trade(listing.ticker, *row) for row in sorted(found, key=lambda row: (-row[0], row[1]))]


def trade(ticker: str, at: float, name: str, price: Decimal, count: Decimal, yes: bool) -> Json:  # noqa: FBT001 - a column
    """A trade object; yes  the taker bought YES."""
    side = "yes" if yes else "no"
    return {
        "trade_id": name, "ticker": ticker, "count_fp": contracts(count), "yes_price_dollars": usd(price),
        "no_price_dollars": usd(ONE - price), "taker_side": side, "taker_outcome_side": side,
        "taker_book_side": "bid" if yes else "ask", "created_time": moment(at), "is_block_trade": False,
    }  # fmt: skip


def _prints(
    venue: Venue, listing: Listing, since: float, until: float
) -> Iterator[tuple[float, Decimal, Decimal, bool]]:
    """Others' trades, newest first: time, price of YES, contracts, whether the taker bought YES."""
    first, last = max(since, listing.opens), min(until, listing.closes - 1)
    for at in range(step_of(last), int(first) - 1, -STEP_S):
        found = venue.world.prints(listing, at) if at >= first else None
        if found is not None:
            yes, no = venue.world.bids(listing, at)
            side = no if found.yes else yes
            if side:
                yield float(at), (ONE - max(side) if found.yes else max(side)), found.count, found.yes


def candle(venue: Venue, listing: Listing, end: int, seconds: int) -> Json:
    """A candle of quotes and trades, sampled at most at twelve steps."""
    begin = max(end - seconds, listing.opens)
    stride = max(STEP_S, (end - begin) // 12 // STEP_S * STEP_S)
    books = [venue.world.bids(listing, at) for at in range(step_of(begin), min(end, listing.closes), stride)]
    bids = [max(yes) if yes else ZERO for yes, _ in books]
    asks = [ONE - max(no) if no else ONE for _, no in books]
    traded = list(_prints(venue, listing, begin, end - 1))[::-1]
    return {
        "end_period_ts": end, "yes_bid": _bar(bids), "yes_ask": _bar(asks),
        "price": _bar([price for _, price, _, _ in traded]),
        "volume_fp": contracts(sum((count for _, _, count, _ in traded), ZERO)), "open_interest_fp": "0.00",
    }  # fmt: skip


def _bar(prices: Iterable[Decimal]) -> Json:
    found = list(prices)
    if not found:
        return {}
    named = {"open": found[0], "low": min(found), "high": max(found), "close": found[-1]}
    return {f"{name}_dollars": usd(price) for name, price in named.items()}


# ---------------------------------------------------------------- the account


def order(one: Resting) -> Json:
    """An order object."""
    return {
        "order_id": one.id, "user_id": "sandbox", "client_order_id": one.client, "ticker": one.listing.ticker,
        "outcome_side": "yes" if one.bid else "no", "book_side": "bid" if one.bid else "ask",
        "side": "yes" if one.bid else "no", "action": "buy", "type": "limit", "status": one.status,
        "yes_price_dollars": usd(one.price), "no_price_dollars": usd(ONE - one.price),
        "initial_count_fp": contracts(one.count), "fill_count_fp": contracts(one.filled),
        "remaining_count_fp": contracts(one.left), "taker_fees_dollars": usd(one.fees[True]),
        "maker_fees_dollars": usd(one.fees[False]), "taker_fill_cost_dollars": usd(one.paid[True]),
        "maker_fill_cost_dollars": usd(one.paid[False]), "created_time": moment(one.created),
        "last_update_time": moment(one.updated), "cancel_order_on_pause": False, "exchange_index": one.listing.shard,
        **({} if one.expires is None else {"expiration_time": moment(one.expires)}),
    }  # fmt: skip


def placed(one: Resting, fills: Iterable[Fill]) -> Json:
    """The flat reply to a new order."""
    own = [fill for fill in fills if fill.order is one]
    told: Json = {
        "order_id": one.id, "client_order_id": one.client, "fill_count": contracts(one.filled),
        "remaining_count": contracts(one.left), "ts_ms": int(one.created * 1000),
    }  # fmt: skip
    if own:
        told["average_fill_price"] = usd(sum((fill.price * fill.count for fill in own), ZERO) / one.filled)
        told["average_fee_paid"] = usd(sum((fill.fee for fill in own), ZERO) / one.filled)
    return told


def fill(one: Fill) -> Json:
    """A fill object."""
    return {
        "fill_id": one.id, "trade_id": one.id, "order_id": one.order.id, "ticker": one.order.listing.ticker,
        "market_ticker": one.order.listing.ticker, "side": "yes" if one.order.bid else "no", "action": "buy",
        "outcome_side": "yes" if one.order.bid else "no", "book_side": "bid" if one.order.bid else "ask",
        "count_fp": contracts(one.count), "yes_price_dollars": usd(one.price), "no_price_dollars": usd(ONE - one.price),
        "is_taker": one.taker, "fee_cost": usd(one.fee), "created_time": moment(one.time), "ts": int(one.time),
    }  # fmt: skip


def position(held: Held, count: Decimal) -> Json:
    """A row of `market_positions`; count  as it is shown."""
    return {
        "ticker": held.listing.ticker, "exchange_index": held.listing.shard, "position_fp": contracts(count),
        "total_traded_dollars": usd(held.traded), "market_exposure_dollars": usd(held.cost),
        "realized_pnl_dollars": usd(held.realized), "fees_paid_dollars": usd(held.fees),
        "last_updated_ts": moment(held.updated),
    }  # fmt: skip


def settlement(one: Settled) -> Json:
    """A row of `settlements`."""
    yes, no = max(one.count, ZERO), max(-one.count, ZERO)
    return {
        "ticker": one.listing.ticker, "event_ticker": one.listing.event, "market_result": one.result,
        "yes_count_fp": contracts(yes), "no_count_fp": contracts(no),
        "yes_total_cost_dollars": usd(one.cost if yes else ZERO),
        "no_total_cost_dollars": usd(one.cost if no else ZERO),
        "revenue": int(one.revenue * 100), "value": 100 if one.result == "yes" else 0, "fee_cost": "0.0000",
        "settled_time": moment(one.time),
    }  # fmt: skip
