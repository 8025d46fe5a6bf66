"""A small tape for the tests of the environment: twelve pairs of the embedded market, ten days of half-hours."""

from dataclasses import replace
from functools import cache

from evenkeel.research.env import batch as lessons
from evenkeel.research.env.slots import slot_rules
from evenkeel.research.env.tape import scale_of, tape
from laws import world

QUIET = replace(world.SIGNALS, opinions=replace(world.RULES.opinions, alpha=False, policy=False, edge=False))


@cache
def market(seed=1, days=10):
    """The tape and its scale."""
    made = tape(world.judged(world.Brain(), seed, days, 1_800, 2.5, QUIET), world.RULES)
    return made, scale_of(made, slice(None))


def rules(**overlay):
    """What one book obeys."""
    limits = replace(world.RULES.overlay, **overlay)
    return slot_rules(world.PAIRS, limits, world.RULES.orders, world.RULES.costs)


def books(count=8, seed=3, only=None, **lesson):
    """A batch of books."""
    made, scale = market()
    plan = lessons.Lesson(**{"bars": 120, **lesson})
    where = lessons.windows(made, plan, slice(None))
    return lessons.batch(made, scale, only or rules(), plan, where, count, seed)
