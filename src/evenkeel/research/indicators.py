"""Candles with the indicators that everybody knows, for people's own research: a panel in, tidy columns out.

Computed by the `ta` library over each asset's known bars in their order (a gap is stepped over); windows are in bars,
and NaN stands until one is full. Nothing that decides reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenkeel.market.panel import is_known
from evenkeel.types import Array, IntArray, Panel

CANDLE = ("open", "high", "low", "close", "volume")
SMA, EMA, RSI, BOLLINGER, ATR = 20, 20, 14, 20, 14
MACD = (12, 26, 9)
NAMES = (
    f"sma_{SMA}", f"ema_{EMA}", f"rsi_{RSI}", "macd", "macd_signal", "macd_diff", "bb_mid", "bb_high", "bb_low",
    f"atr_{ATR}",
)  # fmt: skip


def write(panel: Panel, path: Path) -> int:
    """Write time (UTC s of the bar's close), asset, the candle and `NAMES`, one row per known bar. -> rows written."""
    known = is_known(panel)
    parts = [_asset(panel, i, np.flatnonzero(known[:, i])) for i in range(len(panel.assets))]
    names = np.repeat(np.array(panel.assets), [len(part["time"]) for part in parts])
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = {"time": columns.pop("time"), "asset": names, **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return len(names)


def indicators(high: Array, low: Array, close: Array) -> dict[str, Array]:
    """Each of `NAMES`, (n,), of n bars (prices in one unit); NaN until a window is full.

    sma, ema (span, unadjusted) and Bollinger (2 population deviations) of the close · rsi, atr by Wilder's smoothing
    """
    import pandas as pd  # noqa: PLC0415 - edges only, and 0.6 s
    from ta import momentum, trend, volatility  # noqa: PLC0415 - imports pandas

    if not len(close):
        return {name: np.empty(0) for name in NAMES}
    top, bottom, last = (pd.Series(values) for values in (high, low, close))
    slow, quick, signal = MACD[1], MACD[0], MACD[2]
    macd = trend.MACD(last, window_slow=slow, window_fast=quick, window_sign=signal)
    bands = volatility.BollingerBands(last, window=BOLLINGER, window_dev=2)
    found = (
        trend.SMAIndicator(last, window=SMA).sma_indicator(),
        trend.EMAIndicator(last, window=EMA).ema_indicator(),
        momentum.RSIIndicator(last, window=RSI).rsi(),
        macd.macd(), macd.macd_signal(), macd.macd_diff(),
        bands.bollinger_mavg(), bands.bollinger_hband(), bands.bollinger_lband(),
        _atr(volatility, top, bottom, last),
    )  # fmt: skip
    return {name: np.array(values, dtype=np.float64) for name, values in zip(NAMES, found, strict=True)}


def _asset(panel: Panel, column: int, rows: IntArray) -> Mapping[str, Any]:
    candle = {name: getattr(panel, name)[rows, column] for name in CANDLE}
    return {"time": panel.time[rows], **candle, **indicators(candle["high"], candle["low"], candle["close"])}


def _atr(volatility: Any, high: Any, low: Any, close: Any) -> Array:
    """Average true range; `ta` has 0 for a window that is not full, and fails below one window."""
    out = np.full(len(close), np.nan)
    if len(close) >= ATR:
        found = volatility.AverageTrueRange(high, low, close, window=ATR).average_true_range()
        out[ATR - 1 :] = np.asarray(found, dtype=np.float64)[ATR - 1 :]
    return out
