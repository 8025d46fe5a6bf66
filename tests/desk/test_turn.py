"""A desk beside a served sandbox: what it does when the venue is down, silent, different, or changes its mind."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from desk.checker import check, rows
from desk.world import EAGER, opened, served
from evenkeel.desk import alerts
from evenkeel.desk.ledger import Trade
from evenkeel.desk.risk import RiskSettings, resumed
from evenkeel.events.bets import Judgement
from evenkeel.events.evidence import voices
from evenkeel.events.fees import fee
from evenkeel.journal import recent
from evenkeel.sandbox import kalshi_keys
from evenkeel.sandbox.faults import Fault
from evenkeel.types import Slot, SlotKind, TradingState
from evenkeel.venues.kalshi_wire import Credentials

D = Decimal
ORDERS = "/kalshi/trade-api/v2/portfolio/events/orders"


@pytest.fixture(scope="module")
def key():
    return Credentials(kalshi_keys.key_id(7), kalshi_keys.pem(7))


def turn(made, box, minutes: int = 5) -> str:
    """One turn, then the clock goes on."""
    now = int(box.clock.now())
    said = made.desk.turn(now // 60 * 60)
    box.clock.set(now // 60 * 60 + minutes * 60 + 1)
    return said


def actions(made) -> list[str]:
    return [row["action"] for row in rows(made.desk.folder / "trades.csv")]


def test_an_hour_on_paper_agrees_with_the_venue_to_the_cent(tmp_path):
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        said = [turn(made, box) for _ in range(12)]
        done = check(tmp_path, box.kalshi, "100", paper=True)

    assert set(said) == {"done"}
    assert done["BUY"] >= 3
    assert done["SETTLE"] >= 2
    assert len(rows(made.desk.folder / "equity.csv")) == 12


def test_an_hour_at_the_account_agrees_with_the_venue_to_the_cent(tmp_path, key):
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key) as made:
        said = [turn(made, box) for _ in range(12)]
        done = check(tmp_path, box.kalshi, "100", paper=False)

    assert set(said) == {"done"}
    assert done["BUY"] >= 3
    assert done["SETTLE"] >= 2


@pytest.mark.parametrize("accepted", [True, False], ids=["it was placed", "it was not"])
def test_an_order_whose_answer_was_lost_is_there_once_or_not_at_all(tmp_path, key, accepted):
    """UNKNOWN until the venue shows it, or has been silent for ninety seconds; nothing is bought meanwhile."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key) as made:
        box.faults.replace([Fault("reset", path=ORDERS, accepted=accepted, first=1, count=1)])
        said = [turn(made, box, 1) for _ in range(6)]
        placed = {order.client for order in box.kalshi.orders.values()}
        check(tmp_path, box.kalshi, "100", paper=False)

    assert said[0] == "busy"
    assert "done" in said[1:]
    first = next(slot for slot in made.ledger.slots if slot.orders)
    lost = [name for name in placed if name.startswith(f"k{first.time:x}-0-")]
    assert len(lost) == (1 if accepted else 0)


def test_a_venue_that_is_down_ends_the_turn_and_not_the_desk(tmp_path):
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        first = turn(made, box)
        held = dict(made.ledger.held)
        box.faults.replace([Fault("status", path="/kalshi/*", status=503)])
        down = turn(made, box)
        box.faults.replace([])
        again = turn(made, box)

    assert (first, down, again) == ("done", "venue_unavailable", "done")
    assert held
    assert [slot.reason for slot in made.ledger.slots] == ["", "venue_unavailable", ""]


def test_halt_is_looked_at_before_every_order(tmp_path):
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        (tmp_path / "state" / "HALT").touch()
        turn(made, box)
        stopped = actions(made)
        (tmp_path / "state" / "HALT").unlink()
        turn(made, box)

    assert stopped == []
    assert "BUY" in actions(made)


def test_without_evidence_it_watches_and_buys_nothing(tmp_path):
    with (
        served() as (url, box),
        opened(tmp_path, url, box.clock.now, voices=lambda now: voices(None, EAGER.screen.series, now)) as made,
    ):
        said = [turn(made, box) for _ in range(3)]

    assert said == ["done"] * 3
    assert actions(made) == []


