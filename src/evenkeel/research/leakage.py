"""Does a model know what it must not know? A panel in; models refitted on it and on what was done to it; checks out.

Honest features leave traces that leaking ones do not: labels drawn by lot cannot be forecast; older features are no
better than newer ones; and nobody forecasts a day of coin returns as well as a feature that has seen the next bar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenkeel.errors import EvidenceError
from evenkeel.market import features
from evenkeel.market.features import Features
from evenkeel.research import causality, dataset, evidence, fitting, folds
from evenkeel.research.checks import Check, judged
from evenkeel.research.dataset import Dataset
from evenkeel.research.fitting import FIRST, TrainSettings
from evenkeel.research.folds import Fold
from evenkeel.research.walkforward import LEAK_DAYS, LEAK_IC, LEAK_RANK_IC_NEUTRAL
from evenkeel.signals import alpha
from evenkeel.types import Array, Panel
from evenkeel.units import DAY_S, HOUR_S

STEPS_H = (3, 4, 6, 8, 12, 24)
MOST_ROWS = 60_000
"""Enough to see a leak; more would only take longer."""
NULL_ERRORS = 3.0
LAG_ERRORS = 2.0
TOO_LITTLE = f"{LEAK_DAYS} days of tests and {evidence.MIN_ASSETS} assets are needed for its IC, load more history"
HOST = "weekday"
"""The input whose place a planted one takes: it says least of all."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """What is fitted and judged: sampled decisions, purged folds, and how."""

    data: Dataset
    plan: tuple[Fold, ...]
    settings: TrainSettings


@dataclass(frozen=True, slots=True)
class Tested:
    """Tests of one horizon.

    series  `evidence.series` per decision · days  span of the tests, d · lags  of Newey and West
    models  text of each fold's model, fitted before its test
    """

    horizon_h: int
    series: dict[str, Array]
    days: float
    lags: int
    models: tuple[str, ...]

    def mean(self, measure: str) -> float:
        """Mean over decisions; NaN where none counts."""
        known = self.series[measure][np.isfinite(self.series[measure])]
        return float(known.mean()) if len(known) else math.nan


def sample_of(panel: Panel, settings: TrainSettings) -> Sample:
    """Sample a panel as often as is worth while. Raises DataError or NotReadyError where nothing can be learned."""
    fitting.lightgbm()  # told before minutes of work
    bars = int(np.isfinite(panel.close).sum())
    step_h = next((h for h in STEPS_H if bars * panel.bar_s <= h * HOUR_S * MOST_ROWS), STEPS_H[-1])
    own = replace(settings, step_h=step_h)
    data = dataset.build(panel, horizons_h=own.horizons_h, step_h=step_h, min_history_days=own.min_history_days)
    return Sample(data, fitting.plan_folds(data, own), own)


def lagged(sample: Sample, panel: Panel) -> Sample:
    """The same decisions judged by the features of one bar earlier."""
    rows = np.searchsorted(panel.time, sample.data.time) - 1
    wide = features.compute(panel)
    cut = Features(wide.names, wide.values[rows], wide.market_names, wide.market[rows])
    at, columns = np.divmod(np.arange(len(rows) * len(panel.assets)), len(panel.assets))
    x = alpha.matrix(cut, at, columns).reshape(sample.data.x.shape)
    x[rows < 0] = np.nan
    return replace(sample, data=replace(sample.data, x=x))


def planted(sample: Sample, panel: Panel, seed: int, *, lag: int = 0) -> Sample:
    """The same with one feature that leads by one bar, as it stood `lag` bars earlier."""
    x = sample.data.x.copy()
    rows = np.maximum(0, np.searchsorted(panel.time, sample.data.time) - lag)
    x[:, :, sample.data.names.index(HOST)] = causality.lead(panel, seed)[rows]
    return replace(sample, data=replace(sample.data, x=x))


def walk(sample: Sample, horizon_h: int, models: Sequence[str] = ()) -> Tested:
    """Fit before every test, or take the fitted models of another sample, and judge on it."""
    task = fitting.task_of(sample.data, horizon_h, sample.plan, sample.settings)
    models = models or [fitting.judge_fold(task, FIRST, fold).text for fold in sample.plan]
    at, x = task.data, np.full(task.data.returns.shape, np.nan)
    for fold, model in zip(sample.plan, models, strict=True):
        cells = fold.test(at.time)[at.rows]
        x[at.rows[cells], at.columns[cells]] = fitting.forecast(horizon_h, model, at.inputs[cells])
    days = (sample.plan[-1].test_until - sample.plan[0].test_from) / DAY_S
    return Tested(horizon_h, evidence.series(x, at.returns, at.vol), days, at.lags, tuple(models))


# ---------------------------------------------------------------- checks


def purge(sample: Sample) -> Check:
    """Every fold trains on nothing whose label reaches its test; and one that did would be refused."""
    gap_s = folds.purge_s(max(sample.settings.horizons_h), sample.data.bar_s)
    decisions = sample.data.time
    left = min(fold.test_from - int(decisions[fold.train(decisions)].max()) for fold in sample.plan)
    text = f"h at least between the last decision that a fold learns from and its test, {len(sample.plan)} folds"
    if not _refused(sample.plan[0], gap_s):
        return judged(
            "purge", math.nan, gap_s / HOUR_S, "a fold that learns up to its test was not refused", good=False
        )
    return judged("purge", left / HOUR_S, gap_s / HOUR_S, text, good=left >= gap_s)


def _refused(fold: Fold, gap_s: int) -> bool:
    try:
        folds.require_purged(fold, np.array([fold.test_from - gap_s + 1]), gap_s)
    except EvidenceError:
        return True
    return False


def permuted(sample: Sample, seeds: Sequence[int], advance: Advance = lambda _: None) -> Check:
    """Returns dealt anew among the assets of each time, models refitted: nothing can be forecast."""
    horizon_h = min(sample.settings.horizons_h)
    total, count, variance = 0.0, 0, 0.0
    for seed in seeds:
        drawn = replace(sample, data=_dealt(sample.data, horizon_h, seed))
        found = walk(drawn, horizon_h).series["rank_ic"]
        known = np.isfinite(found)
        total, count = total + float(found[known].sum()), count + int(known.sum())
        variance += float((1.0 / (_assets(drawn, horizon_h)[known] - 1.0)).sum())
        advance(1)
    if not count:
        return Check(
            "permuted labels", "not judged", math.nan, NULL_ERRORS, "no decision has enough assets to be judged"
        )
    mean, error = total / count, math.sqrt(variance) / count
    text = f"standard errors of {error:.5f} from 0: mean RankIC {mean:+.5f}, {len(seeds)} seeds, {count} decisions"
    return judged("permuted labels", abs(mean) / error, NULL_ERRORS, text, good=abs(mean) < NULL_ERRORS * error)


def _dealt(data: Dataset, horizon_h: int, seed: int) -> Dataset:
    """Returns of a time dealt among the assets that have one; which, is decided by (seed, time)."""
    returns = data.returns[horizon_h].copy()
    for i, moment in enumerate(data.time):
        known = np.flatnonzero(np.isfinite(returns[i]) & data.member[i])
        returns[i, known] = returns[i, np.random.default_rng([seed, int(moment)]).permutation(known)]
    return replace(data, returns={horizon_h: returns})


def _assets(sample: Sample, horizon_h: int) -> Array:
    """(D,) assets that each tested decision is judged on: 1 / (n - 1) is the variance of its RankIC by chance."""
    start = int(np.searchsorted(sample.data.time, sample.plan[0].test_from))
    known = sample.data.member & np.isfinite(sample.data.returns[horizon_h]) & np.isfinite(sample.data.vol)
    count: Array = known[start:].sum(axis=1).astype(np.float64)
    return count


def older(now: Sequence[Tested], before: Sequence[Tested]) -> Check:
    """The same models shown features of one bar earlier: the IC must not be higher by more than 2 standard errors.

    Not refitted: two fits differ by more than an hour is worth, and no standard error over decisions would show it.
    """
    ts = {}
    for one, other in zip(now, before, strict=True):
        more = other.series["ic"] - one.series["ic"]
        ts[one.horizon_h] = evidence.newey_west_t(more[np.isfinite(more)], one.lags)
    known = {h: t for h, t in ts.items() if math.isfinite(t)}
    if not known:
        return Check("lagged features", "not judged", math.nan, LAG_ERRORS, "no decision could be judged both ways")
    worst = max(known, key=lambda h: known[h])
    pairs = ", ".join(
        f"{a.horizon_h} h {a.mean('ic'):+.4f} -> {b.mean('ic'):+.4f}" for a, b in zip(now, before, strict=True)
    )
    text = f"standard errors by which IC rises with features one bar older: {pairs}"
    return judged("lagged features", known[worst], LAG_ERRORS, text, good=known[worst] <= LAG_ERRORS)


def alarm(found: Sequence[Tested]) -> Check:
    """Too good to be true."""
    worst = max(
        found, key=lambda one: max(one.mean("ic") / LEAK_IC, one.mean("rank_ic_neutral") / LEAK_RANK_IC_NEUTRAL)
    )
    ic, neutral = worst.mean("ic"), worst.mean("rank_ic_neutral")
    told = f"walk-forward IC of {worst.horizon_h} h over {worst.days:.0f} days; vol-neutral RankIC {neutral:+.4f}, "
    told += f"limit {LEAK_RANK_IC_NEUTRAL:g}"
    if not measurable(worst):
        return Check("leak alarm", "not judged", ic, LEAK_IC, f"{told}; {TOO_LITTLE}")
    return judged("leak alarm", ic, LEAK_IC, told, good=not too_good(worst))


def measurable(found: Tested) -> bool:
    """Whether there are enough days and assets for an IC to be believed."""
    return math.isfinite(found.mean("ic")) and found.days >= LEAK_DAYS


def too_good(found: Tested) -> bool:
    """Whether a horizon's IC is one that only a leak explains."""
    return found.mean("ic") > LEAK_IC or found.mean("rank_ic_neutral") > LEAK_RANK_IC_NEUTRAL
