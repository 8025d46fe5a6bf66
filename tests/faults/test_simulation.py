"""Simulated lives are lawful, the same seed lives the same life, and what they found stays found."""

import os
import sys
import time
from decimal import Decimal

import pytest

from evenkeel.engine import protocol
from evenkeel.engine.verdict import Unproven
from evenkeel.journal import recent
from evenkeel.sandbox.faults import Fault
from evenkeel.store import set_halt
from evenkeel.types import Intent, IntentStatus, Order, Slot, SlotKind, Trace, TradingState
from evenkeel.units import floor_to
from faults.checker import CENT, broken
from faults.clockwork import Crash
from faults.history import Flow, Socket
from faults.run import KINDS, LIVES, many, report
from faults.scripted import FIRST, commits, known, pass_to, placed, rows, script, sockets
from faults.simulation import Profile, live
from faults.stage import ASSETS, START
from faults.throughput import lived
from faults.trouble import Fate

MET = (
    "orders of risk checks", "orders filled in parts", "orders left with a part", "cancels that met a fill",
    "lives with a pair at limits", "breakers that opened",
)  # fmt: skip
"""What many lives must have met, else they prove nothing of it."""


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_a_troubled_life_breaks_no_law(seed):
    assert broken(live(seed, KINDS[seed])) == []


@pytest.mark.parametrize("kind", [0, 1, 5, 7])
def test_the_same_seed_lives_the_same_life(kind):
    lives = [live(3, KINDS[kind]).sha256() for _ in range(2)]

    assert lives[0] == lives[1]
    assert lives[0] != live(4, KINDS[kind]).sha256()


@pytest.mark.slow
def test_a_day_of_88_coins_is_lawful_and_lived_twice_alike():
    """What throughput is measured on."""
    first, second = lived(1)[0], lived(1)[0]

    assert broken(first) == []
    assert len(first.ending.trades) > 20
    assert first.sha256() == second.sha256()


@pytest.mark.slow
def test_many_lives_break_no_law(capsys):
    """What `make faults` does."""
    profile = "full" if os.environ.get("EVENKEEL_TEST_PROFILE") == "full" else "short"
    began = time.monotonic()
    told = many(range(LIVES[profile]), 2)
    with capsys.disabled():
        sys.stdout.write(f"\n{report(told, time.monotonic() - began)}\n")

    assert told.broken == {}
    assert told.counts["duplicated orders"] == 0
    assert told.counts["crashes"] > 2 * told.counts["lives"]
    assert min(told.counts[name] for name in MET) > 0
    assert {"venue place_order request", "venue place_order answer", "journal end"} <= told.deaths.keys()


# ---------------------------------------------------------------- scripted lives


def test_a_flatten_does_not_swallow_a_slot_that_is_due(life):
    """A flatten at work when a risk slot falls due lets it run first: each slot of the grid ends once (law 12)."""
    one = life()
    one.boot()
    pass_to(one, 3_650)
    one.clock.forget("process")
    one.clock.elapse(one.stage.cadence.risk)
    one.write("flatten")
    one.ask()

    assert one.told().ending.missing == ()


def test_t3_an_order_under_our_id_is_found_though_our_clock_was_wrong(life):
    """Sent while the clock was an hour ahead, its answer lost: found all the same, never sent again."""
    one = life(named=True)
    script(one, Fate("lost after"))
    one.clock.skew = 3_600.0
    one.boot()
    pass_to(one, 3_650)
    first = sockets(one)[0]

    assert known(one, first)[-2:] == ["UNKNOWN", "FILLED"]
    assert placed(one) == sockets(one)


@pytest.mark.parametrize("named", [True, False])
def test_t3_a_clock_that_jumps_ahead_does_not_pass_for_patience(life, named):
    """Two minutes are skipped while an order is under way that the venue takes 50 s later: it is not doubled."""
    one = life(named=named)
    script(one, Fate("late", late_s=50.0))
    one.clock.at(FIRST + 18.0, lambda: setattr(one.clock, "skew", 120.0))
    one.boot()
    pass_to(one, 2_300)
    first = sockets(one)[0]

    assert sockets(one).count(first) == placed(one).count(first) == 1
    assert known(one, first)[-1] in ("UNKNOWN", "FILLED")


