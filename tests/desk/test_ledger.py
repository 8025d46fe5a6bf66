"""The desk's account: every cent is explained, a market ends once, what the venue changes is entered and not edited."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from evenkeel.desk.ledger import Ledger, Stake, adopted, booked, differences, exposure, opened, settled
from evenkeel.store import from_json, to_json
from evenkeel.types import Fill, Identity

D = Decimal
WHO = Identity("kalshi-paper", "test", "real", "")
EMPTY = opened(Ledger(WHO, 0), D(100))
CENTS = st.integers(1, 99).map(lambda n: D(n) / 100)
TICKERS = ("KXBTCD-A-1", "KXBTCD-A-2", "KXETHD-B-1")
FILLS = st.lists(
    st.tuples(st.sampled_from(TICKERS), st.integers(-9, 9).filter(bool), CENTS, st.integers(0, 9)), max_size=20
)


def stake(ticker: str) -> Stake:
    return Stake(ticker, ticker.rpartition("-")[0], ticker[:6], "BTC", "crypto", "crypto@t", 1_000)


def fill(ticker: str, count: object, price: object, fee: object = 0, name: str = "o") -> Fill:
    return Fill(name, name, ticker, D(count), D(str(price)), D(str(fee)), 7)


def explained(ledger: Ledger) -> bool:
    """The law of the account."""
    return ledger.money + ledger.at_risk == ledger.bankroll + ledger.flows + ledger.realized


def test_buying_no_costs_what_yes_leaves():
    """5 NO at 0.60 are YES sold at 0.40; they pay 5 USD if NO comes."""
    held, rows = booked(EMPTY, fill(TICKERS[0], -5, "0.40", "0.09"), stake(TICKERS[0]))

    assert (held.money, held.held[TICKERS[0]].cost) == (D("96.91"), D("3.00"))
    assert [(r.side, r.action, r.price, r.contracts, r.notional) for r in rows] == [("no", "BUY", D("0.60"), 5, 3)]
    assert exposure(held, D(100)).clusters == {"crypto@t": 3.0}

    ended, (row,) = settled(held, TICKERS[0], "no", D(5), 9)
    assert (ended.money, ended.realized, ended.held) == (D("101.91"), D("1.91"), {})
    assert (row.action, row.price, row.note) == ("SETTLE", 1, "result no")


def test_a_fill_on_the_other_side_closes_before_it_opens():
    """3 YES at 0.40, then 5 sold at 0.70: 3 are sold with a gain of 0.90, 2 NO are held for 0.60."""
    had, _ = booked(EMPTY, fill(TICKERS[0], 3, "0.40"), stake(TICKERS[0]))
    now, rows = booked(had, fill(TICKERS[0], -5, "0.70", "0.06"), stake(TICKERS[0]))

    assert [(r.action, r.side, r.contracts, r.cash_after) for r in rows] == [
        ("SELL", "yes", 3, D("100.90")),
        ("BUY", "no", 2, D("100.24")),
    ]
    assert (now.realized, now.held[TICKERS[0]].count, now.held[TICKERS[0]].cost) == (D("0.84"), -2, D("0.60"))
    assert explained(now)


@given(FILLS, st.permutations(TICKERS), st.sampled_from(["yes", "no"]))
def test_cash_and_cost_are_explained_to_the_last_digit(fills, order, result):
    """Through any trades, ends of markets, and ends that are told again; what comes back from the file is the same."""
    ledger = EMPTY
    for n, (ticker, count, price, cents) in enumerate(fills):
        ledger, rows = booked(ledger, fill(ticker, count, price, D(cents) / 100, str(n)), stake(ticker))
        assert rows[-1].cash_after == ledger.money
    for ticker in order:
        count = ledger.held[ticker].count if ticker in ledger.held else D(0)
        payout = abs(count) if (count > 0) is (result == "yes") else D(0)
        ledger, _ = settled(ledger, ticker, result, payout, 9)
        again, rows = settled(ledger, ticker, result, payout, 10)
        assert (again, rows) == (ledger, [])

    whole = abs(ledger.money - ledger.bankroll - ledger.realized) < D("1e-20")  # averages have no last digit
    assert whole
    assert not ledger.held
    assert from_json(Ledger, to_json(ledger)) == ledger


def test_m8_a_result_that_the_venue_changes_is_a_correction_and_no_edit():
    """Paid as YES, then called NO: the ledger follows, by an entry of its own, and only once."""
    held, _ = booked(EMPTY, fill(TICKERS[0], 4, "0.40"), stake(TICKERS[0]))
    paid, first = settled(held, TICKERS[0], "yes", D(4), 9)
    after, rows = settled(paid, TICKERS[0], "no", D(0), 20)

    assert [row.action for row in first + rows] == ["SETTLE", "CORRECT"]
    assert (rows[0].notional, rows[0].cash_after, rows[0].note) == (D(-4), D("98.40"), "result no, was yes")
    assert (after.money, after.realized) == (D("98.40"), D("-1.60"))
    assert settled(after, TICKERS[0], "no", D(0), 21) == (after, [])
    assert explained(after)


def test_a_market_that_was_never_held_ends_without_us():
    assert settled(EMPTY, TICKERS[0], "yes", D(4), 9) == (EMPTY, [])


def test_what_the_venue_holds_otherwise_is_a_flow_and_no_gain():
    """A deposit, one position sold by hand, one grown, one that nobody knew."""
    ledger = EMPTY
    for ticker in TICKERS[:2]:
        ledger, _ = booked(ledger, fill(ticker, 4, "0.50"), stake(ticker))
    units = {TICKERS[1]: D(6), TICKERS[2]: D(-2)}
    found = differences(ledger, D(120), units)
    facts = [replace(stake(TICKERS[2]), mark=D("0.30"))]
    after, (row,) = adopted(ledger, D(120), units, facts, 50)

    assert found == {"": (96, 120), TICKERS[0]: (4, 0), TICKERS[1]: (4, 6), TICKERS[2]: (0, -2)}
    assert {t: (s.count, s.cost) for t, s in after.held.items()} == {TICKERS[1]: (6, 3), TICKERS[2]: (-2, D("0.60"))}
    assert (after.realized, row.action, row.cash_after) == (0, "FLOW", 120)
    assert explained(after)
    assert differences(after, D(120), units) == {}


def test_a_position_without_a_mark_has_no_equity():
    """Unknown is unknown: nothing is valued at a default."""
    held, _ = booked(EMPTY, fill(TICKERS[0], 4, "0.40"), stake(TICKERS[0]))

    assert (held.equity, held.unrealized) == (None, None)
    marked = replace(held, held={TICKERS[0]: replace(held.held[TICKERS[0]], mark=D("0.35"))})
    assert (marked.equity, marked.unrealized) == (D("99.80"), D("-0.20"))
