"""The paper venue is a venue: durable, idempotent by id, and it refuses what a venue refuses."""

import sqlite3
from dataclasses import replace
from decimal import Decimal

import pytest

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.portfolio.costs import BpsByTier, CostSettings
from evenkeel.types import IntentStatus, Order, Pair
from evenkeel.venues.sim import PaperVenue

PAIRS = {
    "BTC": Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(1)),
    "PEPE": Pair("PEPE", "PEPE/USD", 3, 8, 0, Decimal(1)),
}
COSTS = CostSettings()
NOW = 1_751_328_000


class Tape:
    """Prices by asset; no entry = no market."""

    def __init__(self, **prices):
        self.prices = prices

    def price(self, asset, time):
        """The next price; no entry = no market."""
        return self.prices.get(asset)


TAPE = Tape(BTC=(50_000.0, 1e9), PEPE=(0.00001, 1e6))


def order(quantity, asset="BTC", number=0, stop=None):
    return Order(f"reb1-{asset}-{number}", "s", number, asset, Decimal(quantity), "TARGET", stop=stop)


@pytest.fixture(params=["memory", "file"])
def venue(request, tmp_path):
    """The account in memory and in its file: they answer alike."""
    path = tmp_path / "paper.db" if request.param == "file" else None
    opened = PaperVenue(path, TAPE, PAIRS, COSTS, Decimal(100_000))
    yield opened
    opened.close()


def test_a_purchase_by_hand(venue):
    """1 BTC: 1 bp half spread, 150 bps x sqrt(5e4/1e9) impact, price up to the cent, 10 bps fee up to 1e-8."""
    found = venue.send(order("1"), NOW)
    price = Decimal("50010.31")  # 50,000 x (1 + 0.0001 + 0.015 x 0.00707106...)

    assert found.status is IntentStatus.FILLED
    assert [(f.price, f.fee, f.quantity, f.time) for f in found.fills] == [
        (price, Decimal("50.01031000"), Decimal(1), NOW)
    ]
    assert venue.holdings(NOW).cash == Decimal(100_000) - price - Decimal("50.01031")
    assert venue.holdings(NOW).units == {"BTC": Decimal(1)}


def test_prices_are_rounded_against_us(venue):
    """8 bps of spread and 1.9 of impact are a tenth of the smallest step here: a whole step is paid."""
    bought = venue.send(order("1000000", "PEPE", 1), NOW).fills[0].price
    sold = venue.send(order("-1000000", "PEPE", 2), NOW).fills[0].price

    assert bought == Decimal("0.00001001")
    assert sold == Decimal("0.00000999")


def test_selling_everything_leaves_no_row(venue):
    venue.send(order("0.5"), NOW)
    venue.send(order("-0.5", number=1), NOW)

    assert venue.holdings(NOW).units == {}


def test_the_same_order_again_gives_the_same_answer_and_moves_nothing(venue):
    first = venue.send(order("1"), NOW)
    before = venue.holdings(NOW)

    assert venue.send(order("1"), NOW + 900) == first
    assert venue.orders(frozenset({"BTC"}), -1, NOW) == (first,)
    assert venue.holdings(NOW) == before
    assert venue.fills(0) == first.fills


@pytest.mark.parametrize("other", [order("2"), order("-1"), replace(order("100000", "PEPE"), id="reb1-BTC-0")])
def test_an_id_that_was_used_for_another_order_is_refused(venue, other):
    venue.send(order("1"), NOW)
    before = venue.holdings(NOW)

    with pytest.raises(VenueError, match="used before"):
        venue.send(other, NOW)
    assert venue.holdings(NOW) == before


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (order("3"), "insufficient balance"),
        (order("-0.1"), "insufficient balance"),
        (order("0.000001"), "more than 5 decimals"),
        (order("0.00001"), "notional"),
        (order("1", "DOGE"), "pair not found"),
    ],
)
def test_what_a_venue_refuses(venue, asked, why):
    """In words, with nothing placed and nothing remembered."""
    with pytest.raises(VenueError, match=why):
        venue.send(asked, NOW)

    assert venue.orders(frozenset({asked.asset}), -1, NOW) == ()
    assert venue.holdings(NOW).cash == Decimal(100_000)


def test_there_is_no_fill_without_a_market():
    venue = PaperVenue(None, Tape(), PAIRS, COSTS, Decimal(100_000))

    with pytest.raises(VenueError, match="no market"):
        venue.send(order("1"), NOW)
    venue.close()


