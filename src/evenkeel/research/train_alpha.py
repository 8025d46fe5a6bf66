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
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.errors import NotReadyError
from evenkeel.market import features as market_features
from evenkeel.research import dataset, evidence, folds, search
from evenkeel.research.dataset import Dataset
from evenkeel.research.evidence import Evidence
from evenkeel.research.folds import Fold
from evenkeel.research.search import Backend, Params, Range, Trial
from evenkeel.research.tracking import Tracker
from evenkeel.signals import alpha
from evenkeel.signals.blend import ShareByRegime
from evenkeel.types import Array, BoolArray, IntArray, Panel
from evenkeel.units import DAY_S, Key, duration

Label = Literal["rank_vol", "rank", "demeaned", "raw"]
Objective = Literal["ic", "rank_ic", "ic_neutral", "rank_ic_neutral"]

MAX_TREES = 150
PATIENCE = 50
MIN_TREES = 40
MIN_ROWS = 500
GOLDEN_ROWS = 64
MIN_EVIDENCE_DAYS = 60

SPACE = (
    Range("num_leaves", 5, 31, whole=True, log=True),
    Range("learning_rate", 0.02, 0.15, log=True),
    Range("min_data_in_leaf", 100, 3000, whole=True, log=True),
    Range("feature_fraction", 0.3, 1.0),
    Range("bagging_fraction", 0.4, 1.0),
    Range("lambda_l2", 0.1, 300.0, log=True),
)
FIRST: Params = {
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_data_in_leaf": 1000,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "lambda_l2": 10.0,
}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How the alpha is trained."""

    label: Annotated[Label, Key("what is fitted: ranks of vol-scaled, ranks, demeaned or raw returns")] = "rank_vol"
    objective: Annotated[Objective, Key("what the search maximises, mean over folds")] = "rank_ic_neutral"
    step_h: Annotated[int, Ge(1), Le(24), Key("hours between sampled decisions", "h")] = 3
    folds: Annotated[int, Ge(1), Le(50), Key("walk-forward tests")] = 6
    first_train: Annotated[float, Gt(0), Lt(1), Key("share of the time before the first test", "fraction")] = 0.4
    embargo_h: Annotated[int, Ge(0), Key("hours left out before a test besides the label's own", "h")] = 24
    trials: Annotated[int, Ge(1), Le(10_000), Key("trials of the search, for each horizon")] = 20
    batch: Annotated[int, Ge(1), Le(256), Key("trials asked for and told at once; changes the outcome")] = 4
    seed: Annotated[int, Ge(0), Key("every random number derives from it")] = 7
    min_history_days: Annotated[float, Ge(1), Key("history before an asset counts", "d")] = 14.0
    expires_after_days: Annotated[int, Ge(1), Key("days after its making at which a model expires", "d")] = 180
    horizons_h: tuple[int, ...] = (6, 24)


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
class Task:
    """One horizon's work, as it travels to a process.

    x (n, F) float32 rows in order of time · y (n,) label · row_time (n,) UTC s · data  for judging: cells is (n, 2)
    """

    horizon_h: int
    x: alpha.Matrix
    y: alpha.Matrix
    row_time: IntArray
    data: Judging
    folds: tuple[Fold, ...]
    gap_s: int
    objective: str
    seed: int


@dataclass(frozen=True, slots=True)
class Judging:
    """What a fold's test is judged on: times, inputs of members (m, F) and where they lie in the (D, N) grid."""

    time: IntArray
    inputs: alpha.Matrix
    rows: IntArray
    columns: IntArray
    returns: Array
    vol: Array
    lags: int


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold of one trial: trees kept, evidence on its test, the model's text."""

    trees: int
    found: Evidence
    text: str


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial's folds and score: the mean over folds of the objective; NaN where a fold could not be judged."""

    score: float
    folds: tuple[FoldResult, ...]


@dataclass(slots=True)
class _Horizon:
    """What is known of one horizon after its search."""

    task: Task
    best: Trial[TrialResult]
    trials: list[Trial[TrialResult]]
    text: str = ""
    trees: int = 0


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
    try:
        work = _Work(settings, backend, on_progress, tracker)
        seen = folds.visible(panel, holdout_from=holdout_from)
        others = [folds.visible(other, holdout_from=holdout_from) for other in also]
        manifest, files, rss = _trained(seen, others, created, work)
        bundle = artifacts.write(models, alpha.KIND, version, manifest, files)
    finally:
        tracked = tracker.close()
    return Trained(bundle, clock.monotonic() - began, rss, tracked)


