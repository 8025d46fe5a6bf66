"""The two LightGBM models that the full path scores with: the shipped bundle, or two of its kind made here.

While no bundle is shipped, both horizons are fitted to noise with as many trees and leaves as `train alpha` begins
with; what a forecast costs does not depend on what it says. Kept under `.peers/model/`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evenkeel import artifacts
from evenkeel.signals import alpha

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".peers" / "model"
TREES, LEAVES, HORIZONS = 150, 15, (6, 24)
FOREVER = 2**40


def model(bar_s: int) -> tuple[alpha.AlphaModel, str]:
    """A model that is valid over the whole panel, and where it is from."""
    path = artifacts.chosen("alpha", ROOT / "models", ROOT / "models")
    if path is not None:
        return replace(alpha.load(path, bar_s), train_end=0, expires=FOREVER), f"shipped {path.name}"
    models = alpha.forest({h: _text(h) for h in HORIZONS})
    made = alpha.AlphaModel("bench", "0" * 64, models, 0, FOREVER, 0.02, {})
    return made, f"noise, {TREES} trees of {LEAVES} leaves"


def _text(horizon_h: int) -> str:
    file = FOLDER / alpha.model_file(horizon_h)
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        file.write_text(_fitted(horizon_h))
    return file.read_text()


def _fitted(seed: int) -> str:
    import lightgbm  # noqa: PLC0415 - only where a model is made

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200_000, len(alpha.NAMES))).astype(np.float32)
    y = np.tanh(x[:, ::3].sum(axis=1)) + rng.normal(size=len(x))
    settings = {"num_leaves": LEAVES, "min_data_in_leaf": 1000, "verbosity": -1, "seed": seed, "num_threads": 1}
    data = lightgbm.Dataset(x, y, feature_name=list(alpha.NAMES))
    return str(lightgbm.train(settings, data, TREES).model_to_string())
