"""evenkeel's per-asset feature table by `ta`, an asset at a time: features_ta.py FOLDER [--assets N] [--eleven].

Hours are pairs of 30-minute bars; pandas does what `ta` has no class for. A mean stands in for the 30-day median.
"""

import math
import sys

import numpy as np
import pandas as pd
from kernel import measure
from ta.momentum import RSIIndicator
from ta.trend import EMAIndicator
from ta.volatility import AverageTrueRange, BollingerBands

HOURS = (1, 3, 6, 24, 72, 168, 336, 720)
ANNUAL = math.sqrt(365.25 * 24)


def eleven(frame):
    """Returns of 1, 3, 6 and 24 h, volatility, distances from two EMAs, RSI, Bollinger, ATR, drawdown; a dict."""
    c, h, l = frame["close"], frame["high"], frame["low"]
    p = np.log(c)
    r = p.diff(2)
    out = {f"r_{k}": p.diff(2 * k) for k in HOURS[:4]}
    vol = np.sqrt((r * r).ewm(halflife=96).mean())
    out["vol"] = vol * ANNUAL
    for k in (12, 72):
        out[f"emaz_{k}"] = (p - EMAIndicator(p, 2 * k).ema_indicator()) / (vol * math.sqrt(k))
    out["rsi"] = RSIIndicator(c, 28).rsi()
    out["bb"] = BollingerBands(c, 40, 2).bollinger_pband()
    out["atr"] = AverageTrueRange(h, l, c, 48).average_true_range() / c
    out["dd"] = p - p.rolling(336).max()
    return out


def asset(frame, base):
    """All features of one asset, a frame."""
    c, out = frame["close"], eleven(frame)
    p, dollars, vol = np.log(c), c * frame["volume"], out["vol"] / ANNUAL
    r, b = p.diff(2), base.diff(2)
    out |= {f"r_{k}": p.diff(2 * k) for k in HOURS[4:]}
    quiet = np.log(dollars).rolling(12).mean()
    out["volz"] = (quiet - quiet.rolling(336).mean()) / quiet.rolling(336).std(ddof=0)
    month = dollars.rolling(1440).mean()
    out["liq"] = np.log(month * 48)
    out["amihud"] = np.log((r.abs() / dollars).rolling(336).mean())
    out["dvchg"] = np.log(dollars.rolling(48).mean() / month)
    variance = b.rolling(672).var(ddof=0)
    beta = ((r * b).rolling(672).mean() - r.rolling(672).mean() * b.rolling(672).mean()) / variance
    out["beta"] = beta
    out["ivol"] = np.sqrt((r.rolling(672).var(ddof=0) - beta * beta * variance).clip(lower=0)) * ANNUAL
    for k in (24, 168):
        out[f"resmom_{k}"] = (p.diff(2 * k) - beta * base.diff(2 * k)) / (vol * math.sqrt(k))
    return pd.DataFrame(out)


def panel(frames):
    """All assets."""
    base = np.log(frames[0]["close"])
    return [asset(frame, base) for frame in frames]


def few(frames):
    """The eleven of all assets."""
    return [pd.DataFrame(eleven(frame)) for frame in frames]


def frames_of(bars):
    """A frame for each asset."""
    count = bars["close"].shape[1]
    return [pd.DataFrame({name: np.ascontiguousarray(x[:, j]) for name, x in bars.items()}) for j in range(count)]


if __name__ == "__main__":
    only_eleven = "--eleven" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--eleven"]
    measure(few if only_eleven else panel, frames_of)
