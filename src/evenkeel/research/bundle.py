"""What a training leaves behind: a manifest, and made-up rows whose forecasts are replayed at every load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from evenkeel.market import features as market_features
from evenkeel.research.dataset import Dataset
from evenkeel.research.evidence import Evidence
from evenkeel.research.fitting import FoldResult, Task, TrainSettings, TrialResult, lightgbm
from evenkeel.research.folds import Fold
from evenkeel.research.search import Trial
from evenkeel.signals import alpha
from evenkeel.types import Panel
from evenkeel.units import DAY_S, duration

GOLDEN_ROWS = 64


@dataclass(frozen=True, slots=True)
class Fitted:
    """One horizon after its search: the model of all rows, and the trial whose parameters it has."""

    task: Task
    best: Trial[TrialResult]
    trials: list[Trial[TrialResult]]
    trees: int
    text: str


def golden_inputs(data: Dataset, seed: int) -> alpha.Matrix:
    """(64, F) made-up rows within the range of what was trained on, a twentieth unknown: no market data is shipped."""
    rng = np.random.default_rng(seed)
    used = data.x[data.member]
    low, high = np.nanquantile(used[:: max(1, len(used) // 20_000)], [0.01, 0.99], axis=0)
    drawn = low + (high - low) * rng.random((GOLDEN_ROWS, len(data.names)))
    return np.where(rng.random(drawn.shape) < 0.05, np.nan, drawn).astype(np.float32)


def golden(texts: Mapping[int, str], inputs: alpha.Matrix) -> bytes:
    """The file that `alpha.load` replays: inputs (n, F) and what LightGBM itself makes of them, NaN as null.

    texts  horizon h -> model
    """
    boosters = {h: lightgbm().Booster(model_str=text) for h, text in texts.items()}
    content = {
        "input": [[None if np.isnan(v) else float(v) for v in row] for row in inputs],
        "output": {str(h): one.predict(inputs, num_threads=1).tolist() for h, one in boosters.items()},
    }
    return orjson.dumps(content)


def manifest(
    data: Dataset,
    panel: Panel,
    settings: TrainSettings,
    created: int,
    plan: Sequence[Fold],
    horizons: Mapping[int, Fitted],
    proofs: Mapping[int, Evidence],
) -> dict[str, Any]:
    """Everything that the manifest says but digests and version.

    created  UTC s, the only thing in a bundle that is not of panel, settings and seed · horizons  horizon h -> model
    proofs   bar s -> evidence out of sample, as served
    """
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
            _judged(fold, {h: one.best.result.folds[i] for h, one in horizons.items()}) for i, fold in enumerate(plan)
        ],
        "evidence": {str(bar): found.to_json() for bar, found in proofs.items()},
    }


def _judged(fold: Fold, results: Mapping[int, FoldResult]) -> dict[str, Any]:
    return {
        "train": [fold.train_from, fold.train_until],
        "test": [fold.test_from, fold.test_until],
        "horizons": {str(h): {"trees": one.trees, **one.found.to_json()} for h, one in results.items()},
    }


def _found(one: Fitted) -> dict[str, Any]:
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
