"""Roostoo as a broker, against a loopback server with its shapes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from evenkeel.engine.ports import VenueOrder
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Fill, IntentStatus
from evenkeel.venues.limiter import Limiter, Priority
from evenkeel.venues.roostoo import LONGEST_REST_S, PAGE, Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire
from venues.roostoo_desk import NOW, Clock, order, session, venue
from venues.roostoo_server import KEY, NOW_MS, SECRET, Fault, RoostooServer

TIME = NOW


@pytest.fixture
def server() -> Iterator[RoostooServer]:
    with RoostooServer() as running:
        yield running


# ---------------------------------------------------------------- placing


def test_a_market_order_comes_back_filled(server):
    """A sale: negative inside, a side on the wire, price, fee and time as the venue says."""
    placed = venue(server).send(order("-0.00236"), TIME)

    assert server.sent("place_order") == {"pair": "BTC/USD", "side": "SELL", "type": "MARKET", "quantity": "0.00236"}
    number = placed.id
    fill = Fill(f"{number}-1", number, "BTC", Decimal("-0.00236"), Decimal(84596), Decimal("0.199646"), NOW)
    assert placed == VenueOrder(
        number, "", "BTC", Decimal("-0.00236"), None, IntentStatus.FILLED, NOW_MS, (fill,), int(number)
    )


def test_a_resting_limit_order_is_open_and_not_filled(server):
    """A buy below the market rests: acknowledged, its limit known, no fill."""
    placed = venue(server).send(order("0.001", style="limit"), TIME, limit=Decimal("84000.50"))

    assert server.sent("place_order")["price"] == "84000.5"
    assert (placed.status, placed.limit, placed.fills) == (IntentStatus.ACKED, Decimal("84000.5"), ())


def test_a_limit_order_that_crosses_fills_at_the_touch(server):
    """Better than its limit, as a taker."""
    placed = venue(server).send(order("0.001", style="limit"), TIME, limit=Decimal(90_000))

    assert placed.fills[0].price == Decimal("84596.01")


@pytest.mark.parametrize(
    ("quantity", "wire"), [("1E-5", "0.00001"), ("0.0000100", "0.00001"), ("1E+1", "10"), ("2.50", "2.5")]
)
def test_no_exponent_reaches_the_venue(server, quantity, wire):
    """Whatever way a Decimal is written, plain digits are sent."""
    venue(server).send(order(quantity), TIME)

    assert server.sent("place_order")["quantity"] == wire


@pytest.mark.parametrize(
    ("leg", "limit", "words"),
    [
        (order("0.000011"), None, "quantity 0.000011 has more than 5 decimals"),
        (order("0.001", style="limit"), "84000.505", "price 84000.505 has more than 2 decimals"),
        (order("0.00001", style="limit"), "84000", "notional 0.84 USD is not above 1"),
        (order("0.00001"), None, "notional 0.8459601 USD is not above 1"),
        (order("0.001", style="limit"), None, "a limit order needs one"),
        (order("0.001"), "84000", "others none"),
        (order("0"), None, "is no order"),
        (order("NaN"), None, "is no order"),
        (order("1E+30"), None, "is no order"),
        (order("1", style="limit"), "-1", "is no order"),
        (order("1", style="limit"), "0", "is no order"),
        (order("1", asset="DOGE"), None, "no such pair"),
    ],
)
def test_an_illegal_order_never_reaches_the_socket(server, leg, limit, words):
    """Refused here in words, with nothing sent."""
    client = venue(server)
    client.quotes(TIME)

    with pytest.raises(VenueError, match=words):
        client.send(leg, TIME, limit=None if limit is None else Decimal(limit))

    assert server.count("place_order") == 0


def test_changed_rules_are_asked_for_again(server):
    """The venue says that the step is wrong: the next order is judged by fresh rules."""
    client = venue(server)
    client.send(order("0.001"), TIME)
    server.answers["place_order"] = [{"Success": False, "ErrMsg": "quantity step size error"}]

    with pytest.raises(VenueError, match="quantity step size error"):
        client.send(order("0.001"), TIME)
    client.send(order("0.001"), TIME)

    assert server.count("exchangeInfo") == 2


def test_a_clock_far_off_sells_but_does_not_buy(server):
    """25 s off: purchases are refused here, exits go out with the venue's time."""
    client = venue(server, Clock(NOW - 25.0))

    with pytest.raises(VenueError, match=r"clock is off by \+25\.0 s, limit 20 s"):
        client.send(order("0.001"), TIME)
    assert client.send(order("-0.001"), TIME).status is IntentStatus.FILLED
    assert server.count("place_order") == 1


