"""The alpha model, fitted: a panel in, a bundle of one pooled cross-sectional LightGBM per horizon out.

Per horizon a search over purged walk-forward folds finds parameters (score: mean over folds of the IC, by `objective`);
each fold's model stops early, by IC on a purged split of its own training time. The models that are shipped are then
fitted on all decisions for as many trees as the folds' median. What the manifest calls evidence is measured on the
folds' tests alone, with the horizons mixed and smoothed as in service.

The laws: no held-out bar is read (`folds.visible`); the same panel, settings and seed give the same bytes, with any
number of processes, here or on Ray.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.research import bundle as bundles
from evenkeel.research import dataset, evidence, fitting, folds, search, walkforward
from evenkeel.research.bundle import Fitted
from evenkeel.research.dataset import Dataset
from evenkeel.research.evidence import Evidence
from evenkeel.research.fitting import Task, TrainSettings, TrialResult
from evenkeel.research.folds import Fold
from evenkeel.research.search import Backend, Trial
from evenkeel.research.tracking import Tracker
from evenkeel.signals import alpha
from evenkeel.types import Panel
from evenkeel.units import DAY_S

MIN_EVIDENCE_DAYS = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands. ic  mean over folds of the best trial so far · eta_s  of the whole search."""

    stage: str
    done: int
    total: int
    folds: int
    ic: float
    eta_s: float
    rss: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: the bundle, what it took, and how tracking went."""

    bundle: Bundle
    seconds: float
    peak_rss: int
    tracked: str


@dataclass(frozen=True, slots=True)
class _Searched:
    """What is known of one horizon after its search."""

    task: Task
    best: Trial[TrialResult]
    trials: list[Trial[TrialResult]]


@dataclass(frozen=True, slots=True)
class _Work:
    """How one training goes about it."""

    settings: TrainSettings
    backend: Backend
    on_progress: Callable[[Progress], None]
    tracker: Tracker


def train(
    panel: Panel,
    models: Path,
    version: str,
    settings: TrainSettings,
    *,
    created: int,
    backend: Backend,
    also: Sequence[Panel] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    tracker: Tracker | None = None,
    holdout_from: int = folds.HOLDOUT_FROM,
) -> Trained:
    """Train, prove and write `models/alpha/<version>`.

    also     panels of other bars on which the folds' models are judged too, so that the bundle may be served on them
    created  UTC s, goes into the manifest
    Raises DataError or NotReadyError for data that cannot be learned from, ArtifactError for a version that exists.
    """
    began = clock.monotonic()
    tracker = tracker or Tracker(None)
    artifacts.free(models, alpha.KIND, version)
    fitting.lightgbm()  # told before hours of work
    try:
        work = _Work(settings, backend, on_progress, tracker)
        seen = folds.visible(panel, holdout_from=holdout_from)
        others = [folds.visible(other, holdout_from=holdout_from) for other in also]
        manifest, files, rss = _trained(seen, others, created, work)
        bundle = artifacts.write(models, alpha.KIND, version, manifest, files)
    finally:
        tracked = tracker.close()
    return Trained(bundle, clock.monotonic() - began, rss, tracked)


def _trained(
    panel: Panel, also: Sequence[Panel], created: int, work: _Work
) -> tuple[dict[str, Any], dict[str, bytes], int]:
    """Manifest and files of a bundle, and the peak memory, bytes."""
    settings = work.settings
    work.tracker.params({name: getattr(settings, name) for name in settings.__dataclass_fields__})
    data, *others = (_build(one, settings) for one in (panel, *also))  # all of them before hours of work
    plan = fitting.plan_folds(data, settings)
    dataset.refuse_blind(data)
    searched = {h: _search(data, h, plan, work) for h in settings.horizons_h}
    horizons = {h: _fit(one, work) for h, one in searched.items()}
    proofs = _proofs(data, others, horizons)
    work.tracker.metrics({"mixed_ic": proofs[data.bar_s].ic, "mixed_rank_ic": proofs[data.bar_s].rank_ic})
    files = {alpha.model_file(h): one.text.encode() for h, one in horizons.items()}
    texts = {h: one.text for h, one in horizons.items()}
    files[alpha.GOLDEN] = bundles.golden(texts, bundles.golden_inputs(data, settings.seed))
    rss = max(search.peak_rss(one.trials) for one in horizons.values())
    return bundles.manifest(data, panel, settings, created, plan, horizons, proofs), files, rss


def _fit(one: _Searched, work: _Work) -> Fitted:
    """The model that is shipped: all rows, the best parameters, as many trees as the folds' median."""
    task, trees = one.task, int(np.median([fold.trees for fold in one.best.result.folds]))
    text, _ = fitting.fit(task, one.best.params, np.ones(len(task.y), dtype=np.bool_), trees=trees)
    stage = f"{task.horizon_h} h model"
    work.on_progress(Progress(stage, 1, 1, len(task.folds), math.nan, 0.0, search.own_peak_rss()))
    return Fitted(task, one.best, one.trials, trees, text)


def _proofs(data: Dataset, others: Sequence[Dataset], horizons: Mapping[int, Fitted]) -> dict[int, Evidence]:
    """Bar s -> evidence out of sample; another bar only where it covers enough days."""
    proofs = {data.bar_s: _evidence(data, horizons)}
    for unlike in others:
        found = _evidence(unlike, horizons)
        if unlike.bar_s not in proofs and found.decisions * unlike.step_s >= MIN_EVIDENCE_DAYS * DAY_S:
            proofs[unlike.bar_s] = found
    return proofs


def _build(panel: Panel, settings: TrainSettings) -> Dataset:
    return dataset.build(
        panel,
        horizons_h=settings.horizons_h,
        step_h=settings.step_h,
        min_history_days=settings.min_history_days,
    )


def _search(
    data: Dataset,
    horizon_h: int,
    plan: tuple[Fold, ...],
    work: _Work,
) -> _Searched:
    settings = work.settings
    task, began, seen = fitting.task_of(data, horizon_h, plan, settings), clock.monotonic(), list[Trial[TrialResult]]()

    def report(trial: Trial[TrialResult]) -> None:
        seen.append(trial)
        work.tracker.metrics({f"{settings.objective}_{horizon_h}h": trial.result.score}, trial.number)
        eta = (clock.monotonic() - began) / len(seen) * (settings.trials - len(seen))
        leading = max([one.result.score for one in seen if math.isfinite(one.result.score)], default=math.nan)
        rss = search.peak_rss(seen)
        work.on_progress(Progress(f"{horizon_h} h search", len(seen), settings.trials, len(plan), leading, eta, rss))

    trials = search.search(
        fitting.SPACE,
        partial(fitting.judge, task),
        trials=settings.trials,
        batch=settings.batch,
        seed=settings.seed,
        first=fitting.FIRST,
        backend=work.backend,
        on_trial=report,
    )
    return _Searched(task, search.best(trials), trials)


def _evidence(data: Dataset, horizons: Mapping[int, Fitted]) -> Evidence:
    """What the folds' models say on their tests, as it is served: mixed, smoothed, against the longest horizon."""
    longest = max(horizons)
    predicted = {
        h: walkforward.out_of_sample(data, h, one.task.folds, [fold.text for fold in one.best.result.folds])
        for h, one in horizons.items()
    }
    x = walkforward.mixed(data, predicted)
    return evidence.measure(x, data.returns[longest], data.vol, evidence.lags_of(longest, data.step_s))
