"""How good is a fitted alpha on bars that it was not trained on? Model and panel in, IC per decision out.

The opinion is taken as it is served: from all bars, mixed by regime, smoothed over 48 h. The law: no decision before
`valid_from` counts. Held-out bars are the caller's affair (`folds.visible`), who asks for them by name or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenkeel.errors import NotReadyError
from evenkeel.market import features
from evenkeel.research import dataset, evidence
from evenkeel.research.evidence import Evidence
from evenkeel.signals import alpha
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.blend import ShareByRegime
from evenkeel.signals.regime import RegimeSettings, probabilities
from evenkeel.types import Array, IntArray, Panel
from evenkeel.units import HOUR_S, iso


@dataclass(frozen=True, slots=True)
class Judged:
    """D decisions: time (D,) UTC s, each of `evidence.MEASURES` (D,), and their summary."""

    time: IntArray
    series: Mapping[str, Array]
    evidence: Evidence


def evaluate(
    model: AlphaModel, panel: Panel, *, since: int | None = None, step_h: int = 3, min_history_days: float = 14.0
) -> Judged:
    """Judge a model against the return over its longest horizon.

    since  first decision, UTC s; never before `valid_from`; `promote.judged_from` of two models gives common ones
    Raises NotReadyError where no decision is left, DataError for a panel that cannot be used.
    """
    horizon = model.longest_h
    first = max(model.valid_from(panel.bar_s), since or 0)
    if int(panel.time[-1]) < first + horizon * HOUR_S:
        raise NotReadyError(
            f"{model.version} can be judged from {iso(first)} on, the data end at {iso(int(panel.time[-1]))}: "
            f"load bars that reach {horizon} h further"
        )
    data = dataset.build(panel, horizons_h=(horizon,), step_h=step_h, min_history_days=min_history_days)
    wide = features.compute(panel)
    breadth, week, vol = (wide.market_column(name) for name in ("breadth", "btc_r168", "btc_vol"))
    regime = probabilities(breadth, week, vol, RegimeSettings())
    x = alpha.forecast((model,), wide, panel.time, regime, panel.bar_s, ShareByRegime()).x
    rows = np.searchsorted(panel.time, data.time)
    used = data.time >= first
    x = np.where(data.member, x[rows], np.nan)[used]
    found = evidence.series(x, data.returns[horizon][used], data.vol[used])
    return Judged(data.time[used], found, evidence.summary(found, evidence.lags_of(horizon, data.step_s)))
