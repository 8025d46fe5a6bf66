"""Rolling retrain: before each test a model is fitted on what was known then, and only tests are counted.

A panel in; models in the order of their validity and the evidence of their tests out. The portfolio that such models
would have held is a back-test under `Brain(alpha=models)`: the same decision, no model of which has seen its bars. A
model's strength follows from the tests before it, so that not even that number looks ahead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np

from evenkeel.research import dataset, evidence, fitting, folds
from evenkeel.research.dataset import Dataset
from evenkeel.research.evidence import Evidence
from evenkeel.research.fitting import FIRST, FoldResult, TrainSettings, judge_fold, plan_folds, task_of
from evenkeel.research.folds import Fold
from evenkeel.research.search import Params
from evenkeel.signals import alpha
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.blend import ShareByRegime, strength
from evenkeel.types import Array, Panel
from evenkeel.units import DAY_S

LEAK_IC = 0.10
LEAK_RANK_IC_NEUTRAL = 0.12
LEAK_DAYS = 60
"""More than this on one day's horizon over this many days is a leak until proven otherwise."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fold: what was fitted before its test, and what its test says of each horizon and of their mix."""

    fold: Fold
    trees: Mapping[int, int]
    found: Mapping[int, Evidence]
    mixed: Evidence
    model: AlphaModel


@dataclass(frozen=True, slots=True)
class Walked:
    """All folds, and the evidence of all tests together. days  span of the tests, d."""

    steps: tuple[Step, ...]
    found: Mapping[int, Evidence]
    mixed: Evidence
    days: float

    @property
    def models(self) -> tuple[AlphaModel, ...]:
        """In the order of their validity."""
        return tuple(step.model for step in self.steps)

    @property
    def leaking(self) -> bool:
        """Too good to be true: mean IC or vol-neutral RankIC of a horizon beyond what honest features have shown."""
        return self.days >= LEAK_DAYS and any(
            one.ic > LEAK_IC or one.rank_ic_neutral > LEAK_RANK_IC_NEUTRAL for one in (*self.found.values(), self.mixed)
        )


def walk(
    panel: Panel,
    settings: TrainSettings,
    params: Params = FIRST,
    *,
    jobs: int = 2,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Walked:
    """Fit and test every fold of every horizon; parameters are given, nothing is searched.

    on_progress  fits done, fits in all
    Raises DataError or NotReadyError for a panel that cannot be learned from.
    """
    fitting.lightgbm()  # told before minutes of work
    data = dataset.build(
        panel, horizons_h=settings.horizons_h, step_h=settings.step_h, min_history_days=settings.min_history_days
    )
    dataset.refuse_blind(data)
    plan = plan_folds(data, settings)
    results = _fitted(data, plan, settings, params, jobs, on_progress)
    predicted = {h: out_of_sample(data, h, plan, [one.text for one in row]) for h, row in results.items()}
    longest = max(predicted)
    lags = {h: evidence.lags_of(h, data.step_s) for h in predicted}
    x = mixed(data, predicted)
    told = evidence.series(x, data.returns[longest], data.vol)
    steps = tuple(_step(data, plan[i], {h: row[i] for h, row in results.items()}, told) for i in range(len(plan)))
    return Walked(
        steps=steps,
        found={h: evidence.measure(rows, data.returns[h], data.vol, lags[h]) for h, rows in predicted.items()},
        mixed=evidence.summary(told, lags[longest]),
        days=(plan[-1].test_until - plan[0].test_from) / DAY_S,
    )


def out_of_sample(data: Dataset, horizon_h: int, plan: Sequence[Fold], texts: Sequence[str]) -> Array:
    """(D, N) forecast of each fold's model, given as text, on its own test; NaN elsewhere."""
    out = np.full(data.member.shape, np.nan)
    for fold, text in zip(plan, texts, strict=True):
        cells = data.member & fold.test(data.time)[:, None]
        if cells.any():
            out[cells] = fitting.forecast(horizon_h, text, data.x[cells])
    return out


def mixed(data: Dataset, predicted: Mapping[int, Array]) -> Array:
    """(D, N) the opinion as it is served: z of each horizon, mixed by regime, smoothed, z again."""
    return alpha.combine(predicted, ShareByRegime().expected(data.regime), data.time, data.step_s)


def _fitted(
    data: Dataset,
    plan: tuple[Fold, ...],
    settings: TrainSettings,
    params: Params,
    jobs: int,
    on_progress: Callable[[int, int], None],
) -> dict[int, list[FoldResult]]:
    """Every horizon's folds in order. In threads: LightGBM lets go of the interpreter, and no row is copied."""
    tasks = {h: task_of(data, h, plan, settings) for h in settings.horizons_h}
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        work = {(h, f.number): pool.submit(judge_fold, task, params, f) for h, task in tasks.items() for f in plan}
        for done, _ in enumerate(as_completed(work.values()), 1):
            on_progress(done, len(work))
    return {h: [work[h, fold.number].result() for fold in plan] for h in tasks}


def _step(data: Dataset, fold: Fold, results: Mapping[int, FoldResult], told: Mapping[str, Array]) -> Step:
    lags = evidence.lags_of(max(results), data.step_s)
    known = data.time + folds.purge_s(max(results), data.bar_s) <= fold.test_from
    before = evidence.summary({name: values[known] for name, values in told.items()}, lags)
    own = evidence.summary({name: values[fold.test(data.time)] for name, values in told.items()}, lags)
    digest = hashlib.sha256("".join(result.text for result in results.values()).encode()).hexdigest()
    model = AlphaModel(
        version=f"walk-{fold.number + 1}",
        digest=digest,
        forest=alpha.forest({h: result.text for h, result in results.items()}),
        train_end=fold.train_until,
        expires=fold.test_until + DAY_S,
        strength=strength(before.ic, before.ic_t),
        manifest={},
    )
    trees = {h: result.trees for h, result in results.items()}
    return Step(fold, trees, {h: result.found for h, result in results.items()}, own, model)
