"""How late do risk checks start while everything else is slow? The real service, live at a sandbox with every coin.

    python benchmarks/lanes.py --slots 110

Beside the checks, all the time: a rebalance whose every order is answered after seconds, a training child that is
begun again as soon as it is due, `evenkeel status` and `evenkeel why` one after the other, a reader of the journal's
SQLite and of `state.json`. A start is what the heartbeat says; only slots that began while orders were out count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenkeel.config.secrets import LIVE, LIVE_WORD
from evenkeel.errors import EvenkeelError
from evenkeel.journal import recent
from evenkeel.sandbox.faults import Fault
from evenkeel.store import peek, read_heartbeat
from recovery import ROOT, sandbox

ANSWER_S = 6.0
EVENKEEL = (sys.executable, "-m", "evenkeel")


@dataclass
class Load:
    """What goes on beside the checks, and how often it came round; ends when `over` is set."""

    home: Path
    over: threading.Event = field(default_factory=threading.Event)
    begun: dict[str, float] = field(default_factory=dict)
    busy: bool = False
    commands: int = 0
    reads: int = 0

    def start(self) -> None:
        """All of it, each in a thread of its own."""
        for work in (self._watch, self._ask, self._read):
            threading.Thread(target=self._again, args=[work], daemon=True).start()

    def _again(self, work: Callable[[], None]) -> None:
        while not self.over.is_set():
            work()

    def _watch(self) -> None:
        """When each risk check was begun."""
        beat = read_heartbeat(self.home)
        if beat is not None and self.busy and beat["slot"].startswith("risk@"):
            self.begun.setdefault(beat["slot"], float(beat["wall_time"]))
        time.sleep(0.005)

    def _ask(self) -> None:
        """What a person types."""
        for words in (("status", "--json"), ("why", "BTC", "--json")):
            subprocess.run([*EVENKEEL, "--home", str(self.home), *words], cwd=ROOT, capture_output=True, check=False)
            self.commands += 1

    def _read(self) -> None:
        """What a dashboard reads, and whether orders are out."""
        try:
            memory = peek(self.home).memory
            steps = memory.open_slots if memory is not None else ()
            self.busy = any(not intent.status.resolved for step in steps for intent in step.intents)
            for table in ("slots", "targets", "equity"):
                recent(self.home / "state" / "journal.db", table, limit=200)
                self.reads += 1
        except EvenkeelError:
            pass  # not begun yet
        time.sleep(0.05)


def candles(path: Path) -> Path:
    """A hundred days of hourly bars of ten coins on a seeded random walk: what the child trains on."""
    rng, coins, bars = np.random.default_rng(7), 10, 2_400
    close = 50.0 * np.exp(np.cumsum(0.006 * rng.standard_normal((bars, coins)), axis=0))
    names = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "LINK", "UNI", "LTC", "ADA")
    columns = {
        "timestamp": np.repeat(1_727_740_800 + 3_600 * np.arange(bars), coins),
        "symbol": np.tile([f"{name}USDT" for name in names], bars),
        "open": close.ravel(),
        "high": close.ravel() * 1.004,
        "low": close.ravel() * 0.996,
        "close": close.ravel(),
        "volume": rng.lognormal(12, 1, bars * coins),
    }
    pq.write_table(pa.table(columns), path)
    return path


def command(home: Path, url: str, data: Path, risk_s: int) -> list[str]:
    """A live run at the sandbox's Binance, which has no call budget that would slow us down before the venue does."""
    given = (
        "dry_run=false", "venue.kind=spot", f"venue.url={url}/binance/api/v3", f"feed.hosts=[{url}/binance/api/v3]",
        "feed.confirm_s=0", "strategy=equal_weight", "universe.stocks=true", f"schedule.risk={risk_s}",
        f"schedule.score={10 * risk_s}", f"schedule.rebalance={20 * risk_s}", "venue.timeout_s=20",
        "breakers.latency_s=60", "training.every=3", f"training.data=[{data}]", "training.trials=1",
    )  # fmt: skip
    return [*EVENKEEL, "--home", str(home), "run", *(word for one in given for word in ("--set", one))]


def lateness(begun: dict[str, float]) -> list[float]:
    """Seconds from when each slot was due, ascending."""
    due = {slot: datetime.fromisoformat(slot.partition("@")[2]).timestamp() for slot in begun}
    return sorted(wall - due[slot] for slot, wall in begun.items())


def measure(home: Path, slots: int, risk_s: int) -> dict[str, float | int]:
    """Run the service until so many risk checks began beside an open rebalance."""
    load = Load(home)
    with sandbox(home) as (url, box), (home / "stderr").open("w") as stderr:
        (home / ".env").touch(mode=0o600)
        (home / ".env").write_text(f"SPOT_API_KEY={box.account.key}\nSPOT_API_SECRET={box.account.secret}\n")
        box.faults.replace([Fault("latency", path="/binance/api/v3/order", method="POST", seconds=ANSWER_S)])
        words = command(home, url, candles(home / "hours.parquet"), risk_s)
        environ = {**os.environ, LIVE: LIVE_WORD}
        process = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=stderr, stderr=stderr)
        load.start()
        try:
            while len(load.begun) < slots:
                if process.poll() is not None:
                    raise SystemExit(f"the service ended with {process.returncode}: {(home / 'stderr').read_text()}")
                time.sleep(0.5)
        finally:
            load.over.set()
            process.kill()
            process.wait()
    late, rows = lateness(load.begun), recent(home / "state" / "journal.db", "slots", limit=10**6)
    log = [json.loads(line)["event"] for line in (home / "logs" / "evenkeel.jsonl").read_text().splitlines()]
    return {
        "slots": len(late),
        "p50_s": round(float(np.percentile(late, 50)), 2),
        "p99_s": round(float(np.percentile(late, 99)), 2),
        "most_s": round(late[-1], 2),
        "coalesced": sum(1 for row in rows if row["kind"] == "risk" and row["outcome"] == "skipped"),
        "orders": sum(1 for event in log if event == "order"),
        "trainings": log.count("training_started"),
        "commands": load.commands,
        "reads": load.reads,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=110, help="risk checks that have to begin beside a rebalance")
    parser.add_argument("--risk", type=int, default=3, help="s between them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        told = measure(Path(name), given.slots, given.risk)
    if given.json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    sys.stdout.write(
        f"{told['slots']} risk checks beside a rebalance, each of whose orders takes {ANSWER_S:g} s: begun after p50 "
        f"{told['p50_s']:.2f}, p99 {told['p99_s']:.2f}, at most {told['most_s']:.2f} s; {told['coalesced']} coalesced; "
        f"{told['trainings']} trainings, {told['commands']} commands and {told['reads']} reads of the journal\n"
    )


if __name__ == "__main__":
    main()