def plan_folds(data: Dataset, settings: TrainSettings) -> tuple[Fold, ...]:
    """Folds between the first and last decision that count. One plan for all horizons, purged for the longest."""
    used = data.time[data.member.any(axis=1)]
    return folds.walk_forward(
        int(used[0]),
        int(used[-1]),
        count=settings.folds,
        gap_s=folds.purge_s(max(settings.horizons_h), data.bar_s),
        embargo_s=settings.embargo_h * 3_600,
        first_train=settings.first_train,
    )


def task_of(data: Dataset, horizon_h: int, plan: tuple[Fold, ...], settings: TrainSettings) -> Task:
    """One horizon's rows and tests. Raises NotReadyError where there is too little to learn from."""
    target = dataset.label(data, horizon_h, settings.label)
    known = np.isfinite(target)
    rows, _ = np.nonzero(known)
    if len(rows) < MIN_ROWS:
        raise NotReadyError(
            f"{len(rows)} rows have a {horizon_h} h label, {MIN_ROWS} are needed: load more history or more assets"
        )
    return Task(
        horizon_h=horizon_h,
        x=data.x[known],
        y=target[known].astype(np.float32),
        row_time=data.time[rows],
        data=_judging(data, horizon_h, plan),
        folds=plan,
        gap_s=folds.purge_s(horizon_h, data.bar_s),
        objective=settings.objective,
        seed=settings.seed,
    )


def judge(task: Task, params: Params) -> TrialResult:
    """All folds of one trial: pure, one thread."""
    results = tuple(_judge_fold(task, params, fold) for fold in task.folds)
    scores = [getattr(result.found, task.objective) for result in results]
    return TrialResult(float(np.mean(scores)), results)


