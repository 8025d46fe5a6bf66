"""Lessons: windows of the tape that books are opened on, what they observe, and what they are rewarded for.

No learning library is known here; `vec` and `single` put their interfaces around a `Batch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from evenkeel.errors import DataError
from evenkeel.research.env import slots as books
from evenkeel.research.env.slots import SlotRules, Slots
from evenkeel.research.env.tape import Tape
from evenkeel.signals.actor import MOVES, Inputs, permitted
from evenkeel.signals.policy import NAMES, Scale, inputs, own_part
from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import DAY_S, YEAR_S

UNIT = 100.0
"""Rewards are percent of log equity, so that a step's is near 1."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is taught.

    bars        of a window · overlap of neighbouring windows, share · budgets USD, one drawn for each window
    drawdown    lambda: percent of reward lost per percent by which the drawdown of the window deepens
    vol_target  a year; the share that makes an asset as volatile as this is what a book is compared with
    discrete    BUY, SELL or HOLD instead of a number
    """

    bars: int = 240
    overlap: float = 0.25
    budgets: tuple[float, ...] = (1_000.0, 10_000.0, 50_000.0, 100_000.0)
    drawdown: float = 0.1
    vol_target: float = 0.45
    discrete: bool = False


class Windows(NamedTuple):
    """Where a window may begin: rows and assets, (W,) each."""

    row: IntArray
    asset: IntArray


def windows(tape: Tape, lesson: Lesson, rows: slice, assets: IntArray | None = None) -> Windows:
    """Windows that lie wholly within `rows`, one every bars x (1 - overlap), where the asset can be bought at first
    and has a price and a volatility throughout.

    Raises DataError when there is none.
    """
    begin, end, _ = rows.indices(len(tape.time))
    step = max(1, round(lesson.bars * (1.0 - lesson.overlap)))
    known = np.isfinite(tape.price) & np.isfinite(tape.day_vol) & np.isfinite(tape.opens)
    starts = np.arange(begin, end - lesson.bars, step)
    columns = np.arange(len(tape.assets)) if assets is None else assets
    good = [
        (row, column)
        for row in starts.tolist()
        for column in columns.tolist()
        if tape.ready[row, column] and known[row : row + lesson.bars + 1, column].mean() > 0.95
        and known[[row, row + lesson.bars], column].all()
    ]  # fmt: skip
    if not good:
        raise DataError(
            f"no window of {lesson.bars} bars fits: {max(0, end - begin)} rows of {len(columns)} assets are there, and "
            "an asset must be known throughout: give more data, or a shorter window"
        )
    chosen = np.array(good, dtype=np.int64)
    return Windows(chosen[:, 0], chosen[:, 1])


class Step(NamedTuple):
    """What came of one step, (B, ...) each. `last` are the observations that ended windows, where `done`.

    net  log growth of the book, costs paid · matched  that of holding the risk-matched share
    """

    seen: Inputs
    reward: Array
    done: BoolArray
    last: Inputs
    net: Array
    matched: Array


@dataclass(slots=True)
class Batch:
    """B books in windows of one tape. The same seed and actions give the same bits.

    draws  how often windows have been drawn: with `seed` it says everything about chance
    """

    tape: Tape
    market: Inputs
    rules: SlotRules
    lesson: Lesson
    where: Windows
    count: int
    seed: int
    draws: int = 0
    slots: Slots = field(init=False)
    end: IntArray = field(init=False)
    worth: Array = field(init=False)

    def __post_init__(self) -> None:
        self.slots = books.empty(self.count)
        self.end = np.zeros(self.count, dtype=np.int64)
        self.worth = np.zeros(self.count)

    def reset(self) -> Inputs:
        """Open all books anew -> (B, len(NAMES)) observations."""
        self._open(np.ones(self.count, dtype=bool))
        return self.observe()

    def place(self, row: IntArray, asset: IntArray, budget: Array) -> Inputs:
        """Open each book where it is told, (B,) each -> (B, len(NAMES)) observations."""
        self._place(np.ones(self.count, dtype=bool), row, asset, budget)
        return self.observe()

    def observe(self) -> Inputs:
        """(B, len(NAMES)) what the books show."""
        mine = own_part(books.own(self.tape, self.slots, self.rules))
        return inputs(self.market[self.slots.row, self.slots.asset], mine)

    def allowed(self) -> BoolArray:
        """(B, 3) which of BUY, SELL, HOLD may be chosen now."""
        can_buy, can_sell = books.can_trade(self.tape, self.slots)
        worth = books.equity(self.tape, self.slots)
        price = self.tape.price[self.slots.row, self.slots.asset]
        share = self.slots.units * price / worth / self.rules.cap
        cash = self.slots.cash > np.maximum(self.rules.min_notional[self.slots.asset], self.rules.orders.min_order_usd)
        return permitted(share, can_buy=can_buy & cash, can_sell=can_sell)

    def step(self, action: Array) -> Step:
        """Trade, go one bar on, check stops. action (B,) in [-1, 1], or (B,) 0, 1, 2 where the lesson is discrete."""
        moves = MOVES[action.astype(np.int64)] if self.lesson.discrete else np.clip(action, -1.0, 1.0)
        before, matched = self.worth, self._matched()
        books.trade(self.tape, self.slots, self.rules, moves)
        self.slots.row += 1
        books.watch(self.tape, self.slots, self.rules)
        self.worth = books.equity(self.tape, self.slots)
        fall = 1.0 - before / self.slots.peak
        np.maximum(self.slots.peak, self.worth, out=self.slots.peak)
        deeper = np.maximum(0.0, 1.0 - self.worth / self.slots.peak - fall)
        net = np.log(self.worth / before)
        reward = UNIT * (net - matched - self.lesson.drawdown * deeper)
        done = self.slots.row >= self.end
        seen = last = self.observe()
        if done.any():
            self._open(done)
            seen = self.observe()
        return Step(seen, reward, done, last, net, matched)

    def _matched(self) -> Array:
        """(B,) log return, to the next row, of holding the risk-matched share."""
        at, then = (self.slots.row, self.slots.asset), (self.slots.row + 1, self.slots.asset)
        yearly = self.tape.day_vol[at] * np.sqrt(YEAR_S / DAY_S)
        share = self.rules.cap * np.clip(self.lesson.vol_target / yearly, 0.0, 1.0)
        gain: Array = np.log1p(share * (self.tape.price[then] / self.tape.price[at] - 1.0))
        return np.where(np.isfinite(gain), gain, 0.0)

    def _open(self, which: BoolArray) -> None:
        """Draw a window and a budget for some books."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, self.draws]))
        self.draws += 1
        picked = rng.integers(len(self.where.row), size=self.count)[which]
        budget = np.array(self.lesson.budgets)[rng.integers(len(self.lesson.budgets), size=self.count)[which]]
        self._place(which, self.where.row[picked], self.where.asset[picked], budget)

    def _place(self, which: BoolArray, row: IntArray, asset: IntArray, budget: Array) -> None:
        self.slots.open(which, row, asset, budget)
        self.end[which] = row + self.lesson.bars
        self.worth[which] = budget


def batch(tape: Tape, scale: Scale, rules: SlotRules, lesson: Lesson, where: Windows, count: int, seed: int) -> Batch:
    """Books on a tape, its market inputs scaled once."""
    return Batch(tape, tape.scaled(scale), rules, lesson, where, count, seed)


SHAPE = (len(NAMES),)
"""Shape of one observation."""
