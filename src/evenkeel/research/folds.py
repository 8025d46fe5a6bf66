"""Which decisions may a model learn from, and on which is it judged? Times in, purged walk-forward folds out.

The law (de Prado 2018, chapter 7): a label ends before the test begins. A decision at t is trained on only where
t + 1 bar + horizon + embargo <= test start. Bars after `HOLDOUT_FROM` belong to nobody who has not asked for them by
name, and every such use is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenkeel.errors import DataError, EvidenceError, NotReadyError, StateError
from evenkeel.market import panel as panels
from evenkeel.types import BoolArray, IntArray, Panel
from evenkeel.units import DAY_S, HOUR_S, iso

HOLDOUT_FROM = 1_751_328_000
"""2025-07-01T00:00:00Z: later bars judge the shipped models and are read for nothing else."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Train on decisions train_from <= t <= train_until, judge on test_from <= t < test_until (UTC s)."""

    number: int
    train_from: int
    train_until: int
    test_from: int
    test_until: int

    def train(self, time: IntArray) -> BoolArray:
        """(D,) decisions that are trained on."""
        chosen: BoolArray = (time >= self.train_from) & (time <= self.train_until)
        return chosen

    def test(self, time: IntArray) -> BoolArray:
        """(D,) decisions that are judged."""
        chosen: BoolArray = (time >= self.test_from) & (time < self.test_until)
        return chosen


@dataclass(frozen=True, slots=True)
class HoldoutUse:
    """Leave to read held-out bars: where it is written down, when (UTC s), and for what."""

    log: Path
    time: int
    purpose: str


def purge_s(horizon_h: int, bar_s: int) -> int:
    """Seconds between a decision and the end of its label, one bar of safety included."""
    return horizon_h * HOUR_S + bar_s


def walk_forward(
    first: int,
    last: int,
    *,
    count: int,
    gap_s: int,
    embargo_s: int = 0,
    first_train: float = 0.4,
    train_s: int | None = None,
    min_train_s: int = 14 * DAY_S,
    min_test_s: int = 2 * DAY_S,
) -> tuple[Fold, ...]:
    """`count` folds whose tests follow one another to the end of the data.

    first, last  UTC s of the first and last decision · gap_s  see `purge_s` of the longest horizon · embargo_s  s more
    first_train  share of the time before the first test · train_s  length of a rolling train window; None = from first
    Raises DataError for arguments out of range, NotReadyError where the time is too short.
    """
    if count < 1 or not 0.0 < first_train < 1.0 or gap_s < 0 or embargo_s < 0:
        raise DataError(f"{count} folds after {first_train:g} of the time: give 1 or more, and a share in (0, 1)")
    begin = first + int((last - first) * first_train)
    length = (last + 1 - begin) // count
    if begin - gap_s - embargo_s - first < min_train_s or length < min_test_s:
        raise NotReadyError(
            f"too little history for {count} folds: {(last - first) / DAY_S:.0f} days give {length / DAY_S:.1f} days a "
            f"test and {max(0, begin - gap_s - embargo_s - first) / DAY_S:.1f} to learn from; {min_test_s / DAY_S:g} "
            f"and {min_train_s / DAY_S:g} are needed: load more, or ask for fewer folds"
        )
    folds = []
    for i in range(count):
        start = begin + i * length
        until = start - gap_s - embargo_s
        since = first if train_s is None else max(first, until - train_s)
        folds.append(Fold(i, since, until, start, last + 1 if i == count - 1 else start + length))
    for fold in folds:
        require_purged(fold, np.array([fold.train_until]), gap_s, embargo_s)
    return tuple(folds)


def inner(fold: Fold, gap_s: int, share: float = 0.15) -> tuple[int, int]:
    """Split a fold's training time for early stopping: (last decision to fit on, first to stop by), UTC s, purged."""
    stop_from = fold.train_until - int((fold.train_until - fold.train_from) * share)
    return stop_from - gap_s, stop_from


def require_purged(fold: Fold, trained: IntArray, gap_s: int, embargo_s: int = 0) -> None:
    """Raise EvidenceError unless every trained decision's label, and the embargo, end before the fold's test."""
    if len(trained) and int(trained.max()) + gap_s + embargo_s > fold.test_from:
        raise EvidenceError(
            f"fold {fold.number} trains on {iso(int(trained.max()))}, whose label ends {gap_s / HOUR_S:g} h later, "
            f"after its test begins at {iso(fold.test_from)}: purge the train window"
        )


def visible(panel: Panel, *, use: HoldoutUse | None = None, holdout_from: int = HOLDOUT_FROM) -> Panel:
    """The panel without held-out bars; with `use` the whole panel, and a line in the holdout log.

    Nothing computed from what is returned can have read a held-out price. Raises DataError if nothing is left,
    StateError where the use cannot be written down.
    """
    if int(panel.time[-1]) <= holdout_from:
        return panel
    if use is None:
        return panels.until(panel, holdout_from)
    line = f"{iso(use.time)} {use.purpose}: bars {iso(holdout_from)} to {iso(int(panel.time[-1]))}\n"
    try:
        use.log.parent.mkdir(parents=True, exist_ok=True)
        with use.log.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise StateError(
            f"cannot write {use.log} ({error.strerror}), and no held-out bar is read unseen: make it writable"
        ) from error
    return panel
