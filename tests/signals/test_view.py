"""One row of the signals as a slot sees it: what a row keeps for its slots is what it would say anew."""

from dataclasses import fields, replace

import fitted
import numpy as np
import pytest
import world

from evenkeel.signals import blend
from evenkeel.types import Brain, Health

T = world.START + 5 * 3600


def same(left, right):
    """Whether two views say the same in every field."""

    def equal(a, b):
        return world.same_bits(a, b) if isinstance(a, np.ndarray) else a == b

    said = [(o.name, o.health, o.strength, o.version, o.reason) for o in left.opinions]
    return said == [(o.name, o.health, o.strength, o.version, o.reason) for o in right.opinions] and all(
        equal(getattr(left, f.name), getattr(right, f.name)) for f in fields(left) if f.name != "opinions"
    )


@pytest.mark.parametrize("brain", [Brain(), fitted.brain(expires=T + 600)], ids=["rule", "alpha that expires"])
def test_a_slot_sees_the_same_whoever_looked_before(brain):
    """Close, inside of the bar, the close again: each as from signals that nobody has asked yet."""
    asked = world.judged(brain)
    for time, since in ((T, T - 1800), (T + 900, T), (T, T), (T + 1700, T - 7200), (T + 1800, T), (T - 1800, 0)):
        assert same(asked.at(time, since), replace(asked).at(time, since))


@pytest.mark.parametrize("late", [0, 900])
def test_a_view_says_what_its_opinions_come_to(late):
    """Also once the model has begun to expire inside of the bar."""
    view = world.judged(fitted.brain(expires=T + 600)).at(T + late, T)
    expected, score = blend.blend(view.opinions, view.vol, view.regime, world.RULES.opinions)

    assert view.opinions[0].health is Health.OK
    assert (view.opinions[0].strength < fitted.model().strength) == bool(late)
    assert view.heard
    assert np.abs(view.score).max() > 0
    assert world.same_bits(view.expected, expected)
    assert world.same_bits(view.score, score)


def test_every_row_is_blended_as_its_opinions_are_told():
    """Two models, one after the other, with days on which neither is well: the rule stands in."""
    first = fitted.model(trained_until=world.START - world.DAY, expires=world.START + 6 * 3600)
    second = fitted.model(trained_until=world.START + world.DAY, expires=world.START + 2 * world.DAY + 13 * 3600)
    signals = world.judged(Brain(alpha=(first, second)))
    spoke = set()
    for time in signals.panel.time[signals.first :: 3].tolist():
        view = signals.at(time, 0)
        expected, score = blend.blend(view.opinions, view.vol, view.regime, world.RULES.opinions)
        spoke |= {o.name for o in view.opinions if o.health is Health.OK}

        assert world.same_bits(view.expected, expected)
        assert world.same_bits(view.score, score)
        assert view.heard == any(blend.speaks(o) for o in view.opinions)
    assert spoke == {"alpha", "rule"}


def test_nothing_is_heard_where_no_opinion_is_well():
    settings = replace(world.SIGNALS, opinions=replace(world.RULES.opinions, rule=False))
    view = world.judged(Brain(), settings=settings).at(T, 0)

    assert not view.heard
    assert not view.score.any()
