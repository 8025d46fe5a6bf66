"""Signals: everything that depends on the market alone, for all rows; `at` shows one row to one decision.

A panel in, arrays out. The one law: row t reads only rows <= t (design section 7, law 1), so a replay may compute all
rows at once and the service may compute them anew each pass, and both see the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel.lean import changed, maker
from evenkeel.market import features, quality
from evenkeel.market.kernels import fold, lag, window_mean
from evenkeel.signals import alpha, blend, opinions, regime, strategies
from evenkeel.signals import edge as edges
from evenkeel.signals import rule as rules
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.blend import PRIOR_STRENGTH, OpinionSettings, Said
from evenkeel.signals.crowd import Crowd
from evenkeel.types import Array, BoolArray, Brain, Health, IntArray, Opinion, Panel, View, frozen, unknown
from evenkeel.units import DAY_S, HOUR_S, YEAR_S

COVARIANCE_H = 720
NOBODY = Crowd()
_view = maker(View)


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
        view = _view(
            time=closed,
            as_of=closed,
            origin=int(self.panel.time[0]) - self.panel.bar_s,
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
            moves=self.moves[t % hour + max(hour, t - t % hour - (COVARIANCE_H - 1) * hour) : t + 1 : hour],
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


def compute(panel: Panel, brain: Brain, settings: SignalSettings, first: int = 0, crowd: Crowd = NOBODY) -> Signals:
    """Signals of a panel; `first` cuts what is kept per row (memory), never what is read.

    crowd  what was read of event contracts, by the close of the newest bar then

    Raises DataError when the benchmark is not in the panel.
    """
    fault = quality.codes(panel, settings.quality)
    price, age = quality.carried(panel, fault)
    lead = min(first, max(rules.WINDOW_H, alpha.WINDOW_H) * HOUR_S // panel.bar_s)
    wide = features.compute(panel, benchmark=settings.benchmark, first_row=first - lead)
    block = replace(wide, values=wide.values[lead:], market=wide.market[lead:])
    likely = _regime(wide, settings.regime)
    good = fault == quality.Fault.OK
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(price)
    vol, atr = np.ascontiguousarray(block.column("vol")), np.ascontiguousarray(block.column("atr"))
    ready = _ready(panel, vol, atr, first, settings.opinions.min_history_days)
    seen = _seen(panel, block, price, ready, first, settings)
    (moves, variance), rule = _moves_and_rule(logs, wide, panel.bar_s, lead)
    forecast = _alpha(brain, wide, panel.time[first - lead :], likely, panel.bar_s, settings.opinions, lead)
    fitted = None if forecast is None else frozen(forecast.x)
    own = strategies.score(settings.strategy, seen)
    time, wanted = panel.time[first:], settings.opinions.edge
    told = edges.edge(crowd, brain.edge, panel.assets, time, logs, panel.bar_s, wanted=wanted)
    said = _said(time, panel.bar_s, fitted, told, rule, own, brain, settings)
    expected, blended = blend.blend_rows(said, vol, likely[lead:], settings.opinions)
    return Signals(
        panel=panel,
        begin=int(panel.time[0]),
        first=first,
        price=frozen(price),
        age=frozen(age),
        fault=fault,
        logs=frozen(logs),
        moves=frozen(moves),
        low=_believed(panel.low, good),
        high=_believed(panel.high, good),
        ready=ready,
        rule=frozen(rule),
        alpha=fitted,
        doubts={} if forecast is None else alpha.doubts(forecast.trust, panel.assets),
        score=own,
        edge=told,
        crowd=crowd,
        wanted=strategies.wanted(settings.strategy, seen),
        expected=frozen(expected),
        blended=frozen(blended),
        heard=blend.heard(said, len(vol)),
        regime=frozen(likely[lead:]),
        vol=frozen(vol),
        atr=frozen(atr),
        liquidity=frozen(np.exp(block.column("liq"))),
        variance=frozen(_own(variance[first:], vol)),
        features=block,
        settings=settings,
        brain=brain,
    )


def _believed(x: Array, good: BoolArray) -> Array:
    """(T, N) what of a panel's is good; NaN elsewhere."""
    return x if good.all() else frozen(np.where(good, x, np.nan))


def _seen(
    panel: Panel, block: features.Features, price: Array, ready: BoolArray, first: int, settings: SignalSettings
) -> strategies.Seen:
    """What strategies read."""
    return strategies.Seen(
        assets=panel.assets,
        time=panel.time[first:],
        price=price,
        vol=block.column("vol"),
        r_168=block.column("r_168"),
        ready=ready,
        bar_s=panel.bar_s,
        benchmark=settings.benchmark,
        seed=settings.seed,
    )


