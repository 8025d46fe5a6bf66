"""Kalshi's stream: books are whole or lost, over scripted messages and over the sandbox's WebSocket."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.errors import AccessRefusedError, VenueError
from evenkeel.sandbox.faults import Fault
from evenkeel.venues import kalshi_stream as streams
from evenkeel.venues.kalshi_stream import BookSeen, BrokenError, Filled, Follower, Lost, Missed, Traded, Turned
from evenkeel.venues.kalshi_wire import Credentials
from sandbox.kalshi_world import desk, order

D = Decimal


def told(kind, seq=None, sid=1, **msg):
    return json.dumps({"type": kind, "sid": sid, **({} if seq is None else {"seq": seq}), "msg": msg})


def subscribed(channel="orderbook_delta", sid=1):
    return json.dumps({"id": 1, "type": "subscribed", "msg": {"channel": channel, "sid": sid}})


def snapshot(seq, ticker="A", yes=(("0.4000", "10.00"),), no=(("0.5000", "5.00"),)):
    return told("orderbook_snapshot", seq, market_ticker=ticker, yes_dollars_fp=yes, no_dollars_fp=no)


def delta(seq, price, change, side="yes", ticker="A"):
    return told("orderbook_delta", seq, market_ticker=ticker, price_dollars=price, delta_fp=change, side=side, ts_ms=99)


def followed(*messages, tickers=("A", "B")):
    follower = Follower(tickers, ("orderbook_delta", "trade"))
    follower.opening()
    events, answers = [], []
    for message in (subscribed(), subscribed("trade", 2), *messages):
        heard, said = follower.take(message)
        events += heard
        answers += [json.loads(one) for one in said]
    return events, answers


def test_a_snapshot_and_its_changes_are_the_book():
    """Bids of both outcomes; a level that reaches 0 is gone."""
    changes = delta(2, "0.4200", "3.00"), delta(3, "0.4000", "-10.00"), delta(4, "0.5000", "2.00", "no")
    events, _ = followed(snapshot(1), *changes)

    book = events[-1].book
    assert [type(event) for event in events] == [BookSeen] * 4
    assert book.yes == {D("0.42"): D(3)}
    assert book.no == {D("0.50"): D(7)}
    assert events[-1].time == 99


def test_after_a_hole_every_book_of_the_subscription_is_lost_until_it_comes_whole():
    """The change after the hole is not believed; a snapshot is asked for; others of the connection go on."""
    trade = {
        "trade_id": "t",
        "market_ticker": "A",
        "yes_price_dollars": "0.4000",
        "count_fp": "1.00",
        "taker_side": "yes",
    }
    events, answers = followed(
        snapshot(1), snapshot(2, "B"), told("trade", 7, sid=2, **trade), delta(4, "0.4200", "3.00"),
        delta(5, "0.4200", "3.00", ticker="B"), snapshot(6), delta(7, "0.4200", "1.00"),
        told("trade", 8, sid=2, **trade),
    )  # fmt: skip

    assert [type(event) for event in events] == [BookSeen, BookSeen, Traded, Lost, BookSeen, BookSeen, Traded]
    assert events[3].tickers == ("A", "B")
    assert events[5].book.yes[D("0.42")] == 1
    (asked,) = answers
    assert asked["params"] == {"sids": [1], "action": "get_snapshot", "market_tickers": ["A", "B"]}


@pytest.mark.parametrize("seq", [1, 3])
def test_a_message_twice_or_left_out_is_a_hole(seq):
    """Anything but one more than the last."""
    events, _ = followed(snapshot(1), delta(seq, "0.4200", "3.00"))

    assert isinstance(events[-1], Lost)


def test_a_hole_among_trades_is_said():
    """They are to be asked for over REST."""
    trade = {"trade_id": "t", "market_ticker": "A", "yes_price_dollars": "0.4000", "count_fp": "1.00"}
    events, _ = followed(told("trade", 1, sid=2, **trade), told("trade", 3, sid=2, **trade))

    assert [type(event) for event in events] == [Traded, Missed, Traded]


def test_a_book_that_crosses_is_not_given_until_it_no_longer_does():
    """The other half of what happened is under way."""
    events, _ = followed(snapshot(1), delta(2, "0.5500", "3.00"), delta(3, "0.5000", "-5.00", "no"))

    assert len(events) == 2
    assert events[-1].book.best() == ((D("0.55"), D(3)), None)


@pytest.mark.parametrize(
    "message",
    [
        "<html>", "[]", "{}", b"\xff", told("orderbook_delta", 2, market_ticker="A"), delta(2, "0.4200", "-3.00"),
        delta(2, 42, "3.00"), delta(2, "0.4200", "3.00", "maybe"), snapshot(2, yes=(("0.6000", "1.00"),)),
        told("error", code=25, msg="overflow"), told("error", code=10),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_ends_the_connection(message):
    """No book is kept on a guess: connect again."""
    with pytest.raises(BrokenError):
        followed(snapshot(1), message)


@pytest.mark.parametrize(("code", "kind"), [(9, AccessRefusedError), (8, VenueError), (14, VenueError)])
def test_a_refusal_that_connecting_again_would_not_cure_is_an_error(code, kind):
    """The key's, or the subscription's."""
    with pytest.raises(kind):
        followed(told("error", code=code, msg="no"))


def test_a_kind_that_nobody_asked_for_says_nothing():
    """New ones appear."""
    assert followed(told("novelty", 1, sid=9, x=1)) == ([], [])


# ---------------------------------------------------------------- over the sandbox's WebSocket


class Ear:
    """Keeps what was heard, and ends after `enough` says so; a few seconds at most."""

    def __init__(self, enough):
        self.events, self._enough, self._end = [], enough, time.monotonic() + 20

    def hear(self, event):
        """One more."""
        self.events.append(event)

    def stopped(self):
        """Whether that is enough."""
        assert time.monotonic() < self._end, f"waited too long, heard {self.events[-5:]}"
        return self._enough(self.events)

    def of(self, kind):
        """Events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def follow(one, tickers, ear, account=None, channels=streams.CHANNELS):
    return streams.follow(
        lambda: streams.connecting(one.stream, account or one.credentials, one.box.clock.now), tickers, ear.hear,
        stopped=ear.stopped, sleep=lambda _: None, rng=np.random.default_rng(3), clock=time.monotonic,
        channels=channels,
    )  # fmt: skip


