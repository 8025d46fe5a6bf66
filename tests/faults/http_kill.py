"""Real `kill -9` of the real process over HTTP, again and again, while orders go out and the venue misbehaves.

    python tests/faults/http_kill.py --runs 300

Each run has a fresh account and a fresh home. The process is killed by the server that talks to it, at a drawn request:
before the venue takes it, after, or once it was answered, plus up to 20 ms; then it is started again, perhaps killed
again, and runs to the end. Answers of orders are lost before and after acceptance, reads fail. At the end the venue's
exact state is held against state and journal.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.agreement import disagreements
from e2e.program import ROOT, environment, sets
from evenkeel import config as configs
from evenkeel import wiring
from evenkeel.journal import recent
from evenkeel.sandbox import app, roostoo
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.exchange import Rules
from evenkeel.sandbox.faults import Fault, Faults
from evenkeel.sandbox.market import Market
from evenkeel.sandbox.wire import serving
from evenkeel.store import peek
from faults.http_child import ALL, STAGE, Stage

CAPITAL = Decimal(50_000)
COINS = "BTC,ETH,SOL,XRP,DOGE,BNB,LINK,UNI,LTC,ADA,AVAX,DOT"
HELD = {"SOL": "400", "XRP": "20000", "DOGE": "150000"}
"""Units that the account has too, so that there is something to sell first."""
WINDOW = ("clock.from=2025-02-10", "clock.to=2025-02-10T03:00")
CALM_S = 5_400
"""From then on in a run nothing goes wrong any more, so that everything has to come to an end."""
WHEN = ("before", "accepted", "answered")
LIVES = 12


@dataclass
class Count:
    """What came of many runs."""

    runs: int = 0
    kills: int = 0
    places: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    faults: int = 0
    requests: int = 0
    lost: int = 0
    doubled: int = 0
    most: int = 0
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For people."""
        places = ", ".join(f"{name} {count}" for name, count in sorted(self.places.items()))
        return (
            f"{self.runs} runs, {self.kills} kills ({places}), {self.faults} answers spoilt; "
            f"{self.requests} orders sent, {self.orders} at the venue, {self.lost} lost, {self.doubled} doubled; "
            f"bound after at most {self.most} reconciliations; {len(self.wrong)} disagreements"
        )


