from __future__ import annotations

import math
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import VenueError
from evenkeel.sandbox.exchange import Exchange, Rules, amounts, cut, shown
from sandbox.world import BAR, START, small_market

NOW = START + 10.0


def exchange(rules=None, capital="1000"):
    made = Exchange(small_market(), rules)
    made.open("me", Decimal(capital))
    return made


def place(venue, side, quantity, price=None, now=NOW, pair="BTC/USD"):
    wish = {"side": side, "type": "LIMIT" if price else "MARKET", "quantity": quantity, "price": price or ""}
    return venue.place("me", pair, venue.listing(pair), now, wish)


def total(venue, coin):
    wallet = venue.wallets["me"]
    return wallet.free.get(coin, Decimal(0)) + wallet.lock.get(coin, Decimal(0))


@pytest.mark.parametrize(
    ("quantity", "price", "rate", "change", "commission"),
    [
        ("0.513", 154.2, 0.001, "79.104599", "0.079104"),
        ("0.129", 465.36, 0.001, "60.031440", "0.060031"),
        ("4.74", 8.685, 0.001, "41.166900", "0.041166"),
        ("0.129", 469.85, 0.0005, "60.610650", "0.030305"),
        ("4.5", 8.804, 0.0005, "39.618000", "0.019809"),
    ],
)
def test_amounts_are_those_of_real_rows(quantity, price, rate, change, commission):
    """Products of doubles, cut to six decimals; the first one is a cent's millionth less than exact arithmetic."""
    assert amounts(Decimal(quantity), price, rate) == (Decimal(change), Decimal(commission))


@given(st.decimals("0.00001", "1000000", places=5), st.floats(1e-8, 1e6), st.sampled_from([0.001, 0.0005]))
def test_amounts_are_cut_products_of_doubles(quantity, price, rate):
    """UnitChange and commission as the published rule has them, both from the raw product."""
    change, commission = amounts(quantity, price, rate)

    assert float(change) == math.floor(float(quantity) * price * 1e6) / 1e6
    assert float(commission) == math.floor(float(quantity) * price * rate * 1e6) / 1e6


@given(st.floats(0, 1e9))
def test_a_cut_amount_is_never_more(value):
    """Six decimals, at most the value, by less than a millionth (and a double's own step)."""
    amount = cut(value)

    assert amount == amount.quantize(Decimal("0.000001"))
    assert float(amount) <= value * (1 + 1e-15)
    assert value - float(amount) < 1e-6 + value * 1e-15


@pytest.mark.parametrize(
    ("exact", "seen"), [("49899.248", "49899.24"), ("49998.82835", "49998.82"), ("-0.003", "-0.01"), ("0", "0.00")]
)
def test_a_wallet_shows_dollars_cut_to_cents(exact, seen):
    """Downwards, so that a tiny debt shows as a cent; coins are shown exactly."""
    assert shown("USD", Decimal(exact)) == Decimal(seen)
    assert shown("BTC", Decimal("0.00236")) == Decimal("0.00236")


actions = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL", "CANCEL"]),
        st.integers(1, 500_000).map(lambda n: f"{n / 1e5:.5f}"),
        st.one_of(st.none(), st.integers(7_900, 13_100).map(lambda n: f"{n / 100:.2f}")),
        st.floats(0, 600),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(actions, st.sampled_from(["through", "touch"]), st.sampled_from(["far", "near", "last"]))
def test_cash_and_coin_are_conserved_to_the_last_digit(steps, fill, reference):
    """Totals are the capital plus what the filled rows report, whatever was placed, cancelled and filled before."""
    venue, now, refused = exchange(Rules(fill=fill, reference=reference)), NOW, set()
    for what, quantity, price, wait in steps:
        now = min(now + wait, START + 4 * BAR - 1)
        if what == "CANCEL":
            venue.cancel("me", now)
        else:
            try:
                place(venue, what, quantity, price, now)
            except VenueError as error:
                refused.add(str(error))
    rows = [order for order in venue.of("me", now) if order.status == "FILLED"]
    cash = sum((o.unit_change * (1 if o.side == "SELL" else -1) - o.commission for o in rows), Decimal(1000))
    coin = sum((o.quantity * (1 if o.side == "BUY" else -1) for o in rows), Decimal(0))
    waiting = [order for order in venue.of("me", now) if order.status == "PENDING"]
    wallet = venue.wallets["me"]

    assert refused <= {"insufficient balance", "order value below the minimum"}
    assert total(venue, "USD") == cash
    assert total(venue, "BTC") == coin
    assert wallet.lock["USD"] == sum((o.locked for o in waiting if o.side == "BUY"), Decimal(0))
    assert wallet.lock.get("BTC", Decimal(0)) == sum((o.locked for o in waiting if o.side == "SELL"), Decimal(0))
    assert min(*wallet.free.values(), *wallet.lock.values()) >= 0


def test_a_market_order_fills_at_the_far_side():
    """A buy at the ask, a sell at the bid, in full, as TAKER at 10 bps; the row's price is the fill's."""
    venue = exchange()
    bid, ask = venue.market.quote("BTC", NOW)
    bought, sold = place(venue, "BUY", "2"), place(venue, "SELL", "1")

    assert (bought.fill_price, sold.fill_price) == (ask, bid) == (bought.price, sold.price)
    assert {(o.status, o.role, o.rate) for o in (bought, sold)} == {("FILLED", "TAKER", 0.001)}


