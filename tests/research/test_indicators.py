"""The indicators are those of the books: each equals a plain loop; a gap is stepped over; short assets have none."""

import itertools
import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenkeel.market import panel as panels
from evenkeel.research import indicators
from evenkeel.research.indicators import NAMES


@pytest.fixture(scope="module")
def candle():
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(120)))
    return close * 1.01, close * (1 - 0.01 * rng.random(120)), close


def ema(values, span):
    """Unadjusted, from the first value."""
    out = [values[0]]
    for value in values[1:]:
        out.append(out[-1] + 2 / (span + 1) * (value - out[-1]))
    return out


def wilder_rsi(close, span):
    """Gains and losses smoothed with 1 / span, adjusted as ta does (unadjusted, from the first change of 0)."""
    up = down = 0.0
    out = [math.nan]
    for before, now in itertools.pairwise(close):
        change = now - before
        up += (max(change, 0.0) - up) / span
        down += (max(-change, 0.0) - down) / span
        out.append(100 - 100 / (1 + up / down) if down else 100.0)
    return out


def wilder_atr(high, low, close, span):
    """Mean of the first ranges, then smoothed with 1 / span."""
    before = [close[0], *close[:-1]]
    ranges = [max(top, last) - min(bottom, last) for top, bottom, last in zip(high, low, before, strict=True)]
    out = [math.nan] * (span - 1) + [sum(ranges[:span]) / span]
    for value in ranges[span:]:
        out.append(out[-1] + (value - out[-1]) / span)
    return out


def plain(high, low, close):
    last = list(close)
    macd = [quick - slow for quick, slow in zip(ema(last, 12), ema(last, 26), strict=True)]
    known = macd[25:]
    signal = [math.nan] * 25 + ema(known, 9)
    windows = [last[i - 19 : i + 1] if i >= 19 else None for i in range(len(last))]
    mean = [sum(w) / 20 if w else math.nan for w in windows]
    deviation = [
        math.sqrt(sum((x - m) ** 2 for x in w) / 20) if w else math.nan for w, m in zip(windows, mean, strict=True)
    ]
    return {
        "sma_20": mean,
        "ema_20": ema(last, 20),
        "rsi_14": wilder_rsi(last, 14),
        "macd": macd,
        "macd_signal": signal,
        "macd_diff": [m - s for m, s in zip(macd, signal, strict=True)],
        "bb_mid": mean,
        "bb_high": [m + 2 * d for m, d in zip(mean, deviation, strict=True)],
        "bb_low": [m - 2 * d for m, d in zip(mean, deviation, strict=True)],
        "atr_14": wilder_atr(high, low, last, 14),
    }


FULL_AT = dict.fromkeys(NAMES, 19) | {"rsi_14": 13, "atr_14": 13, "macd": 25, "macd_signal": 33, "macd_diff": 33}
"""Row of the first value."""


@pytest.mark.parametrize("name", NAMES)
def test_each_equals_its_plain_formula_once_its_window_is_full(candle, name):
    found = indicators.indicators(*candle)[name]
    wanted = np.array(plain(*candle)[name])

    first = FULL_AT[name]
    assert np.isnan(found[:first]).all()
    np.testing.assert_allclose(found[first:], wanted[first:], rtol=1e-9)


@pytest.mark.parametrize("bars", [0, 1, 13, 14])
def test_a_short_asset_has_none_yet(candle, bars):
    found = indicators.indicators(*(values[:bars] for values in candle))

    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(NAMES, bars)
    assert np.isfinite(found["atr_14"]).sum() == max(0, bars - 13)
    assert not np.isfinite(found["sma_20"]).any()


def test_every_known_bar_is_a_row_and_no_other(market, tmp_path):
    """A gap is stepped over: what stands before and after it is joined."""
    fields = {name: getattr(market, name)[:200].copy() for name in indicators.CANDLE}
    for array in fields.values():
        array[50:60, 1] = np.nan
        array[:190, 2] = np.nan
    holed = panels.panel(market.time[:200], market.assets, bar_s=market.bar_s, **fields)

    rows = indicators.write(holed, tmp_path / "deep" / "x.parquet")

    table = pq.read_table(tmp_path / "deep" / "x.parquet")
    assert table.column_names == ["time", "asset", *indicators.CANDLE, *NAMES]
    assert rows == table.num_rows == 200 * 10 - 10 - 190
    asset = np.array(table["asset"].to_pylist())
    known = np.isfinite(holed.close[:, 1])
    close, sma = (np.array(table[name])[asset == holed.assets[1]] for name in ("close", "sma_20"))
    np.testing.assert_array_equal(close, holed.close[known, 1])
    np.testing.assert_allclose(sma[55], holed.close[known, 1][36:56].mean())
    assert not np.isfinite(np.array(table["atr_14"])[asset == holed.assets[2]]).any()
