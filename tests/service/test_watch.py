"""The watched broker: what goes through it is unchanged; a bad venue only reduces, and says so once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from evenkeel.engine.ports import Touch
from evenkeel.errors import AccessRefusedError, VenueError, VenueUnknownError
from evenkeel.portfolio.breakers import BreakerSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.service.watch import Expectation, Watched
from evenkeel.store.codec import from_json, to_json
from evenkeel.types import Fill, Holdings, Identity, Intent, IntentStatus, Memory, Order, Pair, TradingState

START = 1_751_328_000
MEMORY = Memory(Identity("roostoo", "a", "real", ""), 0, cash=Decimal(100))


class Market:
    """BTC at 100."""

    def touch(self, _asset):
        """One tick wide."""
        return Touch(99.99, 100.01, 1e9)


class Slow:
    """A venue whose calls take as long as it is told, and may fail."""

    again = False

    def __init__(self):
        self.now, self.takes, self.fails = float(START), 0.1, None

    def holdings(self, time, *, urgent=False):
        """After a while."""
        self.now += self.takes
        if self.fails is not None:
            raise self.fails
        return Holdings(int(time), Decimal(100), {})

    def send(self, order, _time, _may=None):
        """What was sent."""
        return order


def watched(venue, memory=MEMORY, **settings):
    expected = Expectation(
        BreakerSettings(**{"least": 3, "calm_s": 60, "window_s": 60, **settings}), CostSettings(),
        {"BTC": Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(1))}, Market(), lambda: venue.now, lambda: venue.now,
    )  # fmt: skip
    return Watched(venue, expected, memory)


def asked(watch, venue, times, apart=1.0):
    for _ in range(times):
        venue.now += apart
        with suppress(VenueError, VenueUnknownError):
            watch.holdings(venue.now)


def intent(number, status, price="100", quantity="1"):
    order = Order(f"reb-BTC-{number}", "s", number, "BTC", Decimal(quantity), "TARGET")
    fill = Fill(f"f{number}", order.id, "BTC", Decimal(quantity), Decimal(price), Decimal(0), START)
    return Intent(order, status, 1, "", (fill,) if status is IntentStatus.FILLED else ())


def test_a_slow_venue_only_reduces_and_comes_back_after_calm():
    """Opened at its limit, told once with an alert and an audit row, closed after a calm minute."""
    venue = Slow()
    watch = watched(venue, latency_s=2.0)
    venue.takes = 3.0
    asked(watch, venue, 5)
    reduced = watch.judged(MEMORY)
    again = watch.judged(reduced)
    venue.takes = 0.1
    asked(watch, venue, 70)
    watch.judged(reduced)
    asked(watch, venue, 70)
    calm = watch.judged(reduced)

    assert (reduced.trading_state, reduced.state_reason) == (TradingState.REDUCING, "BREAKER_LATENCY")
    assert [row["code"] for row in reduced.outbox["tables"]["alerts"]] == ["BREAKER_LATENCY"]
    assert len(reduced.outbox["tables"]["audit"]) == 1
    assert again is reduced
    assert (calm.trading_state, calm.state_reason, calm.trips) == (TradingState.ACTIVE, "", {})


class Patient(Slow):
    """Most of the time of a call is a wait for its turn under our own budget."""

    waited = 0.0

    def holdings(self, time, *, urgent=False):
        """The wait, and then the venue."""
        self.now, self.waited = self.now + 30.0, self.waited + 30.0
        return super().holdings(time, urgent=urgent)


def test_a_wait_for_our_own_turn_is_no_latency_of_the_venue():
    venue = Patient()
    watch = watched(venue, latency_s=2.0, window_s=600)
    asked(watch, venue, 5)
    quick, reading = watch.judged(MEMORY), watch.readings()["BREAKER_LATENCY"]["value"]
    venue.takes = 3.0
    asked(watch, venue, 5)

    assert quick is MEMORY
    assert reading == pytest.approx(0.1)
    assert watch.judged(MEMORY).state_reason == "BREAKER_LATENCY"


@pytest.mark.parametrize("reason", ["halt: me", "marker state/HALT"])
def test_no_breaker_undoes_a_halt(reason):
    venue = Slow()
    watch = watched(venue, latency_s=2.0)
    halted = replace(MEMORY, trading_state=TradingState.HALTED, state_reason=reason)
    venue.takes = 3.0
    asked(watch, venue, 5)
    after = watch.judged(halted)

    assert (after.trading_state, after.state_reason) == (TradingState.HALTED, reason)
    assert set(after.trips) == {"BREAKER_LATENCY"}


def test_calls_that_fail_open_a_breaker_and_the_error_goes_through():
    venue = Slow()
    watch = watched(venue)
    venue.fails = VenueUnknownError("timed out")
    with pytest.raises(VenueUnknownError):
        watch.holdings(START)
    asked(watch, venue, 4)

    assert watch.judged(MEMORY).state_reason == "BREAKER_ERRORS"
    assert watch.readings()["BREAKER_ERRORS"] == {"value": 1.0, "limit": 0.3}


REVOKED = AccessRefusedError("no access (HTTP 401)")


def test_e1_a_key_that_is_refused_three_times_in_a_row_halts_and_pages():
    """Not once, not twice; a call that is answered in between begins anew, one that is lost says nothing."""
    venue = Slow()
    watch = watched(venue)
    for fails in (REVOKED, REVOKED, None, REVOKED, VenueUnknownError("timed out"), REVOKED):
        venue.fails = fails
        asked(watch, venue, 1)
        assert watch.judged(MEMORY).trading_state is TradingState.ACTIVE
    venue.fails = REVOKED
    asked(watch, venue, 1)
    halted = watch.judged(MEMORY)

    assert halted.trading_state is TradingState.HALTED
    assert halted.state_reason == "ACCESS_REFUSED: no access (HTTP 401)"
    assert [(row["level"], row["code"]) for row in halted.outbox["tables"]["alerts"]] == [("page", "ACCESS_REFUSED")]
    assert len(halted.outbox["tables"]["audit"]) == 1
    assert watch.judged(halted) is halted


def test_e1_who_resumes_with_a_key_that_is_still_refused_is_halted_again_and_with_a_good_one_is_not():
    venue = Slow()
    watch = watched(venue)
    venue.fails = REVOKED
    asked(watch, venue, 4)
    resumed = replace(watch.judged(MEMORY), trading_state=TradingState.ACTIVE, state_reason="resume")

    asked(watch, venue, 1)
    assert watch.judged(resumed).trading_state is TradingState.HALTED
    venue.fails = None
    asked(watch, venue, 1)
    assert watch.judged(resumed) is resumed


def test_e1_a_refusal_of_one_order_is_no_closed_door():
    venue = Slow()
    watch = watched(venue)
    venue.fails = VenueError("insufficient balance")
    asked(watch, venue, 9)

    assert watch.judged(MEMORY) is MEMORY


def test_three_lost_answers_in_a_row_open_a_breaker_whoever_asks_how_often():
    """The same unresolved order is one lost answer, however often its slot is looked at."""
    watch = watched(Slow())
    for _ in range(5):
        watch.saw([intent(0, IntentStatus.UNKNOWN), intent(1, IntentStatus.UNKNOWN)])
    two = watch.judged(MEMORY)
    watch.saw([intent(2, IntentStatus.UNKNOWN)])

    assert two is MEMORY
    assert watch.judged(MEMORY).state_reason == "BREAKER_UNKNOWNS"


def test_o11_a_fill_far_from_expectation_puts_its_pair_on_limits_for_a_day():
    venue = Slow()
    watch = watched(venue)
    for number, price in enumerate(("100.02", "101")):
        made = intent(number, IntentStatus.FILLED, price)
        watch.send(made.order, START)
        watch.saw([made])
    memory = watch.judged(MEMORY)

    assert memory.limit_only == {"BTC": START + 86_400}
    assert memory.trading_state is TradingState.ACTIVE
    assert [(row["code"], row["asset"]) for row in memory.outbox["tables"]["alerts"]] == [("BREAKER_SLIPPAGE", "BTC")]


def test_open_breakers_survive_a_restart():
    """Measurements begin anew; what is open stays open until the venue was seen calm."""
    venue = Slow()
    open_ = replace(
        MEMORY, trips={"BREAKER_LATENCY": START - 5}, limit_only={"BTC": START + 50},
        trading_state=TradingState.REDUCING, state_reason="BREAKER_LATENCY",
    )  # fmt: skip
    watch = watched(venue, from_json(Memory, to_json(open_)))

    assert watch.judged(open_) is open_
    asked(watch, venue, 70)
    watch.judged(open_)
    asked(watch, venue, 70)
    assert watch.judged(open_).trading_state is TradingState.ACTIVE


def test_a_state_from_before_the_breakers_is_read():
    old = to_json(MEMORY)
    del old["trips"], old["limit_only"]

    assert from_json(Memory, old) == MEMORY
