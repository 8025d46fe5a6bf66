"""The full path over the panel: full.py FOLDER [BARS] [--no-model].

Features, regime, both LightGBM horizons at every 30-minute pass, blend, allocation, overlay, stops at every 15-minute
risk slot, bands, orders, fills and ledger, as `backtest` runs them; journal off.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from bars import BAR_S, FIELDS, names
from evenkeel import wiring
from evenkeel.config import Config
from evenkeel.engine import slots
from evenkeel.engine.replay import Replay
from evenkeel.market import features
from evenkeel.market.panel import panel as checked
from evenkeel.research.backtest import backtest
from evenkeel.signals import alpha
from evenkeel.signals.compute import compute
from evenkeel.types import Brain, Identity, Memory, Pair, Panel, frozen
from model import model


def read(folder: Path, bars: int | None) -> Panel:
    """The panel, or its first bars."""
    arrays = [frozen(np.load(folder / f"{name}.npy")[:bars]) for name in FIELDS]
    return checked(np.load(folder / "time.npy")[:bars], names(arrays[0].shape[1]), *arrays, BAR_S)


def pairs_of(panel: Panel) -> tuple[Pair, ...]:
    """An exchange's precision for each asset: five digits of price, lots worth about a dollar; tiers as they stand."""
    n = len(panel.assets)
    tiers = [1 if i < n // 8 else 2 if i < n * 5 // 8 else 3 for i in range(n)]
    digits = [max(0, 4 - int(np.floor(np.log10(p)))) for p in panel.close[0]]
    lots = [max(0, int(np.ceil(np.log10(p)))) for p in panel.close[0]]
    return tuple(
        Pair(a, f"{a}/USD", tier, d, lot, Decimal(1))
        for a, tier, d, lot in zip(panel.assets, tiers, digits, lots, strict=True)
    )


@contextmanager
def timed(module: Any, name: str, into: dict[str, float], key: str) -> Iterator[None]:
    """Add the time that calls of a function take."""
    function: Callable[..., Any] = getattr(module, name)

    def measured(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            into[key] = into.get(key, 0.0) + time.perf_counter() - began

    setattr(module, name, measured)
    try:
        yield
    finally:
        setattr(module, name, function)


def main() -> None:
    """Print one JSON line."""
    started, began = time.process_time(), time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bars", type=int, nargs="?")
    parser.add_argument("--no-model", action="store_true", help="leave the forecasts out")
    given = parser.parse_args()
    config, panel = Config(), read(given.folder, given.bars)
    fitted, origin = (None, "none") if given.no_model else model(BAR_S)
    brain = Brain() if fitted is None else Brain(alpha=(fitted,))
    pairs = pairs_of(panel)
    split = {"start": started + time.perf_counter() - began}

    began = time.perf_counter()
    with timed(features, "compute", split, "features"), timed(alpha, "predict", split, "scoring"):
        signals = compute(panel, brain, wiring.signal_settings(config))
    split["signals"] = time.perf_counter() - began - split["features"] - split.get("scoring", 0.0)

    began = time.perf_counter()
    feed = Replay(signals)
    venue = wiring.paper(config, feed, pairs, None)
    memory = Memory(Identity("paper", "bench", "virtual", "full"), int(panel.time[0]) - BAR_S)
    todo = list(slots.between(int(panel.time[0]), int(panel.time[-1]), wiring.cadence(config)))
    result = backtest(todo, feed, venue, memory, brain, wiring.rules_of(config, pairs))
    split["decide"] = time.perf_counter() - began
    counts = {kind: dict(outcomes) for kind, outcomes in result.memory.counts.items()}
    print(json.dumps({"final": result.equity[-1][1], "orders": len(venue.fills(0)), "model": origin, "split": split,
                      "slots": counts}))  # fmt: skip


if __name__ == "__main__":
    main()
