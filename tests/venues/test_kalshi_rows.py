"""What each market object means, the defective ones above all: nothing is traded on a default."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.venues import kalshi_book as books
from evenkeel.venues import kalshi_rows as rows
from evenkeel.venues import kalshi_terms as terms
from evenkeel.venues.kalshi_account import IMMEDIATE, check
from venues.kalshi_server import TICKER, an_order, arrived, market_row

RAW = Path(__file__).parents[3] / "shared" / "data" / "kalshi_raw_api_samples.json"
FINE = {"bid": Decimal("0.15"), "ask": Decimal("0.19"), "trades": True, "doubt": ""}
OUTCOMES = {
    # defect: changes of the object -> quotes that are believed, whether it is traded, why not
    "none": ({}, {}),
    "a field that nobody knows": ({"new_field": {"a": 1}}, {}),
    "bid missing": ({"yes_bid_dollars": None}, {"bid": None}),
    "ask empty": ({"yes_ask_dollars": ""}, {"ask": None}),
    "bid 0.0000": ({"yes_bid_dollars": "0.0000", "no_ask_dollars": "1.0000"}, {"bid": None}),
    "ask 1.0000": ({"yes_ask_dollars": "1.0000", "no_bid_dollars": "0.0000"}, {"ask": None}),
    "both sides empty": (
        {"yes_bid_dollars": "0.0000", "yes_ask_dollars": "1.0000"}, {"bid": None, "ask": None}
    ),
    "no price field at all": (
        {"yes_bid_dollars": None, "yes_ask_dollars": None},
        {"bid": None, "ask": None, "trades": False, "doubt": "missing"},
    ),
    "the retired cents": (
        {"yes_bid_dollars": None, "yes_ask_dollars": None, "yes_bid": 15, "yes_ask": 19},
        {"bid": None, "ask": None, "trades": False, "doubt": "missing"},
    ),
    "cents in the place of dollars": (
        {"yes_bid_dollars": 15, "yes_ask_dollars": 19},
        {"bid": None, "ask": None, "trades": False, "doubt": "yes_bid_dollars is no decimal written as text"},
    ),
    "cents as text": (
        {"yes_bid_dollars": "15", "yes_ask_dollars": "19"},
        {"bid": None, "ask": None, "trades": False, "doubt": "is not between 0 and 1 USD"},
    ),
    "price below 0": ({"yes_bid_dollars": "-0.1500"}, {"bid": None, "trades": False, "doubt": "is not between"}),
    "price NaN": ({"yes_ask_dollars": "NaN"}, {"ask": None, "trades": False, "doubt": "no decimal"}),
    "crossed": (
        {"yes_bid_dollars": "0.2000", "no_ask_dollars": "0.8000"},
        {"bid": Decimal("0.20"), "trades": False, "doubt": "not below ask"},
    ),
    "NO is not 1 - YES": ({"no_bid_dollars": "0.8300"}, {"trades": False, "doubt": "no_bid_dollars 0.8300 is not 1 -"}),
    "unknown status": ({"status": "hibernating"}, {"trades": False, "doubt": "status 'hibernating' is a word"}),
    "status missing": ({"status": None}, {"trades": False, "doubt": "status is missing"}),
    "known status that does not trade": ({"status": "closed"}, {"trades": False}),
    "unknown kind": ({"market_type": "quantum"}, {"trades": False, "doubt": "market_type"}),
    "scalar": ({"market_type": "scalar"}, {"trades": False, "doubt": "market_type"}),
    "unknown strike": ({"strike_type": "around"}, {"trades": False, "doubt": "strike_type"}),
    "unknown result": ({"result": "maybe"}, {"trades": False, "doubt": "result"}),
    "strike as text": ({"floor_strike": "64400"}, {"trades": False, "doubt": "floor_strike is no number"}),
    "no grid": ({"price_ranges": []}, {"trades": False, "doubt": "price_ranges"}),
    "a grid of another kind": ({"price_level_structure": "round_numbers"}, {}),
    "size as number": ({"yes_bid_size_fp": 520}, {"trades": False, "doubt": "yes_bid_size_fp"}),
}  # fmt: skip


def market_read(**changes):
    return arrived(market_row(**changes))


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_defect_has_its_outcome(name):
    """Quotes that are not believed are none; what is not understood is not traded, and why is said."""
    changes, other = OUTCOMES[name]
    expected = {**FINE, **other}
    market = rows.market_of(market_read(**changes))

    assert (market.yes_bid, market.yes_ask, market.tradable) == (expected["bid"], expected["ask"], expected["trades"])
    assert expected["doubt"] in "; ".join(market.doubts)
    assert bool(expected["doubt"]) == bool(market.doubts)


@pytest.mark.parametrize("name", [name for name, (_, other) in OUTCOMES.items() if not other.get("trades", True)])
def test_no_order_leaves_for_a_market_with_a_defect(name):
    """The refusal comes before the socket and names the market."""
    market = rows.market_of(market_read(**OUTCOMES[name][0]))

    with pytest.raises(VenueError, match=TICKER):
        check(an_order(), market, Decimal("0.19"), IMMEDIATE)


@pytest.mark.parametrize("gone", ["ticker", "event_ticker", "open_time", "close_time"])
def test_an_object_without_name_or_times_is_no_market(gone):
    """It is named among the unread, and the others are read."""
    found = rows.markets_of([market_read(**{gone: None}), market_read()])

    assert [market.ticker for market in found.rows] == [TICKER]
    assert len(found.unread) == 1
    assert gone in found.unread[0]


@pytest.mark.skipif(not RAW.exists(), reason="the shared data are not here")
def test_the_raw_objects_of_the_venue_parse():
    """Every one, without a doubt; NO is 1 - YES; what is empty is no quote."""

    def found(node):
        if isinstance(node, dict) and "ticker" in node:
            yield node
        elif isinstance(node, dict | list):
            for child in node.values() if isinstance(node, dict) else node:
                yield from found(child)

    raw = list(found(json.loads(RAW.read_text(), parse_float=Decimal)))
    read = rows.markets_of(raw)

    assert len(read.rows) == 30
    assert read.unread == ()
    for market, row in zip(read.rows, raw, strict=True):
        assert market.doubts == ()
        assert market.tradable
        assert (market.yes_bid is None) == (row["yes_bid_dollars"] == "0.0000")
        assert market.yes_ask == (None if row["yes_ask_dollars"] == "1.0000" else Decimal(row["yes_ask_dollars"]))
        assert market.no_bid is None or market.no_bid == Decimal(row["no_bid_dollars"])
        assert (market.floor is None) == ("floor_strike" not in row)


@given(
    st.dictionaries(st.sampled_from(sorted(market_row())), st.none() | st.integers() | st.text() | st.lists(st.text()))
)
def test_whatever_is_sent_a_quote_is_a_price_between_0_and_1(changes):
    """And what is traded is understood in all its parts: anything else raises VenueUnknownError."""
    try:
        market = rows.market_of({**market_read(), **changes})
    except VenueUnknownError:
        return
    for price in (market.yes_bid, market.yes_ask):
        assert price is None or 0 < price < 1
    if market.tradable:
        assert market.status == "active"
        assert market.grid
        assert market.strike in rows.STRIKES


def test_a_settled_market_tells_result_and_value():
    """As the venue wrote them."""
    market = rows.market_of(
        market_read(
            status="finalized",
            result="no",
            settlement_value_dollars="0.0000",
            expiration_value="64512.77",
            settlement_ts="2026-07-10T11:05:00Z",
            exchange_index=2,
        )
    )

    assert (market.result, market.value, market.settled_as, market.shard) == ("no", 0, "64512.77", 2)
    assert not market.tradable
    assert market.doubts == ()


@pytest.mark.parametrize(
    ("price", "fits"),
    [("0.005", True), ("0.0055", False), ("0.10", True), ("0.105", False), ("0.905", True), ("0", False)],
)
def test_a_price_stands_on_the_grid_or_it_does_not(price, fits):
    """Tapered: 0.001 at the ends, 0.01 in between."""
    parts = [("0", "0.1", "0.001"), ("0.1", "0.9", "0.01"), ("0.9", "1", "0.001")]
    grid = tuple(rows.Range(*map(Decimal, part)) for part in parts)

    assert rows.on_grid(Decimal(price), grid) == fits


def test_a_series_with_an_unknown_fee_says_so():
    """None, never a fee of 0."""
    row = {"ticker": "KXBTC", "title": "", "category": "Crypto", "frequency": "hourly", "fee_multiplier": 1}

    assert terms.series_of({**row, "fee_type": "quadratic"}).fee == "quadratic"
    assert terms.series_of({**row, "fee_type": "cubic"}).fee is None
    assert terms.series_of({**row, "fee_type": "cubic", "fee_multiplier": None}).multiplier is None


# ---------------------------------------------------------------- books


def book(yes=(("0.42", "13"), ("0.40", "5")), no=(("0.50", "1"), ("0.56", "17"))):
    row = {"yes_dollars": [list(level) for level in yes], "no_dollars": [list(level) for level in no]}
    return books.book_of(TICKER, row)


def test_a_book_is_sorted_and_its_asks_are_the_others_bids():
    """Ascending or descending on the wire: best first here; ask = 1 - best bid of the other outcome."""
    assert book().best() == ((Decimal("0.42"), 13), (Decimal("0.44"), 17))
    assert book().best("no") == ((Decimal("0.56"), 17), (Decimal("0.58"), 13))
    assert book(yes=(("0.40", "5"), ("0.42", "13"))) == book()


def test_a_fill_walks_the_book_to_its_limit():
    """17 at 0.44, then nothing worse than the limit."""
    assert book().fill("yes", Decimal(20), Decimal("0.49")) == ((Decimal("0.44"), 17),)
    assert book().fill("yes", Decimal(20), Decimal("0.50")) == ((Decimal("0.44"), 17), (Decimal("0.50"), 1))
    assert book().sale("yes", Decimal(15), Decimal("0.40")) == ((Decimal("0.42"), 13), (Decimal("0.40"), 2))


@pytest.mark.parametrize(
    "bad",
    [
        {}, {"yes_dollars": {}}, {"yes_dollars": [["0.42"]]}, {"yes_dollars": [[42, 13]]},
        {"yes_dollars": [["0.42", "-1"]]}, {"yes_dollars": [["1.0000", "1"]]},
        {"yes_dollars": [["0.42", "1"], ["0.42", "2"]]},
        {"yes_dollars": [["0.60", "1"]], "no_dollars": [["0.50", "1"]]},
    ],
)  # fmt: skip
def test_what_is_no_book_is_none(bad):
    """Cents, pairs that are none, doubled levels, crossed sides."""
    with pytest.raises(VenueUnknownError):
        books.book_of(TICKER, bad)


def test_a_level_that_falls_below_nothing_cannot_be():
    """A delta that does not follow from the book means that the book is not the venue's."""
    assert books.changed(book(), "yes", Decimal("0.42"), Decimal(-13)).best()[0] == (Decimal("0.40"), 5)
    with pytest.raises(VenueUnknownError):
        books.changed(book(), "yes", Decimal("0.42"), Decimal(-14))
