"""The Binance broker: real ccxt, signed, over HTTP, against the sandbox."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evenkeel.engine.verdict import Bound, NotPlaced, ProofSettings, Sent, Silence, judge
from evenkeel.errors import AccessRefusedError, ConfigError, VenueError, VenueUnknownError
from evenkeel.sandbox.binance import KEY, SECRET
from evenkeel.sandbox.faults import Fault
from evenkeel.types import IntentStatus, Order
from evenkeel.venues.spot import Spot
from evenkeel.venues.spot_line import Pace
from evenkeel.venues.spot_wire import Keys
from venues.exchanges import PAIRS, START, running

NOW = START + 86_400
KEYS = Keys(KEY, SECRET)
NO_GAPS = Pace(sleep=lambda _: None)


@pytest.fixture(scope="module")
def shared():
    """One server for all; each test opens an exchange of its own only where it changes what others see."""
    with running() as exchange:
        yield exchange


@pytest.fixture
def exchange():
    with running() as made:
        yield made


def spot(exchange, keys=KEYS, **more):
    return Spot(
        "binance", keys, PAIRS, host=exchange.binance, sleep=lambda _: None, pace=NO_GAPS,
        **{"timeout_s": 5.0, "clock": exchange.clock.now} | more,
    )  # fmt: skip


def order(quantity, asset="BTC", number=0):
    return Order(f"reb{NOW:x}-{asset}-{number}", "rebalance", number, asset, Decimal(quantity), "TARGET")


def tell(exchange, *faults):
    exchange.faults.replace(faults)


def test_a_purchase_fills_and_is_found_again(exchange):
    """The answer, the list of orders, the fills and the balances tell one story."""
    venue = spot(exchange)
    made = venue.send(order("0.01234"), NOW)

    assert made.status is IntentStatus.FILLED
    assert (made.ours, made.quantity, made.limit) == (order("0.01234").id, Decimal("0.01234"), None)
    assert sum(fill.quantity for fill in made.fills) == made.quantity
    assert venue.orders(["BTC"], NOW - 10, NOW) == (made,)
    assert venue.fills(NOW - 10) == made.fills
    held = venue.holdings(NOW)
    paid = made.fills[0].price * made.quantity
    assert held.cash == Decimal(50_000) - paid
    assert held.units == {"BTC": made.quantity - Decimal("0.00001234")}


def test_a_fee_in_coins_is_noted_and_not_taken_from_cash(exchange):
    """A purchase pays in the coin, a sale in USDT."""
    venue = spot(exchange)
    bought = venue.send(order("0.02"), NOW)
    sold = venue.send(order("-0.01", number=1), NOW)

    assert bought.fills[0].fee == 0
    assert venue.notes == ("fees of 0.00002 BTC were charged in BTC",)
    assert sold.fills[0].fee == pytest.approx(sold.fills[0].price * Decimal("0.00001"), abs=Decimal("1e-8"))


def test_a_limit_rests_is_cancelled_and_is_gone(exchange):
    """Its cash is ours while it rests; the cancel is shown; a second one changes nothing; an unknown number is none."""
    venue = spot(exchange)
    bid = Decimal(str(venue.quotes(NOW)["ETH"].bid))
    made = venue.send(order("1.5", "ETH"), NOW, limit=bid - 10)

    assert (made.status, made.limit, made.fills) == (IntentStatus.ACKED, bid - 10, ())
    assert venue.holdings(NOW).open_orders == (order("1.5", "ETH").id,)
    assert (venue.holdings(NOW).cash, venue.holdings(NOW).locked) == (Decimal(50_000), Decimal("1.5") * (bid - 10))
    ended = venue.cancel("ETH", made.number, NOW)
    assert ended.status is IntentStatus.CANCELED
    assert venue.orders(["ETH"], NOW - 10, NOW) == (ended,) == (venue.cancel("ETH", made.number, NOW),)
    assert venue.cancel("ETH", 99, NOW) is None


def test_a_resting_limit_fills_when_the_market_comes(exchange):
    """At its limit, as a maker, some time later; it is listed however long ago it was placed, while it is open."""
    venue = spot(exchange)
    low = min(exchange.market.last("BTC", NOW + at) for at in range(0, 80_000, 300))
    made = venue.send(order("0.01"), NOW, limit=Decimal(str(round(low + 20, 2))))
    assert made.status is IntentStatus.ACKED
    assert venue.orders(["BTC"], NOW + 1_000, NOW) == (made,)
    exchange.clock.advance(80_000)

    (shown,) = venue.orders(["BTC"], NOW - 10, NOW)
    assert shown.status is IntentStatus.FILLED
    assert shown.fills[0].price == made.limit
    assert shown.fills[0].time > NOW


def test_a_cancel_that_comes_too_late_shows_the_fill(exchange):
    """What was confirmed and not done, or done and not confirmed, is told by the order itself."""
    venue = spot(exchange)
    made = venue.send(order("0.01"), NOW)
    assert venue.cancel("BTC", made.number, NOW) == made

    resting = venue.send(order("1", "ETH"), NOW, limit=Decimal(1000))
    tell(exchange, Fault("lost_cancel"))
    assert venue.cancel("ETH", resting.number, NOW) == resting
    tell(exchange, Fault("reset", method="DELETE", accepted=True))
    with pytest.raises(VenueUnknownError):
        venue.cancel("ETH", resting.number, NOW)
    assert venue.order("ETH", resting.number, NOW).status is IntentStatus.CANCELED


def test_more_orders_than_a_page_are_read_page_by_page(exchange, monkeypatch):
    """All of them, each once, orders and fills."""
    monkeypatch.setattr("evenkeel.venues.spot._PAGE", 3)
    venue = spot(exchange)
    made = [venue.send(order("0.001", number=n), NOW) for n in range(6)]

    assert venue.orders(["BTC"], NOW - 10, NOW) == tuple(made)
    assert venue.orders(["BTC"], NOW + 1, NOW) == ()
    assert venue.fills(NOW - 10) == tuple(fill for one in made for fill in one.fills)


def test_a_halt_that_came_meanwhile_is_obeyed(shared):
    with pytest.raises(VenueError, match="withdrawn"):
        spot(shared).send(order("0.01"), NOW, lambda: False)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_answer_is_judged_by_what_the_exchange_shows(exchange, arrived):
    """Bound where it arrived, with its fill; never placed where it is not shown for long enough."""
    venue = spot(exchange)
    sent = Sent(order("0.01"), NOW * 1000, venue.holdings(NOW).newest, Decimal(0))
    tell(exchange, Fault("reset", path="*/order", method="POST", accepted=arrived))
    with pytest.raises(VenueUnknownError):
        venue.send(sent.order, NOW)

    shown, held = venue.orders(frozenset({"BTC"}), NOW - 10, NOW), venue.holdings(NOW)
    said = judge(sent, shown, held, {}, Silence(3, 30.0), ProofSettings())
    assert isinstance(said, Bound if arrived else NotPlaced)
    assert not arrived or said.order.status is IntentStatus.FILLED


def test_a_partial_fill_is_told_as_it_is(exchange):
    """At market the rest expires; as a limit it rests, and what was filled stays after the cancel."""
    venue = spot(exchange)
    tell(exchange, Fault("partial", fraction=0.4))
    ended = venue.send(order("0.01"), NOW)
    resting = venue.send(order("1", "ETH"), NOW, limit=Decimal(str(venue.quotes(NOW)["ETH"].ask)))
    venue.cancel("ETH", resting.number, NOW)

    assert (ended.status, sum(f.quantity for f in ended.fills)) == (IntentStatus.CANCELED, Decimal("0.004"))
    assert (resting.status, sum(f.quantity for f in resting.fills)) == (IntentStatus.ACKED, Decimal("0.4"))
    (shown,) = venue.orders(["ETH"], NOW - 10, NOW)
    assert (shown.status, shown.fills) == (IntentStatus.CANCELED, resting.fills)


@pytest.mark.parametrize(
    ("quantity", "limit", "asset", "said"),
    [
        ("0.000001", None, "BTC", "amount"),
        ("0.0100001", None, "BTC", "more decimals"),
        ("0.01", "90000.001", "BTC", "more decimals"),
        ("0.00003", None, "BTC", "NOTIONAL"),
        ("500", None, "BTC", "insufficient"),
        ("-1", None, "ETH", "insufficient"),
        ("1", None, "XRP", "not listed"),
    ],
)
def test_what_the_exchange_refuses_in_words_is_refused(shared, quantity, limit, asset, said):
    """Nothing was placed, and the sentence says why."""
    venue = spot(shared)
    with pytest.raises(VenueError, match=said):
        venue.send(order(quantity, asset), NOW, limit=None if limit is None else Decimal(limit))

    assert venue.orders(["BTC", "ETH"], 0, NOW) == ()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", path="*/order", method="POST"),
        Fault("reset", path="*/order", method="POST", accepted=True),
        Fault("status", status=503, path="*/order", method="POST", accepted=True),
        Fault("status", status=400, path="*/order", method="POST"),
        Fault("status", status=403, path="*/order", method="POST"),
        Fault("status", status=307, path="*/order", method="POST"),
        Fault("rate_limit", path="*/order", method="POST"),
        Fault("html", path="*/order", method="POST", accepted=True),
        Fault("huge", path="*/order", method="POST", accepted=True, size=200_000),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status}-{fault.accepted}",
)
def test_a_lost_or_odd_answer_is_unknown_and_sent_once(exchange, fault):
    """Whether it was placed is what the exchange shows afterwards; no layer sends it again."""
    venue = spot(exchange)
    tell(exchange, fault)
    with pytest.raises(VenueUnknownError):
        venue.send(order("0.01"), NOW)

    assert exchange.faults.to_json()[0]["calls"] == 1
    shown = venue.orders(["BTC"], NOW - 10, NOW)
    assert [one.ours for one in shown] == ([order("0.01").id] if fault.accepted else [])


def test_no_answer_in_time_is_unknown(exchange):
    """The order may arrive all the same."""
    venue = spot(exchange, timeout_s=0.3)
    tell(exchange, Fault("latency", path="*/order", method="POST", seconds=0.6, accepted=True))
    with pytest.raises(VenueUnknownError):
        venue.send(order("0.01"), NOW)

    assert len(venue.orders(["BTC"], NOW - 10, NOW)) == 1


def test_an_id_that_is_open_is_no_refusal_of_what_is_open(exchange):
    """A repeat while the first is open is unknown: it must be looked at. After a fill the id is taken again."""
    venue = spot(exchange)
    low = Decimal(str(venue.quotes(NOW)["BTC"].bid)) - 500
    venue.send(order("0.01"), NOW, limit=low)
    with pytest.raises(VenueUnknownError, match="uplicate"):
        venue.send(order("0.01"), NOW, limit=low)
    for _ in range(2):
        venue.send(order("0.02", number=1), NOW)

    assert [one.ours[-1] for one in venue.orders(["BTC"], NOW - 10, NOW)] == ["0", "1", "1"]


def test_reads_are_repeated_and_then_unknown(exchange):
    """One bad answer is survived, three are not."""
    venue = spot(exchange)
    tell(exchange, Fault("status", path="*/account", count=1))
    assert venue.holdings(NOW).cash == 50_000
    tell(exchange, Fault("html", path="*/account"))
    with pytest.raises(VenueUnknownError):
        venue.holdings(NOW)

    assert exchange.faults.to_json()[0]["calls"] == 3


def test_a_wrong_key_is_refused_in_words(shared):
    with pytest.raises(AccessRefusedError, match="-2015"):
        spot(shared, Keys("other", SECRET)).holdings(NOW)
    with pytest.raises(VenueError, match="-1022"):
        spot(shared, Keys(KEY, "other")).holdings(NOW)


def test_the_exchanges_time_is_signed_and_a_drift_is_corrected(exchange):
    """The first request after a drift is refused, and nothing was placed; the next one has the right time."""
    behind_s = [0.0]
    venue = spot(exchange, clock=lambda: exchange.clock.now() - behind_s[0])
    venue.rules(NOW)
    behind_s[0] = 3_600.0
    with pytest.raises(VenueError, match="-1021"):
        venue.send(order("0.01"), NOW)

    assert venue.send(order("0.01"), NOW).status is IntentStatus.FILLED


def test_rules_are_the_exchanges_own(exchange):
    """Precision, least notional, and only what may be traded now."""
    venue = spot(exchange)
    tell(exchange, Fault("suspend", asset="ETH"))
    rules = venue.rules(NOW)

    assert set(rules) == {"BTC"}
    found = rules["BTC"]
    assert (found.price_decimals, found.amount_decimals, found.min_notional, found.tier) == (2, 5, Decimal(5), 1)


def test_keys_are_never_printed():
    assert SECRET not in repr(KEYS)


def test_the_test_network_is_another_address():
    """Public and signed requests both go there."""
    venue = Spot("binance", KEYS, PAIRS, testnet=True, sleep=lambda _: None, clock=lambda: 0.0)
    addresses = venue._wire._opened().urls["api"]

    assert {addresses["public"], addresses["private"]} == {"https://testnet.binance.vision/api/v3"}


def test_an_exchange_without_an_adapter_is_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="kraken"):
        Spot("kraken", KEYS, PAIRS, sleep=lambda _: None, clock=lambda: 0.0)
