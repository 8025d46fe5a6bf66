"""Does what a policy wants order the assets as their returns then do? A player and a market in, IC per decision out.

What it wants is asked of slots that are half held: both directions are open and equally far. Of an empty slot nothing
can be sold, and the actions of an actor that knows it say nothing of the assets that it dislikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenkeel.research import evidence
from evenkeel.research.env.tape import Tape
from evenkeel.research.evidence import MIN_ASSETS, Evidence
from evenkeel.research.exams import Player
from evenkeel.research.lessons import CAP
from evenkeel.signals.actor import Inputs
from evenkeel.signals.policy import Own, inputs, own_part
from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import DAY_S, HOUR_S

STEP_H = 3
HORIZON_H = 24
LAGS = HORIZON_H // STEP_H
"""Decisions whose labels overlap."""

MIN_EVIDENCE_DAYS = 60


@dataclass(frozen=True, slots=True)
class Tilted:
    """D decisions: time (D,) UTC s, each of `evidence.MEASURES` (D,), and whether enough assets were judged (D,)."""

    time: IntArray
    series: Mapping[str, Array]
    judged: BoolArray

    @property
    def evidence(self) -> Evidence:
        """Their summary."""
        return evidence.summary(self.series, LAGS)

    @property
    def ic(self) -> Array:
        """(D,) IC; 0 where all assets are wanted alike, which orders nothing. NaN = not judged."""
        alike = self.judged & ~np.isfinite(self.series["ic"])
        return np.where(alike, 0.0, self.series["ic"])


def tilt(player: Player, market: Inputs, regime: Array, day_vol: Array, budget: float) -> Array:
    """(n, N) what is wanted of slots that are half held, without gain or age, outside any cool-down.

    market (n, N, M) standardised · regime (n, 3) probabilities · day_vol (n, N) · budget USD
    """
    rows, columns, _ = market.shape
    size = rows * columns
    half, price, never = np.full(size, 0.5), np.ones(size), np.zeros(size, dtype=np.bool_)
    own = Own(half, price, price, day_vol.ravel(), np.zeros(size), never, np.full(size, budget * CAP))
    seen = inputs(market.reshape(size, -1), own_part(own))
    likely = np.repeat(regime, columns, axis=0)
    return player(seen, np.ones((size, 3), dtype=np.bool_), likely).reshape(rows, columns)


def tilted(player: Player, tape: Tape, market: Inputs, regime: Array, since: int, budget: float) -> Tilted:
    """IC of the tilt against the next 24 h's simple return, at decisions every 3 h from `since` (UTC s) on.

    market (T, N, M) standardised · regime (T, 3) · budget  USD, of the half-held slot
    """
    ahead = HORIZON_H * HOUR_S // tape.bar_s
    rows = np.flatnonzero((tape.time % (STEP_H * HOUR_S) == 0) & (tape.time >= since))
    rows = rows[rows + ahead < len(tape.time)]
    wish = tilt(player, market[rows], regime[rows], tape.day_vol[rows], budget)
    x = np.where(tape.ready[rows], wish, np.nan)
    returns = tape.opens[rows + ahead] / tape.opens[rows] - 1.0
    few = min(MIN_ASSETS, max(3, len(tape.assets)))
    vol = tape.day_vol[rows]
    known = (np.isfinite(x) & np.isfinite(returns) & np.isfinite(vol)).sum(axis=1)
    return Tilted(tape.time[rows], evidence.series(x, returns, vol, min_assets=few), known >= few)


def middle_budget(budgets: Sequence[float]) -> float:
    """Where tilts are asked: the middle one, the lower of two."""
    return sorted(budgets)[(len(budgets) - 1) // 2]


def proven(found: Evidence) -> bool:
    """Whether another bar than the one that was learned on may be served: enough decisions, and they agree."""
    return found.decisions * STEP_H * HOUR_S >= MIN_EVIDENCE_DAYS * DAY_S and found.ic > 0
