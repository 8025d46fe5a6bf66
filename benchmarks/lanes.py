"""How late do risk checks start while everything else is slow? The real service, live at a sandbox with every coin.

    python benchmarks/lanes.py --slots 110
    python benchmarks/lanes.py --slots 110 --venue roostoo

Beside the checks, all the time: a rebalance whose every order is answered after seconds, a training child that is
begun again as soon as it is due, `evenkeel status` and `evenkeel why` one after the other, a reader of the journal's
SQLite and of `state.json`. One rebalance lasts the whole time, as the next one waits for a bar: each coin is bought in
slices (TWAP), so that there is always another order to send.
A start is what the heartbeat says; only checks that were due while an order was out count. A check that was coalesced
never began: its work was done by the next one that did, so it stands in the same figures as begun when that one began.
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
from evenkeel.types import IntentStatus
from recovery import ROOT, sandbox

SLICES, OVER_S = 12, 3_600
EVENKEEL = (sys.executable, "-m", "evenkeel")


@dataclass(frozen=True)
class Place:
    """A venue of the sandbox: how a run is told of it, where orders are posted.

    answer_s  how long the answer to an order takes · risk_s  between risk checks: the client keeps to Roostoo's limit
              of calls a minute, and checks that come more often wait for it and coalesce
    """

    kind: str
    path: str
    order: str
    answer_s: float
    risk_s: int


PLACES = {
    "spot": Place("spot", "/binance/api/v3", "/order", answer_s=6.0, risk_s=3),
    "roostoo": Place("roostoo", "/roostoo", "/v3/place_order", answer_s=15.0, risk_s=20),
}


@dataclass
class Load:
    """What goes on beside the checks, and how often it came round; ends when `over` is set."""

    home: Path
    over: threading.Event = field(default_factory=threading.Event)
    begun: dict[str, float] = field(default_factory=dict)
    busy: bool = False
    sent: set[str] = field(default_factory=set)
    coins: set[str] = field(default_factory=set)
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
            gone = [i for step in steps for i in step.intents if i.status is not IntentStatus.PREPARED]
            self.busy = any(not intent.status.resolved for intent in gone)
            self.sent |= {intent.order.id for intent in gone}
            self.coins |= {intent.order.asset for intent in gone}
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


def command(home: Path, url: str, data: Path, place: Place, risk_s: int) -> list[str]:
    """A live run at one of the sandbox's venues, prices from its Binance."""
    given = (
        "dry_run=false", f"venue.kind={place.kind}", f"venue.url={url}{place.path}",
        f"feed.hosts=[{url}/binance/api/v3]", "execution.style=twap", f"execution.slices={SLICES}",
        f"execution.over_s={OVER_S}",
        "feed.confirm_s=0", "strategy=equal_weight", "universe.stocks=true", f"schedule.risk={risk_s}",
        f"schedule.score={6 * risk_s}", f"schedule.rebalance={6 * risk_s}", "venue.timeout_s=20",
        "breakers.latency_s=60", "training.every=3", f"training.data=[{data}]", "training.trials=1",
    )  # fmt: skip
    return [*EVENKEEL, "--home", str(home), "run", *(word for one in given for word in ("--set", one))]


def lateness(begun: dict[str, float], coalesced: set[float], risk_s: int) -> list[float]:
    """Seconds from when each check was due until it began, or until the one began that it was coalesced into."""
    began_at = {datetime.fromisoformat(slot.partition("@")[2]).timestamp(): wall for slot, wall in begun.items()}
    late = [wall - due for due, wall in began_at.items()]
    for due in coalesced:
        into = due
        while into in coalesced:
            into += risk_s
        if into in began_at:
            late.append(began_at[into] - due)
    return sorted(late)


def ended(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, so that it takes its training child along; it may be waiting for an answer."""
    process.terminate()
    try:
        process.wait(30.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def measure(home: Path, slots: int, place: Place, risk_s: int) -> dict[str, float | int]:
    """Run the service until so many risk checks began beside an open rebalance."""
    load = Load(home)
    with sandbox(home) as (url, box), (home / "stderr").open("w") as stderr:
        (home / ".env").touch(mode=0o600)
        name, account, pairs = place.kind.upper(), box.account, len(box.market.symbols())
        (home / ".env").write_text(f"{name}_API_KEY={account.key}\n{name}_API_SECRET={account.secret}\n")
        box.faults.replace([Fault("latency", path=place.path + place.order, method="POST", seconds=place.answer_s)])
        words = command(home, url, candles(home / "hours.parquet"), place, risk_s)
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
            ended(process)
    rows = recent(home / "state" / "journal.db", "slots", limit=10**6)
    coalesced = {float(row["time"]) for row in rows if (row["kind"], row["reason"]) == ("risk", "coalesced")}
    late = lateness(load.begun, coalesced, risk_s)
    log = [json.loads(line)["event"] for line in (home / "logs" / "evenkeel.jsonl").read_text().splitlines()]
    return {
        "pairs": pairs,
        "coins": len(load.coins),
        "checks": len(late),
        "coalesced": len(late) - len(load.begun),
        "p50_s": round(float(np.percentile(late, 50)), 2),
        "p99_s": round(float(np.percentile(late, 99)), 2),
        "most_s": round(late[-1], 2),
        "orders": len(load.sent),
        "trainings": log.count("training_started"),
        "commands": load.commands,
        "reads": load.reads,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=110, help="risk checks that have to begin beside a rebalance")
    parser.add_argument("--venue", choices=sorted(PLACES), default="spot")
    parser.add_argument("--risk", type=int, help="s between them; otherwise what suits the venue")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    place = PLACES[given.venue]
    with tempfile.TemporaryDirectory() as name:
        told = measure(Path(name), given.slots, place, given.risk or place.risk_s)
    if given.json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    sys.stdout.write(
        f"{told['checks']} risk checks of {told['coins']} coins (of {told['pairs']} pairs) at {given.venue} beside a "
        f"rebalance, each of whose {told['orders']} orders took {place.answer_s:g} s: begun after p50 "
        f"{told['p50_s']:.2f}, p99 {told['p99_s']:.2f}, at most {told['most_s']:.2f} s, the {told['coalesced']} that "
        f"were coalesced counted until the next one began; {told['trainings']} trainings, {told['commands']} commands "
        f"and {told['reads']} reads of the journal\n"
    )


if __name__ == "__main__":
    main()