@pytest.mark.parametrize("restarted", [False, True])
def test_t3_stops_are_watched_though_a_clock_that_was_ahead_spent_the_slots(life, restarted):
    """An hour ahead, then right again, and a crash: it is sold within a period; nothing is traded before its time."""
    one = life()
    one.boot()
    pass_to(one, 7_300)
    one.clock.skew = 3_600.0
    pass_to(one, 7_500)
    one.clock.skew, spent, held = 0.0, one.memory().watermarks["risk"], set(one.memory().positions)
    if restarted:
        one.die(Crash("here"))
        one.boot()
    one.stage.market.path[8:] *= 0.7
    before = len(sockets(one))
    pass_to(one, 7_500 + 1_000)
    sold = sockets(one)[before:]
    pass_to(one, 10_000)
    still = sockets(one)[before:]
    pass_to(one, 5 * 3_600)

    assert spent == START + 10_800
    assert {id_.split("-")[1] for id_ in sold} == held
    assert all(id_.startswith("ris") for id_ in still)
    assert max(row["time"] for row in rows(one) if row["kind"] != "risk" and row["outcome"] == "done") > spent
    pages = [row for row in recent(one.home / "state" / "journal.db", "alerts", limit=99) if row["level"] == "page"]
    assert [row["code"] for row in pages] == ["CLOCK_AHEAD"]
    assert broken(one.told()) == []


def test_t3_a_person_can_flatten_though_the_slots_are_spent(life):
    one = life()
    one.boot()
    pass_to(one, 7_300)
    one.clock.skew = 3_600.0
    pass_to(one, 7_500)
    one.clock.skew = 0.0
    pass_to(one, 7_700)
    one.write("flatten")
    pass_to(one, 7_800)

    assert one.memory().positions == {}
    assert one.memory().trading_state is TradingState.HALTED


def test_t3_silence_is_counted_anew_when_the_clock_was_set_back():
    """Else an hour of frozen pair, until the clock has caught up."""
    order = Order("a", Slot(SlotKind.RISK, START).id, 0, "BTC", 1, "TARGET")
    unknown = Intent(order, IntentStatus.UNKNOWN, trace=Trace(5, 0, at=1, polls=2, asked=START + 3_600))

    later = protocol._concluded(unknown, Unproven(1.0), START)
    assert later.trace.asked == START
    assert protocol._silence(later, START + 90).seconds == 90.0


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("hidden_s", [0.0, 25.0])
def test_o3_o4_an_answer_lost_after_acceptance_is_bound_and_nothing_is_sent_again(life, named, hidden_s):
    """The wire is lost after the venue took the order, which it may show late: bound to it, placed once."""
    one = life(named=named)
    script(one, Fate("lost after", hidden_s=hidden_s))
    one.boot()
    pass_to(one, 2_100)
    first = sockets(one)[0]

    assert known(one, first)[-2:] == ["UNKNOWN", "FILLED"]
    assert placed(one) == sockets(one)


@pytest.mark.parametrize("named", [True, False])
def test_o5_a_request_that_arrives_late_is_waited_for(life, named):
    """No answer, and the venue takes the order 50 s later: nothing is sent again before it can be seen."""
    one = life(named=named)
    script(one, Fate("late", late_s=50.0))
    one.boot()
    pass_to(one, 2_100)

    assert known(one, sockets(one)[0])[-2:] == ["UNKNOWN", "FILLED"]
    assert sorted(placed(one)) == sorted(sockets(one))


@pytest.mark.parametrize("named", [True, False])
def test_o2_what_never_arrived_is_sent_again_once_under_the_same_id(life, named):
    """Lost before acceptance: after three looks over 90 s that show nothing it goes out a second time, and fills."""
    one = life(named=named)
    script(one, Fate("lost before"))
    one.boot()
    pass_to(one, 2_100)
    first = sockets(one)[0]

    assert sockets(one).count(first) == 2
    assert known(one, first)[-1] == "FILLED"
    assert placed(one).count(first) == 1


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("place", ["request", "answer"])
def test_e6_killed_at_the_socket_the_order_is_there_once(life, named, place):
    """Kill -9 before the venue took the order, and after it: restart, and the venue has it exactly once."""
    one = life(named=named)
    one.points.aim, one.points.left = f"venue place_order {place}", 1
    one.boot()
    with pytest.raises(Crash):
        pass_to(one, 1_990)
    one.die(Crash("here"))
    one.clock.elapse(5.0)
    one.boot()
    pass_to(one, 2_200)
    first = sockets(one)[0]

    assert placed(one).count(first) == 1
    assert known(one, first)[-1] == "FILLED"


