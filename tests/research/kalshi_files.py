"""Files of settled contracts with a truth that is known: games, hourly ladders and 15-minute contracts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
HOUR = 3600


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logit(p):
    return np.log(p / (1 - p))


def games(folder: Path, count=240, slope=1.0, seed=3, a_day=4):
    """Candles and markets of games whose true log odds are `slope` x those of the quoted mid at noon in New York.

    Every candle but the one before noon is a trap: its prices are those of the outcome.
    """
    rng = np.random.default_rng(seed)
    mids = np.round(rng.uniform(0.1, 0.9, count), 2)
    won = rng.random(count) < sigmoid(slope * logit(mids))
    candles, markets = [], []
    for i, (mid, yes) in enumerate(zip(mids.tolist(), won.tolist(), strict=True)):
        date = datetime(2025, 10, 20) + timedelta(days=i // a_day)  # noqa: DTZ001 - a calendar date
        ticker = f"KXNBAGAME-{date:%y%b%d}".upper() + f"G{i:03d}-HOM"
        noon = int(date.replace(hour=12, tzinfo=NEW_YORK).timestamp())
        day_before = int((date - timedelta(days=1)).replace(hour=12, tzinfo=NEW_YORK).timestamp())
        candles += [(end - HOUR, ticker, mid - 0.01, mid + 0.01) for end in (day_before, noon)]
        final = 0.98 if yes else 0.02
        candles += [(noon + h * HOUR, ticker, final - 0.01, final + 0.01) for h in range(6)]
        markets.append((ticker, "KXNBAGAME", date, noon + 10 * HOUR, "yes" if yes else "no", "official_score"))
    one, two = folder / "candles.parquet", folder / "markets.parquet"
    frame = pd.DataFrame(candles, columns=["timestamp", "ticker", "yes_bid", "yes_ask"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s", utc=True)
    frame.to_parquet(one)
    listed = pd.DataFrame(markets, columns=["ticker", "series", "game_date", "close_time", "result", "result_source"])
    listed["close_time"] = pd.to_datetime(listed["close_time"], unit="s", utc=True)
    listed.to_parquet(two)
    return one, two


def ladders(folder: Path, hours=60, noise=0.0, seed=5):
    """KXBTC captures 20 minutes before each hour: a crowd of the true lognormal, whose spot is off by `noise` sd."""
    rng = np.random.default_rng(seed)
    sigma, spot, rows = 1.5e-4, 60_000.0, []
    start = int(datetime(2026, 7, 3, tzinfo=UTC).timestamp())
    for h in range(hours):
        spot *= math.exp(sigma * math.sqrt(2400) * rng.standard_normal())
        close = start + (h + 1) * HOUR
        settled = round(spot * math.exp(sigma * math.sqrt(1200 - 40) * rng.standard_normal()), 2)
        event = "KXBTC-" + f"{datetime.fromtimestamp(close, NEW_YORK):%y%b%d%H}".upper()
        middle = round(spot / 250) * 250
        edges = [middle + 250 * k for k in range(-4, 5)]
        bounds = [
            (None, edges[0]),
            *((a, b - 0.01) for a, b in pairwise(edges)),
            (edges[-1] - 0.01, None),
        ]
        seen = spot * math.exp(noise * sigma * math.sqrt(1160) * rng.standard_normal())
        for low, high in bounds:
            p = _inside(low, high, seen, sigma * math.sqrt(1160))
            bid, ask = math.floor(p * 100 - 0.5) / 100, math.ceil(p * 100 + 0.5) / 100
            kind = "less" if low is None else "greater" if high is None else "between"
            pays = (low is None or settled > low - 0.005) and (high is None or settled <= high)
            if kind == "less":
                pays = settled < high
            rows.append((close - 1200, event, f"{event}-{kind}{low or high}", close, kind, low, high, max(bid, 0.0),
                         min(ask, 1.0), "KXBTC", "yes" if pays else "no", settled, spot))  # fmt: skip
        spot = settled
    names = ["captured_at", "event_ticker", "ticker", "close_time", "strike_type", "floor_strike", "cap_strike",
             "yes_bid", "yes_ask", "series", "result", "expiration_value", "spot_price"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names)
    for name in ("captured_at", "close_time"):
        frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
    path = folder / "ladders.parquet"
    frame.to_parquet(path)
    return path


def thresholds(folder: Path, hours=60):
    """The captures of `ladders` with their thresholds beside them, KXBTCD: true, and a cent on either side."""
    frame = pd.read_parquet(ladders(folder, hours))
    rows = frame[frame["floor_strike"].notna()].copy()
    p = [_inside(low, None, spot, 1.5e-4 * math.sqrt(1160))
         for low, spot in zip(rows["floor_strike"], rows["spot_price"], strict=True)]  # fmt: skip
    rows = rows.assign(
        series="KXBTCD", strike_type="greater", cap_strike=np.nan,
        event_ticker=rows["event_ticker"].str.replace("KXBTC-", "KXBTCD-"),
        ticker=rows["ticker"].str.replace("KXBTC-", "KXBTCD-"),
        yes_bid=np.maximum(np.floor(np.array(p) * 100 - 0.5) / 100, 0.0),
        yes_ask=np.minimum(np.ceil(np.array(p) * 100 + 0.5) / 100, 1.0),
        result=np.where(rows["expiration_value"] > rows["floor_strike"], "yes", "no"),
    )  # fmt: skip
    path = folder / "thresholds.parquet"
    pd.concat([frame, rows]).to_parquet(path)
    return path


def _inside(low, high, spot, sd):
    def below(strike):
        return 0.5 * math.erfc(-((math.log(strike / spot) + sd**2 / 2) / sd) / math.sqrt(2))

    return (1.0 if high is None else below(high)) - (0.0 if low is None else below(low))


def quarters(folder: Path, markets=60, rows=8, slope=1.0, seed=11):
    """15-minute contracts whose true log odds are `slope` x those of the price, which stays as it was.

    `tell` is a number of its own for each market, known at every row, that says nothing of markets to come.
    """
    rng = np.random.default_rng(seed)
    first, made = datetime(2026, 8, 15, 6, 0, tzinfo=NEW_YORK), []
    for m in range(markets):
        close = first + timedelta(minutes=15 * m)
        ticker = f"KXXRP15M-{close:%y%b%d%H%M}-{close:%M}".upper()
        mid = round(float(rng.uniform(0.1, 0.9)), 3)
        yes, tell = bool(rng.random() < sigmoid(slope * logit(mid))), float(rng.standard_normal())
        for r in range(rows):
            elapsed = round(0.1 + 0.7 * r / rows, 4)
            made.append((ticker, mid, "yes" if yes else "no", 0.02, elapsed, tell, 1.0, 0.5 - mid, math.nan))
    names = [
        "ticker",
        "mid",
        "outcome",
        "f_spread",
        "f_time_norm",
        "f_trade_rate",
        "f_spot_ratio",
        "f_spot_edge",
        "f_tape",
    ]
    frame = pd.DataFrame(made, columns=names)
    late = pd.to_datetime(2_000_000_000 + np.arange(len(frame)), unit="s", utc=True)
    path = folder / "quarters.parquet"
    frame.assign(timestamp=late, close_time=late, f_yes_mid=frame["mid"]).to_parquet(path)
    return path
