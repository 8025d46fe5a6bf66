"""Candle files in which the last day's return pulls or pushes the next hour's: something to learn, and to undo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ASSETS = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "LINK", "UNI", "LTC", "ADA")
START = 1_727_740_800
"""2024-10-01T00:00:00Z."""
QUICK = ("--trials", "1", "--batch", "1", "--folds", "1", "--jobs", "1")
"""A training of one second."""


def columns(days, pull, *, bar_s=3_600, start=START, assets=ASSETS, seed=7):
    """Columns of a tidy file; pull > 0: what rose goes on rising."""
    rng = np.random.default_rng(seed)
    bars, size, day = days * 86_400 // bar_s, len(assets), 86_400 // bar_s
    hours = bar_s / 3_600
    own = np.linspace(0.004, 0.008, size) * np.sqrt(hours) * rng.standard_normal((bars, size))
    step = np.zeros((bars, size))
    for t in range(bars):
        step[t] = own[t] + pull * 0.001 * hours * np.tanh(step[max(0, t - day) : t].sum(axis=0) / 0.02)
    together = 0.002 * np.sqrt(hours) * rng.standard_normal((bars, 1))
    close = 50 * np.exp(np.cumsum(step + together, axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    return {
        "timestamp": np.repeat(start + bar_s * np.arange(bars), size),
        "symbol": np.tile([f"{asset}USDT" for asset in assets], bars),
        "open": opened.ravel(),
        "high": (np.maximum(opened, close) * 1.002).ravel(),
        "low": (np.minimum(opened, close) * 0.998).ravel(),
        "close": close.ravel(),
        "volume": rng.lognormal(12, 1, (bars, size)).ravel(),
    }


def candles(path: Path, days, pull=1.0, *, change=lambda table: table, **given):
    """Write such a file, whose columns `change` may spoil, and say where it is."""
    pq.write_table(pa.table(change(columns(days, pull, **given))), path)
    return path
