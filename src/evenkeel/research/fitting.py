"""One horizon, fitted: rows and walk-forward folds in, the model of each fold and what its test says of it out.

A fold's model stops early, by IC on a purged split of its own training time; it is judged on its test alone. The law:
the same task and parameters give the same model text, in whichever process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from evenkeel.errors import NotReadyError
from evenkeel.research import dataset, evidence, folds
from evenkeel.research.dataset import Dataset
from evenkeel.research.evidence import Evidence
from evenkeel.research.folds import Fold
from evenkeel.research.search import EXTRA, Params, Range
from evenkeel.signals import alpha
from evenkeel.types import Array, BoolArray, IntArray
from evenkeel.units import Key

Label = Literal["rank_vol", "rank", "demeaned", "raw"]
Objective = Literal["ic", "rank_ic", "ic_neutral", "rank_ic_neutral"]

MAX_TREES = 150
PATIENCE = 50
MIN_TREES = 40
MIN_ROWS = 500

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

    label: Annotated[Label, Key("what is fitted: ranks of vol-scaled, ranks, demeaned or raw returns")] = "rank"
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
    results = tuple(judge_fold(task, params, fold) for fold in task.folds)
    scores = [getattr(result.found, task.objective) for result in results]
    return TrialResult(float(np.mean(scores)), results)


def lightgbm() -> Any:
    """The library that fits; what it has fitted is served without. Raises NotReadyError where it is not installed."""
    try:
        import lightgbm as library  # noqa: PLC0415 - an extra, and 1.7 s
    except ImportError as error:
        raise NotReadyError(f"LightGBM is not installed: {EXTRA}") from error
    return library


def forecast(horizon_h: int, text: str, inputs: alpha.Matrix) -> Array:
    """(n,) what one fitted model says of inputs (n, F), as it is served."""
    return alpha.scores(alpha.forest({horizon_h: text}), inputs)[horizon_h]


def fit(
    task: Task, params: Params, chosen: BoolArray, *, trees: int = MAX_TREES, stop: BoolArray | None = None
) -> tuple[str, int]:
    """Fit on chosen rows (n,); with `stop` rows, until they get no better. -> model text, trees."""
    library = lightgbm()

    def rows(which: BoolArray, reference: Any = None) -> Any:
        return library.Dataset(
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
        made = library.train(given, learned, trees)
    else:
        made = library.train(
            given,
            learned,
            trees,
            valid_sets=[rows(stop, learned)],
            feval=_stopping_rule(task.y[stop], task.row_time[stop]),
            callbacks=[library.early_stopping(PATIENCE, verbose=False)],
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


def judge_fold(task: Task, params: Params, fold: Fold) -> FoldResult:
    """Fit before a fold's test and judge on it: pure, one thread. Raises NotReadyError for too few rows."""
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
    x[at.rows[cells], at.columns[cells]] = forecast(task.horizon_h, text, at.inputs[cells])
    return FoldResult(trees, evidence.measure(x[tested], at.returns[tested], at.vol[tested], at.lags), text)
