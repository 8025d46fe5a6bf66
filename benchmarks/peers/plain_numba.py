"""The plain rule as one compiled loop, the fastest we know: plain_numba.py FOLDER. No engine, no ledger, floats."""

import json
import sys

import numba
import numpy as np


@numba.njit(cache=True, fastmath=True)
def run(close, logs, k, lookback, every, cap, cash_share, fee, capital):
    """Equity at every bar, and how many orders it took."""
    bars, n = close.shape
    units, weight = np.zeros(n), np.zeros(n)
    momentum, vol, squares = np.zeros(n), np.zeros(n), np.zeros(n)
    equity = np.empty(bars)
    cash, orders = capital, 0
    for t in range(bars):
        value = cash
        for j in range(n):
            value += units[j] * close[t, j]
        equity[t] = value
        if t < lookback or t % every:
            continue
        squares[:] = 0.0
        for i in range(t - lookback + 1, t + 1):
            for j in range(n):
                move = logs[i, j] - logs[i - 1, j]
                squares[j] += move * move
        for j in range(n):
            total = logs[t, j] - logs[t - lookback, j]
            momentum[j], weight[j] = total, 0.0
            vol[j] = np.sqrt((squares[j] - total * total / lookback) / (lookback - 1))
        whole = 0.0
        for _ in range(k):
            best = -1
            for j in range(n):
                if weight[j] == 0.0 and (best < 0 or momentum[j] > momentum[best]):
                    best = j
            weight[best] = 1.0 / vol[best]
            whole += weight[best]
        for buying in range(2):
            for j in range(n):
                change = value * min(weight[j] / whole * (1.0 - cash_share), cap) / close[t, j] - units[j]
                if change != 0.0 and (change > 0.0) == (buying == 1):
                    cash -= change * close[t, j] + abs(change) * close[t, j] * fee
                    units[j] = units[j] + change if weight[j] > 0 else 0.0
                    orders += 1
        value = cash
        for j in range(n):
            value += units[j] * close[t, j]
        equity[t] = value
    return equity, orders


close = np.load(f"{sys.argv[1]}/close.npy")
equity, orders = run(close, np.log(close), 10, 48, 12, 0.15, 0.10, 0.001, 1e6)
print(json.dumps({"final": float(equity[-1]), "orders": int(orders)}))
