"""Two lines at one spot exchange, real ccxt over HTTP: what may overtake an order that is under way and what not."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox.binance import KEY, SECRET
from evenkeel.sandbox.faults import Fault
from evenkeel.types import IntentStatus, Order
from evenkeel.venues.spot import Spot
from evenkeel.venues.spot_line import Pace
from evenkeel.venues.spot_wire import Keys
from venues.exchanges import PAIRS, START, running

NOW = START + 86_400
PATIENCE_S = 20.0


class Gate:
    """An exchange that keeps a new order until `open` is set; `seen` are the requests in the order of their coming."""

    def __init__(self):
        self.arrived, self.open, self.seen = threading.Event(), threading.Event(), []

    def around(self, app):
        """The application behind it."""

        async def held(scope, receive, send):
            if scope["type"] == "http":
                self.seen.append((scope["method"], scope["path"].removeprefix("/api/v3/")))
                if self.seen[-1] == ("POST", "order"):
                    self.arrived.set()
                    await asyncio.to_thread(self.open.wait, PATIENCE_S)
            await app(scope, receive, send)

        return held


class Job(threading.Thread):
    """A call in a thread of its own, and its answer."""

    def __init__(self, call, *args):
        super().__init__(daemon=True)
        self.call, self.args, self.answers = call, args, []
        self.start()

    def run(self):
        """Of the thread."""
        self.answers.append(self.call(*self.args))


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open.set()


@pytest.fixture
def exchange(gate):
    with running(gate=gate.around) as made:
        yield made


def spot(exchange, **more):
    return Spot(
        "binance", Keys(KEY, SECRET), PAIRS, host=exchange.binance, sleep=lambda _: None,
        **{"timeout_s": 2 * PATIENCE_S, "clock": exchange.clock.now, "pace": Pace(sleep=lambda _: None)} | more,
    )  # fmt: skip


def order(quantity="0.01", asset="BTC"):
    return Order(f"reb{NOW:x}-{asset}-0", "rebalance", 0, asset, Decimal(quantity), "TARGET")


def test_prices_balances_and_rules_do_not_wait_for_an_order(exchange, gate):
    """They are answered while the exchange keeps the order, and say what is true without it; then it fills."""
    venue = spot(exchange)
    sending = Job(venue.send, order(), NOW)
    assert gate.arrived.wait(PATIENCE_S)

    assert set(venue.quotes(NOW)) == {"BTC", "ETH"}
    assert venue.holdings(NOW).cash == 50_000
    assert set(venue.rules(NOW)) == {"BTC", "ETH"}
    assert not sending.answers
    gate.open.set()
    sending.join()
    assert [made.status for made in sending.answers] == [IntentStatus.FILLED]


@pytest.mark.parametrize("look", [
    lambda venue: [one.ours for one in venue.orders(["BTC"], NOW - 10, NOW)],
    lambda venue: [venue.order("BTC", 1, NOW).ours],
    lambda venue: [venue.cancel("BTC", 1, NOW).ours],
    lambda venue: [order().id for _ in venue.fills(NOW - 10)],
], ids=["orders", "order", "cancel", "fills"])  # fmt: skip
def test_nobody_is_told_of_an_orders_absence_while_it_is_under_way(exchange, gate, look):
    """Whoever asks for orders or fills then is answered afterwards, and it is there."""
    venue = spot(exchange)
    sending = Job(venue.send, order(), NOW)
    assert gate.arrived.wait(PATIENCE_S)
    before, asking = len(gate.seen), Job(look, venue)
    asking.join(0.3)

    assert gate.seen[before:] == []
    gate.open.set()
    sending.join()
    asking.join()
    assert asking.answers == [[order().id]]


def test_markets_are_loaded_once_for_both_lines(exchange, gate):
    """And anew where the rules are asked for; an order is sent by the newest."""
    gate.open.set()
    venue = spot(exchange)
    venue.quotes(NOW)
    venue.send(order(), NOW)
    assert gate.seen.count(("GET", "exchangeInfo")) == 1
    venue.rules(NOW)
    venue.send(order("-0.001"), NOW)
    venue.holdings(NOW)
    assert gate.seen.count(("GET", "exchangeInfo")) == 2


def test_all_requests_of_an_account_share_one_call_budget(exchange, gate):
    """Each but the first waits for its turn after the one before it, whichever line that was on."""
    gate.open.set()
    now, slept = [0.0], []

    def sleep(wait_s):
        slept.append(wait_s)
        now[0] += wait_s

    venue = spot(exchange, pace=Pace(clock=lambda: now[0], sleep=sleep))
    for _ in range(3):
        venue.quotes(NOW)
        venue.send(order(), NOW)
        venue.orders(["BTC"], NOW - 10, NOW)

    assert len(gate.seen) > 10
    assert len(slept) == len(gate.seen) - 1
    assert min(slept) > 0


def test_an_order_that_is_given_up_before_it_left_never_leaves(exchange, gate):
    """While it waited for its turn its time was over: unknown is what it is called, and nothing is sent later."""
    gate.open.set()
    turn = threading.Event()
    turn.set()
    venue = spot(exchange, pace=Pace(clock=lambda: 0.0, sleep=lambda _: turn.wait(PATIENCE_S)), timeout_s=2.0)
    venue.quotes(NOW)
    turn.clear()
    running_before = set(threading.enumerate())
    with pytest.raises(VenueUnknownError, match="no answer"):
        venue.send(order(), NOW)
    (given_up,) = (thread for thread in set(threading.enumerate()) - running_before if "create_order" in thread.name)
    turn.set()
    given_up.join()

    assert ("POST", "order") not in gate.seen
    assert venue.send(order(), NOW).status is IntentStatus.FILLED


@pytest.mark.parametrize("refused", [lambda venue: venue.holdings(NOW), lambda venue: venue.send(order(), NOW)])
def test_a_drift_that_one_line_notices_is_mended_for_both(exchange, gate, refused):
    gate.open.set()
    behind_s = [0.0]
    venue = spot(exchange, clock=lambda: exchange.clock.now() - behind_s[0])
    venue.rules(NOW)
    behind_s[0] = 3_600.0
    with pytest.raises(VenueError, match="-1021"):
        refused(venue)

    assert venue.holdings(NOW).cash == 50_000
    assert venue.send(order(), NOW).status is IntentStatus.FILLED


def test_a_refusal_for_the_time_stays_one_where_the_exchange_does_not_tell_its_time(exchange, gate):
    """Nothing was booked, whatever became of the question for the time; the next refusal asks again."""
    gate.open.set()
    behind_s = [0.0]
    venue = spot(exchange, clock=lambda: exchange.clock.now() - behind_s[0])
    venue.rules(NOW)
    behind_s[0] = 3_600.0
    exchange.faults.replace([Fault("status", path="*/time", count=3)])
    for _ in range(2):
        with pytest.raises(VenueError, match="-1021"):
            venue.send(order(), NOW)

    assert venue.send(order(), NOW).status is IntentStatus.FILLED
