"""The sandbox's Kalshi as functions of the time: conservation, settling once, and that looking changes nothing."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from evenkeel.sandbox.kalshi_boards import Synthetic
from evenkeel.sandbox.kalshi_orders import Refusal, Rules
from evenkeel.sandbox.kalshi_venue import Venue
from evenkeel.sandbox.market import Market
from venues.exchanges import PAIRS, START, panel

D = Decimal
BEGIN = START + 7_200
HOURS = 6


def world():
    return Synthetic(Market(panel(), PAIRS), 11)


def traded(venue, *, looks=1, seed=5):
    """Random orders over some hours, some of them canceled; `looks` at the venue between two of them."""
    rng, now, refusals = np.random.default_rng(seed), float(BEGIN), 0
    for number in range(150):
        pause = float(rng.exponential(HOURS * 3_600 / 150))
        for look in range(looks):
            venue.advance(now + pause * (look + 1) / looks)
        now += pause
        listings = [one for one in venue.world.listings(now, now) if one.closes > now + 1]
        listing = listings[rng.integers(len(listings))]
        yes, no = venue.book(listing, now)
        price = max(yes, default=D("0.02")) if rng.random() < 0.5 else 1 - max(no, default=D("0.02"))
        wish = {
            "ticker": listing.ticker, "side": ("bid", "ask")[rng.integers(2)], "count": str(rng.integers(1, 40)),
            "price": str(price), "client_order_id": f"o-{number}",
            "time_in_force": ("immediate_or_cancel", "good_till_canceled", "fill_or_kill")[rng.integers(3)],
        }  # fmt: skip
        try:
            venue.place(wish, now)
        except Refusal:
            refusals += 1
        waiting = venue.waiting()
        if waiting and rng.random() < 0.1:
            venue.cancel(waiting[0].id, now)
    return now, refusals


def spent(venue):
    """Cash that fills took, from the records alone: YES costs p, NO costs 1 - p, pairs of both pay 1 back."""
    cash, held = D(0), {}
    for fill in venue.fills:
        ticker, count = fill.order.listing.ticker, fill.count if fill.order.bid else -fill.count
        before = held.get(ticker, D(0))
        held[ticker] = before + count
        short = max(-held[ticker], D(0)) - max(-before, D(0))
        cash -= count * fill.price + short + fill.fee
    return cash


@pytest.mark.parametrize("capital", ["60", "100000"])
def test_cash_is_what_fills_fees_and_settlements_made_of_it(capital):
    """To the last decimal, poor or rich; the free cash is never below 0; at the end every market is settled once."""
    venue = Venue(world(), D(capital), BEGIN)
    now, refusals = traded(venue)
    assert venue.free(2) >= 0
    assert (refusals > 20) == (capital == "60")

    venue.advance(now + 7_200)

    assert venue.waiting() == []
    assert not any(held.count for held in venue.held.values())
    settled = [row.listing.ticker for row in venue.settled]
    assert len(settled) == len(set(settled))
    revenue = sum(row.revenue for row in venue.settled)
    assert venue.cash[2] == D(capital) + spent(venue) + revenue
    assert venue.cash[2] == D(capital) + sum(held.realized - held.fees for held in venue.held.values())


def test_looking_more_often_changes_nothing():
    """Ten looks between two orders or one: the same fills, cash and settlements."""
    ends = []
    for looks in (1, 10):
        venue = Venue(world(), D(1_000), BEGIN)
        now, _ = traded(venue, looks=looks)
        ends.append(venue.state(now + 7_200))

    assert ends[0] == ends[1]


def test_a_step_gives_its_liquidity_once():
    """What was taken is gone until the makers quote anew."""
    venue = Venue(world(), D(100_000), BEGIN)
    listing = next(one for one in venue.world.listings(BEGIN, BEGIN) if venue.book(one, BEGIN)[1])
    best = max(venue.book(listing, BEGIN)[1])
    wish = {"ticker": listing.ticker, "side": "bid", "count": "5000", "price": str(1 - best)}
    first = venue.place({**wish, "time_in_force": "immediate_or_cancel"}, BEGIN)
    again = venue.place({**wish, "time_in_force": "immediate_or_cancel"}, BEGIN + 5)

    assert first.filled > 0
    assert again.filled == 0
    assert best not in venue.book(listing, BEGIN + 5)[1]


@pytest.mark.parametrize("ids", ["open", "ever"])
def test_an_id_is_refused_as_the_rules_say(ids):
    """While its order rests, or for ever."""
    venue = Venue(world(), D(1_000), BEGIN, Rules(ids=ids))
    listing = next(one for one in venue.world.listings(BEGIN, BEGIN) if venue.book(one, BEGIN)[1])
    wish = {"ticker": listing.ticker, "side": "bid", "count": "1", "price": "0.01", "client_order_id": "a"}
    venue.place({**wish, "time_in_force": "immediate_or_cancel"}, BEGIN)

    if ids == "ever":
        with pytest.raises(Refusal):
            venue.place({**wish, "time_in_force": "immediate_or_cancel"}, BEGIN)
    else:
        assert venue.place({**wish, "time_in_force": "immediate_or_cancel"}, BEGIN).client == "a"
