"""Write config/universe.yaml: the pairs, and how much each is traded.

    python tools/universe.py --pairs PAIRS.csv --candles FOLDER > config/universe.yaml

PAIRS.csv  pair,asset_type,price_precision,amount_precision,mini_order
FOLDER     spot_1h.parquet and perp_30m.parquet, tidy: timestamp (open, UTC), symbol, open, high, low, close, volume

A day's traded value is the sum over its bars of volume x (open + close)/2; only days with all bars count. A coin's
value is the median over the DAYS days before AS_OF: of spot where there is spot, else of perpetuals divided by the
median ratio of perpetual to spot over the coins that have both (perpetuals trade several times what spot does, which
says nothing about how much can be bought). Deterministic: the same files give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pandas as pd

AS_OF = pd.Timestamp("2025-07-01", tz="UTC")
DAYS = 180
TIER_1_USD = 100_000_000
TIER_2_USD = 15_000_000
COINBASE = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "LTC", "AVAX", "AAVE", "UNI", "DOT")
"""Coins whose dollar product at Coinbase is certain; others are left out rather than guessed."""


def medians(path: Path, bars_per_day: int) -> Mapping[str, float]:
    """Median traded USD of a complete day, by symbol, over DAYS before AS_OF."""
    candles = pd.read_parquet(path)
    candles = candles[(candles.timestamp < AS_OF) & (candles.timestamp >= AS_OF - timedelta(days=DAYS))]
    value = candles.volume * (candles.open + candles.close) / 2
    days = value.groupby([candles.symbol, candles.timestamp.dt.floor("D")]).agg(["sum", "size"])
    complete = days[days["size"] == bars_per_day]["sum"]
    return {str(symbol): float(median) for symbol, median in complete.groupby("symbol").median().items()}


def symbol_of(coin: str, symbols: Mapping[str, object] | set[str]) -> tuple[str, int] | None:
    """The coin's symbol and price factor among those that exist. 1000CHEEMS is a coin's own name: factor 1."""
    for symbol, factor in ((f"{coin}USDT", 1), (f"1000{coin}USDT", 1000)):
        if symbol in symbols:
            return symbol, factor
    return None


def perp_to_spot(coins: list[str], spot: Mapping[str, float], perp: Mapping[str, float]) -> float:
    """Median over the coins with both of perpetual value / spot value."""
    ratios = []
    for coin in coins:
        here, there = symbol_of(coin, spot), symbol_of(coin, perp)
        if here and there:
            ratios.append(perp[there[0]] / spot[here[0]])
    return float(pd.Series(ratios).median())


def row(
    pair: Mapping[str, str], spot: Mapping[str, float], perp: Mapping[str, float], perps: set[str], ratio: float
) -> dict[str, object]:
    """One row of the file."""
    coin, kind = pair["pair"].split("/")[0], pair["asset_type"]
    here, there = (symbol_of(coin, spot), symbol_of(coin, perp)) if kind == "crypto" else (None, None)
    usd = spot[here[0]] if here else perp[there[0]] / ratio if there else None
    symbols: dict[str, object] = {"binance": f"{coin}USDT"}
    listed = symbol_of(coin, perps) if kind == "crypto" else None
    if listed:
        symbols["binance_perp"] = listed[0] if listed[1] == 1 else {"symbol": listed[0], "factor": listed[1]}
    if coin in COINBASE:
        symbols["coinbase"] = f"{coin}-USD"
    return {
        "asset": coin,
        "pair": pair["pair"],
        "kind": kind,
        "tier": 3 if usd is None else 1 if usd >= TIER_1_USD else 2 if usd >= TIER_2_USD else 3,
        "median_daily_usd": None if usd is None else round(usd),
        "source": "spot_1h" if here else "perp_30m" if there else "none",
        "price_decimals": int(pair["price_precision"]),
        "amount_decimals": int(pair["amount_precision"]),
        "min_notional": int(pair["mini_order"]),
        "symbols": symbols,
    }


def order(item: Mapping[str, object]) -> tuple[bool, object, float, object]:
    """Coins before stocks, then tier, then traded value, then name."""
    return item["kind"] == "stock", item["tier"], -float(str(item["median_daily_usd"] or 0)), item["asset"]


def text(rows: list[dict[str, object]], ratio: float) -> Iterator[str]:
    """The lines of the file."""
    yield from HEAD.format(as_of=AS_OF.date(), days=DAYS, one=TIER_1_USD, two=TIER_2_USD, ratio=ratio).splitlines()
    for item in rows:
        yield "  - {" + ", ".join(f"{key}: {flow(value)}" for key, value in item.items()) + "}"


def flow(value: object) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)


HEAD = """\
# The pairs that may be held. Made by tools/universe.py; at run time a venue's own precisions win over those below.
#
# tier              sets the caps of a position (1 = most traded), nothing else
# median_daily_usd  median value traded in a day, spot equivalent, USD; null = no data before as_of (tier 3)
# symbols           venue -> symbol, or {{symbol, factor}} where one quoted price is for `factor` coins; `binance` is
#                   derived from the coin's name, `binance_perp` and `coinbase` stand only where they are certain
# kind              stock = tokenised stock, held only with universe.stocks: true
as_of: {as_of}
method: >-
  Median over the complete days of the {days} before as_of of the sum of volume x (open + close)/2 per day: Binance spot
  (spot_1h) where there is spot, else USDT perpetuals (perp_30m) divided by perp_to_spot, the median ratio of the two
  over the coins that have both.
perp_to_spot: {ratio:.4f}
tier_1_usd: {one}
tier_2_usd: {two}
pairs:"""


def main() -> None:
    """Read the two inputs, print the file."""
    parser = argparse.ArgumentParser(description="Write config/universe.yaml to standard output.")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--candles", type=Path, required=True)
    options = parser.parse_args()
    with options.pairs.open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    spot = medians(options.candles / "spot_1h.parquet", 24)
    perp = medians(options.candles / "perp_30m.parquet", 48)
    perps = set(pd.read_parquet(options.candles / "perp_30m.parquet", columns=["symbol"]).symbol.unique())
    ratio = perp_to_spot([pair["pair"].split("/")[0] for pair in pairs if pair["asset_type"] == "crypto"], spot, perp)
    rows = sorted((row(pair, spot, perp, perps, ratio) for pair in pairs), key=order)
    sys.stdout.write("\n".join(text(rows, ratio)) + "\n")


if __name__ == "__main__":
    main()