def test_an_order_without_rules_is_not_sent(server):
    """The venue does not tell its rules: refused, known not to be placed."""
    server.faults["exchangeInfo"] = [Fault(500)] * 3

    with pytest.raises(VenueError, match="BTC: not sent, as the venue does not answer"):
        venue(server).send(order("0.001"), TIME)

    assert server.count("place_order") == 0


_GONE = "left out"


@pytest.mark.parametrize(
    "change",
    [
        {"OrderID": _GONE}, {"OrderID": "12"}, {"OrderID": True}, {"Status": _GONE}, {"Status": "PARTIALLY_FILLED"},
        {"CoinChange": 0}, {"CoinChange": _GONE}, {"CoinChange": "0.001"}, {"FilledQuantity": 0.0005},
        {"FilledAverPrice": 0}, {"FilledAverPrice": None}, {"CommissionCoin": _GONE}, {"CommissionChargeValue": _GONE},
        {"CommissionChargeValue": -1}, {"Pair": "ETH/USD"}, {"Side": "SELL"}, {"Type": "LIMIT"}, {"Quantity": 1e300},
        {"Status": "PENDING"}, {"Status": "CANCELED"}, {"FinishTimestamp": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_reply_to_an_order_that_does_not_add_up_is_unknown(server, change):
    """A field missing, of another type, or against another: UNKNOWN, never a default."""
    row = server.add("BTC/USD", "BUY", "0.001", 84596.01, filled=True) | change
    row = {name: value for name, value in row.items() if value is not _GONE}
    server.answers["place_order"] = [{"Success": True, "ErrMsg": "", "OrderDetail": row}]

    with pytest.raises(VenueUnknownError, match="roostoo place_order"):
        venue(server).send(order("0.001"), TIME)

    assert server.count("place_order") == 1


def test_a_quantity_other_than_sent_is_told(server):
    """The venue's own quantity comes back, for the caller to see."""
    row = server.add("BTC/USD", "BUY", "0.002", 84596.01, filled=True)
    server.answers["place_order"] = [{"Success": True, "ErrMsg": "", "OrderDetail": row}]

    assert venue(server).send(order("0.001"), TIME).quantity == Decimal("0.002")


# ---------------------------------------------------------------- asking


def test_rows_that_lie_about_their_fill_are_no_fills(server):
    """Pending and canceled rows say FilledQuantity = Quantity; only what is FILLED and moved coins counts."""
    pending = server.add("BTC/USD", "BUY", "0.001", 80000.0, filled=False, kind="LIMIT")
    canceled = server.add("ETH/USD", "SELL", "2.5", 3000.0, filled=False, kind="LIMIT")
    canceled.update(Status="CANCELED", FinishTimestamp=NOW_MS)
    filled = server.add("ETH/USD", "SELL", "1.5", 2500.1, filled=True)
    assert pending["FilledQuantity"] == pending["Quantity"]

    client = venue(server)
    found = client.orders(("BTC", "ETH"), 0, TIME)

    assert [(x.number, x.status, len(x.fills)) for x in found] == [
        (filled["OrderID"], IntentStatus.FILLED, 1),
        (canceled["OrderID"], IntentStatus.CANCELED, 0),
        (pending["OrderID"], IntentStatus.ACKED, 0),
    ]
    assert [x.order_id for x in client.fills(0)] == [str(filled["OrderID"])]


def test_orders_are_newest_first_above_a_number_and_of_the_assets_asked(server):
    """Other pairs and older numbers stay out; shorts are no orders of the spot book."""
    rows = [server.add(pair, "BUY", "1", 10.0, filled=True) for pair in ("BTC/USD", "ETH/USD", "SHIB/USD") * 2]
    rows[4]["Side"] = "SHORT_OPEN"
    numbers = [row["OrderID"] for row in rows]

    client = venue(server)

    assert [x.number for x in client.orders(("BTC", "ETH"), numbers[0], TIME)] == [numbers[3], numbers[1]]
    assert [x.number for x in client.orders(frozenset({"SHIB"}), 0, TIME)] == [numbers[5], numbers[2]]
    assert server.sent("query_order")["pair"] == "SHIB/USD"
    assert client.highest(TIME) == numbers[5]


def test_no_order_at_all_is_an_empty_answer(server):
    """`no order matched` everywhere: nothing, and number -1."""
    client = venue(server)

    assert client.orders(("BTC",), 0, TIME) == ()
    assert client.fills(0) == ()
    assert client.highest(TIME) == -1
    assert client.pending(TIME) == {}
    assert client.order("BTC", 5, TIME) is None


def test_long_lists_are_read_page_by_page_until_the_known_number(server):
    """All of 250 rows come once each; a reader who knows the newest 50 numbers asks for one page."""
    numbers = [server.add("BTC/USD", "BUY", "0.001", 84596.01, filled=True)["OrderID"] for _ in range(250)]
    client = venue(server)

    assert [x.number for x in client.orders(("BTC",), 0, TIME)] == numbers[::-1]
    assert server.count("query_order") == 3
    assert len(client.orders(("BTC",), numbers[199], TIME)) == 50
    assert server.count("query_order") == 4


def test_pages_with_a_hole_between_them_are_not_believed(server):
    """An offset that is ignored, or counted in pages, would hide orders: UNKNOWN."""
    for _ in range(PAGE + 50):
        server.add("BTC/USD", "BUY", "0.001", 84596.01, filled=True)
    server.ask_offset = False
    with pytest.raises(VenueUnknownError, match="do not join"):
        venue(server).orders(("BTC",), 0, TIME)

    server.ask_offset = True
    full = [{**row, "OrderID": row["OrderID"] + 10**6} for row in list(server.rows.values())[:PAGE]]
    server.answers["query_order"] = [{"Success": True, "ErrMsg": "", "OrderMatched": full}]
    with pytest.raises(VenueUnknownError, match="do not join"):
        venue(server).orders(("BTC",), 0, TIME)


def test_orders_that_arrive_while_pages_are_read_leave_no_hole(server):
    """A new order pushes the rows back by one between two pages: still each row once."""
    numbers = [server.add("BTC/USD", "BUY", "0.001", 84596.01, filled=True)["OrderID"] for _ in range(150)]
    server.faults["query_order"] = [Fault(502, after=True)]
    client = venue(server)
    real, added = server._query_order, []

    def growing(params):
        answer = real(params)
        added.append(server.add("BTC/USD", "BUY", "0.001", 84596.01, filled=True))
        return answer

    server._query_order = growing

    assert {x.number for x in client.orders(("BTC",), 0, TIME)} >= set(numbers)


def test_fills_are_those_after_a_time_oldest_first(server):
    """A long rest before the fill does not hide it; what was executed before is left out."""
    rested = server.add("BTC/USD", "BUY", "0.001", 84000.0, filled=True, kind="LIMIT")
    rested["CreateTimestamp"] = NOW_MS - 80_000_000
    old = server.add("BTC/USD", "BUY", "0.001", 84000.0, filled=True)
    old.update(CreateTimestamp=NOW_MS - 7_200_000, FinishTimestamp=NOW_MS - 7_200_000)
    late = server.add("ETH/USD", "SELL", "1", 2500.0, filled=True)
    late["FinishTimestamp"] = NOW_MS + 3000

    fills = venue(server).fills(NOW - 3600)

    assert [x.order_id for x in fills] == [str(rested["OrderID"]), str(late["OrderID"])]
    assert LONGEST_REST_S > 80_000


def test_a_fee_in_coin_is_noted_and_not_taken_off_the_units(server):
    """A maker buy whose commission coin is BTC: full units, fee by its rate in USD, a note for people."""
    row = server.add("BTC/USD", "BUY", "0.01", 80000.0, filled=True, kind="LIMIT")
    row.update(CommissionCoin="BTC", CommissionChargeValue=0.000005, CommissionPercent=0.0005)
    client = venue(server)

    fill = client.orders(("BTC",), 0, TIME)[0].fills[0]

    assert (fill.quantity, fill.fee) == (Decimal("0.01"), Decimal("0.4"))
    assert len(client.notes) == 1
    assert client.notes[0].startswith(f"order {row['OrderID']}: the fee is said to be in coin")


# ---------------------------------------------------------------- canceling


def test_a_canceled_order_is_asked_for_afterwards(server):
    """The order's own row is the answer."""
    client = venue(server)
    placed = client.send(order("0.001", style="limit"), TIME, limit=Decimal(80_000))

    canceled = client.cancel("BTC", placed.number, TIME)

    assert (canceled.id, canceled.status, canceled.fills) == (placed.id, IntentStatus.CANCELED, ())
    assert server.sent("cancel_order") == {"order_id": placed.id}


def test_a_fill_wins_over_a_cancel(server):
    """`no order canceled`, because it filled meanwhile: the fill comes back and no error."""
    row = server.add("BTC/USD", "BUY", "0.001", 84000.0, filled=True, kind="LIMIT")

    found = venue(server).cancel("BTC", row["OrderID"], TIME)

    assert found.status is IntentStatus.FILLED
    assert found.fills[0].price == Decimal(84000)


def test_canceling_what_the_venue_does_not_know_is_none(server):
    """And a number that is none is refused: without one the venue would cancel everything."""
    client = venue(server)

    assert client.cancel("BTC", 99, TIME) is None
    with pytest.raises(VenueError, match="no order number"):
        client.cancel("BTC", 0, TIME)
    assert server.count("cancel_order") == 1


# ---------------------------------------------------------------- the account and the market


@pytest.mark.parametrize("name", ["SpotWallet", "Wallet"])
def test_holdings_are_free_and_locked_together(server, name):
    """Both shapes of the wallet; collateral inside Lock is not added again; unknown coins stay, zero rows go."""
    server.wallet_name = name
    server.wallet = {
        "USD": {"Free": 49899.24, "Lock": 99.68, "PendingOrders": 0, "ShortCollateral": 99.68},
        "BTC": {"Free": 1e-05, "Lock": 0.00235},
        "ETH": {"Free": 0, "Lock": 0},
        "NOVEL": {"Free": 7, "Lock": 0},
    }
    resting = server.add("BTC/USD", "SELL", "0.00235", 90000.0, filled=False, kind="LIMIT")

    held = venue(server).holdings(TIME)

    assert (held.time, held.cash, held.locked) == (TIME, Decimal("49998.92"), Decimal("99.68"))
    assert held.units == {"BTC": Decimal("0.00236"), "NOVEL": Decimal(7)}
    assert held.open_orders == (str(resting["OrderID"]),)
    assert held.newest == resting["OrderID"]


def test_a_hair_below_zero_is_zero_and_more_is_not_understood(server):
    """-0.01 USD is the venue's rounding; -0.02 USD or a negative coin is an account that we cannot read."""
    server.wallet = {"USD": {"Free": -0.01, "Lock": 0}}
    assert venue(server).holdings(TIME).cash == 0

    for wallet in (
        {"USD": {"Free": -0.02, "Lock": 0}},
        {"USD": {"Free": 1, "Lock": 0}, "BTC": {"Free": -0.001, "Lock": 0}},
        {"USD": {"Free": 1}},
        {"USD": {"Free": "1", "Lock": 0}},
        {"BTC": {"Free": 1, "Lock": 0}},
    ):
        server.wallet = wallet
        with pytest.raises(VenueUnknownError, match="roostoo balance"):
            venue(server).holdings(TIME)


def test_pending_orders_are_counted_per_asset(server):
    """As the venue counts them."""
    for pair in ("BTC/USD", "BTC/USD", "ETH/USD"):
        server.add(pair, "BUY", "1", 10.0, filled=False, kind="LIMIT")

    assert venue(server).pending(TIME) == {"BTC": 2, "ETH": 1}


def test_rules_are_what_the_venue_says_now(server):
    """Decimals, minimum, whether it trades, and a kind where there is one."""
    rules = {rule.asset: rule for rule in venue(server).rules(TIME)}

    btc, shib = rules["BTC"], rules["SHIB"]
    assert (btc.pair, btc.price_decimals, btc.amount_decimals, btc.min_notional) == ("BTC/USD", 2, 5, Decimal(1))
    assert (btc.tradable, btc.kind) == (True, "crypto")
    assert (shib.tradable, shib.kind) == (False, None)


@pytest.mark.parametrize(
    "row",
    [
        {"MaxBid": 0, "MinAsk": 1, "LastPrice": 1},
        {"MaxBid": 2, "MinAsk": 1, "LastPrice": 1},
        {"MaxBid": -1, "MinAsk": 1, "LastPrice": 1},
        {"MaxBid": "1", "MinAsk": 1, "LastPrice": 1},
        {"MaxBid": 1, "MinAsk": 1},
        None,
    ],
    ids=str,
)
def test_a_pair_without_a_sound_price_has_no_quote(server, row):
    """Zero, crossed, missing, text: absent, and the others go on."""
    answer = server._ticker({})
    answer["Data"]["ETH/USD"] = row
    server.answers["ticker"] = [answer]

    quotes = venue(server).quotes(TIME, Priority.STOP)

    assert set(quotes) == {"BTC", "SHIB"}
    assert (quotes["BTC"].bid, quotes["BTC"].ask, quotes["BTC"].time) == (Decimal(84596), Decimal("84596.01"), NOW_MS)
    assert quotes["SHIB"].ask == Decimal("0.00001235")


def test_what_a_stop_waits_for_is_seen_before_purchases_and_with_the_calls_that_are_kept(server):
    """Where all others have to wait for the window, a risk check's look at the account goes at once."""
    clock = Clock()
    limiter = Limiter(14, 60.0, kept=8, clock=clock, wait=clock.wait)
    account = Wire(
        Credentials(KEY, SECRET), limiter, connect=session, base_url=server.url, clock=clock, sleep=clock.sleep
    )
    while limiter.take(Priority.RECONCILE, 0.0):
        pass

    assert Roostoo(account).holdings(TIME, urgent=True) == venue(server).holdings(TIME)
    assert clock.slept == []
    Roostoo(account).holdings(TIME)
    assert sum(clock.slept) >= 60.0
