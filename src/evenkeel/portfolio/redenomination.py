"""Is a unit of a coin still as much of it? Units and price that jump by inverse factors are the same money. Pure.

A coin that is renamed 1:1000 shows two jumps, seldom at one moment: the account has a thousand times the units, the
price is a thousandth. Either alone is a deposit or a crash, and both are wrong. So units that moved far are not
believed while their price is not, and once it is, they are held against what the price did. The law: equity and the
marks that follow it do not move.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from decimal import Decimal

import numpy as np

from evenkeel.lean import changed
from evenkeel.market.quality import Fault
from evenkeel.portfolio.book import Difference
from evenkeel.types import Holdings, Memory, Position, View, places

DOUBTED, REDENOMINATED = "UNITS_DOUBTED", "REDENOMINATED"
_PRICED = (Fault.OK, Fault.SUSPENDED)
_LIKE = 0.25
"""Price and units may miss being inverse by so much of the jump, in logs, and by no more than a spike."""


def held_back(
    memory: Memory, holdings: Holdings, view: View, spike: float, busy: Collection[str]
) -> tuple[Holdings, tuple[Difference, ...]]:
    """Holdings in which units that moved far are as remembered where the price is not believed now, and whose.

    spike  absolute log move that is far: of a price it needs a second bar to be believed
    """
    place = places(view.assets)
    odd = [
        (asset, position.units, now)
        for asset, position, now in _moved(memory, holdings, spike, busy)
        if asset in place and view.fault[place[asset]] not in _PRICED
    ]
    if not odd:
        return holdings, ()
    units = {**holdings.units, **{asset: was for asset, was, _ in odd}}
    return changed(holdings, units=units), tuple(Difference(asset, DOUBTED, was, now) for asset, was, now in odd)


def rescaled(
    memory: Memory, holdings: Holdings, view: View, spike: float, busy: Collection[str]
) -> tuple[Memory, tuple[Difference, ...]]:
    """Memory in which coins that were renamed have their new units, basis and marks, and are quarantined.

    Renamed is whose units moved far while its price jumped by the inverse, within the 30 days of `view.moves`.
    """
    found = [
        row for row in _moved(memory, holdings, spike, busy) if _inverse(view, row[0], row[1].units, row[2], spike)
    ]
    if not found:
        return memory, ()
    positions = {asset: _renamed(position, now) for asset, position, now in found}
    why = {asset: f"{REDENOMINATED}: units x {float(now / was.units):.6g}" for asset, was, now in found}
    memory = changed(memory, positions={**memory.positions, **positions}, quarantined={**memory.quarantined, **why})
    return memory, tuple(Difference(asset, REDENOMINATED, was.units, now) for asset, was, now in found)


def _moved(
    memory: Memory, holdings: Holdings, spike: float, busy: Collection[str]
) -> Iterator[tuple[str, Position, Decimal]]:
    """Positions whose units moved far without being gone or new, with the venue's units."""
    for asset, position in memory.positions.items():
        now = holdings.units.get(asset, Decimal(0))
        if now > 0 and asset not in busy and abs(math.log(now / position.units)) > spike:
            yield asset, position, now


def _inverse(view: View, asset: str, was: Decimal, now: Decimal, spike: float) -> bool:
    """Whether the price jumped by as much as the units, the other way."""
    factor, place = math.log(now / was), places(view.assets)
    if asset not in place or not len(view.moves):
        return False
    moves = view.moves[:, place[asset]]
    like = np.abs(moves + factor) <= min(spike, _LIKE * abs(factor))
    return bool((like & (np.abs(moves) > spike)).any())


def _renamed(position: Position, now: Decimal) -> Position:
    """The same money in other units."""
    by = position.units / now
    basis = None if position.basis is None else position.basis * by
    return changed(position, units=now, basis=basis, high=position.high * float(by), stop=position.stop * float(by))