def _alpha(
    brain: Brain,
    wide: features.Features,
    time: IntArray,
    likely: Array,
    bar_s: int,
    wanted: OpinionSettings,
    lead: int,
) -> alpha.Forecast | None:
    """What the fitted models expect, (R, N), after `lead` rows that are only read."""
    if not (brain.alpha and wanted.alpha):
        return None
    skip = lead - min(lead, alpha.WINDOW_H * HOUR_S // bar_s)
    cut = replace(wide, values=wide.values[skip:], market=wide.market[skip:])
    mix, shown = wanted.alpha_short, wanted.alpha_in_sample
    made = alpha.forecast(brain.alpha, cut, time[skip:], likely[skip:], bar_s, mix, in_sample=shown)
    return alpha.Forecast(made.x[lead - skip :], made.trust[lead - skip :])


def _said(
    time: IntArray,
    bar_s: int,
    fitted: Array | None,
    told: edges.Edge,
    rule: Array,
    own: Array | None,
    brain: Brain,
    settings: SignalSettings,
) -> list[Said]:
    """The opinions of all rows, (R, N) each, as `Signals.at` tells them at the closes, `time` (R,)."""
    wanted, nobody = settings.opinions, np.zeros(len(time), dtype=bool)
    said, well = [], nobody
    if fitted is not None:
        strength, well = _strengths(brain.alpha, fitted, time, bar_s, in_sample=wanted.alpha_in_sample)
        said.append(Said("alpha", fitted, strength, well))
    said.append(Said("edge", told.x, told.strength, told.weighs))
    prior = np.full(len(time), PRIOR_STRENGTH)
    said.append(Said("rule", rule, prior, ~well if wanted.rule else nobody))
    if own is not None:
        said.append(Said(settings.strategy, own, prior, ~nobody))
    return said


def _strengths(
    models: Sequence[AlphaModel], x: Array, time: IntArray, bar_s: int, *, in_sample: bool
) -> tuple[Array, BoolArray]:
    """Strength (R,) and whether it is well (R,) of what is told of x (R, N): asked anew where that may have changed."""
    begins = np.array([[model.valid_from(bar_s)] for model in models])
    ask = time > min(model.expires for model in models)
    ask[1:] |= ((begins <= time[1:]) != (begins <= time[:-1])).any(axis=0)
    ask[:1] = True
    told = [alpha.opinion(models, x[0], t, bar_s, in_sample=in_sample) for t in time[ask].tolist()]
    row = np.cumsum(ask) - 1
    strength = np.array([opinion.strength for opinion in told])
    return strength[row], np.array([opinion.health is Health.OK for opinion in told])[row]


def _moves_and_rule(logs: Array, wide: features.Features, bar_s: int, lead: int) -> tuple[tuple[Array, Array], Array]:
    """Hourly returns with their variance, and the rule after `lead` rows: neither needs the other, they run at once."""
    from evenkeel.market.compiled import together  # noqa: PLC0415 - loads numba, half a second

    return together(
        partial(_moves, logs, HOUR_S // bar_s),
        lambda: rules.rule(wide.column("vol"), wide.column("r_168"), bar_s)[lead:],
    )


def _moves(logs: Array, hour: int) -> tuple[Array, Array]:
    """Hourly returns of log prices (T, N) and their variance over 30 days: (T, N) each, see `View`; hour in bars."""
    moves = lag(logs, hour)
    np.subtract(logs, moves, out=moves)
    variance = window_mean(fold(moves * moves, hour), COVARIANCE_H)
    variance *= YEAR_S / HOUR_S
    moves[~np.isfinite(moves)] = 0.0
    return moves, variance.reshape(-1, logs.shape[1])[: len(logs)]


def _own(variance: Array, vol: Array) -> Array:
    """(R, N) variance, that of `vol` where there is none, 0 where there is neither: such an asset cannot be held."""
    return np.where(np.isfinite(variance), variance, np.nan_to_num(vol) ** 2)


def _ready(panel: Panel, vol: Array, atr: Array, first: int, min_history_days: float) -> BoolArray:
    """Listed for `min_history_days` of known bars, and its volatility and ATR are known; (R, N)."""
    bars = np.cumsum(np.isfinite(panel.close), axis=0, dtype=np.int32)[first:]
    old: BoolArray = bars >= min_history_days * DAY_S / panel.bar_s
    ready: BoolArray = old & np.isfinite(vol) & np.isfinite(atr)
    ready.flags.writeable = False
    return ready


def _regime(block: features.Features, settings: regime.RegimeSettings) -> Array:
    def column(name: str) -> Array:
        return block.market[:, block.market_names.index(name)]

    return regime.probabilities(column("breadth"), column("btc_r168"), column("btc_vol"), settings)