class Killer:
    """The sandbox's application, which kills its client at a drawn request, and counts how long orders stay unbound."""

    def __init__(self, box: app.Sandbox, rng: random.Random) -> None:
        self._box, self._rng = box, rng
        self._calm = box.clock.now() + CALM_S
        self.process: subprocess.Popen[bytes] | None = None
        self.spoilt = self.sent = 0
        self.misses: Counter[str] = Counter()
        self.known: set[str] = set()
        self.place = ""
        self._left, self._path = 0, ""

    def aim(self) -> None:
        """Draw where the next life ends: mostly at an order."""
        self._path = "/place_order" if self._rng.random() < 0.8 else "/"
        self._left = self._rng.randint(1, 8 if self._path != "/" else 25)
        self.place = self._rng.choice(WHEN)

    def settle(self) -> None:
        """Nothing goes wrong from now on."""
        self.spoilt += sum(rule["struck"] for rule in self._box.faults.to_json())
        self._box.faults.replace(())

    def rest(self) -> None:
        """Let the next life be."""
        self._left = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and perhaps kill him who sent it."""
        if scope["path"] == "/bound":
            await self._bound(receive, send)
            return
        if self._box.clock.now() >= self._calm:
            self.settle()
        self.sent += scope["path"].endswith("/place_order")
        hit = self._hit(scope["path"])
        if hit and self.place == "before":
            self._kill()

        async def answer(message: Any) -> None:
            if hit and self.place == "accepted":
                self._kill()
            await send(message)

        await self._box.application(scope, receive, answer)
        if hit and self.place == "answered":
            threading.Timer(self._rng.random() * 0.02, self._kill).start()

    def _hit(self, path: str) -> bool:
        if self._left and path.startswith("/roostoo/") and self._path in path:
            self._left -= 1
            return self._left == 0
        return False

    def _kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def _bound(self, receive: Any, send: Any) -> None:
        known = set(json.loads((await receive())["body"]))
        self.known |= known
        for number in self._box.exchange.orders:
            if str(number) not in known:
                self.misses[str(number)] += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def stage(folder: Path) -> Market:
    """Compute the market once, for all runs."""
    wanted = (f"universe.only=[{COINS}]", "overlay.cold_start_h=0", "history.days=31")  # what is held is no surprise
    given = sets("strategy=equal_weight", *wanted, *WINDOW)[1::2]
    loaded = configs.load(ROOT / "config" / "demo.yaml", environ={}, overrides=given, home=folder)
    start, end = wiring.window(loaded.config)
    panel, _ = wiring.market(loaded.config, folder, start - 31 * 86_400, end)
    engine = wiring.build(loaded.config, folder, loaded.digest, panel=panel)
    account = roostoo.account("sandbox", 7)
    made = Stage(
        engine.feed._signals, engine.brain, engine.rules, engine.cadence, start, end, account.key, account.secret
    )
    (folder / STAGE).write_bytes(pickle.dumps(made))
    return Market(panel, {pair.asset: pair for pair in engine.rules.pairs})


def plan(rng: random.Random) -> tuple[Fault, ...]:
    """What goes wrong in one run: answers of orders lost before and after acceptance, and reads that fail."""
    order, read = "/roostoo/v3/place_order", "/roostoo/v3/[bq]*"
    rate = rng.choice((0.0, 0.05, 0.15))
    orders = [
        Fault(kind, path=order, accepted=accepted, probability=rate, status=rng.choice((500, 502, 504)))
        for kind in ("reset", "status", "html")
        for accepted in (True, False)
    ]
    reads = [Fault(kind, path=read, probability=rate / 2) for kind in ("reset", "maintenance")]
    return (*orders, *reads)


def run(folder: Path, market: Market, seed: int, told: Count) -> None:
    """One account from its first order to the end of the window, through one death or more."""
    rng = random.Random(seed)
    start = pickle.loads((folder / STAGE).read_bytes()).start
    clock = Clock(lambda: 0.0, start=float(start), speed=0.0)
    box = app.build(
        market, clock, Faults(plan(rng), seed=seed), seed=7, capital=CAPITAL, rules=Rules(calls_a_minute=10**6)
    )
    for coin, units in HELD.items():
        box.exchange.wallets["sandbox"].move(coin, Decimal(units))
    killer = Killer(box, rng)
    with serving(killer) as url, tempfile.TemporaryDirectory(dir=folder) as home:
        lives = _lives(folder, Path(home), url, killer, rng, told)
        venue = box.exchange.state(clock.now())
        told.runs += 1
        told.orders += len(venue["orders"])
        told.requests, told.faults = told.requests + killer.sent, told.faults + killer.spoilt
        told.most = max([told.most, *killer.misses.values()])
        _judge(Path(home), venue, killer, told, f"seed {seed}, {lives} lives: ")


def _lives(folder: Path, home: Path, url: str, killer: Killer, rng: random.Random, told: Count) -> int:
    """Start the process until it comes to its end; -> how often."""
    deaths = rng.choice((1, 1, 1, 2, 3))
    for life in range(1, LIVES):
        killer.aim() if deaths else killer.rest()
        with (home / "stderr").open("ab") as stderr:
            killer.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("http_child.py")), str(folder), str(home), url],
                stderr=stderr, cwd=ROOT, env=environment(PYTHONPATH=f"{ROOT}/src:{ROOT}/tests"),
            )  # fmt: skip
            code = killer.process.wait(timeout=120)
        if code == -9:
            deaths -= 1
            told.kills += 1
            told.places[killer.place] += 1
        elif code == 0:
            return life
        elif b"not ready" not in (home / "stderr").read_bytes():
            raise AssertionError(f"exit {code}: {(home / 'stderr').read_text()}")
    raise AssertionError(f"{LIVES} lives were not enough: {(home / 'stderr').read_text()}")


def _judge(home: Path, venue: Any, killer: Killer, told: Count, where: str) -> None:
    """Hold the venue's exact state against state and journal."""
    memory = peek(home).memory
    assert memory is not None
    orders, fills = (recent(home / "state" / "journal.db", table, limit=ALL) for table in ("orders", "fills"))
    bound = Counter(str(fill["id"]).partition("-")[0] for fill in fills)
    unbound = [order for order in venue["orders"] if str(order["id"]) not in bound]
    twice = sum(count - 1 for count in Counter(map(_what, venue["orders"])).values())
    told.lost, told.doubled = told.lost + max(0, len(unbound) - twice), told.doubled + twice
    found = disagreements(memory, orders, fills, venue, CAPITAL)
    found += [f"open: {step.slot.id}" for step in memory.open_slots]
    found += [f"quarantined: {asset} {why}" for asset, why in memory.quarantined.items()]
    told.wrong += [where + text for text in found]


def _what(order: Any) -> tuple[str, str, str]:
    """What an order is about: one slot has but one of a kind."""
    return order["pair"], order["side"], order["quantity"]


def main() -> int:
    """Run, print the counts; 1 if anything is lost, doubled or does not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20_261_121)
    given = parser.parse_args()
    told = many(given.runs, given.seed, show=True)
    sys.stdout.write(f"{told.line()}\n")
    return int(bool(told.lost or told.doubled or told.wrong or told.most > 2))


def many(runs: int, seed: int, *, show: bool = False) -> Count:
    """That many runs, each from a seed of its own."""
    told, began = Count(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        market = stage(folder)
        for number in range(runs):
            run(folder, market, seed + number, told)
            if show and (number + 1) % 10 == 0:
                sys.stderr.write(f"{time.monotonic() - began:.0f} s: {told.line()}\n")
                for text in told.wrong:
                    sys.stderr.write(f"  {text}\n")
    return told


if __name__ == "__main__":
    sys.exit(main())
