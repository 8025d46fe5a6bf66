"""Orders that rest inside the spread: where they stand, what fills them, and that nothing is left behind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.checker import check, rows
from desk.world import EAGER, opened, served
from evenkeel.desk.maker import MakerSettings, again, inside
from evenkeel.events.board import on_grid
from evenkeel.sandbox import kalshi_keys
from evenkeel.types import Intent, IntentStatus, Order, Trace
from evenkeel.venues.kalshi_wire import Credentials
from events.laddered import CENTS, TAPERED, made

D = Decimal
PATIENT = replace(EAGER, maker=MakerSettings(rest_s=20, reprices=3, liquidity=1.0))
TICKS = st.integers(1, 999).map(lambda n: D(n) / 1000)


@given(TICKS, TICKS, st.sampled_from([CENTS, TAPERED]), st.booleans())
def test_it_stands_on_the_grid_strictly_inside_the_spread(a, b, grid, yes):
    bid, ask = min(a, b), max(a, b)
    contract = made(floor=1.0, bid=bid, ask=ask, ticks=grid)
    found = inside(contract, yes=yes)

    legal = [D(n) / 1000 for n in range(1, 1000) if on_grid(D(n) / 1000, grid) and bid < D(n) / 1000 < ask]
    assert found == ((min if yes else max)(legal) if legal else None)


@pytest.mark.parametrize(("bid", "ask"), [(None, "0.44"), ("0.40", None), ("0.43", "0.44")])
def test_without_room_there_is_no_place(bid, ask):
    assert inside(made(floor=1.0, bid=bid, ask=ask), yes=True) is None


def test_it_is_put_anew_only_while_something_is_left_and_it_still_pays():
    """At most so often, never dearer than the bet was worth, not while halted, not after an end."""
    order = Order("k1-0-A", "s", 0, "A", D(10), "EDGE", style="maker")
    intent = Intent(order, IntentStatus.CANCELED, trace=Trace(None, D(0), limit=D("0.41")))
    contract, rules = made(floor=1.0), MakerSettings(reprices=2)
    first = again(intent, contract, 0.45, rules, False)

    assert first is not None
    assert (first.order.id, first.order.quantity, first.trace.limit) == ("k1-0-A~1", 10, D("0.41"))
    third = replace(intent, order=replace(order, id="k1-0-A~2"))
    assert again(third, contract, 0.45, rules, False) is None
    assert again(intent, contract, 0.40, rules, False) is None
    assert again(intent, contract, 0.45, rules, True) is None
    assert again(intent, made(floor=1.0, status="closed"), 0.45, rules, False) is None
    assert again(replace(intent, status=IntentStatus.FILLED), contract, 0.45, rules, False) is None


def worked(made, box, seconds: int = 20, most: int = 12) -> None:
    """A turn, and looks every 20 s until all of its orders are over."""
    made.desk.turn(int(box.clock.now()) // 60 * 60)
    while made.ledger.open_slots and most:
        most -= 1
        box.clock.advance(seconds)
        made.desk.resolve()
    assert not made.ledger.open_slots


def test_at_the_account_nothing_rests_afterwards_and_every_cent_agrees(tmp_path):
    key = Credentials(kalshi_keys.key_id(7), kalshi_keys.pem(7))
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key, limits=PATIENT) as made:
        for _ in range(3):
            worked(made, box)
            box.clock.set(int(box.clock.now()) // 300 * 300 + 301)
        done = check(tmp_path, box.kalshi, "100", paper=False)
        orders = list(box.kalshi.orders.values())
        waiting = box.kalshi.waiting()

    assert waiting == []
    assert orders
    assert done["BUY"] > 0
    assert any("~" in order.client for order in orders)
    assert not any(fill.taker for fill in box.kalshi.fills)


def test_on_paper_only_trades_beyond_the_limit_fill_and_nothing_rests_afterwards(tmp_path):
    with served() as (url, box), opened(tmp_path, url, box.clock.now, limits=PATIENT) as made:
        for _ in range(6):
            worked(made, box)
            box.clock.set(int(box.clock.now()) // 300 * 300 + 301)
        bought = [row for row in rows(made.desk.folder / "trades.csv") if row["action"] == "BUY"]
        prints = {}
        for row in bought:
            prints[row["market_ticker"]] = made.paper._market.trades(row["market_ticker"])
        fills = made.paper.fills(0)
        assert made.ledger.money == made.paper.cash()
        assert made.paper._rows("select count(*) from orders where rests = 1") == [(0,)]

    assert bought
    assert len(fills) == len(bought)
    assert all(D(row["note"].rpartition(" ")[2]) == 0 for row in bought)  # makers of this series pay none
    for fill in fills:
        (trade,) = [t for t in prints[fill.asset] if fill.id == f"{fill.order_id}.{t.id}"]
        assert trade.price < fill.price if fill.quantity > 0 else trade.price > fill.price
        assert abs(fill.quantity) <= trade.count
