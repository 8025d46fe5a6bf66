"""The plain rule's weights as a pandas user writes them; vectorbt and bt share it.

Every 12 bars: the ten assets with the highest 24 h return, weighted by inverse 24 h volatility, 10 % cash, none above
15 %.
"""

import numpy as np
import pandas as pd


def frame(folder, field="close"):
    """Bars x assets, indexed by time."""
    values, time = np.load(f"{folder}/{field}.npy"), np.load(f"{folder}/time.npy")
    return pd.DataFrame(values, index=pd.to_datetime(time, unit="s"))


def targets(close, k=10, lookback=48, every=12, cap=0.15, cash=0.10):
    """Wanted weights at the rows where the rule trades."""
    momentum = close.pct_change(lookback)
    vol = np.log(close).diff().rolling(lookback).std()
    due = np.arange(len(close)) % every == 0
    due[:lookback] = False
    chosen = momentum[due].rank(axis=1, ascending=False) <= k
    inverse = (1 / vol[due]).where(chosen)
    return inverse.div(inverse.sum(axis=1), axis=0).mul(1 - cash).clip(upper=cap).fillna(0.0)
