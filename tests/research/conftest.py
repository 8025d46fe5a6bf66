"""Small made-up markets, one dataset and one trained bundle, shared by the whole room."""

import numpy as np
import pytest

from evenkeel.market.panel import panel
from evenkeel.research import dataset
from evenkeel.research.fitting import TrainSettings
from evenkeel.research.search import Backend

START = 1_735_689_600
"""2025-01-01T00:00:00Z."""
ASSETS = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "LINK", "UNI", "PEPE", "WIF")


def make(days=100, assets=ASSETS, bar_s=3600, seed=7, **changes):
    """Build a seeded random walk with a common factor and different volatilities; `changes` replace whole fields."""
    rng = np.random.default_rng(seed)
    bars = days * 86_400 // bar_s
    shape = (bars, len(assets))
    own = np.linspace(0.002, 0.008, len(assets))
    step = (0.004 * rng.standard_normal((bars, 1)) + own * rng.standard_normal(shape)) * np.sqrt(bar_s / 3600)
    close = 50.0 * np.exp(np.cumsum(step, axis=0))
    given = {
        "time": START + bar_s + bar_s * np.arange(bars),
        "open": close * np.exp(0.0005 * rng.standard_normal(shape)),
        "high": close * 1.004,
        "low": close * 0.996,
        "close": close,
        "volume": rng.lognormal(6.0, 1.0, shape),
    }
    return panel(assets=assets, bar_s=bar_s, **(given | changes))


SMALL = TrainSettings(step_h=6, folds=2, trials=2, batch=2, min_history_days=7.0, embargo_h=0)
ALONE = Backend(jobs=1)


@pytest.fixture(scope="session")
def market():
    """A hundred days of ten assets, hourly."""
    return make()


@pytest.fixture(scope="session")
def data(market):
    """Sample the market every 6 h."""
    return dataset.build(market, step_h=6, min_history_days=7.0)


@pytest.fixture(scope="session")
def trained(market, tmp_path_factory):
    """Train a small model once."""
    pytest.importorskip("optuna", reason="training needs the [train] extra")
    from evenkeel.research.train_alpha import train

    return train(market, tmp_path_factory.mktemp("models"), "v1", SMALL, created=START, backend=ALONE)
