"""Risk keeps its time while a rebalance waits for a slow venue, a model is trained beside, and people look on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.fitted import candles
from e2e.program import ROOT, command, environment, log, sets, state, until
from e2e.venue import ALLOWED, Venue, sandbox
from evenkeel.errors import StateError
from evenkeel.journal import recent
from evenkeel.store import read_heartbeat

COINS = "BTC,ETH,SOL,XRP,DOGE,BNB,LTC,ADA,LINK,UNI"
SLOW = {"kind": "latency", "path": "/binance/api/v3/order", "method": "POST", "seconds": 4.0}
LIMIT_S = 2.0


def options(venue: Venue, data: Path) -> list[str]:
    """Live at a spot exchange, which has no call budget that would slow us down before the venue does."""
    binance = venue.told["binance"]
    return sets(
        "dry_run=false", "venue.kind=spot", f"venue.url={binance}", f"feed.hosts=[{binance}]", "feed.confirm_s=0",
        f"universe.only=[{COINS}]", "strategy=equal_weight", "history.days=45", "opinions.min_history_days=10",
        "schedule.risk=3", "schedule.score=30", "schedule.rebalance=30", "venue.timeout_s=20",
        "training.every=3", f"training.data=[{data}]", "training.trials=1",
    )  # fmt: skip


@contextmanager
def service(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The running loop."""
    with (home / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            command(home, "run", *words), stdout=stderr, stderr=stderr, text=True, cwd=ROOT, env=environment(**ALLOWED)
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class Watcher(threading.Thread):
    """Notes when each risk slot was begun, from the heartbeat; and reads what a dashboard reads, all the time."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home, self.begun, self.reads, self.over = home, dict[str, float](), 0, threading.Event()

    def run(self) -> None:
        """Until it is over."""
        while not self.over.is_set():
            beat = read_heartbeat(self.home)
            if beat is not None and beat["slot"].startswith("risk@"):
                self.begun.setdefault(beat["slot"], float(beat["wall_time"]))
            if len(self.begun) % 5 == 0:
                self._look()
            time.sleep(0.005)

    def _look(self) -> None:
        state(self.home)
        for table in ("slots", "targets", "equity"):
            try:
                recent(self.home / "state" / "journal.db", table, limit=100)
                self.reads += 1
            except StateError:
                pass


def lateness(slot: str, wall: float) -> float:
    """Seconds from when a slot was due."""
    return wall - datetime.fromisoformat(slot.partition("@")[2]).timestamp()


def rebalance(home: Path) -> dict[str, Any]:
    """The open rebalance, once orders of it are out."""
    steps = state(home).get("memory", {}).get("open_slots", [])
    return next((s for s in steps if any(i["status"] != "PREPARED" for i in s["intents"])), {})


@pytest.mark.slow
def test_risk_starts_on_time_while_everything_else_is_slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every order takes four seconds; p99 of the start of a risk slot is below two."""
    pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")
    home = tmp_path / "home"
    home.mkdir()
    with sandbox(tmp_path / "sandbox") as venue:
        (home / ".env").touch(mode=0o600)
        (home / ".env").write_text(f"SPOT_API_KEY={venue.told['key']}\nSPOT_API_SECRET={venue.told['secret']}\n")
        venue.faults(SLOW)
        watcher = Watcher(home)
        with service(home, *options(venue, candles(tmp_path / "hours.parquet", 100))):
            until(lambda: rebalance(home), what="orders go out")
            watcher.start()
            until(lambda: not rebalance(home), what="the rebalance ends")
            watcher.over.set()
            watcher.join()
        late = sorted(lateness(slot, wall) for slot, wall in watcher.begun.items())
    with capsys.disabled():
        p50, p99 = np.percentile(late, [50, 99])
        sys.stdout.write(
            f"\n{len(late)} risk slots beside a slow rebalance: started after p50 {p50:.2f}, p99 {p99:.2f} s\n"
        )

    assert len(late) >= 8
    assert watcher.reads > 20
    assert [line for line in log(home) if line["event"] == "training_started"]
    assert np.percentile(late, 99) < LIMIT_S
