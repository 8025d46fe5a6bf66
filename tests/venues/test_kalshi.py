"""Public data and the account over HTTP: lists to their end, orders once, and what each reply means."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evenkeel.engine import verdict
from evenkeel.engine.verdict import Bound, NotPlaced, ProofSettings, Sent, Silence
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Holdings, IntentStatus
from evenkeel.venues import kalshi_rows as rows
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import KalshiAccount, Terms, in_yes
from evenkeel.venues.kalshi_wire import AbsentError, RefusedError, SeenError
from venues.kalshi_server import (
    CUT,
    NOW,
    RESET,
    TICKER,
    KalshiServer,
    an_order,
    arrived,
    fill_row,
    market_row,
    order_row,
)

D = Decimal
WEEK = {day: [{"open_time": "00:00", "close_time": "00:00"}] for day in (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
)}  # fmt: skip
OPEN = {"exchange_active": True, "trading_active": True}
CREATE = "POST /portfolio/events/orders"
PLACED = {"order_id": "o-1", "client_order_id": "ours-1", "fill_count": "10.00", "remaining_count": "0.00"}


@pytest.fixture
def server():
    with KalshiServer() as running:
        running.on("GET /exchange/status", OPEN)
        running.on("GET /exchange/schedule", {"schedule": {"standard_hours": [WEEK], "maintenance_windows": []}})
        yield running


def market(**changes):
    return rows.market_of(arrived(market_row(**changes)))


# ---------------------------------------------------------------- lists


def test_a_list_is_followed_to_its_end(server):
    """Three pages, an empty cursor ends it; a page in between may be empty."""
    pages = [{"markets": [market_row(ticker=name) for name in names], "cursor": cursor}
             for names, cursor in (("AB", "x"), ("", "y"), ("C", ""))]  # fmt: skip
    server.on("GET /markets", *pages)

    found = Kalshi(server.wire()).markets(series="KXBTC", status="open")

    assert [row.ticker for row in found.rows] == ["A", "B", "C"]
    assert [dict(asked).get("cursor") for _, _, asked, _ in server.requests] == [None, "x", "y"]
    assert all(dict(asked)["series_ticker"] == "KXBTC" for _, _, asked, _ in server.requests)


@pytest.mark.parametrize(
    "second",
    [CUT, RESET, (500, b""), {"cursor": ""}, {"markets": "none"}, {"markets": [1]}, {"markets": [], "cursor": 7}],
)
def test_a_list_that_breaks_off_is_no_list(second, server):
    """Not the first page alone, not an empty one: UNKNOWN."""
    server.on("GET /markets", {"markets": [market_row()], "cursor": "x"}, second)

    with pytest.raises(VenueUnknownError, match="kalshi GET /markets"):
        Kalshi(server.wire()).markets()


def test_a_page_that_broke_off_is_asked_for_again(server):
    """And then the list is whole."""
    first, second = (
        {"markets": [market_row(ticker=name)], "cursor": cursor} for name, cursor in (("A", "x"), ("B", ""))
    )
    server.on("GET /markets", first, CUT, second)

    assert [row.ticker for row in Kalshi(server.wire()).markets().rows] == ["A", "B"]


def test_pages_that_go_round_in_circles_are_found_out(server):
    """A cursor that comes back would never end."""
    server.on("GET /markets", {"markets": [], "cursor": "x"})

    with pytest.raises(VenueUnknownError, match="do not end"):
        Kalshi(server.wire()).markets()


def test_an_old_market_is_found_where_it_is_kept(server):
    """Settled before the cutoff: only under /historical; one that never was is said to be absent."""
    server.on(f"GET /historical/markets/{TICKER}", {"market": market_row(status="finalized", result="no")})

    assert Kalshi(server.wire()).market(TICKER).result == "no"
    with pytest.raises(AbsentError):
        Kalshi(server.wire()).market("KXNONE")


def test_another_market_than_the_one_asked_for_is_not_believed(server):
    """A cache in between may have mixed them up."""
    server.on(f"GET /markets/{TICKER}", {"market": market_row(ticker="OTHER")})

    with pytest.raises(VenueUnknownError, match="another market came"):
        Kalshi(server.wire()).market(TICKER)


def test_books_name_their_tickers_one_by_one(server):
    """A csv is silently wrong at the venue; a book that cannot be read is no quote, the others stay."""
    good = {"yes_dollars": [["0.4200", "13.00"]], "no_dollars": [["0.5600", "17.00"]]}
    answer = [{"ticker": "A", "orderbook_fp": good}, {"ticker": "B", "orderbook_fp": {"yes_dollars": [[42, 13]]}}]
    server.on("GET /markets/orderbooks", {"orderbooks": answer})

    found = Kalshi(server.wire()).books(["A", "B"])

    assert list(found) == ["A"]
    assert server.requests[0][2] == [("tickers", "A"), ("tickers", "B")]


def test_trades_and_candles_come_oldest_first_each_once(server):
    """A trade that two pages show is one trade; empty candle prices are none."""
    trade = {"trade_id": "1", "ticker": TICKER, "count_fp": "2.00", "yes_price_dollars": "0.5000",
             "no_price_dollars": "0.5000", "taker_side": "yes", "created_time": "2026-07-10T10:30:00Z"}  # fmt: skip
    older = {**trade, "trade_id": "0", "created_time": "2026-07-10T10:29:00Z", "taker_side": "sideways"}
    server.on("GET /markets/trades", {"trades": [trade], "cursor": "x"}, {"trades": [trade, older], "cursor": ""})
    quotes = {"open_dollars": "0.0000", "low_dollars": "0.1000", "high_dollars": "1.0000", "close_dollars": ""}
    candle = {"end_period_ts": 60, "yes_bid": quotes, "yes_ask": quotes, "price": {}, "volume_fp": "0.00",
              "open_interest_fp": "1.00"}  # fmt: skip
    server.on(f"GET /series/KXBTC/markets/{TICKER}/candlesticks", {"ticker": TICKER, "candlesticks": [candle]})
    client = Kalshi(server.wire())

    assert [(trade.id, trade.taker) for trade in client.trades(TICKER)] == [("0", None), ("1", "yes")]
    (found,) = client.candles("KXBTC", TICKER, 0, 3600, 1)
    assert (found.yes_bid.open, found.yes_bid.low, found.yes_bid.high, found.price.close) == (
        None,
        D("0.1"),
        None,
        None,
    )


def test_a_nested_event_brings_its_markets(server):
    """In either of the two places where the venue puts them."""
    event = {"event_ticker": "E", "series_ticker": "S", "title": "t", "mutually_exclusive": True}
    server.on("GET /events/E", {"event": event, "markets": [market_row()]})
    server.on("GET /events", {"events": [{**event, "markets": [market_row(status="odd")]}], "cursor": ""})
    client = Kalshi(server.wire())

    assert client.event("E").markets[0].tradable
    assert not client.events(nested=True)[0].markets[0].tradable


# ---------------------------------------------------------------- orders


@pytest.mark.parametrize(
    ("outcome", "count", "price", "side", "wire_price"),
    [("yes", "10", "0.19", "bid", "0.19"), ("yes", "-10", "0.19", "ask", "0.19"),
     ("no", "10", "0.81", "ask", "0.19"), ("no", "-10", "0.81", "bid", "0.19")],
)  # fmt: skip
def test_no_at_q_is_yes_sold_at_1_less_q(outcome, count, price, side, wire_price, server):
    """The four intents on the wire, with the id, the shard and the terms; no market order exists."""
    server.on(CREATE, (201, PLACED))
    quantity, limit = in_yes(outcome, D(count), D(price))

    placed = KalshiAccount(server.wire()).send(
        an_order(str(quantity)), market(exchange_index=2), limit, Terms("good_till_canceled", post_only=True, expires=9)
    )

    assert server.requests[-1][3] == {
        "ticker": TICKER, "side": side, "count": "10", "price": wire_price, "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross", "client_order_id": "ours-1", "exchange_index": 2,
        "post_only": True, "expiration_time": 9,
    }  # fmt: skip
    assert (placed.quantity, placed.limit, placed.ours) == (quantity, limit, "ours-1")
    assert placed.status is IntentStatus.ACKED


@pytest.mark.parametrize(
    ("order", "changes", "limit", "why"),
    [
        (an_order("0"), {}, "0.19", "are no order"),
        (an_order("1.5"), {}, "0.19", "whole steps of 1"),
        (an_order("1.505"), {"fractional_trading_enabled": True}, "0.19", "whole steps of 0.01"),
        (an_order("NaN"), {}, "0.19", "are no order"),
        (an_order(), {}, "0.195", "not on the market's grid"),
        (an_order(), {}, "1", "not on the market's grid"),
        (an_order(), {}, "NaN", "not on the market's grid"),
        (an_order(ticker="OTHER"), {}, "0.19", "the market given is"),
        (an_order(), {"status": "paused"}, "0.19", "is not traded"),
        (an_order(), {"close_time": "2026-07-10T10:30:00Z"}, "0.19", "has closed"),
    ],
)
def test_what_is_no_order_here_never_reaches_the_socket(order, changes, limit, why, server):
    """Counts, grid, state and hours are checked before."""
    with pytest.raises(VenueError, match=why):
        KalshiAccount(server.wire()).send(order, market(**changes), D(limit))
    assert server.count(CREATE) == 0


@pytest.mark.parametrize(
    ("status", "schedule", "why"),
    [
        ({"exchange_active": True, "trading_active": False}, None, "does not trade"),
        ({**OPEN, "exchange_index_statuses": [{"exchange_index": 2, "trading_active": False}]}, None, "does not trade"),
        ((500, b""), None, "does not say that it is open"),
        ({"exchange_active": "yes", "trading_active": True}, None, "does not say that it is open"),
        (OPEN, {"schedule": {"standard_hours": [{**WEEK, "friday": [], "thursday": []}]}}, "outside"),
        (OPEN, {"schedule": {"standard_hours": [WEEK], "maintenance_windows": [
            {"start_datetime": "2026-07-10T10:00:00Z", "end_datetime": "2026-07-10T10:30:01Z"}]}}, "outside"),
    ],
)  # fmt: skip
def test_a_closed_exchange_gets_no_order(status, schedule, why, server):
    """Closed, closed for the shard, in maintenance, or not saying: nothing is sent."""
    server.on("GET /exchange/status", status)
    if schedule is not None:
        server.on("GET /exchange/schedule", schedule)

    with pytest.raises(VenueError, match=why):
        KalshiAccount(server.wire()).send(an_order(), market(exchange_index=2), D("0.19"))
    assert server.count(CREATE) == 0


@pytest.mark.parametrize(
    "reply",
    [
        {**PLACED, "client_order_id": "another"}, {**PLACED, "order_id": None}, {**PLACED, "fill_count": 10},
        {**PLACED, "remaining_count": "1.00"}, {"client_order_id": "ours-1"}, {},
    ],
)  # fmt: skip
def test_a_reply_that_does_not_fit_is_unknown(reply, server):
    """About another order, without its number, with counts that cannot be: the venue has to be asked."""
    server.on(CREATE, (201, reply))

    with pytest.raises(VenueUnknownError):
        KalshiAccount(server.wire()).send(an_order(), market(), D("0.19"))
    assert server.count(CREATE) == 1


def test_an_id_seen_before_is_unknown_and_the_refusal_of_money_is_a_refusal(server):
    """409: an earlier send arrived. 400 with words: nothing was placed."""
    server.on(CREATE, (409, {"error": {"code": "order_already_exists"}}), (400, {"code": "insufficient_balance"}))
    account = KalshiAccount(server.wire())

    with pytest.raises(SeenError):
        account.send(an_order(), market(), D("0.19"))
    with pytest.raises(RefusedError) as caught:
        account.send(an_order(), market(), D("0.19"))
    assert caught.value.code == "insufficient_balance"


# ---------------------------------------------------------------- what became of it


def test_an_order_is_closed_only_with_all_its_fills(server):
    """The venue shows fills a second late: until then it stays open, so that none is lost."""
    server.on("GET /portfolio/orders/o-1", {"order": order_row()})
    server.on("GET /portfolio/fills", {"fills": [], "cursor": ""}, {"fills": [fill_row(), fill_row()], "cursor": ""})
    account = KalshiAccount(server.wire())

    early, late = account.order("o-1"), account.order("o-1")

    assert (early.status, early.fills) == (IntentStatus.ACKED, ())
    assert late.status is IntentStatus.FILLED
    assert [(fill.quantity, fill.price, fill.fee) for fill in late.fills] == [(10, D("0.19"), D("0.11"))]


def test_no_bought_is_negative_everywhere(server):
    """By the later word; by the older pair of words where it is missing; another word spoils the answer."""
    asks = [order_row(order_id="1", book_side="ask"), order_row(order_id="2", book_side=None, side="no", action="buy")]
    server.on("GET /portfolio/orders", {"orders": [*asks, order_row(order_id="3", fill_count_fp="0.00")], "cursor": ""})
    server.on("GET /portfolio/fills", {"fills": [fill_row(order_id="1", book_side="ask")], "cursor": ""})
    found = KalshiAccount(server.wire()).orders([TICKER], int(NOW))

    assert [order.quantity for order in found] == [-10, -10, 10]
    assert [fill.quantity for fill in found[0].fills] == [-10]
    server.on("GET /portfolio/orders", {"orders": [order_row(book_side="sideways")], "cursor": ""})
    with pytest.raises(VenueUnknownError, match="book_side"):
        KalshiAccount(server.wire()).orders([TICKER], int(NOW))


def test_canceling_what_is_gone_tells_what_became_of_it(server):
    """404 to a cancel is no error: it filled; where the venue knows no such order there is none."""
    server.on("GET /portfolio/orders/o-1", {"order": order_row()})
    server.on("GET /portfolio/fills", {"fills": [fill_row()], "cursor": ""})
    account = KalshiAccount(server.wire())

    assert account.cancel("o-1").status is IntentStatus.FILLED
    assert account.cancel("o-2") is None


def test_the_account_in_our_words(server):
    """Cents become USD, a negative position is NO, one row per settled market."""
    shards = [{"exchange_index": 0, "balance": 100}, {"exchange_index": 2, "balance": 900}]
    server.on("GET /portfolio/balance", {"balance": 1000, "portfolio_value": 55, "balance_breakdown": shards})
    held = {"ticker": TICKER, "position_fp": "-3.00", "market_exposure_dollars": "2.4300",
            "realized_pnl_dollars": "0.0000", "fees_paid_dollars": "0.0400"}  # fmt: skip
    server.on("GET /portfolio/positions", {"market_positions": [held], "event_positions": [], "cursor": ""})
    server.on("GET /portfolio/orders", {"orders": [order_row(status="resting", fill_count_fp="0.00")], "cursor": ""})
    settled = {"ticker": TICKER, "event_ticker": "E", "market_result": "no", "yes_count_fp": "0.00",
               "no_count_fp": "3.00", "revenue": 300, "fee_cost": "0.0000",
               "settled_time": "2026-07-10T11:05:00Z"}  # fmt: skip
    server.on("GET /portfolio/settlements", {"settlements": [settled, settled], "cursor": ""})
    account = KalshiAccount(server.wire())

    assert account.holdings(5) == Holdings(5, D("10.00"), {TICKER: D("-3.00")}, ("o-1",))
    assert account.balance().on(2) == D("9.00")
    assert account.balance().on(None) == D("10.00")
    assert [(row.result, row.revenue) for row in account.settlements()] == [("no", D("3.00"))]
    server.on("GET /portfolio/settlements", {"settlements": [settled, {**settled, "revenue": 0}], "cursor": ""})
    with pytest.raises(VenueUnknownError, match="two ways"):
        account.settlements()


@pytest.mark.parametrize("highest", [None, -1])
def test_the_verdict_finds_an_order_whose_answer_was_lost(highest, server):
    """By its id, and by its fingerprint alone; where there is none, three looks over 30 s prove that."""
    server.on("GET /portfolio/orders", {"orders": [order_row()], "cursor": ""})
    server.on("GET /portfolio/fills", {"fills": [fill_row()], "cursor": ""})
    shown = KalshiAccount(server.wire()).orders([TICKER], int(NOW) - 60)
    sent = Sent(an_order(), int(NOW * 1000), highest, D(0), D("0.19"))
    silence, proof = Silence(3, 30.0), ProofSettings()

    found = verdict.judge(sent, shown, Holdings(0, D(0), {TICKER: D(10)}), {}, silence, proof)
    assert found == Bound(shown[0])
    assert verdict.judge(sent, (), Holdings(0, D(0), {}), {}, silence, proof) == NotPlaced()
