"""How a feature kernel is timed in its own process: data in memory, one small call to warm up, then one that counts."""

import argparse
import json
import time
import warnings

import numpy as np


def market_wide(r_24, r_168, vol, emaz_72):
    """The market's columns of (T, N) features: mean, benchmark, dispersion, breadth; hour and weekday cost nothing."""
    known = np.isfinite(emaz_72)
    above = np.where(known, emaz_72 > 0, np.nan)
    columns = (np.nanmean(r_24, axis=1), r_24[:, 0], r_168[:, 0], vol[:, 0], np.nanstd(r_24, axis=1))
    return np.column_stack([*columns, np.nanmean(above, axis=1)])


def measure(panel, prepare=lambda bars: bars):
    """Print the seconds that `panel(prepare(bars))` takes, for the assets and the last bars asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--assets", type=int)
    parser.add_argument("--bars", type=int, default=0)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    bars = {
        name: np.ascontiguousarray(np.load(f"{given.folder}/{name}.npy")[-given.bars :, : given.assets])
        for name in ("high", "low", "close", "volume")
    }
    panel(prepare({name: x[:2000] for name, x in bars.items()}))
    ready, taken = prepare(bars), []
    for _ in range(given.times):
        began = time.perf_counter()
        panel(ready)
        taken.append(time.perf_counter() - began)
    print(json.dumps({"seconds": sorted(taken)[len(taken) // 2], "assets": bars["close"].shape[1]}))
