"""The panel that every engine is measured on: seeded, synthetic, made once and kept under `.peers/panel/`.

python benchmarks/bars.py [--assets 80] [--bars 35040]: writes open, high, low, close, volume and time as `.npy`.
Random walk with fat tails, a common factor and clustered volatility; prices have 8 significant digits. No engine's
own: all of them read the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / ".peers" / "panel"
BAR_S = 1_800
START = 1_704_067_200
"""2024-01-01T00:00:00Z, where the first bar begins."""
ASSETS, BARS = 80, 35_040
SEED = 20_240_601
FIELDS = ("open", "high", "low", "close", "volume")

Array = NDArray[np.float64]


def made(assets: int, bars: int) -> dict[str, Array]:
    """Open, high, low, close (bars, assets) USD and volume in units."""
    rng = np.random.default_rng((SEED, assets, bars))
    days = bars // 48 + 2
    calm = np.cumsum(rng.normal(0.0, 0.08, (days, assets)), axis=0)
    calm -= np.linspace(0.0, 1.0, days)[:, None] * calm[-1]
    level = rng.uniform(np.log(0.004), np.log(0.009), assets) + np.clip(calm, -0.8, 0.8)
    vol = np.repeat(np.exp(level), 48, axis=0)[:bars]
    beta = rng.uniform(0.4, 0.85, assets)
    market = rng.standard_t(5, (bars, 1)) / np.sqrt(5 / 3)
    own = rng.standard_t(4, (bars, assets)) / np.sqrt(2)
    moves = np.clip(vol * (beta * market + np.sqrt(1 - beta**2) * own), -0.25, 0.25) - 0.5 * vol**2
    first = np.exp(rng.uniform(np.log(0.05), np.log(50_000), assets))
    close = first * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([first[None], close[:-1]]) * np.exp(rng.normal(0, 1e-4, (bars, assets)))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.4, (bars, assets))) * vol)
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.4, (bars, assets))) * vol)
    volume = np.exp(rng.normal(14, 0.6, (bars, assets))) / close
    prices = {"open": opened, "high": high, "low": low, "close": close}
    return {name: _digits(x) for name, x in {**prices, "volume": volume}.items()}


def folder(assets: int = ASSETS, bars: int = BARS) -> Path:
    """Where the panel of this size lies; made if it is not there."""
    where = FOLDER / f"{assets}x{bars}"
    if not (where / "time.npy").exists():
        where.mkdir(parents=True, exist_ok=True)
        for name, values in made(assets, bars).items():
            np.save(where / f"{name}.npy", values)
        np.save(where / "time.npy", START + BAR_S * np.arange(1, bars + 1, dtype=np.int64))
    return where


def names(assets: int) -> tuple[str, ...]:
    """Asset names; the first is the benchmark."""
    return ("BTC", *(f"A{i:03d}" for i in range(1, assets)))


def _digits(x: Array) -> Array:
    """Eight significant digits; rounding is monotone, so a high stays the highest."""
    unit = 10.0 ** (7 - np.floor(np.log10(x)))
    return np.round(x * unit) / unit


def main() -> None:
    """Make one panel and print where it lies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--bars", type=int, default=BARS)
    given = parser.parse_args()
    print(folder(given.assets, given.bars))


if __name__ == "__main__":
    main()