def test_o19_a_halt_while_a_rebalance_is_being_sent_stops_the_legs_that_have_not_left(life):
    """The marker appears while the first order is under way: that one is booked, no other leaves."""
    one = life()
    slow = iter([Fate(there_s=30.0)])
    one.trouble.of_call = lambda name: next(slow, Fate()) if name == "place_order" else Fate()
    one.clock.at(FIRST + 5.0, lambda: set_halt(one.home, "a person", wall_time=one.clock.wall()))
    one.boot()
    pass_to(one, 1_990)

    assert len(sockets(one)) == len(placed(one)) == 1
    assert known(one, sockets(one)[0])[-1] == "FILLED"
    assert {leg.status for leg in commits(one)[-2].legs.values()} == {"FILLED", "NOT_PLACED"}


def test_o15_a_precision_that_changed_is_a_refusal_and_the_rules_are_asked_for_again(life):
    """The venue refuses the finer quantity in words: REJECTED, not repeated; the next slot knows the new rules."""
    one = life()
    coarse = [Fault("precision", asset=asset, amount_decimals=0) for asset in ASSETS]
    one.trouble.of_pairs = lambda now: coarse if one.account.trades() else []
    one.boot()
    pass_to(one, 1_990)
    rejected = [id_ for id_ in sockets(one) if known(one, id_)[-1] == "REJECTED"]

    assert rejected
    assert len(sockets(one)) == len(set(sockets(one)))
    assert not {id_ for id_ in placed(one) if id_ in rejected}


def test_o22_an_order_of_a_person_that_rests_is_left_alone_and_counted(life):
    """A limit order left from before: never touched, never bound; what it locks is still ours."""
    one = life()
    number = one.account.by_hand("SOL", Decimal(3), Decimal("10.00"))
    one.boot()
    pass_to(one, 2_100)

    assert one.account.ledger.orders[number].status == "PENDING"
    assert str(number) not in {leg.venue for event in commits(one) for leg in event.legs.values()}
    assert abs(one.told().ending.remembered["USD"] - one.account.wealth()["USD"]) < CENT


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("style", ["bare", "twap"])
def test_o22_cash_that_a_persons_order_holds_back_is_not_spent(life, named, style):
    """Three quarters of the cash are locked: purchases keep to the rest, none is refused for lack of money."""
    one = life(named=named, style=style)
    one.account.by_hand("SOL", Decimal(7_500), Decimal("10.00"))
    one.boot()
    pass_to(one, 3_000)
    spent = -sum(trade.cash for trade in one.account.trades() if trade.tag and trade.units > 0)

    assert 5_000 < spent < 25_000
    assert "REJECTED" not in {known(one, id_)[-1] for id_ in sockets(one)}
    assert broken(one.told()) == []


@pytest.mark.parametrize("share", ["0.6", "1"])
@pytest.mark.parametrize("named", [True, False])
def test_o22_units_that_a_persons_order_holds_back_are_not_sold_and_it_is_said(life, named, share):
    """A person offers some of what we hold far above the market; a stop sells what is free and is never refused."""
    one = life(named=named)
    one.boot()
    pass_to(one, 3_000)
    known_pair, held = one.account.ledger.market.pair("UNI"), one.memory().positions["UNI"].units
    offered = floor_to(held * Decimal(share), known_pair.amount_decimals)
    assert one.account.by_hand("UNI", -offered, Decimal(80))
    before = len(sockets(one))
    one.stage.market.path[3:] *= 0.8
    pass_to(one, 6_000)
    sold = [trade for trade in one.account.trades() if trade.tag in sockets(one)[before:] and trade.asset == "UNI"]
    why = recent(one.home / "state" / "journal.db", "targets", limit=999)

    assert sum((trade.units for trade in sold), Decimal(0)) == offered - held
    assert one.memory().positions["UNI"].units == offered
    assert "REJECTED" not in {known(one, id_)[-1] for id_ in sockets(one)}
    assert {row["code"] for row in why if row["asset"] == "UNI"} >= {"UNITS_LOCKED"}
    assert broken(one.told()) == []


