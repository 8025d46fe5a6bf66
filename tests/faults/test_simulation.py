"""Simulated lives are lawful, the same seed lives the same life, and what they found stays found."""

import os
import sys

import pytest

from evenkeel.engine import protocol
from evenkeel.engine.verdict import Unproven
from evenkeel.types import Intent, IntentStatus, Order, Slot, SlotKind, Trace
from faults.checker import broken
from faults.history import Committed, Socket
from faults.run import KINDS, LIVES, many, report
from faults.simulation import CADENCE, Life, Profile, live
from faults.stage import START
from faults.trouble import Fate

CALM = Profile(bad=0.0, people=0, crashes=0, jumps=False, disk=0.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_troubled_life_breaks_no_law(seed):
    assert broken(live(seed, KINDS[seed])) == []


@pytest.mark.parametrize("named", [True, False])
def test_the_same_seed_lives_the_same_life(named):
    lives = [live(3, Profile(named=named)).sha256() for _ in range(2)]

    assert lives[0] == lives[1]
    assert lives[0] != live(4, Profile(named=named)).sha256()


@pytest.mark.slow
def test_many_lives_break_no_law(capsys):
    """What `make faults` does."""
    profile = "full" if os.environ.get("EVENKEEL_TEST_PROFILE") == "full" else "short"
    told = many(range(LIVES[profile]), 2)
    with capsys.disabled():
        sys.stdout.write(f"\n{report(told, 1.0)}\n")

    assert told.broken == {}
    assert told.counts["duplicated orders"] == 0
    assert told.counts["crashes"] > 2 * told.counts["lives"]
    assert {"venue place_order request", "venue place_order answer", "journal end"} <= told.deaths.keys()


# ---------------------------------------------------------------- scripted lives


@pytest.fixture
def life(tmp_path):
    """Builds a life that goes by the test's own script."""
    lives = []

    def build(**changes):
        lives.append(Life(1, Profile(**{**vars(CALM), **changes}), tmp_path))
        return lives[-1]

    yield build
    for one in lives:
        one.journal.close()


def script(life, *fates):
    """The fates of the next orders; everything else is fine."""
    waiting = list(fates)
    life.trouble.of_call = lambda name: waiting.pop(0) if name == "place_order" and waiting else Fate()


def pass_to(life, moment):
    while life.clock.now < START + moment:
        life.clock.elapse(10.0)
        life.ask()


def test_a_flatten_does_not_swallow_a_slot_that_is_due(life):
    """A flatten at work when a risk slot falls due lets it run first: each slot of the grid ends once (law 12)."""
    one = life()
    one.boot()
    pass_to(one, 3_650)
    one.clock.forget("process")
    one.clock.elapse(CADENCE.risk)
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
    sockets = [event.id for event in one.history.events if isinstance(event, Socket)]

    assert sockets
    assert len(sockets) == len(set(sockets)) == len(one.account.trades())
    assert all(leg.status != "UNKNOWN" for leg in one.history.events[-1].legs.values())


def test_t3_silence_is_counted_anew_when_the_clock_was_set_back():
    """Else an hour of frozen pair, until the clock has caught up."""
    order = Order("a", Slot(SlotKind.RISK, START).id, 0, "BTC", 1, "TARGET")
    unknown = Intent(order, IntentStatus.UNKNOWN, trace=Trace(5, 0, at=1, polls=2, asked=START + 3_600))

    later = protocol._concluded(unknown, Unproven(1.0), START)
    assert later.trace.asked == START
    assert protocol._silence(later, START + 90).seconds == 90.0


def test_o3_after_acceptance_without_an_answer_the_order_is_bound_at_the_first_look(life):
    """The wire is lost after the venue took the order: bound by its fingerprint, placed once."""
    one = life()
    script(one, Fate("lost after"))
    one.boot()
    pass_to(one, 3_650)
    first = next(event for event in one.history.events if isinstance(event, Socket))
    seen = [
        event.legs[first.id] for event in one.history.events if isinstance(event, Committed) and first.id in event.legs
    ]

    assert next(leg.status for leg in seen if leg.status in ("UNKNOWN", "FILLED")) == "UNKNOWN"
    assert seen[-1].status == "FILLED"
    assert [trade.tag for trade in one.account.trades()].count(first.id) == 1
