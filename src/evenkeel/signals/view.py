"""Signals: everything that depends on the market alone, for all rows; `at` shows one row to one decision.

The one law: row t reads only rows <= t (design section 7, law 1), so a replay may compute all rows at once (`compute`)
and the service may compute them anew each pass, and both see the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel.lean import changed, maker
from evenkeel.market import features, quality
from evenkeel.signals import alpha, blend, opinions, regime, strategies
from evenkeel.signals import edge as edges
from evenkeel.signals import moves as moving
from evenkeel.signals import rule as rules
from evenkeel.signals.blend import PRIOR_STRENGTH, OpinionSettings
from evenkeel.signals.crowd import Crowd
from evenkeel.types import Array, BoolArray, Brain, Health, Opinion, Panel, View, frozen, unknown
from evenkeel.units import HOUR_S

_view_of = maker(View)


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What `compute` needs of the configuration."""

    opinions: OpinionSettings
    regime: regime.RegimeSettings
    quality: quality.QualitySettings
    benchmark: str
    strategy: str = strategies.OPINIONATED
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Signals:
    """All rows from `first` on (R = T - first); the panel-wide arrays keep all T rows for look-back.

    begin  close of the first bar, UTC s
    price, age, low, high (T, N) · fault (T, N) int8 · ready (R, N) · vol, atr, liquidity, rule (R, N)
    alpha (R, N), None where no model is there and wanted · doubts  row -> on whom it was shrunk, see `alpha.doubts`
    regime (R, 6) · features as computed by market.features
    logs (T, N) log of `price` · moves (T, N) its change in an hour, 0 = unknown · variance (R, N) as in `View`
    edge (R, N) of event contracts, and the crowd that it was read from
    score, wanted (R, N) of a strategy that has one, else None
    expected, blended (R, N), heard (R,) what the opinions come to at each close: `expected`, `score`, `heard` of `View`
    shown  the row last asked for, by its index
    """

    panel: Panel
    begin: int
    first: int
    price: Array
    age: Array
    fault: NDArray[np.int8]
    logs: Array
    moves: Array
    low: Array
    high: Array
    ready: BoolArray
    rule: Array
    alpha: Array | None
    doubts: Mapping[int, str]
    score: Array | None
    edge: edges.Edge
    crowd: Crowd
    wanted: Array | None
    expected: Array
    blended: Array
    heard: BoolArray
    regime: Array
    vol: Array
    atr: Array
    liquidity: Array
    variance: Array
    features: features.Features
    settings: SignalSettings
    brain: Brain
    shown: dict[int, View] = field(default_factory=dict, init=False, repr=False, compare=False)

    def row(self, time: int) -> int:
        """Index of the newest row closed at or before `time`; -1 if there is none."""
        row = (time - self.begin) // self.panel.bar_s
        return -1 if row < 0 else min(row, len(self.panel.time) - 1)

    def at(self, time: int, since: int) -> View:
        """What a slot at `time` sees, whose last evidence was the bar closed at `since` (0 = none).

        Raises IndexError when `time` lies before the first computed row.
        """
        t = self.row(time)
        if t < self.first:
            raise IndexError(f"no signals for {time}: computed from {int(self.panel.time[self.first])} on")
        row = self.shown.get(t) or self._show(t)
        low, high = self._range(t, since)
        older = self._older(row, t, time) if time > row.as_of else {}
        return changed(row, time=time, since=since, low=low, high=high, **older)

    def _show(self, t: int) -> View:
        """The view of row t at its close; kept, because several slots see one row."""
        i, closed, hour = t - self.first, int(self.panel.time[t]), HOUR_S // self.panel.bar_s
        view = _view_of(
            time=closed,
            as_of=closed,
            origin=self.begin - self.panel.bar_s,
            since=0,
            seen=closed,
            assets=self.panel.assets,
            price=self.price[t],
            age=self.age[t],
            fault=self.fault[t],
            low=self.low[t],
            high=self.high[t],
            vol=self.vol[i],
            atr=self.atr[i],
            liquidity=self.liquidity[i],
            ready=self.ready[i],
            regime=self.regime[i],
            opinions=self._opinions(i, closed),
            expected=self.expected[i],
            score=self.blended[i],
            heard=bool(self.heard[i]),
            wanted=unknown(len(self.panel.assets)) if self.wanted is None else self.wanted[i],
            moves=self.moves[t % hour + max(hour, t - t % hour - (moving.COVARIANCE_H - 1) * hour) : t + 1 : hour],
            variance=self.variance[i],
            feature_names=self.features.names,
            features=self.features.values[i],
            market_names=self.features.market_names,
            market=self.features.market[i],
            readings=self.crowd.readings.get(closed, ()),
        )
        self.shown.clear()
        self.shown[t] = view
        return view

    def _older(self, row: View, t: int, time: int) -> dict[str, Any]:
        """What is different past the close of row t: prices are older, and a model may have expired meanwhile."""
        late, i = time - row.as_of, t - self.first
        older: dict[str, Any] = {"age": row.age + late, "fault": self._fault(t, late)}
        if self.alpha is None or alpha.steady(self.brain.alpha, row.as_of, time, self.panel.bar_s):
            return older
        said = self._opinions(i, time)
        expected, score = blend.blend(said, row.vol, row.regime, self.settings.opinions)
        heard = any(blend.speaks(opinion) for opinion in said)
        return older | {"opinions": said, "expected": frozen(expected), "score": frozen(score), "heard": heard}

    def _fault(self, t: int, late: int) -> NDArray[np.int8]:
        """Verdicts (N,) of a row that is `late` s old: what was fine is stale once it is older than the limit."""
        said: NDArray[np.int8] = self.fault[t]
        if late <= self.settings.quality.limit(self.panel.bar_s):
            return said
        stale: NDArray[np.int8] = np.where(said == quality.Fault.OK, np.int8(quality.Fault.STALE), said)
        return stale

    def _range(self, t: int, since: int) -> tuple[Array, Array]:
        """Believed low and high of the rows after `since`; NaN where nothing is new."""
        start = max(self.row(since) + 1, 0) if since else t
        if start > t:
            return unknown(len(self.panel.assets)), unknown(len(self.panel.assets))
        if start == t:
            return self.low[t], self.high[t]
        low, high = self.low[start : t + 1], self.high[start : t + 1]
        return np.fmin.reduce(low, axis=0), np.fmax.reduce(high, axis=0)

    def _opinions(self, i: int, time: int) -> tuple[Opinion, ...]:
        wanted, fitted = self.settings.opinions, self._alpha(i, time)
        health, why = Health.OK, "stands in for alpha"
        if fitted.health is Health.OK or not wanted.rule:
            health, why = Health.OFF, "alpha speaks" if wanted.rule else "switched off in config"
        stand_in = Opinion("rule", self.rule[i], health, PRIOR_STRENGTH, rules.VERSION, why)
        if self.score is None:
            return fitted, self.edge.opinion(i), stand_in
        alone = "takes the place of all opinions"
        own = Opinion(self.settings.strategy, self.score[i], Health.OK, PRIOR_STRENGTH, strategies.VERSION, alone)
        return fitted, self.edge.opinion(i), stand_in, own

    def _alpha(self, i: int, time: int) -> Opinion:
        wanted, size = self.settings.opinions, len(self.panel.assets)
        if self.alpha is None:
            return opinions.absent("alpha", size, wanted=wanted.alpha, why=self.brain.without.get("alpha", ""))
        doubt, shown = self.doubts.get(i, ""), wanted.alpha_in_sample
        return alpha.opinion(self.brain.alpha, self.alpha[i], time, self.panel.bar_s, doubt=doubt, in_sample=shown)
