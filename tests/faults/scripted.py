"""Lives that go by a test's own script: what is scripted, how time passes, and what is looked at."""

from __future__ import annotations

from evenkeel.journal import recent
from faults.history import Committed, Socket
from faults.simulation import Profile
from faults.stage import START
from faults.trouble import Fate

CALM = Profile(bad=0.0, people=0, crashes=0, jumps=False, disk=0.0, jitter=0.0, leaps=0.0)
"""Nothing goes wrong that the test does not ask for."""
FIRST = START + 1_861.0
"""When the first orders leave: the lanes wake every minute, and the first trading slot is at half past."""


def script(life, *fates):
    """The fates of the next orders; everything else is fine."""
    waiting = list(fates)
    life.trouble.of_call = lambda name: waiting.pop(0) if name == "place_order" and waiting else Fate()


def pass_to(life, moment):
    while life.clock.now < START + moment:
        life.clock.elapse(10.0)
        life.ask()


def sockets(one):
    """Ids in the order in which they left."""
    return [event.id for event in one.history.events if isinstance(event, Socket)]


def placed(one):
    """Ids in the order in which the venue has them."""
    return [trade.tag for trade in one.account.trades() if trade.tag]


def commits(one):
    return [event for event in one.history.events if isinstance(event, Committed)]


def known(one, id_):
    """What was durably known of an order, without repetitions."""
    said = [event.legs[id_].status for event in commits(one) if id_ in event.legs]
    return [status for at, status in enumerate(said) if at == 0 or said[at - 1] != status]


def rows(one):
    return recent(one.home / "state" / "journal.db", "slots", limit=10_000)
