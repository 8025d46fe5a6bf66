"""What is an actor worth? Every window of some rows, at every budget, traded once by the same step that trades.

An exam draws nothing: the same actor and windows give the same bits. Its figures are those of the average book: at each
row the mean log growth of all books that stand open there, and beside it that of holding the risk-matched share. Costs
are paid by the book and not by what it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from evenkeel.errors import NotReadyError
from evenkeel.research import significance
from evenkeel.research.env.batch import Batch, Lesson, Windows
from evenkeel.research.env.slots import SlotRules
from evenkeel.research.env.tape import Tape
from evenkeel.research.significance import Verdict
from evenkeel.signals.actor import DIRECTIONS, GENERAL, Actor, Inputs, routed
from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import DAY_S, YEAR_S

BASELINE = "the risk-matched share"

Player = Callable[[Inputs, BoolArray, Array], Array]
"""Observations (B, O), allowed (B, 3), probabilities (B, 3) of the regimes -> actions (B,) in [-1, 1]; NaN holds."""


def alone(actor: Actor) -> Player:
    """An actor that is asked whatever the regime."""
    return lambda seen, allowed, _: actor.act(seen, allowed)


def router(general: Actor, specialists: Mapping[str, Actor]) -> Player:
    """All actors mixed by the probabilities of their regimes; the general one speaks where there is no specialist."""
    actors = [specialists.get(name, general) for name in DIRECTIONS]
    return lambda seen, allowed, likely: routed([one.merits(seen) for one in actors], likely.T, allowed)


def together(actors: Mapping[str, Actor]) -> Player:
    """The actors of a served model, by name."""
    general = actors[GENERAL]
    return alone(general) if len(actors) == 1 else router(general, actors)


def hold(seen: Inputs, allowed: BoolArray, _: Array) -> Array:
    """Buy with all that there is, and keep it."""
    del allowed
    return np.ones(len(seen))


def nothing(seen: Inputs, allowed: BoolArray, _: Array) -> Array:
    """Stay in cash."""
    del allowed
    return np.zeros(len(seen))


def at_random(seed: int) -> Player:
    """Any action, drawn anew at every row."""
    rng = np.random.default_rng(seed)
    return lambda seen, *_: rng.uniform(-1.0, 1.0, len(seen))


@dataclass(frozen=True, slots=True)
class Desk:
    """Where exams are sat: a market and its windows.

    market (T, N, M) standardised inputs · regime (T, 3) probabilities
    """

    tape: Tape
    market: Inputs
    regime: Array
    rules: SlotRules
    lesson: Lesson
    where: Windows


@dataclass(frozen=True, slots=True)
class Figures:
    """What people ask first.

    sharpe  of the active return, a year · max_drawdown  of the average book, share
    win_rate  share of windows whose active return is above 0. NaN = not known
    """

    sharpe: float
    max_drawdown: float
    win_rate: float

    @property
    def score(self) -> float:
        """What actors are chosen by: the Sharpe ratio; what is not known is worst."""
        return self.sharpe if math.isfinite(self.sharpe) else -math.inf

    def to_json(self) -> dict[str, float | None]:
        """Fields as they stand in a manifest, and the score; null = not known."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__} | {"score": self.score}
        return {name: value if math.isfinite(value) else None for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Exam:
    """What came of it. C budgets, T rows, W windows.

    books (C, T) that stand open · net, matched (C, T) sums of their log growth to the next row · won (C, W)
    moved (C, W) what was traded, net of each bar, as a multiple of the book · doubtful (C, W) answers that were not
    believed: not a number, or beyond what an actor learned
    """

    time: IntArray
    budgets: tuple[float, ...]
    books: IntArray
    net: Array
    matched: Array
    won: BoolArray
    moved: Array
    doubtful: IntArray

    def growth(self, budget: float | None = None) -> tuple[IntArray, Array, Array]:
        """Times, and log growth of the average book and of the risk-matched share, where books stand open."""
        which = slice(None) if budget is None else [self.budgets.index(budget)]
        count, net, matched = (x[which].sum(axis=0) for x in (self.books, self.net, self.matched))
        open_ = count > 0
        return self.time[open_], net[open_] / count[open_], matched[open_] / count[open_]

    def figures(self, budget: float | None = None) -> Figures:
        """Of one budget, or of all of them."""
        _, net, matched = self.growth(budget)
        bar_s = float(np.median(np.diff(self.time))) if len(self.time) > 1 else math.nan
        wealth = np.exp(np.cumsum(np.append(0.0, net)))
        won = self.won if budget is None else self.won[self.budgets.index(budget)]
        return Figures(
            sharpe=significance.sharpe_ratio(net - matched) * math.sqrt(YEAR_S / bar_s),
            max_drawdown=float((1.0 - wealth / np.maximum.accumulate(wealth)).max()),
            win_rate=float(won.mean()),
        )

    def daily(self, budget: float | None = None) -> tuple[Array, Array]:
        """Simple returns of UTC days, of the average book and of the risk-matched share."""
        time, net, matched = self.growth(budget)
        _, day = np.unique((time - 1) // DAY_S, return_inverse=True)
        return np.expm1(np.bincount(day, net)), np.expm1(np.bincount(day, matched))


def sit(desk: Desk, player: Player, budgets: tuple[float, ...]) -> Exam:
    """Trade every window of the desk at every budget, all books in one batch."""
    windows, size = len(desk.where.row), len(desk.tape.time)
    batch = _batch(desk, budgets)
    seen = batch.place(
        np.tile(desk.where.row, len(budgets)),
        np.tile(desk.where.asset, len(budgets)),
        np.repeat(np.array(budgets, dtype=np.float64), windows),
    )
    shelf = np.repeat(np.arange(len(budgets)) * size, windows)
    books = np.zeros(len(budgets) * size, dtype=np.int64)
    net, matched = np.zeros(len(books)), np.zeros(len(books))
    active, moved = np.zeros(batch.count), np.zeros(batch.count)
    doubtful = np.zeros(batch.count, dtype=np.int64)
    batch.end += 1  # no book is opened anew at the end, so that what it holds can be looked at
    for _ in range(desk.lesson.bars):
        row, units, worth = batch.slots.row.copy(), batch.slots.units.copy(), batch.worth
        action = player(seen, batch.allowed(), desk.regime[row])
        came = batch.step(action)
        doubtful += ~np.isfinite(action)
        moved += np.abs(batch.slots.units - units) * desk.tape.price[row, batch.slots.asset] / worth
        books += np.bincount(shelf + row, minlength=len(books))
        net += np.bincount(shelf + row, came.net, minlength=len(books))
        matched += np.bincount(shelf + row, came.matched, minlength=len(books))
        active += came.net - came.matched
        seen = came.seen
    rows, ends = (len(budgets), size), (len(budgets), windows)
    return Exam(
        desk.tape.time, budgets, books.reshape(rows), net.reshape(rows), matched.reshape(rows),
        active.reshape(ends) > 0, moved.reshape(ends), doubtful.reshape(ends),
    )  # fmt: skip


def _batch(desk: Desk, budgets: tuple[float, ...]) -> Batch:
    """Books for an exam; moves are given as numbers, whatever the lesson calls them."""
    lesson = replace(desk.lesson, budgets=budgets, discrete=False)
    count = len(desk.where.row) * len(budgets)
    return Batch(desk.tape, desk.market, desk.rules, lesson, desk.where, count, 0)


def verdict(exam: Exam, rng: np.random.Generator, *, trials: int = 1, budget: float | None = None) -> Verdict:
    """Whether the actor beats holding the risk-matched share, on days that it was not chosen by.

    trials  how many actors were tried on these days. Raises NotReadyError below two days.
    """
    ours, theirs = exam.daily(budget)
    if len(ours) < 2:
        raise NotReadyError(f"{len(ours)} days of books cannot be judged: give later data, 60 days or more")
    return significance.verdict(BASELINE, ours, theirs, rng, trials=trials, variance=None)
