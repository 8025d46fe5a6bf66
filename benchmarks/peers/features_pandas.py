"""evenkeel's per-asset feature table by pandas, all assets at once: features_pandas.py FOLDER [--assets N] [--bars T].

Hours are pairs of 30-minute bars. A mean stands in for the 30-day median, which would be slower.
"""

import math

import numpy as np
import pandas as pd
from kernel import market_wide, measure

HOURS = (1, 3, 6, 24, 72, 168, 336, 720)
ANNUAL = math.sqrt(365.25 * 24)


def panel(bars):
    """Feature name -> frame of bars x assets."""
    c, h, l, volume = (bars[name] for name in ("close", "high", "low", "volume"))
    p, dollars = np.log(c), c * volume
    base = p[[0]].to_numpy()
    r, b = p.diff(2), pd.Series(base[:, 0]).diff(2)
    out = {f"r_{k}": p.diff(2 * k) for k in HOURS}
    vol = np.sqrt((r * r).ewm(halflife=96).mean())
    out["vol"] = vol * ANNUAL
    for k in (12, 72):
        out[f"emaz_{k}"] = (p - p.ewm(span=2 * k, adjust=False).mean()) / (vol * math.sqrt(k))
    moved = c.diff()
    up = moved.clip(lower=0).ewm(alpha=1 / 28, adjust=False).mean()
    down = (-moved).clip(lower=0).ewm(alpha=1 / 28, adjust=False).mean()
    out["rsi"] = 100 - 100 / (1 + up / down)
    mean, sd = c.rolling(40).mean(), c.rolling(40).std(ddof=0)
    out["bb"] = (c - mean + 2 * sd) / (4 * sd)
    before = c.shift()
    true_range = np.maximum(h, before) - np.minimum(l, before)
    out["atr"] = true_range.rolling(48).mean() / c
    out["dd"] = p - p.rolling(336).max()
    quiet = np.log(dollars).rolling(12).mean()
    out["volz"] = (quiet - quiet.rolling(336).mean()) / quiet.rolling(336).std(ddof=0)
    month = dollars.rolling(1440).mean()
    out["liq"] = np.log(month * 48)
    out["amihud"] = np.log((r.abs() / dollars).rolling(336).mean())
    out["dvchg"] = np.log(dollars.rolling(48).mean() / month)
    variance = b.rolling(672).var(ddof=0)
    covariance = r.mul(b, axis=0).rolling(672).mean() - r.rolling(672).mean().mul(b.rolling(672).mean(), axis=0)
    beta = covariance.div(variance, axis=0)
    out["beta"] = beta
    out["ivol"] = np.sqrt((r.rolling(672).var(ddof=0) - (beta * beta).mul(variance, axis=0)).clip(lower=0)) * ANNUAL
    for k in (24, 168):
        market = pd.Series(base[:, 0]).diff(2 * k)
        out[f"resmom_{k}"] = (p.diff(2 * k) - beta.mul(market, axis=0)) / (vol * math.sqrt(k))
    return out, market_wide(*(out[name].to_numpy() for name in ("r_24", "r_168", "vol", "emaz_72")))


if __name__ == "__main__":
    measure(panel, lambda bars: {name: pd.DataFrame(x) for name, x in bars.items()})
