"""Circuit breakers in a living service: they open in bad weather, only reduce, and close again by themselves."""

import pytest

from evenkeel.portfolio.breakers import BreakerSettings
from evenkeel.types import TradingState
from faults.checker import broken
from faults.clockwork import Crash
from faults.history import Socket
from faults.scripted import pass_to, script, sockets
from faults.trouble import Fate

HOUR = 3_600


@pytest.mark.parametrize("storm", ["deaf", "slow"])
@pytest.mark.parametrize("named", [True, False])
def test_a_storm_opens_a_breaker_and_hours_of_calm_close_it(life, storm, named):
    """As configured by default: only reducing from then on; a service that trades nothing finds out that it is calm."""
    one = life(style="market", named=named, breakers=BreakerSettings(), asks_rules=True)
    one.boot()
    pass_to(one, HOUR)
    one.trouble.storm = storm
    pass_to(one, 3 * HOUR)
    opened, state = one.memory().trips, one.memory().trading_state
    one.trouble.storm = ""
    pass_to(one, 7 * HOUR)
    before = len(sockets(one))
    pass_to(one, 9 * HOUR)

    assert opened
    assert state is TradingState.REDUCING
    assert (one.memory().trips, one.memory().trading_state) == ({}, TradingState.ACTIVE)
    assert len(sockets(one)) > before
    assert broken(one.told()) == []


def test_purchases_that_were_never_answered_do_not_reduce_for_ever(life):
    """An account of cash alone: purchases are lost one after the other, nothing is bought, and nothing can be sold."""
    one = life(style="market", named=True, breakers=BreakerSettings())
    script(one, *[Fate("lost before")] * 4)
    one.boot()
    pass_to(one, 2_000)
    opened = one.memory().trips
    pass_to(one, 5 * HOUR)

    assert "BREAKER_UNKNOWNS" in opened
    assert (one.memory().trips, one.memory().trading_state) == ({}, TradingState.ACTIVE)
    assert broken(one.told()) == []


def test_a_breaker_is_open_after_a_restart_too(life):
    """What was measured is gone with the process; that it reduces is not."""
    one = life(style="market", breakers=BreakerSettings())
    one.boot()
    pass_to(one, HOUR)
    one.trouble.storm = "slow"
    pass_to(one, 3 * HOUR)
    one.trouble.storm = ""
    one.die(Crash("here"))
    one.boot()
    bought = [event for event in one.history.events if isinstance(event, Socket) and event.quantity > 0]
    pass_to(one, 3 * HOUR + 1_800)

    assert one.memory().trading_state is TradingState.REDUCING
    assert [event for event in one.history.events if isinstance(event, Socket) and event.quantity > 0] == bought


def test_a_resume_closes_no_breaker(life):
    """Whoever halts and resumes under an open one is REDUCING from the first moment, and ACTIVE when it closes."""
    one = life(style="market", named=True, breakers=BreakerSettings())
    script(one, *[Fate("lost before")] * 4)
    one.boot()
    pass_to(one, 2_000)
    one.write("halt")
    pass_to(one, 2_200)
    one.write("resume")
    pass_to(one, 2_220)
    resumed = one.memory()
    pass_to(one, 5 * HOUR)

    assert (resumed.trading_state, resumed.state_reason) == (TradingState.REDUCING, ",".join(resumed.trips))
    assert "BREAKER_UNKNOWNS" in resumed.trips
    assert (one.memory().trips, one.memory().trading_state) == ({}, TradingState.ACTIVE)
    assert broken(one.told()) == []


def test_o11_a_thin_book_puts_its_pairs_at_limits_and_what_is_planned_then_does_not_cross(life):
    """Fills half a percent off for half an hour: whatever is planned for those pairs afterwards leaves at a limit."""
    one = life(style="market", breakers=BreakerSettings())
    one.account.ledger.book.thin = True
    one.boot()
    pass_to(one, 2_000)
    one.account.ledger.book.thin, limited = False, set(one.memory().limit_only)
    pass_to(one, 3 * HOUR)
    later = [event for event in one.history.events if isinstance(event, Socket) and event.asset in limited]

    assert limited
    assert {event.limit for event in later[len(limited) :] if not event.id.startswith("ris")} == {True}
    assert broken(one.told()) == []
