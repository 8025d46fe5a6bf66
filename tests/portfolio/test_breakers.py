"""Breakers open on evidence, close after calm, and never speak over a person."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.portfolio import breakers
from evenkeel.portfolio.breakers import Breakers, BreakerSettings, Call, Execution, Outcome, limit_only, trading_state
from evenkeel.types import IntentStatus, TradingState

RULES = BreakerSettings()
NOW = 1_750_000_000
ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
FILLED, REJECTED, UNKNOWN = IntentStatus.FILLED, IntentStatus.REJECTED, IntentStatus.UNKNOWN


def stepped(memory=None, events=(), now=NOW, rules=RULES):
    return breakers.step(memory or Breakers(), events, rules, now)


def calls(*latencies, at=NOW, answered=True):
    return [Call(at - i, latency, answered) for i, latency in enumerate(latencies)]


def orders(*statuses, at=NOW):
    return [Outcome(at - len(statuses) + i, status) for i, status in enumerate(statuses)]


# ---------------------------------------------------------------- what opens


def test_a_slow_venue_opens_the_latency_breaker_one_slow_call_does_not():
    assert stepped(events=calls(*[6.0] * 5))[1] == ("BREAKER_LATENCY",)
    assert stepped(events=calls(60.0, *[0.2] * 4))[1] == ()
    assert stepped(events=calls(*[60.0] * 4))[1] == ()  # too few to judge


def test_calls_that_are_not_answered_open_the_error_breaker():
    assert stepped(events=calls(*[0.1] * 3) + calls(0.1, 0.1, answered=False))[1] == ("BREAKER_ERRORS",)
    assert stepped(events=calls(*[0.1] * 8) + calls(0.1, 0.1, answered=False))[1] == ()


def test_orders_that_are_refused_open_the_reject_breaker():
    assert stepped(events=orders(FILLED, REJECTED, FILLED, REJECTED, FILLED))[1] == ("BREAKER_REJECTS",)
    assert stepped(events=orders(FILLED, REJECTED, FILLED, FILLED))[1] == ()


def test_lost_answers_in_a_row_open_the_breaker_of_unknowns_over_any_number_of_steps():
    memory, first = stepped(events=orders(FILLED, UNKNOWN, UNKNOWN))
    _, then = stepped(memory, orders(UNKNOWN, at=NOW + 900), NOW + 900)
    _, answered = stepped(memory, orders(FILLED, UNKNOWN, at=NOW + 900), NOW + 900)

    assert (first, then, answered) == ((), ("BREAKER_UNKNOWNS",), ())


def test_o11_a_fill_far_beyond_the_model_makes_the_pair_limit_only_for_a_day():
    """Three times the modelled slippage is still inside; a few basis points never open it; others are not touched."""
    far, at_limit = Execution(NOW, "BTC", 0.0031, 0.001), Execution(NOW, "ETH", 0.003, 0.001)
    tiny, unknown = Execution(NOW, "SOL", 0.0004, 0.00001), Execution(NOW, "ADA", math.nan, 0.001)
    lucky = Execution(NOW, "XRP", -0.01, 0.001)
    memory, tripped = stepped(events=[far, at_limit, tiny, unknown, lucky])

    assert tripped == ()
    assert [a for a in ("BTC", "ETH", "SOL", "ADA", "XRP") if limit_only(memory, a, NOW)] == ["BTC"]
    assert limit_only(memory, "BTC", NOW + 86_399)
    assert not limit_only(memory, "BTC", NOW + 86_400)
    assert stepped(memory, (), NOW + 86_400)[0].limit_only == {}
    again = stepped(memory, [replace(far, time=NOW + 3_600)], NOW + 3_600)[0]
    late = stepped(again, [far], NOW + 3_600)[0]  # told late, it takes nothing back
    assert limit_only(late, "BTC", NOW + 3_600 + 86_399)


# ---------------------------------------------------------------- what closes


def test_a_breaker_closes_after_calm_and_what_lies_between_the_levels_keeps_it():
    memory, _ = stepped(events=calls(*[6.0] * 5))
    told = []
    for minute, latency in [(15, 3.0), (30, 1.0), (45, 3.0), (75, 1.0), (90, 1.0), (105, 1.0)]:
        now = NOW + 60 * minute
        memory, tripped = stepped(replace(memory, calls=()), calls(*[latency] * 5, at=now), now)
        told.append(bool(tripped))

    assert told == [True, True, True, True, True, False]


def test_without_calls_nobody_knows_that_the_venue_is_well_without_orders_there_is_nothing_to_refuse():
    memory, _ = stepped(events=calls(*[6.0] * 5) + orders(*[REJECTED] * 5))
    for hour in range(1, 5):
        memory, tripped = stepped(memory, (), NOW + 3_600 * hour)

    assert tripped == ("BREAKER_LATENCY",)


def test_a_service_that_trades_nothing_finds_out_that_its_venue_is_deaf_and_that_it_is_well_again():
    """Three questions in half an hour are all that it asks: too few for a window, so the newest five count."""
    memory, seen = Breakers(), []
    for check in range(24):
        now, well = NOW + 600 * check, not 6 <= check < 12
        memory, tripped = stepped(memory, calls(0.2 if well else 10.0, at=now, answered=well), now)
        seen.append(bool(tripped))

    assert seen == [False] * 7 + [True] * 12 + [False] * 5


def test_lost_answers_of_long_ago_are_calm():
    """Where nothing is bought any more no order can answer for the others."""
    memory, first = stepped(events=orders(UNKNOWN, UNKNOWN, UNKNOWN))
    memory, then = stepped(memory, (), NOW + 1_800)
    memory, last = stepped(memory, (), NOW + 3_600)

    assert (first, then, last) == (("BREAKER_UNKNOWNS",), ("BREAKER_UNKNOWNS",), ())


def test_an_outage_reduces_and_ends_by_itself():
    memory, state, reason, seen = Breakers(), ACTIVE, "", []
    for check in range(12):
        now = NOW + 900 * check
        well = check not in (2, 3)
        memory, tripped = stepped(memory, calls(*[0.2 if well else 10.0] * 5, at=now, answered=well), now)
        state, reason = trading_state(state, reason, tripped)
        seen.append(reason)

    assert seen[:2] == ["", ""]
    assert seen[2:6] == ["BREAKER_ERRORS,BREAKER_LATENCY"] * 4
    assert seen[-1] == ""
    assert state is ACTIVE


# ---------------------------------------------------------------- laws

TRIPPED = st.sets(st.sampled_from([breakers.ERRORS, breakers.LATENCY, breakers.REJECTS])).map(sorted).map(tuple)


@pytest.mark.parametrize(("state", "reason"), [(HALTED, "by hand"), (HALTED, "BREAKER_ERRORS"), (REDUCING, "holiday")])
@given(tripped=TRIPPED)
def test_no_breaker_undoes_a_halt_or_what_a_person_chose(state, reason, tripped):
    assert trading_state(state, reason, tripped) == (state, reason)


@given(tripped=TRIPPED)
def test_breakers_reduce_and_give_back_what_they_took(tripped):
    state, reason = trading_state(ACTIVE, "", tripped)

    assert (state is REDUCING) == bool(tripped)
    assert reason == ",".join(tripped)
    assert trading_state(state, reason, ()) == (ACTIVE, "")


TIMES = st.integers(NOW - 4_000, NOW)
EVENTS = st.lists(
    st.builds(Call, TIMES, st.floats(0, 20), st.booleans())
    | st.builds(Outcome, TIMES, st.sampled_from([FILLED, REJECTED, UNKNOWN]))
    | st.builds(Execution, TIMES, st.sampled_from(["BTC", "ETH"]), st.floats(-0.01, 0.01), st.floats(0, 0.003)),
    max_size=40,
    unique_by=lambda event: event.time,
)


def plainly(events, now):
    """All of history at once, by the words of the settings: codes that open from rest."""
    events = sorted(events, key=lambda e: e.time)
    window = [e for e in events if now - 1_800 < e.time]
    called, placed = [e for e in window if isinstance(e, Call)], [e for e in window if isinstance(e, Outcome)]
    called = max(called, [e for e in events if isinstance(e, Call)][-5:], key=len)
    open_ = []
    if len(called) >= 5 and sum(not c.answered for c in called) >= 0.3 * len(called):
        open_.append("BREAKER_ERRORS")
    if len(called) >= 5 and sum(c.latency_s >= 5.0 for c in called) > (len(called) + 8) // 10:
        open_.append("BREAKER_LATENCY")
    if len(placed) >= 5 and sum(o.status is REJECTED for o in placed) >= 0.3 * len(placed):
        open_.append("BREAKER_REJECTS")
    row = [o.status is UNKNOWN for o in placed][-3:]
    if len(row) == 3 and all(row):
        open_.append("BREAKER_UNKNOWNS")
    return tuple(open_)


@given(EVENTS, st.randoms(use_true_random=False), st.integers(0, 40))
@settings(max_examples=200)
def test_from_rest_exactly_the_broken_limits_open_however_events_arrive(events, random, split):
    """Shuffled within a step, and in one step or two: the same memory."""
    events.sort(key=lambda e: e.time)
    first, second = events[:split], events[split:]
    memory, tripped = stepped(events=events)
    random.shuffle(first)
    random.shuffle(second)
    half, _ = stepped(events=first, now=max((e.time for e in first), default=NOW - 4_000))
    whole, _ = stepped(replace(half, trips={}), second)

    assert tripped == plainly(events, NOW)
    assert whole == memory


@given(st.lists(st.tuples(st.integers(0, 1_000), st.sampled_from([0.1, 2.6, 6.0, None])), min_size=1, max_size=30))
@settings(max_examples=200)
def test_a_breaker_opens_only_at_its_limit_and_closes_only_after_calm(checks):
    """The twin looks back over all readings; None = nothing was asked, which is neither bad nor calm."""
    memory, now, past, was = Breakers(), NOW, [], False
    for pause, latency in checks:
        now += pause
        memory, tripped = stepped(replace(memory, calls=()), calls(*[latency] * 5, at=now) if latency else (), now)
        past.append((now, latency))
        calm_since = now
        for time, seen in reversed(past):
            if seen != 0.1:
                break
            calm_since = time
        calm = latency == 0.1 and now - calm_since >= RULES.calm_s

        assert bool(tripped) == (latency == 6.0 or (was and not calm))
        was = bool(tripped)


def test_memory_has_a_bound():
    memory, _ = stepped(events=[Call(NOW, 0.1)] * 9_999 + [Outcome(NOW, FILLED)] * 9_999)

    assert (len(memory.calls), len(memory.outcomes)) == (500, 500)
    assert stepped(memory, (), NOW + 1_800)[0] == Breakers(calls=(Call(NOW, 0.1),) * 5)