def test_o6_a_refusal_for_lack_of_money_is_final_and_the_books_agree(life):
    """All cash is withdrawn while the plan is being sent: refused legs are REJECTED, cash never below zero."""
    one = life()
    one.clock.at(FIRST + 2.0, lambda: one.account.move(Decimal(-60_000)))
    slow = iter([Fate(there_s=10.0)])
    one.trouble.of_call = lambda name: next(slow, Fate()) if name == "place_order" else Fate()
    one.boot()
    pass_to(one, 1_990)
    one.history.events.append(Flow(Decimal(-60_000)))

    assert "REJECTED" in {known(one, id_)[-1] for id_ in sockets(one)}
    assert len(sockets(one)) == len(set(sockets(one)))
    assert one.account.wealth()["USD"] >= 0


def test_d12_a_deposit_is_a_flow_and_no_drawdown_follows_a_withdrawal(life):
    """Half the cash leaves: booked as a flow, drawdown stays where prices put it."""
    one = life()
    one.boot()
    pass_to(one, 1_000)
    one.account.move(Decimal(-50_000))
    pass_to(one, 1_815)

    assert one.memory().flows == Decimal(-50_000)
    assert one.memory().drawdown_scale == 1.0


@pytest.mark.parametrize("error", [(28, "No space left on device"), (5, "Input/output error")], ids=["s4", "s5"])
def test_s4_s5_what_cannot_be_made_durable_is_not_sent(life, error):
    """The disk refuses the commit of SENT: the order does not leave, the process gives up, the next one finishes."""
    one = life()
    one.boot()
    pass_to(one, 5_450)
    before = len(sockets(one))

    def refuses(verb, path):
        if verb == "sync begin":
            raise OSError(*error)

    one.disk.around = refuses
    with pytest.raises(Crash, match="StateError"):
        pass_to(one, 5_500)
    assert len(sockets(one)) == before

    one.disk.around = lambda verb, path: None
    one.die(Crash("here"))
    one.boot()
    pass_to(one, 5_600)
    assert len(sockets(one)) > before
    assert sockets(one) == placed(one)


def test_t1_a_rebalance_that_was_due_while_we_were_down_runs_within_its_hour(life):
    """Down at the full hour, back 20 minutes later: it runs; missed risk slots are one immediate run."""
    one = life()
    one.boot()
    pass_to(one, 7_000)
    one.die(Crash("here"))
    one.clock.elapse(1_400.0)
    one.boot()
    pass_to(one, 8_500)
    ended = {row["slot"]: (row["outcome"], row["reason"]) for row in rows(one)}

    assert ended["rebalance@2025-07-01T02:00:00Z"][0] == "done"
    assert ended["risk@2025-07-01T02:00:00Z"] == ("skipped", "coalesced")
    assert ended["risk@2025-07-01T02:15:00Z"][0] == "done"


def test_t2_t8_after_nine_hours_only_the_newest_of_each_kind_runs(life):
    """Nine hours of sleep: older slots are skipped and each ends once."""
    one = life()
    one.boot()
    pass_to(one, 7_000)
    one.die(Crash("here"))
    one.clock.elapse(9 * 3_600.0)
    one.boot()
    pass_to(one, 39_500)
    done = [row["slot"] for row in rows(one) if row["outcome"] == "done" and row["time"] > START + 7_000]

    assert [slot for slot in done if slot.startswith("rebalance")] == ["rebalance@2025-07-01T10:00:00Z"]
    assert one.told().ending.missing == ()


def test_e10_a_trade_by_hand_is_adopted(life):
    """Units that nobody's order of ours explains are taken over as they are."""
    one = life()
    one.boot()
    pass_to(one, 1_000)
    one.account.by_hand("ETH", Decimal(2))
    pass_to(one, 1_815)

    assert one.memory().positions["ETH"].units == Decimal(2)
    assert one.memory().positions["ETH"].basis is None


def test_o16_a_slice_that_nobody_understands_does_not_hold_its_slot_for_ever(life):
    """A slice is lost on its way and a person places two alike: the pair waits for a person, the slot ends in time."""
    one = life(style="twap")
    script(one, Fate("lost before"))
    one.boot()
    pass_to(one, 1_870)
    leg = next(event for event in one.history.events if isinstance(event, Socket))
    assert [one.account.by_hand(leg.asset, leg.quantity) is not None for _ in range(2)] == [True, True]
    pass_to(one, 3_000)
    ended = {row["slot"]: row["outcome"] for row in rows(one)}

    assert leg.asset in one.memory().quarantined
    assert ended["score@2025-07-01T00:30:00Z"] == "done"


