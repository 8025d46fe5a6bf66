"""What the policy is taught on: a panel in, a school out, its earlier windows to learn from, its later ones to judge.

Between the two lies a purge of one window, inputs are standardised by the earlier rows alone, and no held-out bar is
read. The market (breadth, regime) is that of the whole panel; books are opened on the symbols that are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenkeel.decide import Rules
from evenkeel.errors import DataError
from evenkeel.market import panel as panels
from evenkeel.research import folds
from evenkeel.research.env import tape as tapes
from evenkeel.research.env.batch import Lesson, Windows, windows
from evenkeel.research.env.slots import SlotRules, slot_rules
from evenkeel.research.env.tape import Tape
from evenkeel.research.exams import Desk
from evenkeel.signals.actor import DIRECTIONS, Inputs
from evenkeel.signals.compute import compute
from evenkeel.signals.policy import MARKET, Scale
from evenkeel.signals.view import SignalSettings
from evenkeel.types import Array, Brain, IntArray, Panel

CAP = 0.97
"""Share of a book that a full slot invests."""


@dataclass(frozen=True, slots=True)
class World:
    """What a book trades by: the rebalancer's rules, and how signals are computed. No opinion is heard in training."""

    rules: Rules
    signals: SignalSettings
    holdout_from: int = folds.HOLDOUT_FROM


@dataclass(frozen=True, slots=True)
class School:
    """A market with its windows.

    tape  without raw inputs · market (T, N, M) standardised by `scale` · regime (T, 3) probabilities
    taught, judged  windows before and after the purge · first, cut  rows where learning and judging begin
    """

    tape: Tape
    market: Inputs
    regime: Array
    rules: SlotRules
    lesson: Lesson
    scale: Scale
    taught: Windows
    judged: Windows
    first: int
    cut: int

    @property
    def desk(self) -> Desk:
        """Where validation is sat."""
        return Desk(self.tape, self.market, self.regime, self.rules, self.lesson, self.judged)

    def digest(self) -> str:
        """SHA-256 of everything that is learned from."""
        seen = hashlib.sha256()
        arrays = (self.tape.time, self.tape.price, self.tape.opens, self.market, *self.taught, *self.judged)
        for array in arrays:
            seen.update(np.ascontiguousarray(array).data)
        return seen.hexdigest()


def seen_tape(panel: Panel, world: World, first: int = 0) -> tuple[Tape, SlotRules]:
    """What may be seen of a panel from row `first` on, of the assets that have a pair, and the rules of their books.

    Raises DataError where the benchmark has no bars.
    """
    pairs = {pair.asset: pair for pair in world.rules.pairs}
    known = [asset for asset in panel.assets if asset in pairs]
    if world.rules.benchmark not in known:
        raise DataError(f"there are no bars of {world.rules.benchmark}, and every signal needs them: load them")
    seen = panels.pick(folds.visible(panel, holdout_from=world.holdout_from), known)
    rules = world.rules
    made = tapes.tape(compute(seen, Brain(), world.signals, first), rules)
    chosen = [pairs[asset] for asset in known]
    return made, slot_rules(chosen, rules.overlay, rules.orders, rules.costs, cap=CAP)


def school(
    panel: Panel, world: World, lesson: Lesson, *, symbols: Sequence[str] = (), validation: float = 0.2
) -> School:
    """Split what may be seen of a panel, first `1 - validation` of the rows that can be traded, then a purge, the rest.

    symbols  assets that books are opened on, none = all. Raises DataError for an unknown one, for a budget below the
    least order, and where no window fits.
    """
    tape, rules = seen_tape(panel, world)
    assets = columns(tape.assets, symbols)
    refuse_small(lesson.budgets, rules)
    able = tape.ready[:, assets].any(axis=1)
    first = int(np.argmax(able)) if able.any() else 0
    cut = first + round((len(tape.time) - first) * (1.0 - validation))
    taught = slice(first, max(first, cut - lesson.bars))
    before, after = windows(tape, lesson, taught, assets), windows(tape, lesson, slice(cut, None), assets)
    scale = tapes.scale_of(tape, taught)
    return School(
        tape=without_raw(tape), market=tape.scaled(scale), regime=directions(tape), rules=rules, lesson=lesson,
        scale=scale, taught=before, judged=after, first=first, cut=cut,
    )  # fmt: skip


def directions(tape: Tape) -> Array:
    """(T, 3) probabilities of DIRECTIONS: the same for every asset."""
    first = MARKET.index(f"p_{DIRECTIONS[0]}")
    return tape.raw[:, 0, first : first + len(DIRECTIONS)].astype(np.float64)


def without_raw(tape: Tape) -> Tape:
    """The tape without what only scaling needs: half of the memory."""
    return replace(tape, raw=np.empty((0, 0, 0), dtype=np.float32))


def refuse_small(budgets: Sequence[float], rules: SlotRules) -> None:
    """Raise DataError for a budget that buys nothing: below what a venue, or the planner, takes as an order."""
    least = max(float(rules.min_notional.max()), rules.orders.min_order_usd)
    small = [budget for budget in budgets if budget * rules.cap <= least]
    if small or not budgets:
        said = f"a budget of {small[0]:g} USD" if small else "no budget"
        raise DataError(
            f"{said} buys nothing: orders begin above {least:g} USD; give more than {least / rules.cap:.2f}"
        )


def columns(assets: Sequence[str], symbols: Sequence[str]) -> IntArray:
    """Places of the symbols among the assets, none = all. Raises DataError for one that is not there."""
    absent = [name for name in symbols if name not in assets]
    if absent:
        raise DataError(f"symbol {', '.join(absent)} is unknown: the data have {', '.join(assets)}")
    return np.array([i for i, name in enumerate(assets) if not symbols or name in symbols], dtype=np.int64)
