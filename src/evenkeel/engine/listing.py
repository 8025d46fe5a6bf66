"""What does the venue allow of each pair now? Its own precision, minimum and suspensions over what is configured. Pure.

The venue is right: a quantity that it would refuse is not planned, and a pair that it has suspended keeps its weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol, runtime_checkable

import numpy as np

from evenkeel.market.quality import Fault
from evenkeel.types import Pair, View


class Allowed(Protocol):
    """One pair against USD as the venue has it; min_notional USD."""

    @property
    def price_decimals(self) -> int:
        """Decimals of a price."""

    @property
    def amount_decimals(self) -> int:
        """Decimals of a quantity."""

    @property
    def min_notional(self) -> Decimal:
        """An order has to be above it."""


Rulebook = Mapping[str, Allowed]
"""What can be traded now, by asset: what is not in it is suspended or not listed."""


@runtime_checkable
class Lister(Protocol):
    """A venue that tells what it allows."""

    def rulebook(self, time: int) -> Rulebook:
        """Every pair that can be traded now. Raises VenueError and VenueUnknownError."""


def laid_over(pairs: Iterable[Pair], rulebook: Rulebook) -> tuple[Pair, ...]:
    """The pairs with the venue's precision and minimum; what it does not trade now stays as it is."""
    return tuple(_laid(pair, rulebook.get(pair.asset)) for pair in pairs)


def _laid(pair: Pair, now: Allowed | None) -> Pair:
    if now is None:
        return pair
    return replace(
        pair, price_decimals=now.price_decimals, amount_decimals=now.amount_decimals, min_notional=now.min_notional
    )


def shown(view: View, rulebook: Rulebook | None) -> View:
    """The view in which a pair that the venue does not trade now is SUSPENDED: frozen, and bought by nobody.

    rulebook  None = the venue has not said, or tells nothing: all are traded
    """
    closed = np.array([_closed(asset, rulebook) for asset in view.assets])
    if not closed.any():
        return view
    fault = np.where(closed & (view.fault == Fault.OK), Fault.SUSPENDED, view.fault)
    return replace(view, fault=fault.astype(view.fault.dtype))


def _closed(asset: str, rulebook: Rulebook | None) -> bool:
    return rulebook is not None and asset not in rulebook


def news(before: Rulebook | None, after: Rulebook, pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """What is different, by kind, as assets; `pairs` as planned so far. Kinds without an asset are left out.

    changed    precision or minimum · suspended, resumed  of what may be held · new  traded, and not in the universe
    """
    ours = [pair.asset for pair in pairs]
    found = {
        "changed": [pair.asset for pair in pairs if _laid(pair, after.get(pair.asset)) != pair],
        "suspended": [asset for asset in ours if _closed(asset, after) and not _closed(asset, before)],
        "resumed": [asset for asset in ours if _closed(asset, before) and not _closed(asset, after)],
        "new": [asset for asset in after if asset not in (before or {}) and asset not in ours],
    }
    return {kind: sorted(assets) for kind, assets in found.items() if assets}