def test_a_limit_that_crosses_takes_the_better_price():
    """A buy limit above the ask fills at the ask, and keeps its own limit as price."""
    venue = exchange()
    order = place(venue, "BUY", "1", "120.00")

    assert (order.status, order.role, order.price) == ("FILLED", "TAKER", 120.0)
    assert order.fill_price == venue.market.quote("BTC", NOW)[1]


def test_a_resting_order_fills_at_its_limit_when_the_market_has_gone_through():
    """MAKER at 5 bps, at the moment of crossing, whoever asks and however late; the lock is freed."""
    often, rarely = exchange(), exchange()
    for venue in (often, rarely):
        place(venue, "BUY", "1", "82.00")
    for second in range(10, 3 * BAR, 50):
        often.settle(START + second)
    orders = [venue.of("me", START + 3 * BAR)[0] for venue in (often, rarely)]

    assert {(o.status, o.role, o.rate, o.fill_price, o.locked) for o in orders} == {
        ("FILLED", "MAKER", 0.0005, 82.0, Decimal(0))
    }
    assert START + BAR < orders[0].finished < START + 2 * BAR
    assert orders[0].finished == pytest.approx(orders[1].finished, abs=0.01)


@pytest.mark.parametrize(
    ("fill", "reference", "limit", "filled"),
    [
        ("through", "far", "80.01", False),  # lowest ask 80.01
        ("touch", "far", "80.01", True),
        ("through", "last", "80.00", False),  # lowest price 80.00
        ("touch", "last", "80.00", True),
        ("through", "near", "79.99", False),  # lowest bid 79.99
        ("touch", "near", "79.99", True),
        ("through", "near", "80.00", True),
    ],
)
def test_touch_or_through_is_a_switch(fill, reference, limit, filled):
    """The market turns exactly there: only `touch` fills."""
    venue = exchange(Rules(fill=fill, reference=reference))
    place(venue, "BUY", "1", limit)

    assert (venue.of("me", START + 3 * BAR)[0].status == "FILLED") is filled


def test_a_resting_order_locks_what_its_fill_will_take():
    """A buy locks dollars and, by the switch, its commission; a sell locks coin; a cancel gives all of it back."""
    with_fee, without = exchange(), exchange(Rules(reserve_fee=False))
    for venue in (with_fee, without):
        place(venue, "BUY", "1", "90.00")

    assert with_fee.wallets["me"].lock["USD"] == Decimal("90.045")
    assert without.wallets["me"].lock["USD"] == Decimal(90)
    assert with_fee.cancel("me", NOW + 1) == [order.id for order in with_fee.of("me", NOW + 1)]
    assert with_fee.wallets["me"].free["USD"] == 1000
    assert with_fee.cancel("me", NOW + 2) == []


def test_without_a_reserve_cash_may_end_a_little_below_zero():
    """The whole balance rests in a buy, and its commission is charged all the same."""
    venue = exchange(Rules(reserve_fee=False), capital="82")
    place(venue, "BUY", "1", "82.00")
    venue.settle(START + 3 * BAR)

    assert total(venue, "USD") == Decimal("-0.041")


@pytest.mark.parametrize(
    ("side", "quantity", "price", "text"),
    [
        ("BUY", "0.000001", None, "quantity step size error"),
        ("BUY", "0", None, "quantity error"),
        ("BUY", "-1", None, "quantity error"),
        ("BUY", "1e-05", None, "quantity error"),
        ("BUY", "nan", None, "quantity error"),
        ("BUY", "1", "90.001", "price step size error"),
        ("BUY", "1", "abc", "price error"),
        ("BUY", "0.001", None, "order value below the minimum"),
        ("BUY", "0.01", "100", "order value below the minimum"),
        ("BUY", "100", None, "insufficient balance"),
        ("SELL", "1", None, "insufficient balance"),
        ("HOLD", "1", None, "side error"),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_moves_nothing(side, quantity, price, text):
    """In the venue's words where they are known."""
    venue = exchange()

    with pytest.raises(VenueError, match=f"^{text}$"):
        place(venue, side, quantity, price)
    assert venue.orders == {}
    assert venue.wallets["me"].free == {"USD": Decimal(1000)}


def test_order_ids_grow_over_all_accounts():
    """Other people's orders lie between."""
    venue = exchange()
    venue.open("you", Decimal(1000))
    ids = [place(venue, "BUY", "0.1").id for _ in range(6)]
    wish = {"side": "BUY", "type": "MARKET", "quantity": "1"}
    other = venue.place("you", "BTC/USD", venue.listing("BTC/USD"), NOW, wish)

    assert ids == sorted(set(ids))
    assert other.id > ids[-1]
    assert ids[-1] - ids[0] > 5
    assert [order.id for order in venue.of("me", NOW)] == ids[::-1]


def test_what_is_shown_for_checks_is_exact():
    """Amounts as decimal strings, of every account and order."""
    venue = exchange()
    order = place(venue, "BUY", "0.5")
    state = venue.state(NOW)

    assert Decimal(state["accounts"]["me"]["USD"]["free"]) == Decimal(1000) - order.unit_change - order.commission
    assert state["accounts"]["me"]["BTC"] == {"free": "0.5", "lock": "0"}
    assert (state["orders"][0]["id"], state["orders"][0]["quantity"]) == (order.id, "0.5")


def test_every_switch_is_described():
    """The page that people read has a line or a word for each field that is no fee."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sandbox.md").read_text()
    switches = {field.name for field in fields(Rules)} - {"taker", "maker"}

    assert [name for name in sorted(switches) if f"`{name}`" not in page] == []
