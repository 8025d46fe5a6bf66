"""Do the opinions that decided order the assets as their returns then do? Gathered while a back-test runs.

IC and RankIC at every rebalance, of each opinion that spoke, against the simple return from the next open over 6 h and
24 h. A decision counts with at least 8 assets; what a model said of bars that it was trained on never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from evenkeel.research import evidence
from evenkeel.research.report.data import Forecast
from evenkeel.signals.alpha import IN_SAMPLE
from evenkeel.signals.rank import ranks
from evenkeel.types import Array, Health, IntArray, Opinion, Plan, SlotKind
from evenkeel.units import HOUR_S

HORIZONS_H = (6, 24)


class Tape(Protocol):
    """Where orders meet prices."""

    def price(self, asset: str, time: int) -> tuple[float, float] | None:
        """Open (USD) of the first bar that begins at or after `time`, and a volume; None = there is no market."""


class Skill:
    """Sees every plan of a run once, in order; keeps one row of x for each rebalance and opinion."""

    def __init__(self) -> None:
        self._assets: tuple[str, ...] = ()
        self._times: list[int] = []
        self._said: list[Mapping[str, Array]] = []

    def on_plan(self, plan: Plan) -> None:
        """Take in one decision."""
        if plan.slot.kind is SlotKind.REBALANCE:
            self._assets = plan.assets
            self._times.append(plan.slot.time)
            self._said.append({said.name: said.x for said in plan.opinions if _counts(said)})

    def forecasts(self, tape: Tape) -> tuple[Forecast, ...]:
        """Each opinion at each horizon, over the decisions of which the outcome is known."""
        names = list(dict.fromkeys(name for said in self._said for name in said))
        if len(self._times) < 2 or not names:
            return ()
        time, silent = np.array(self._times, dtype=np.int64), np.full(len(self._assets), np.nan)
        opens = {moment: _opens(tape, self._assets, moment) for moment in _moments(self._times)}
        found = []
        for name in names:
            x = np.array([said.get(name, silent) for said in self._said])
            for hours in HORIZONS_H:
                later = np.array([opens[moment + hours * HOUR_S] / opens[moment] - 1.0 for moment in self._times])
                found.append(_forecast(f"{hours} h {name}", x, later, time, hours))
        return tuple(one for one in found if len(one.time))


def _counts(said: Opinion) -> bool:
    return said.health is Health.OK and not said.reason.startswith(IN_SAMPLE) and bool(np.isfinite(said.x).any())


def _moments(times: Sequence[int]) -> set[int]:
    return {time + hours * HOUR_S for time in times for hours in (0, *HORIZONS_H)}


def _opens(tape: Tape, assets: Sequence[str], time: int) -> Array:
    """(N,) USD; NaN where there is no market."""
    met = [tape.price(asset, time) for asset in assets]
    return np.array([np.nan if one is None else one[0] for one in met])


def _forecast(name: str, x: Array, returns: Array, time: IntArray, hours: int) -> Forecast:
    known = np.isfinite(x) & np.isfinite(returns)
    enough = (known.sum(axis=1) >= evidence.MIN_ASSETS)[:, None]
    x, returns = (np.where(known & enough, values, np.nan) for values in (x, returns))
    ic, rank_ic = evidence.correlation(x, returns), evidence.correlation(ranks(x), ranks(returns))
    told = np.isfinite(rank_ic)
    step = int(np.min(np.diff(time)))
    lags = evidence.lags_of(hours, step)
    return Forecast(name, time[told], ic[told], rank_ic[told], evidence.newey_west_t(rank_ic[told], lags))