def test_o1_killed_before_the_plan_is_durable_it_is_made_anew(life):
    """Kill -9 while the plan of a trading slot is being written: nothing was sent; restarted in time, it is decided."""
    one = life()
    one.boot()
    pass_to(one, 5_450)
    before = len(sockets(one))
    one.points.aim, one.points.left = "disk replace begin", 1
    with pytest.raises(Crash):
        pass_to(one, 5_500)
    assert len(sockets(one)) == before
    one.die(Crash("here"))
    one.boot()
    pass_to(one, 5_600)

    assert len(sockets(one)) > before
    assert sockets(one) == placed(one)
    assert [row["outcome"] for row in rows(one) if row["slot"] == "score@2025-07-01T01:30:00Z"] == ["done"]


def test_o7_too_many_calls_is_unknown_and_never_twice(life):
    """429 to an order: the venue does not document that it placed nothing, so it is looked for like a lost answer."""
    one = life()
    script(one, Fate("busy before"))
    one.boot()
    pass_to(one, 2_200)
    first = sockets(one)[0]

    assert known(one, first)[:3] == ["PREPARED", "SENT", "UNKNOWN"]
    assert placed(one).count(first) == 1


def test_o12_sales_fill_and_purchases_fail_the_cash_stays_and_the_next_slot_plans_anew(life):
    """Nothing can be bought for a while: each purchase is refused once a slot, no loop, no negative cash."""
    one = life()
    pairs = [Fault("suspend", asset=asset) for asset in ASSETS]
    one.trouble.of_pairs = lambda now: pairs if now < START + 3_600 else []
    one.boot()
    pass_to(one, 3_600)
    refused = sockets(one)
    assert placed(one) == []
    assert len(refused) == len(set(refused))

    pass_to(one, 3_900)
    assert placed(one)


def test_d7_a_suspended_pair_is_refused_and_the_others_go_on(life):
    """CanTrade=false of one pair: its leg is REJECTED in words, every other one fills."""
    one = life()
    one.trouble.of_pairs = lambda now: [Fault("suspend", asset="SOL")]
    one.boot()
    pass_to(one, 2_200)
    fates = {id_: known(one, id_)[-1] for id_ in sockets(one)}

    assert {fate for id_, fate in fates.items() if "-SOL-" in id_} == {"REJECTED"}
    assert {fate for id_, fate in fates.items() if "-SOL-" not in id_} == {"FILLED"}


def test_t5_a_risk_check_runs_while_a_slow_rebalance_is_being_sent(life):
    """Each order takes four minutes: the risk slot of the next quarter ends before the trading slot does."""
    one = life()
    one.trouble.of_call = lambda name: Fate(there_s=240.0) if name == "place_order" else Fate()
    one.boot()
    pass_to(one, 4_000)
    ended = [row["slot"] for row in rows(one)]

    assert ended.index("risk@2025-07-01T00:45:00Z") < ended.index("score@2025-07-01T00:30:00Z")
    assert one.told().ending.seconds == ()


def test_t9_the_zone_of_the_computer_does_not_matter(monkeypatch):
    """Four zones, one of them with a change of summer time that day: the same life to the last bit."""
    lives = set()
    for zone in ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        lives.add(live(5, Profile(slots=6)).sha256())
    monkeypatch.undo()
    time.tzset()

    assert len(lives) == 1


def test_s1_a_state_damaged_while_we_were_down_costs_no_order(life):
    """A flipped bit: the generation before is taken, the venue explains the rest, nothing is placed twice."""
    one = life()
    one.boot()
    pass_to(one, 2_500)
    one.die(Crash("here"))
    one.disk.damage(one.home / "state" / "state.json", 2_000)
    one.boot()
    pass_to(one, 5_600)

    assert len(placed(one)) == len(set(placed(one)))
    wealth, ending = one.account.wealth(), one.told().ending
    assert {coin: units for coin, units in ending.remembered.items() if coin != "USD"} == {
        coin: units for coin, units in wealth.items() if coin != "USD"
    }
    assert one.memory().trading_state == "ACTIVE"
