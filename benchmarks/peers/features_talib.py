"""evenkeel's per-asset feature table by TA-Lib, an asset at a time: features_talib.py FOLDER [--assets N] [--bars T].

Hours are pairs of 30-minute bars. Where TA-Lib has no function (the 30-day median) a mean stands in, which is cheaper.
"""

import math

import numpy as np
import talib
from kernel import market_wide, measure

HOURS = (1, 3, 6, 24, 72, 168, 336, 720)
ANNUAL = math.sqrt(365.25 * 24)


def lagged(x, bars):
    """x, some bars earlier."""
    out = np.full_like(x, np.nan)
    out[bars:] = x[:-bars]
    return out


def asset(c, h, l, volume, base):
    """All features of one asset, (T,) each."""
    p, dollars = np.log(c), c * volume
    r, b = p - lagged(p, 2), base - lagged(base, 2)
    out = {f"r_{k}": p - lagged(p, 2 * k) for k in HOURS}
    vol = np.sqrt(talib.EMA(r * r, 277))
    out["vol"] = vol * ANNUAL
    for k in (12, 72):
        out[f"emaz_{k}"] = (p - talib.EMA(p, 2 * k)) / (vol * math.sqrt(k))
    out["rsi"] = talib.RSI(c, 28)
    upper, _, lower = talib.BBANDS(c, 40, 2, 2)
    out["bb"] = (c - lower) / (upper - lower)
    out["atr"] = talib.SMA(talib.TRANGE(h, l, c), 48) / c
    out["dd"] = p - talib.MAX(p, 336)
    quiet = talib.SMA(np.log(dollars), 12)
    out["volz"] = (quiet - talib.SMA(quiet, 336)) / talib.STDDEV(quiet, 336)
    month = talib.SMA(dollars, 1440)
    out["liq"] = np.log(month * 48)
    out["amihud"] = np.log(talib.SMA(np.abs(r) / dollars, 336))
    out["dvchg"] = np.log(talib.SMA(dollars, 48) / month)
    mean_r, mean_b = talib.SMA(r, 672), talib.SMA(b, 672)
    beta = (talib.SMA(r * b, 672) - mean_r * mean_b) / talib.VAR(b, 672)
    out["beta"] = beta
    out["ivol"] = np.sqrt(np.maximum(talib.VAR(r, 672) - beta * beta * talib.VAR(b, 672), 0.0)) * ANNUAL
    for k in (24, 168):
        own, market = p - lagged(p, 2 * k), base - lagged(base, 2 * k)
        out[f"resmom_{k}"] = (own - beta * market) / (vol * math.sqrt(k))
    return out


def panel(bars):
    """All assets."""
    columns = {name: np.ascontiguousarray(x.T) for name, x in bars.items()}
    base = np.log(columns["close"][0])
    given = zip(columns["close"], columns["high"], columns["low"], columns["volume"], strict=True)
    made = [asset(c, h, l, v, base) for c, h, l, v in given]
    return made, market_wide(
        *(np.stack([x[name] for x in made], axis=1) for name in ("r_24", "r_168", "vol", "emaz_72"))
    )


if __name__ == "__main__":
    measure(panel)
