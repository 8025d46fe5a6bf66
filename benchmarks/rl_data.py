"""A school of evenkeel's policy as plain files, for us and for the peers: rl_data.py panel|planted FOLDER.

panel    real signals of 8 assets over two years of half-hours, the usual rules, stops and costs
planted  the tests' market, in which an input tells of the next bars: 2,700 bars to learn from, the later ones to judge
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bars import folder as made
from evenkeel import wiring
from evenkeel.config import Config
from evenkeel.portfolio.costs import BPS
from evenkeel.research.env import planted
from evenkeel.research.env.batch import Batch, Lesson, Windows, windows
from evenkeel.research.env.tape import scale_of
from evenkeel.research.lessons import World, school
from evenkeel.units import HOUR_S
from full import pairs_of, read
from rl_books import COLUMNS

CUT = 2_700


def written(folder: Path, batch: Batch, judged: Windows) -> None:
    """A school as plain files."""
    tape, rules = batch.tape, batch.rules
    folder.mkdir(parents=True, exist_ok=True)
    for name in COLUMNS:
        np.save(folder / f"{name}.npy", getattr(tape, name))
    np.save(folder / "market.npy", batch.market)
    for name, where in (("taught", batch.where), ("judged", judged)):
        np.save(folder / f"{name}.npy", np.stack([where.row, where.asset], axis=1))
    overlay, orders, costs = rules.overlay, rules.orders, rules.costs
    said = {
        "bar_s": tape.bar_s, "assets": tape.assets, "cap": rules.cap, "rebalance_s": rules.rebalance_s,
        "tier": rules.tier.tolist(), "price_scale": rules.price_scale.tolist(), "lot_scale": rules.lot_scale.tolist(),
        "min_notional": rules.min_notional.tolist(), "half_spread": costs.half_spread.of(rules.tier).tolist(),
        "impact": costs.impact.of(rules.tier).tolist(), "fee": costs.taker * BPS, "exits": overlay.exits,
        "atr_multiple": overlay.atr_multiple, "trailing": overlay.trailing, "max_loss": overlay.max_loss,
        "participation": overlay.participation, "cooldown_s": round(overlay.cooldown_h * HOUR_S),
        "min_order_usd": orders.min_order_usd, "cash_reserve": orders.cash_reserve, **asdict(batch.lesson),
    }  # fmt: skip
    (folder / "rules.json").write_text(json.dumps(said))


def panel_data(folder: Path) -> None:
    """The school of the usual configuration on the benchmarks' market."""
    config, panel = Config(), read(made(8), None)
    world = World(wiring.rules_of(config, pairs_of(panel)), wiring.signal_settings(config), int(panel.time[-1]) + 1)
    one = school(panel, world, Lesson())
    written(folder, Batch(one.tape, one.market, one.rules, one.lesson, one.taught, 1, 0), one.judged)


def planted_data(folder: Path) -> None:
    """The market of the tests: 2,700 bars to learn from, the later ones to judge."""
    plant = planted.Plant()
    tape, lesson = planted.tape(plant), Lesson(bars=120, budgets=(1_000.0, 10_000.0))
    taught = windows(tape, lesson, slice(0, CUT - lesson.bars))
    market = tape.scaled(scale_of(tape, slice(0, CUT)))
    batch = Batch(tape, market, planted.rules(plant), lesson, taught, 1, 0)
    written(folder, batch, windows(tape, lesson, slice(CUT, None)))


def main() -> None:
    """Write it and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["panel", "planted"])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    {"panel": panel_data, "planted": planted_data}[given.what](given.folder)
    print(json.dumps({"folder": given.folder.name}))


if __name__ == "__main__":
    main()
