"""How fast does a simulated life pass? 88 coins, stored signals, journal on, disk in memory, one core.

    python tests/faults/throughput.py [days]

Real are the service's loop, the decision, store, journal, protocol and Roostoo's client; nothing goes wrong here.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evenkeel import config, wiring
from evenkeel.engine.slots import Cadence
from evenkeel.sandbox.market import Market
from faults.checker import broken
from faults.history import History
from faults.simulation import Life, Profile, memory_folder
from faults.stage import Stage

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
YEAR = 35_040 + 16_060 + 1_460
"""Slots of a year: risk, score, rebalance."""
CALM = Profile(bad=0.0, people=0, crashes=0, jumps=False, disk=0.0, jitter=0.0, leaps=0.0, wake_s=300, ask_s=150.0)


def wide(days: int, home: Path) -> Stage:
    """The demo's 88 coins; signals are computed once, before anybody looks at the watch."""
    last = date(2025, 2, 10) + timedelta(days=days)
    loaded = config.load(DEMO, environ={}, overrides=[f"clock.to={last}"], home=home)
    engine = wiring.build(loaded.config, home, loaded.digest, durable=False)
    start, _ = wiring.window(loaded.config)
    panel = engine.feed._signals.panel  # type: ignore[attr-defined] - a test may look inside
    market = Market(panel, {pair.asset: pair for pair in engine.rules.pairs})
    return Stage(market, engine.feed, engine.rules, start, Cadence())


def lived(days: int) -> tuple[History, int, float]:
    """The history of so many days, its slots, and the seconds that they took."""
    home, life = Path(tempfile.mkdtemp(prefix="wide", dir=memory_folder())), None
    try:
        life = Life(1, Profile(**{**vars(CALM), "slots": days * 96 - 1}), home, wide(days, home))
        began = time.process_time()
        life.run()
        seconds = time.process_time() - began
        history = life.told()
        return history, life.memory().records, seconds
    finally:
        if life is not None and life.journal is not None:
            life.journal.close()
        shutil.rmtree(home)


def report(days: int) -> str:
    """For people."""
    history, slots, seconds = lived(days)
    rate, wrong = slots / seconds, broken(history)
    lines = [f"{slots:,} slots of 88 coins, {len(history.ending.trades):,} orders in {seconds:.1f} s of one core"]
    lines.append(f"{rate:,.0f} slots a second: a bot-year ({YEAR:,} slots) in {YEAR / rate:.0f} s")
    return "\n".join([*lines, *wrong])


if __name__ == "__main__":
    sys.stdout.write(f"{report(int(sys.argv[1]) if sys.argv[1:] else 10)}\n")
