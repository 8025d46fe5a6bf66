"""What is learned from, and what is judged on: a cut in time, and a check that nothing of one is in the other.

Quotes of one market share its outcome. A split by random rows puts some of them on each side; a model then recognises
the market and "wins". The law: no evidence is made of a split that `refuse` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenkeel.errors import DataError, EvidenceError
from evenkeel.research.kalshi.settled import Settled, ordered
from evenkeel.types import BoolArray
from evenkeel.units import iso

FOLDS = 4
LEAST_CLUSTERS = 2 * (FOLDS + 1)


def by_time(quotes: Settled, part: float, before: int | None = None) -> BoolArray:
    """(n,) which rows are learned from: of clusters that settled before a time, or before the first `part` of them had.

    Raises DataError where either side would be too small.
    """
    _, closes = ordered(quotes.cluster, quotes.close)
    enough(quotes, np.full(len(quotes.time), fill_value=True))
    train = quotes.close < (int(closes[round(part * len(closes))]) if before is None else before)
    first, second = len(np.unique(quotes.cluster[train])), len(np.unique(quotes.cluster[~train]))
    if min(first, second) < LEAST_CLUSTERS:
        raise DataError(
            f"{first} settled events to learn from and {second} to judge on, each needs {LEAST_CLUSTERS}: give more "
            "data, or another --before"
        )
    return train


def enough(quotes: Settled, used: BoolArray) -> None:
    """Raise DataError where the rows that can be judged are of too few events to say anything."""
    events = len(np.unique(quotes.cluster[used]))
    if events < LEAST_CLUSTERS:
        raise DataError(
            f"{events} settled events can be judged, {LEAST_CLUSTERS} are needed: give more, or later, quotes"
        )


def by_rows(quotes: Settled, part: float, seed: int) -> BoolArray:
    """(n,) a random `part` of the rows: the planted leak."""
    return np.random.default_rng(seed).random(len(quotes.time)) < part


def refuse(quotes: Settled, train: BoolArray) -> None:
    """Raise EvidenceError where an event is on both sides, or a quote is judged by what had not settled then."""
    both = np.intersect1d(quotes.cluster[train], quotes.cluster[~train])
    if len(both):
        of = len(np.unique(quotes.cluster))
        raise EvidenceError(
            f"{len(both)} of {of} events are on both sides of the split, so that what was learned is what is judged: "
            "split by close"
        )
    last, first = int(quotes.close[train].max()), int(quotes.time[~train].min())
    if first < last:
        raise EvidenceError(
            f"quotes of {iso(first)} would be judged by what settled at {iso(last)}, not known then: split by close"
        )


def folds(quotes: Settled) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Expanding cuts in time of what is learned from: rows before, and rows of the next block of clusters."""
    names, _ = ordered(quotes.cluster, quotes.close)
    blocks = np.array_split(names, FOLDS + 1)
    for k in range(1, FOLDS + 1):
        test: BoolArray = np.isin(quotes.cluster, blocks[k])
        begins = int(quotes.time[test].min())
        yield (np.isin(quotes.cluster, np.concatenate(blocks[:k])) & (quotes.close <= begins)), test