def books_seen(events, ticker):
    return [event.book for event in events if isinstance(event, BookSeen) and event.book.ticker == ticker]


def test_the_stream_shows_the_book_that_rest_shows():
    """Time stands still: the snapshot is REST's book, before and after an order of ours."""
    with desk() as one:
        market = one.market()
        ear = Ear(lambda events: books_seen(events, market.ticker))
        follow(one, [market.ticker], ear)

        assert ear.of(BookSeen)[-1].book == one.public.book(market.ticker)


def test_our_fill_is_told_and_the_book_changes():
    """An order while the stream is open: a fill with our id, and a delta."""
    with desk() as one:
        market = one.market()
        sent = []

        def enough(events):
            if books_seen(events, market.ticker) and not sent:
                sent.append(one.account.send(order(market, 1), market, market.yes_ask))
            return len(books_seen(events, market.ticker)) >= 2 and any(isinstance(e, Filled) for e in events)

        ear = Ear(enough)
        follow(one, [market.ticker], ear)

        (filled,) = ear.of(Filled)
        assert (filled.ticker, filled.order_id, filled.ours) == (market.ticker, sent[0].id, "ours-1")
        assert ear.of(BookSeen)[-1].book == one.public.book(market.ticker)


@pytest.mark.parametrize("kind", ["gap", "stale", "reset", "maintenance", "html", "status"])
def test_whatever_strikes_the_stream_the_book_is_right_or_lost(kind):
    """A hole, a repetition, a cut, a page, an overflow: Lost is said, then the book comes whole and is REST's."""
    with desk(Fault(kind, method="WS", first=4, count=1)) as one:
        market = one.market()

        def enough(events):
            one.box.clock.advance(2.5)
            lost = [at for at, event in enumerate(events) if isinstance(event, Lost)]
            return bool(lost) and bool(books_seen(events[lost[-1] :], market.ticker)) and len(events) > 12

        ear = Ear(enough)
        connections = follow(one, [market.ticker], ear, channels=("orderbook_delta",))

        assert connections == (1 if kind in {"gap", "stale"} else 2)
        lost = next(at for at, event in enumerate(ear.events) if isinstance(event, Lost))
        assert books_seen(ear.events[lost:], market.ticker)
        settled = Ear(lambda events: books_seen(events, market.ticker))
        follow(one, [market.ticker], settled, channels=("orderbook_delta",))
        assert settled.of(BookSeen)[-1].book == one.public.book(market.ticker)


def test_trades_and_the_end_of_a_market_are_told():
    """As time passes; trades are those of REST."""
    with desk() as one:
        market = one.market()

        def enough(events):
            turned = [event.what for event in events if isinstance(event, Turned) and event.ticker == market.ticker]
            if any(isinstance(event, Traded) for event in events):
                one.box.clock.set(market.closes / 1000 + (30, 90, 150, 150)[len(turned)])
            else:
                one.box.clock.advance(10)
            return "settled" in turned

        ear = Ear(enough)
        follow(one, [market.ticker], ear, channels=("market_lifecycle_v2", "trade"))
        shown = {trade.id for trade in one.public.trades(market.ticker, int(market.opens / 1000))}

        turned = [event.what for event in ear.of(Turned) if event.ticker == market.ticker]
        assert turned == ["deactivated", "determined", "settled"]
        assert ear.of(Traded)
        assert {event.trade.id for event in ear.of(Traded)} <= shown


def test_a_stranger_hears_nothing():
    """The handshake is refused, and is not tried again."""
    with desk() as one:
        stranger = Credentials("00000000-0000-4000-8000-000000000000", one.credentials.pem)
        with pytest.raises(AccessRefusedError):
            follow(one, ["A"], Ear(lambda _: False), account=stranger)