def test_a_deposit_is_seen_twice_and_then_a_flow(tmp_path, key):
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key) as made:
        turn(made, box)
        box.kalshi.cash[2] += D("25.00")
        said = [turn(made, box), turn(made, box)]

    assert said == ["venue_differs", "done"]
    assert made.ledger.flows == D("25.00")
    assert made.ledger.money + made.ledger.at_risk == D("125") + made.ledger.realized
    assert actions(made).count("FLOW") == 1


def test_m8_a_settlement_that_the_venue_reverses_is_corrected_by_an_entry(tmp_path):
    """The result is turned around an hour after it was paid: ledger, account and files follow, nothing is edited."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        turn(made, box)
        while "SETTLE" not in actions(made):
            turn(made, box)
        before = rows(made.desk.folder / "trades.csv")
        ticker = next(row["market_ticker"] for row in before if row["action"] == "SETTLE")
        truth = box.kalshi.world.outcome

        def reversed_(listing):
            said = truth(listing)
            return said if listing.ticker != ticker else ("no" if said[0] == "yes" else "yes", said[1])

        box.kalshi.world.outcome = reversed_
        turn(made, box)
        turn(made, box)
        after = rows(made.desk.folder / "trades.csv")
        paid = next(row for row in before if row["action"] == "SETTLE" and row["market_ticker"] == ticker)
        (entry,) = [row for row in after if row["action"] == "CORRECT"]
        assert made.ledger.money == made.paper.cash()

    assert after[: len(before)] == before
    whole = D(paid["contracts"])
    assert D(entry["notional"]) == (-whole if D(paid["notional"]) else whole)
    assert made.ledger.money + made.ledger.at_risk == D(100) + made.ledger.realized


def test_paper_pays_when_the_venues_record_is_final_and_not_before(tmp_path):
    """70 s after the close the result is known and may still change; at 130 s it is final."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        while not made.ledger.held:
            turn(made, box)
        closes = min(stake.closes for stake in made.ledger.held.values())
        seen = []
        for later in (70, 130):
            box.clock.set(closes + later)
            made.desk.turn(closes + later)
            seen.append("SETTLE" in actions(made))

    assert seen == [False, True]


def test_what_a_second_critic_says_is_recorded_and_vetoes(tmp_path):
    """Journal and log have its word for each bet; what it vetoed is not bought."""
    with (
        served() as (url, box),
        opened(tmp_path, url, box.clock.now, critic=lambda bet, board: Judgement(0.0, "stale")) as made,
    ):
        turn(made, box)
        (plan,) = recent(made.desk.journal.path, "plans", limit=9)

    told = json.loads(plan["plan"])
    assert actions(made) == []
    assert {tuple(said) for said in told["critic"].values()} == {(0.0, "stale")}
    assert "VETOED" in told["refused"].values()


