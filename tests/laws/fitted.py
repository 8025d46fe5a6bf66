"""Two small LightGBM models fitted on the days before the laws' window: a real alpha, made in a second."""

from functools import cache

import lightgbm
import numpy as np
import world

from evenkeel.market import features
from evenkeel.signals import alpha
from evenkeel.types import Brain

TRAINED_UNTIL = world.START - 3 * world.DAY
NEVER = world.START + 3650 * world.DAY


@cache
def model(seed=7, bar_s=1800, expires=NEVER, trained_until=TRAINED_UNTIL, version="v1"):
    """An alpha of 6 h and 24 h that learned the nine days before `trained_until`, strong enough to move the book."""
    market = world.panel(seed, bar_s=bar_s)
    wide = features.compute(market)
    row = np.flatnonzero((market.time <= trained_until) & (market.time > trained_until - 9 * world.DAY))
    rows, columns = (x.ravel() for x in np.meshgrid(row, np.arange(len(market.assets)), indexing="ij"))
    inputs = alpha.matrix(wide, rows, columns)
    texts = {}
    for h in (6, 24):
        later = np.minimum(rows + h * 3600 // bar_s, len(market.time) - 1)
        with np.errstate(all="ignore"):
            gain = market.close[later, columns] / market.close[rows, columns] - 1.0
        good = np.isfinite(gain)
        data = lightgbm.Dataset(inputs[good], gain[good], feature_name=list(alpha.NAMES), free_raw_data=False)
        settings = {
            "objective": "regression", "num_leaves": 7, "min_data_in_leaf": 20, "verbose": -1, "seed": 1,
            "deterministic": True, "force_row_wise": True, "num_threads": 1,
        }  # fmt: skip
        texts[h] = lightgbm.train(settings, data, num_boost_round=10).model_to_string()
    return alpha.AlphaModel(version, "d" * 64, alpha.forest(texts), trained_until, expires, 0.05, {})


def brain(seed=7, bar_s=1800, **changes):
    """A brain whose only fitted part is that alpha."""
    return Brain(alpha=(model(seed, bar_s, **changes),))
