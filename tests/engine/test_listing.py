"""What the venue allows stands over what is configured; what it does not trade is frozen, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import world

from evenkeel.engine.listing import laid_over, news, shown
from evenkeel.market.quality import Fault


@dataclass(frozen=True)
class Rule:
    """A pair at a venue."""

    asset: str
    price_decimals: int = 2
    amount_decimals: int = 3
    min_notional: Decimal = Decimal(5)


def book(*rules):
    return {rule.asset: rule for rule in rules}


def test_the_venues_precision_and_minimum_count():
    pair = world.PAIRS[0]
    (found,) = laid_over([pair], book(Rule(pair.asset)))

    assert found == replace(pair, price_decimals=2, amount_decimals=3, min_notional=Decimal(5))
    assert laid_over([pair], {}) == (pair,)
    assert laid_over([found], book(Rule(pair.asset))) == (found,)


def test_only_what_is_suspended_or_gone_is_frozen():
    """A fault of its price is named before it; without a word of the venue nothing is."""
    view = world.view()
    a, b, c, *rest = view.assets
    faulty = replace(view, fault=np.where(np.array(view.assets) == b, Fault.STALE, view.fault).astype(np.int8))
    found = shown(faulty, book(*(Rule(x) for x in rest)))

    assert [Fault(found.fault[view.assets.index(x)]) for x in (a, b, c)] == [
        Fault.SUSPENDED,
        Fault.STALE,
        Fault.SUSPENDED,
    ]
    assert (found.fault[3:] == faulty.fault[3:]).all()
    assert shown(view, None) is view
    assert (shown(view, {}).fault != Fault.OK).all()


def test_every_difference_is_told_once():
    pairs = laid_over(world.PAIRS[:2], book(*(Rule(pair.asset) for pair in world.PAIRS[:2])))
    one, two = (pair.asset for pair in pairs)
    before = book(Rule(one), Rule(two))
    after = book(Rule(one, amount_decimals=1), Rule("NEW"))

    assert news(before, after, pairs) == {"changed": [one], "suspended": [two], "new": ["NEW"]}
    assert news(after, before, pairs) == {"resumed": [two]}
    assert news(after, after, laid_over(pairs, after)) == {}