def test_a_cent_that_the_venue_rounds_is_a_fee_and_no_flow(tmp_path, key):
    """After a purchase the balance is a cent short: it is entered, and the desk goes on."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key) as made:
        turn(made, box)
        bought = actions(made).count("BUY")
        box.kalshi.cash[2] -= D("0.01") * bought
        said = turn(made, box)
        more = turn(made, box)
        box.kalshi.cash[2] -= D("0.01")  # nothing was bought since: that is nobody's rounding
        alone = turn(made, box)

    assert bought
    assert (said, more, alone) == ("done", "done", "venue_differs")
    assert actions(made).count("ROUND") == 1
    assert made.ledger.flows == 0
    assert made.ledger.money + made.ledger.at_risk == D(100) + made.ledger.realized


def test_an_older_generation_adds_nothing_before_the_venue_is_believed(tmp_path):
    """kalshi.json is damaged after a purchase: what the account holds is taken over, and bought once only."""
    with served() as (url, box):
        with opened(tmp_path, url, box.clock.now) as made:
            turn(made, box)
            held = {ticker: stake.count for ticker, stake in made.ledger.held.items()}
        for path in (tmp_path / "state").glob("kalshi.json*"):
            if path.name not in ("kalshi.json.1", "kalshi.json.2"):  # the account was opened, nothing decided yet
                path.unlink()
        box.clock.advance(60)
        with opened(tmp_path, url, box.clock.now) as made:
            said = [turn(made, box), turn(made, box)]
            units = made.paper.holdings(0).units
            ledger = made.ledger

    assert held
    assert said[0] == "venue_differs"
    assert {t: s.count for t, s in ledger.held.items()} == units
    assert {t: units[t] for t in held if t in units}.items() <= held.items()
    assert ledger.money + ledger.at_risk == ledger.bankroll + ledger.flows + ledger.realized


def test_a_day_that_loses_too_much_is_an_alert_in_the_journal(tmp_path):
    strict = replace(EAGER, risk=RiskSettings(daily_loss=0.0001, drawdown=1.0, asset=0.6))
    with served() as (url, box), opened(tmp_path, url, box.clock.now, limits=strict) as made:
        for _ in range(5):
            turn(made, box)
        (row,) = recent(made.desk.journal.path, "alerts", limit=9)

    assert (row["level"], row["code"], row["text"]) == ("warning", "DAILY_LOSS", "the desk is REDUCING")
    assert made.ledger.slots[-1].orders == 0


@pytest.mark.parametrize("live", [False, True], ids=["on paper", "at the account"])
def test_an_order_that_never_left_is_refused_and_not_unknown(tmp_path, key, live):
    """The market cannot be asked for just before the order: nothing is awaited, the next turn is free."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key if live else None) as made:
        box.faults.replace([Fault("status", path="/kalshi/trade-api/v2/markets/KX*", status=503)])
        first = turn(made, box)
        orders = recent(made.desk.journal.path, "orders", limit=9)
        box.faults.replace([])
        again = turn(made, box)

    assert (first, again) == ("done", "done")
    assert orders
    assert {row["status"] for row in orders} == {"REJECTED"}
    assert all("cannot be had" in row["note"] for row in orders)
    assert "BUY" in actions(made)


def test_each_alert_is_a_row_of_the_journal_and_a_line_of_the_log_once(tmp_path, key, caplog):
    """A deposit is taken over, then a market is halted by a loss: the log has each once, also after a new start."""
    halting = replace(EAGER, risk=RiskSettings(daily_loss=1.0, drawdown=0.0001, asset=0.6))
    with served() as (url, box), caplog.at_level("INFO", "desk"):
        for _ in range(2):
            with opened(tmp_path, url, box.clock.now, key=key, limits=halting) as made:
                turn(made, box)
                if not made.ledger.flows:
                    box.kalshi.cash[2] += D("25.00")
                while made.ledger.trading_state is TradingState.ACTIVE:
                    turn(made, box)
                found = recent(made.desk.journal.path, "alerts", limit=99)
    told = [record for record in caplog.records if "kalshi_alert" in record.getMessage()]

    assert {(row["code"], row["level"]) for row in found} == {("EXTERNAL_FLOW", "warning"), ("DRAWDOWN", "page")}
    assert len(found) == 2
    assert [record.levelname for record in told] == ["WARNING", "ERROR"]
    assert ["code='EXTERNAL_FLOW'" in told[0].getMessage(), "code='DRAWDOWN'" in told[1].getMessage()] == [True, True]


def test_a_result_that_is_changed_and_a_market_that_is_lost_are_told(tmp_path):
    """The correction of M8 leaves a warning; what quarantines a market is a page."""
    (page,) = alerts.of_lost(Slot(SlotKind.SCORE, 60), ["KXBTCD-1-T1"])
    entry = Trade(60, "KXBTCD-1-T1", "yes", "CORRECT", D(-1), D(2), D(-2), D(98), "result no, was yes")
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        made.desk.commit(lambda now: alerts.corrected(now, [entry], 60))
        (row,) = recent(made.desk.journal.path, "alerts", limit=9)

    assert (page["level"], page["code"], page["asset"]) == ("page", "QUARANTINED", "KXBTCD-1-T1")
    assert (row["level"], row["code"]) == ("warning", "RESULT_CHANGED")
    assert "result no, was yes, -2 USD" in row["text"]


