"""From a panel to Signals: features, regime, every opinion and what they come to, for all rows at once.

The law is that of `view`: row t reads only rows <= t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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
    seen = _seen(panel, block, vol, price, ready, first, settings)
    (moves, variance), rule = _moves_and_rule(logs, wide, panel.bar_s, lead)
    told = _told(panel, brain, crowd, settings, wide=wide, regime=likely, lead=lead, logs=logs, rule=rule, seen=seen)
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
        crowd=crowd,
        wanted=strategies.wanted(settings.strategy, seen),
        regime=frozen(likely[lead:]),
        vol=frozen(vol),
        atr=frozen(atr),
        liquidity=frozen(np.exp(block.column("liq"))),
        variance=frozen(moving.own(variance[first:], vol)),
        features=block,
        settings=settings,
        brain=brain,
        **told,
    )


def _believed(x: Array, good: BoolArray) -> Array:
    """(T, N) what of a panel's is good; NaN elsewhere."""
    return x if good.all() else frozen(np.where(good, x, np.nan))


def _seen(
    panel: Panel,
    block: features.Features,
    vol: Array,
    price: Array,
    ready: BoolArray,
    first: int,
    settings: SignalSettings,
) -> strategies.Seen:
    """What strategies read."""
    return strategies.Seen(
        assets=panel.assets,
        time=panel.time[first:],
        price=price,
        vol=vol,
        r_168=block.column("r_168"),
        ready=ready,
        bar_s=panel.bar_s,
        benchmark=settings.benchmark,
        seed=settings.seed,
    )


def _told(
    panel: Panel,
    brain: Brain,
    crowd: Crowd,
    settings: SignalSettings,
    *,
    wide: features.Features,
    regime: Array,
    lead: int,
    logs: Array,
    rule: Array,
    seen: strategies.Seen,
) -> dict[str, Any]:
    """Every opinion of all rows and what they come to, by field of `Signals`; wide and regime begin `lead` earlier."""
    bar_s, time, wanted = panel.bar_s, seen.time, settings.opinions
    forecast = _alpha(brain, wide, panel.time[len(panel.time) - len(regime) :], regime, bar_s, wanted, lead)
    fitted = None if forecast is None else frozen(forecast.x)
    own = strategies.score(settings.strategy, seen)
    edge = edges.edge(crowd, brain.edge, panel.assets, time, logs, bar_s, wanted=wanted.edge)
    said = _said(time, bar_s, fitted, edge, rule, own, brain, settings)
    expected, blended = blend.blend_rows(said, seen.vol, regime[lead:], wanted)
    return {
        "rule": frozen(rule),
        "alpha": fitted,
        "doubts": {} if forecast is None else alpha.doubts(forecast.trust, panel.assets),
        "score": own,
        "edge": edge,
        "expected": frozen(expected),
        "blended": frozen(blended),
        "heard": blend.heard(said, len(time)),
    }


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
        partial(moving.moves, logs, HOUR_S // bar_s),
        lambda: rules.rule(wide.column("vol"), wide.column("r_168"), bar_s)[lead:],
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
