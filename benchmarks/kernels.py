"""evenkeel's own feature kernels and its live pass, as one process: kernels.py features|eleven|live FOLDER.

features  all rows of the whole table over the panel: what a back-test computes
eleven    those of them that `ta` has a class or a line of pandas for (peers/features_ta.py), by the same kernels
live      one pass of the service over its warm-up window: features, regime, both models, decision, orders
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np

from evenkeel import wiring
from evenkeel.config import Config
from evenkeel.decide import decide
from evenkeel.market import features, hours
from evenkeel.market.panel import rows
from evenkeel.signals import alpha
from evenkeel.signals import rule as rules
from evenkeel.signals.compute import compute
from evenkeel.types import Book, Brain, Holdings, Identity, Memory, Panel, Position, Slot, SlotKind
from evenkeel.units import HOUR_S
from full import pairs_of, read
from model import model

TIMES = 5
"""Calls in one process, of which the middle one counts: the first ones touch memory for the first time."""
ELEVEN = ("r_1", "r_3", "r_6", "r_24", "vol", "emaz_12", "emaz_72", "rsi", "bb", "atr", "dd")


def seconds(work: Callable[[], object], times: int) -> float:
    """The median of several calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[times // 2]


def eleven(panel: Panel) -> Callable[[], object]:
    """Eleven features of all rows, into an array of their own as `features.compute` has."""
    chosen = {x.name: x.function for x in features.FEATURES}
    formulas = [chosen[name] for name in ELEVEN]

    def once() -> object:
        values = np.empty((len(panel.time), len(panel.assets), len(formulas)))
        hours.fill(values, panel, 0, 0, formulas)
        return values

    return once


def window(panel: Panel) -> Panel:
    """The last bars, as many as decide the last row of every signal."""
    smoothing = max(rules.WINDOW_H, alpha.WINDOW_H) * HOUR_S // panel.bar_s
    needed = features.warmup_bars(panel.bar_s) + smoothing
    return rows(panel, len(panel.time) - needed, len(panel.time))


def live(panel: Panel) -> Callable[[], object]:
    """One pass over the window, from bars to orders, by an account that holds ten assets."""
    config, pairs, shown = Config(), pairs_of(panel), window(panel)
    fitted, _ = model(panel.bar_s)
    brain, settings, rules_ = Brain(alpha=(fitted,)), wiring.signal_settings(config), wiring.rules_of(config, pairs)
    now, last = int(shown.time[-1]), len(shown.time) - 1
    slot = Slot(SlotKind.REBALANCE, now - now % config.schedule.rebalance)
    price = shown.close[-1].tolist()
    units = {a: Decimal(repr(round(8_000 / p, 2))) for a, p in zip(panel.assets[1::8], price[1::8], strict=True)}
    positions = {a: Position(u, None, now - 86_400, float("nan")) for a, u in units.items()}
    memory = Memory(Identity("paper", "bench", "virtual", "live"), 0, cash=Decimal(20_000), positions=positions)
    book = Book(Holdings(now, Decimal(20_000), units), memory)

    def once() -> object:
        signals = compute(shown, brain, settings, last)
        return decide(signals.at(now, now - panel.bar_s), book, brain, rules_, slot)

    return once


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["features", "eleven", "live"])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    panel = read(given.folder, None)
    found: dict[str, object] = {"assets": len(panel.assets)}
    if given.what == "features":
        features.compute(rows(panel, 0, 2000))
        found["seconds"] = seconds(lambda: features.compute(panel), TIMES)
    elif given.what == "eleven":
        eleven(rows(panel, 0, 2000))()
        found["seconds"] = seconds(eleven(panel), TIMES)
    else:
        once = live(panel)
        once()
        found |= {"seconds": seconds(once, 9), "bars": len(window(panel).time)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