def test_cash_may_be_spent_to_the_last_but_not_further():
    free = CostSettings(taker=0.0, half_spread=BpsByTier(0, 0, 0), impact=BpsByTier(0, 0, 0))
    venue = PaperVenue(None, TAPE, PAIRS, free, Decimal(50_000))
    venue.send(order("1"), NOW)

    assert venue.holdings(NOW).cash == 0
    with pytest.raises(VenueError, match="insufficient"):
        venue.send(order("0.001", number=1), NOW)
    venue.close()


@pytest.mark.parametrize(("level", "start"), [(None, 50_000), ("49000", 49_000), ("51000", 50_000)])
def test_a_stop_never_fills_better_than_its_level(venue, level, start):
    venue.send(order("1"), NOW)
    fill = venue.send(order("-1", number=1, stop=Decimal(level) if level else None), NOW).fills[0]

    assert float(fill.price) == pytest.approx(start * (1 - 1e-4 - 0.015 * (start / 1e9) ** 0.5), abs=0.01)


def test_an_exact_venue_takes_prices_and_amounts_as_they_come():
    """No precision and no minimum, for comparisons with engines that have none; the fee is charged all the same."""
    free = CostSettings(half_spread=BpsByTier(0, 0, 0), impact=BpsByTier(0, 0, 0))
    venue = PaperVenue(None, Tape(BTC=(50_000.123456789, 1e9)), PAIRS, free, Decimal(100_000), exact=True)
    fill = venue.send(order("0.0000123456789"), NOW).fills[0]

    assert (str(fill.quantity), str(fill.price), str(fill.fee)) == ("0.0000123456789", "50000.123456789", "0.00061729")


def test_a_fill_found_again_has_the_digits_of_the_answer(venue, monkeypatch):
    """After a crash the fill comes from the account: a trailing zero more or less would be another journal."""
    for number in range(40):
        monkeypatch.setitem(TAPE.prices, "BTC", (50_000.0 + 0.37 * number, 1e9))
        asked = order("0.01000", number=number)
        answer = venue.send(asked, NOW).fills[0]
        again = venue.orders(frozenset({"BTC"}), -1, NOW)[-1].fills[0]

        assert [str(x) for x in (answer.price, answer.fee)] == [str(x) for x in (again.price, again.fee)]
        assert str(answer.quantity) == str(again.quantity)


def test_an_account_is_what_it_was_after_it_is_opened_again(tmp_path):
    path = tmp_path / "paper.db"
    first = PaperVenue(path, TAPE, PAIRS, COSTS, Decimal(100_000))
    found = first.send(order("1"), NOW)
    held = first.holdings(NOW)
    first.close()
    again = PaperVenue(path, TAPE, PAIRS, COSTS, Decimal(7))

    assert again.holdings(NOW) == held
    assert again.orders(frozenset({"BTC"}), -1, NOW) == (found,)
    assert again.send(order("1"), NOW) == found
    assert again.fills(NOW - 1) == found.fills
    assert again.fills(NOW) == ()
    again.close()


def test_a_failing_database_is_an_unknown_answer_and_moves_nothing(tmp_path):
    """Half of a transaction is no transaction, and the next order finds the door open."""
    venue = PaperVenue(tmp_path / "paper.db", TAPE, PAIRS, COSTS, Decimal(100_000))
    venue.vault.db.execute(
        "create trigger full before insert on balances begin select raise(fail, 'disk is full'); end"
    )

    with pytest.raises(VenueUnknownError, match="disk is full"):
        venue.send(order("1"), NOW)
    assert venue.orders(frozenset({"BTC"}), -1, NOW) == ()
    assert venue.holdings(NOW).cash == Decimal(100_000)

    venue.vault.db.execute("drop trigger full")
    assert venue.send(order("1"), NOW).status is IntentStatus.FILLED
    venue.close()


def test_a_closed_database_is_an_unknown_answer(tmp_path):
    venue = PaperVenue(tmp_path / "paper.db", TAPE, PAIRS, COSTS, Decimal(1))
    venue.close()

    for ask in (lambda: venue.holdings(NOW), lambda: venue.orders(frozenset({"BTC"}), -1, NOW), lambda: venue.fills(0)):
        with pytest.raises(VenueUnknownError):
            ask()
    with pytest.raises(sqlite3.ProgrammingError):
        venue.vault.db.execute("select 1")
