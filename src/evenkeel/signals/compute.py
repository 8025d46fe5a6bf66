"""From a panel to Signals: features, regime, every opinion and what they come to, for all rows at once.

The law is that of `view`: row t reads only rows <= t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from evenkeel.market import features, quality
from evenkeel.signals import alpha, blend, regime, strategies
from evenkeel.signals import edge as edges
from evenkeel.signals import moves as moving
from evenkeel.signals import rule as rules
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.blend import PRIOR_STRENGTH, OpinionSettings, Said
from evenkeel.signals.crowd import NOBODY, Crowd
from evenkeel.signals.view import Signals, SignalSettings
from evenkeel.types import Array, BoolArray, Brain, Health, IntArray, Panel, frozen
from evenkeel.units import DAY_S, HOUR_S


class Rows(NamedTuple):
    """What is made of a panel first; `wide` and `likely` begin `lead` rows before row `first`, for smoothing.

    wide  features · likely  regime probabilities (lead + R, 6) · logs (T, N) of prices
    """

    panel: Panel
    first: int
    lead: int
    wide: features.Features
    likely: Array
    logs: Array

    @property
    def block(self) -> features.Features:
        """Features of the rows that are kept, R."""
        return _from(self.wide, self.lead)


class Told(NamedTuple):
    """Every opinion of all rows and what they come to: fields of `Signals`."""

    alpha: Array | None
    doubts: Mapping[int, str]
    rule: Array
    score: Array | None
    edge: edges.Edge
    expected: Array
    blended: Array
    heard: BoolArray


def compute(panel: Panel, brain: Brain, settings: SignalSettings, first: int = 0, crowd: Crowd = NOBODY) -> Signals:
    """Signals of a panel; `first` cuts what is kept per row (memory), never what is read.

    crowd  what was read of event contracts, by the close of the newest bar then

    Raises DataError when the benchmark is not in the panel.
    """
    fault = quality.codes(panel, settings.quality)
    price, age = quality.carried(panel, fault)
    rows = _rows(panel, price, settings, first)
    block, good = rows.block, fault == quality.Fault.OK
    vol, atr = np.ascontiguousarray(block.column("vol")), np.ascontiguousarray(block.column("atr"))
    ready = _ready(panel, vol, atr, first, settings.opinions.min_history_days)
    seen = _seen(rows, vol, price, ready, settings)
    (moves, variance), rule = _moves_and_rule(rows)
    told = _told(rows, seen, rule, brain, crowd, settings)
    return Signals(
        panel=panel,
        begin=int(panel.time[0]),
        first=first,
        price=frozen(price),
        age=frozen(age),
        fault=fault,
        logs=frozen(rows.logs),
        moves=frozen(moves),
        low=_believed(panel.low, good),
        high=_believed(panel.high, good),
        ready=ready,
        crowd=crowd,
        wanted=strategies.wanted(settings.strategy, seen),
        regime=frozen(rows.likely[rows.lead :]),
        vol=frozen(vol),
        atr=frozen(atr),
        liquidity=frozen(np.exp(block.column("liq"))),
        variance=frozen(moving.own(variance[first:], vol)),
        features=block,
        settings=settings,
        brain=brain,
        **told._asdict(),
    )


def _rows(panel: Panel, price: Array, settings: SignalSettings, first: int) -> Rows:
    lead = min(first, max(rules.WINDOW_H, alpha.WINDOW_H) * HOUR_S // panel.bar_s)
    wide = features.compute(panel, benchmark=settings.benchmark, first_row=first - lead)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(price)
    return Rows(panel, first, lead, wide, _regime(wide, settings.regime), logs)


def _from(table: features.Features, row: int) -> features.Features:
    return replace(table, values=table.values[row:], market=table.market[row:])


def _believed(x: Array, good: BoolArray) -> Array:
    """(T, N) what of a panel's is good; NaN elsewhere."""
    return x if good.all() else frozen(np.where(good, x, np.nan))


def _seen(rows: Rows, vol: Array, price: Array, ready: BoolArray, settings: SignalSettings) -> strategies.Seen:
    """What strategies read."""
    return strategies.Seen(
        assets=rows.panel.assets,
        time=rows.panel.time[rows.first :],
        price=price,
        vol=vol,
        r_168=rows.block.column("r_168"),
        ready=ready,
        bar_s=rows.panel.bar_s,
        benchmark=settings.benchmark,
        seed=settings.seed,
    )


def _told(rows: Rows, seen: strategies.Seen, rule: Array, brain: Brain, crowd: Crowd, settings: SignalSettings) -> Told:
    wanted, forecast = settings.opinions, _alpha(rows, brain, settings.opinions)
    fitted = None if forecast is None else frozen(forecast.x)
    own = strategies.score(settings.strategy, seen)
    edge = edges.edge(crowd, brain.edge, seen.assets, seen.time, rows.logs, seen.bar_s, wanted=wanted.edge)
    said = _said(seen.time, seen.bar_s, fitted, edge, rule, own, brain, settings)
    expected, blended = blend.blend_rows(said, seen.vol, rows.likely[rows.lead :], wanted)
    return Told(
        alpha=fitted,
        doubts={} if forecast is None else alpha.doubts(forecast.trust, seen.assets),
        rule=frozen(rule),
        score=own,
        edge=edge,
        expected=frozen(expected),
        blended=frozen(blended),
        heard=blend.heard(said, len(seen.time)),
    )


def _alpha(rows: Rows, brain: Brain, wanted: OpinionSettings) -> alpha.Forecast | None:
    """What the fitted models expect of the rows that are kept, (R, N); those before are only read."""
    if not (brain.alpha and wanted.alpha):
        return None
    bar_s = rows.panel.bar_s
    lead = min(rows.lead, alpha.WINDOW_H * HOUR_S // bar_s)
    skip, time = rows.lead - lead, rows.panel.time[rows.first - lead :]
    cut, mix, shown = _from(rows.wide, skip), wanted.alpha_short, wanted.alpha_in_sample
    made = alpha.forecast(brain.alpha, cut, time, rows.likely[skip:], bar_s, mix, in_sample=shown)
    return alpha.Forecast(made.x[lead:], made.trust[lead:])


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


def _moves_and_rule(rows: Rows) -> tuple[tuple[Array, Array], Array]:
    """Hourly returns with their variance, and the rule of the rows that are kept: they run beside each other."""
    from evenkeel.market.compiled import together  # noqa: PLC0415 - loads numba, half a second

    wide, bar_s = rows.wide, rows.panel.bar_s
    return together(
        partial(moving.moves, rows.logs, HOUR_S // bar_s),
        lambda: rules.rule(wide.column("vol"), wide.column("r_168"), bar_s)[rows.lead :],
    )


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