def test_a_key_that_is_let_in_no_more_halts_with_a_page_at_the_third_turn(tmp_path, key):
    """Not by one refusal, and no more than one page; a person resumes, and it trades again."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key) as made:
        box.faults.replace([Fault("status", path="/kalshi/trade-api/v2/portfolio/*", status=401)])
        said = [turn(made, box) for _ in range(2)]
        twice = made.ledger.trading_state
        said += [turn(made, box) for _ in range(2)]
        halted, pages = made.ledger.state_reason, recent(made.desk.journal.path, "alerts", limit=9)
        box.faults.replace([])
        still = turn(made, box)
        bought = "BUY" in actions(made)
        made.desk.commit(resumed)
        turn(made, box)

    assert said == ["access_refused"] * 4
    assert twice is TradingState.ACTIVE
    assert halted.startswith("ACCESS_REFUSED: ")
    assert [(row["level"], row["code"]) for row in pages] == [("page", "ACCESS_REFUSED")]
    assert (still, bought) == ("done", False)
    assert "BUY" in actions(made)


@pytest.mark.parametrize("on_paper", [True, False], ids=["on paper", "at the account"])
def test_nothing_is_bought_while_the_exchange_does_not_trade(tmp_path, key, on_paper):
    """Its markets say `active` and its books are there: paper does not buy what nobody could have."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=None if on_paper else key) as made:
        box.faults.replace([Fault("suspend", path="*/exchange/status")])
        closed = turn(made, box), actions(made)
        box.faults.replace([])
        again = turn(made, box), actions(made)

    assert closed == ("done", [])
    assert again[0] == "done"
    assert "BUY" in again[1]


@pytest.mark.parametrize("placed", [True, False], ids=["after it was placed", "before"])
@pytest.mark.parametrize("live", [False, True], ids=["on paper", "at the account"])
def test_an_error_that_nobody_foresaw_ends_the_turn_and_doubles_nothing(tmp_path, key, caplog, live, placed):
    """In the middle of the first send: the turn has the error's name, its traceback is logged, and the next go on."""
    with served() as (url, box), opened(tmp_path, url, box.clock.now, key=key if live else None) as made:
        send, bad = made.desk.exchange.send, [True]

        def fails_once(*args, **more):
            done = send(*args, **more) if placed or not bad else None
            if bad:
                bad.clear()
                raise ZeroDivisionError("a bug of ours")
            return done

        made.desk.exchange.send = fails_once
        said = [turn(made, box, 2) for _ in range(8)]
        done = check(tmp_path, box.kalshi, "100", paper=not live)

    (failed,) = [record for record in caplog.records if "kalshi_turn_failed" in record.getMessage()]
    assert said[0] == "ZeroDivisionError"
    assert said[-1] == "done"
    assert "a bug of ours" in failed.getMessage()
    assert done["BUY"] >= 1


def test_a_turn_that_fails_before_it_decides_ends_as_failed(tmp_path):
    """Its slot is over: nothing is left open, and the journal has the name."""

    def broken(now):
        raise KeyError("nobody")

    with served() as (url, box), opened(tmp_path, url, box.clock.now, voices=broken) as made:
        said = [turn(made, box), turn(made, box)]
        rows_ = recent(made.desk.journal.path, "slots", limit=9)

    assert said == ["KeyError"] * 2
    assert [(row["outcome"], row["reason"]) for row in rows_] == [("failed", "KeyError")] * 2
    assert made.ledger.open_slots == ()


def test_a_dearer_event_is_paid_for_as_it_says_and_a_change_counts_from_its_time(tmp_path):
    """The board shows the events' own multiplier, paper charges it, and a minute after it changes the new one."""
    with served(multiplier=D(2)) as (url, box), opened(tmp_path, url, box.clock.now) as made:
        seen = {c.fee_multiplier for c in made.desk.sight.board(int(box.clock.now())).contracts}
        turn(made, box)
        first = made.paper.fills(0)
        box.kalshi.rules = replace(box.kalshi.rules, multiplier=D(3))
        while len(made.paper.fills(0)) == len(first):
            turn(made, box)
        later = made.paper.fills(0)[len(first) :]

    assert seen == {D(2)}
    for found, times in ((first, 2), (later, 3)):
        assert found
        for one in found:
            assert one.fee == fee(abs(one.quantity), one.price, D("0.07") * times)