def fit(
    task: Task, params: Params, chosen: BoolArray, *, trees: int = MAX_TREES, stop: BoolArray | None = None
) -> tuple[str, int]:
    """Fit on chosen rows (n,); with `stop` rows, until they get no better. -> model text, trees."""
    import lightgbm  # noqa: PLC0415 - only where a model is used

    def rows(which: BoolArray, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            task.x[which], task.y[which], reference=reference, feature_name=list(alpha.NAMES), params={"verbosity": -1}
        )

    given = {
        **params,
        "min_data_in_leaf": max(1, min(int(params["min_data_in_leaf"]), int(chosen.sum()) // 50)),
        "objective": "regression",
        "metric": "None",
        "bagging_freq": 1,
        "max_bin": 127,
        "seed": task.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    learned = rows(chosen)
    if stop is None:
        made = lightgbm.train(given, learned, trees)
    else:
        made = lightgbm.train(
            given,
            learned,
            trees,
            valid_sets=[rows(stop, learned)],
            feval=_stopping_rule(task.y[stop], task.row_time[stop]),
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
    kept = (
        made.current_iteration() if stop is None else min(made.current_iteration(), max(MIN_TREES, made.best_iteration))
    )
    return str(made.model_to_string(num_iteration=kept)), kept


def _stopping_rule(y: alpha.Matrix, row_time: IntArray) -> Callable[[Array, Any], tuple[str, float, bool]]:
    """Mean over times of the correlation of forecast and label: what is wanted of a model is an order of assets.

    y, row_time (n,), rows in order of time. Mean square error, LightGBM's own rule, stops at the first tree or two
    where labels are as noisy as returns.
    """
    starts = np.flatnonzero(np.diff(row_time, prepend=row_time[0] - 1))
    sizes = np.diff(np.append(starts, len(y)))

    def centred(x: Array) -> Array:
        out: Array = x - np.repeat(np.add.reduceat(x, starts) / sizes, sizes)
        return out

    wanted = centred(y.astype(np.float64))
    square = np.add.reduceat(wanted * wanted, starts)

    def rule(predicted: Array, _: Any) -> tuple[str, float, bool]:
        given = centred(predicted)
        scale = np.sqrt(np.add.reduceat(given * given, starts) * square)
        both = np.add.reduceat(given * wanted, starts)
        return "ic", float(np.where(scale > 0, both / np.where(scale > 0, scale, 1.0), 0.0).mean()), True

    return rule


def golden_inputs(data: Dataset, seed: int) -> alpha.Matrix:
    """(64, F) made-up rows within the range of what was trained on, a twentieth unknown: no market data is shipped."""
    rng = np.random.default_rng(seed)
    used = data.x[data.member]
    low, high = np.nanquantile(used[:: max(1, len(used) // 20_000)], [0.01, 0.99], axis=0)
    drawn = low + (high - low) * rng.random((GOLDEN_ROWS, len(data.names)))
    return np.where(rng.random(drawn.shape) < 0.05, np.nan, drawn).astype(np.float32)


def _trained(
    panel: Panel, also: Sequence[Panel], created: int, work: _Work
) -> tuple[dict[str, Any], dict[str, bytes], int]:
    """Manifest and files of a bundle, and the peak memory, bytes."""
    settings = work.settings
    work.tracker.params({name: getattr(settings, name) for name in settings.__dataclass_fields__})
    data = _build(panel, settings)
    plan = plan_folds(data, settings)
    dataset.refuse_blind(data)
    horizons = {h: _search(data, h, plan, work) for h in settings.horizons_h}
    for h, one in horizons.items():
        one.trees = int(np.median([fold.trees for fold in one.best.result.folds]))
        one.text = fit(one.task, one.best.params, np.ones(len(one.task.y), dtype=np.bool_), trees=one.trees)[0]
        work.on_progress(Progress(f"{h} h model", 1, 1, len(plan), math.nan, 0.0, search.own_peak_rss()))
    proofs = {data.bar_s: _mixed(data, {h: _out_of_sample(data, one) for h, one in horizons.items()})}
    for other in also:
        unlike = _build(other, settings)
        found = _mixed(unlike, {h: _out_of_sample(unlike, one) for h, one in horizons.items()})
        if unlike.bar_s not in proofs and found.decisions * unlike.step_s >= MIN_EVIDENCE_DAYS * DAY_S:
            proofs[unlike.bar_s] = found
    work.tracker.metrics({"mixed_ic": proofs[data.bar_s].ic, "mixed_rank_ic": proofs[data.bar_s].rank_ic})
    files = {alpha.model_file(h): one.text.encode() for h, one in horizons.items()}
    boosters = {h: alpha.booster(one.text) for h, one in horizons.items()}
    files[alpha.GOLDEN] = alpha.golden(boosters, golden_inputs(data, settings.seed))
    rss = max(search.peak_rss(one.trials) for one in horizons.values())
    return _manifest(data, panel, settings, created, plan, horizons, proofs), files, rss


def _build(panel: Panel, settings: TrainSettings) -> Dataset:
    return dataset.build(
        panel,
        horizons_h=settings.horizons_h,
        step_h=settings.step_h,
        min_history_days=settings.min_history_days,
    )


def _judging(data: Dataset, horizon_h: int, plan: Sequence[Fold]) -> Judging:
    start = int(np.searchsorted(data.time, plan[0].test_from))
    rows, columns = np.nonzero(data.member[start:])
    return Judging(
        time=data.time[start:],
        inputs=data.x[start:][data.member[start:]],
        rows=rows,
        columns=columns,
        returns=data.returns[horizon_h][start:],
        vol=data.vol[start:],
        lags=evidence.lags_of(horizon_h, data.step_s),
    )


def _judge_fold(task: Task, params: Params, fold: Fold) -> FoldResult:
    fit_until, stop_from = folds.inner(fold, task.gap_s)
    trained = fold.train(task.row_time)
    folds.require_purged(fold, task.row_time[trained], task.gap_s)
    chosen, stop = trained & (task.row_time <= fit_until), trained & (task.row_time >= stop_from)
    if chosen.sum() < MIN_ROWS or not stop.any():
        raise NotReadyError(
            f"fold {fold.number} has {int(chosen.sum())} rows to fit on and {int(stop.sum())} to stop by, {MIN_ROWS} "
            "and 1 are needed: load more history, or ask for fewer folds"
        )
    text, trees = fit(task, params, chosen, stop=stop)
    at = task.data
    tested = fold.test(at.time)
    cells = tested[at.rows]
    x = np.full(at.returns.shape, np.nan)
    x[at.rows[cells], at.columns[cells]] = alpha.scores(alpha.booster(text), at.inputs[cells])
    return FoldResult(trees, evidence.measure(x[tested], at.returns[tested], at.vol[tested], at.lags), text)


def _search(
    data: Dataset,
    horizon_h: int,
    plan: tuple[Fold, ...],
    work: _Work,
) -> _Horizon:
    settings = work.settings
    task, began, seen = task_of(data, horizon_h, plan, settings), clock.monotonic(), list[Trial[TrialResult]]()

    def report(trial: Trial[TrialResult]) -> None:
        seen.append(trial)
        work.tracker.metrics({f"{settings.objective}_{horizon_h}h": trial.result.score}, trial.number)
        eta = (clock.monotonic() - began) / len(seen) * (settings.trials - len(seen))
        leading = max([one.result.score for one in seen if math.isfinite(one.result.score)], default=math.nan)
        rss = search.peak_rss(seen)
        work.on_progress(Progress(f"{horizon_h} h search", len(seen), settings.trials, len(plan), leading, eta, rss))

    trials = search.search(
        SPACE,
        partial(judge, task),
        trials=settings.trials,
        batch=settings.batch,
        seed=settings.seed,
        first=FIRST,
        backend=work.backend,
        on_trial=report,
    )
    return _Horizon(task, search.best(trials), trials)


def _out_of_sample(data: Dataset, one: _Horizon) -> Array:
    """(D, N) each fold's model on its own test; NaN elsewhere."""
    out = np.full(data.member.shape, np.nan)
    for fold, result in zip(one.task.folds, one.best.result.folds, strict=True):
        cells = data.member & fold.test(data.time)[:, None]
        if cells.any():
            out[cells] = alpha.scores(alpha.booster(result.text), data.x[cells])
    return out


def _mixed(data: Dataset, predicted: Mapping[int, Array]) -> Evidence:
    """Evidence of the opinion as it is served: mixed by regime, smoothed, against the longest horizon."""
    longest = max(predicted)
    x = alpha.combine(predicted, ShareByRegime().expected(data.regime), data.time, data.step_s)
    return evidence.measure(x, data.returns[longest], data.vol, evidence.lags_of(longest, data.step_s))


def _manifest(
    data: Dataset,
    panel: Panel,
    settings: TrainSettings,
    created: int,
    plan: Sequence[Fold],
    horizons: Mapping[int, _Horizon],
    proofs: Mapping[int, Evidence],
) -> dict[str, Any]:
    counted = [bool(data.member[:, i].any()) for i in range(len(data.assets))]
    return {
        "created": created,
        "expires": created + settings.expires_after_days * DAY_S,
        "bars": sorted(proofs),
        "features": {"digest": market_features.digest(), "names": list(alpha.NAMES)},
        "horizons_h": list(settings.horizons_h),
        "label": settings.label,
        "train": {
            "bar": duration(data.bar_s),
            "from": min(int(one.task.row_time[0]) for one in horizons.values()),
            "until": max(int(one.task.row_time[-1]) for one in horizons.values()),
            "data_until": int(panel.time[-1]),
            "step_h": settings.step_h,
            "rows": {str(h): len(one.task.y) for h, one in horizons.items()},
            "embargo_h": settings.embargo_h,
        },
        "universe": [asset for asset, counts in zip(data.assets, counted, strict=True) if counts],
        "libraries": _libraries(),
        "search": {
            "objective": settings.objective,
            "trials": settings.trials * len(horizons),
            "batch": settings.batch,
            "seed": settings.seed,
            "horizons": {str(h): _found(one) for h, one in horizons.items()},
        },
        "folds": [
            {
                "train": [fold.train_from, fold.train_until],
                "test": [fold.test_from, fold.test_until],
                "horizons": {
                    str(h): {"trees": one.best.result.folds[i].trees, **one.best.result.folds[i].found.to_json()}
                    for h, one in horizons.items()
                },
            }
            for i, fold in enumerate(plan)
        ],
        "evidence": {str(bar): found.to_json() for bar, found in proofs.items()},
    }


def _found(one: _Horizon) -> dict[str, Any]:
    scores = [trial.result.score for trial in one.trials if math.isfinite(trial.result.score)]
    return {
        "params": dict(one.best.params),
        "trial": one.best.number,
        "trees": one.trees,
        "score": one.best.result.score,
        "score_of_all_trials": {"mean": float(np.mean(scores)), "sd": float(np.std(scores)), "count": len(scores)},
    }


def _libraries() -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415 - reads files

    return {name: version(name) for name in ("lightgbm", "numpy", "optuna", "joblib")}
