"""How long from `kill -9` to the first completed risk check? The real service, live against a sandbox, 88 pairs.

    python benchmarks/recovery.py --runs 50

Each run kills the running process, starts it again at once, and waits for the end of its first risk check in the
journal: lock, state, unresolved orders, the account, the venue's rules, signals from the stored bars, two quotes that
agree. Printed with and without the pause between those two quotes (`feed.confirm_s`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from evenkeel import config, wiring
from evenkeel.config.secrets import LIVE, LIVE_WORD
from evenkeel.errors import StateError
from evenkeel.journal import recent
from evenkeel.market import synthetic
from evenkeel.sandbox import app
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.exchange import Rules
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.market import Market
from evenkeel.units import DAY_S

ROOT = Path(__file__).resolve().parents[1]
PAST_D = 95
CONFIRM_S = 2.0


@contextmanager
def sandbox(home: Path) -> Iterator[tuple[str, app.Sandbox]]:
    """88 pairs on the computer's clock; the call limit is lifted, as every start asks and no bot dies that often."""
    loaded = config.load(None, environ={}, overrides=["universe.stocks=true"], home=home)
    pairs = wiring.universe(loaded.config, ROOT)
    epoch = (int(time.time()) - PAST_D * DAY_S) // DAY_S * DAY_S
    settings = replace(loaded.config.synthetic, epoch=epoch)
    panel = synthetic.market(pairs, epoch, int(time.time()) + DAY_S, synthetic.STEP_S, settings)
    market = Market(panel, {pair.asset: pair for pair in pairs})
    rules = Rules(calls_a_minute=10**6)
    box = app.build(market, Clock(time.time), Faults(), seed=7, capital=Decimal(100_000), rules=rules)
    with box.serve() as url:
        yield url, box


def command(home: Path, url: str, *more: str) -> list[str]:
    """A live run there; risk checks are due every second, so that one is due at every start."""
    given = (
        "dry_run=false", "venue.kind=roostoo", f"venue.url={url}/roostoo", f"feed.hosts=[{url}/binance/api/v3]",
        "universe.stocks=true", "schedule.risk=1", "schedule.score=30m", "schedule.rebalance=6h",
        f"feed.confirm_s={CONFIRM_S}",
    )  # fmt: skip
    return [
        sys.executable,
        "-m",
        "evenkeel",
        "--home",
        str(home),
        "run",
        *more,
        *(w for g in given for w in ("--set", g)),
    ]


def checked(home: Path, since: float) -> float:
    """When the first risk check that ended after `since` had ended, UTC s; 0 = none yet."""
    try:
        rows = recent(home / "state" / "journal.db", "slots", limit=50)
    except StateError:
        return 0.0
    ends = [r["wall_finished"] for r in rows if (r["kind"], r["outcome"]) == ("risk", "done")]
    return min((end for end in ends if end > since), default=0.0)


def until_checked(home: Path, since: float, process: subprocess.Popen[bytes]) -> float:
    """Wait for that."""
    while not (end := checked(home, since)):
        if process.poll() is not None:
            raise SystemExit(f"the service ended with {process.returncode}: {(home / 'stderr').read_text()}")
        time.sleep(0.02)
    return end


def measure(home: Path, url: str, runs: int) -> list[float]:
    """Seconds from each kill to the end of the first risk check after it."""
    environ = {**os.environ, LIVE: LIVE_WORD}
    with (home / "stderr").open("ab") as stderr:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command(home, url), env=environ, stdout=stderr, stderr=stderr, cwd=ROOT)

        done = subprocess.run(command(home, url, "--once", "rebalance"), env=environ, check=True, capture_output=True)
        sys.stderr.write(done.stdout.decode())
        process, times = start(), []
        until_checked(home, time.time(), process)
        for _ in range(runs):
            process.kill()
            killed = time.time()
            process.wait()
            process = start()
            times.append(until_checked(home, killed, process) - killed)
        process.kill()
        process.wait()
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with sandbox(home) as (url, box):
            keys = home / ".env"
            keys.touch(mode=0o600)
            keys.write_text(f"ROOSTOO_API_KEY={box.account.key}\nROOSTOO_API_SECRET={box.account.secret}\n")
            times = sorted(measure(home, url, given.runs))
            pairs = len(box.market.symbols())
    p50, p99 = statistics.median(times), times[min(len(times) - 1, round(0.99 * (len(times) - 1)))]
    told = {
        "runs": len(times),
        "pairs": pairs,
        "p50_s": round(p50, 2),
        "p99_s": round(p99, 2),
        "most_s": round(times[-1], 2),
    }
    if given.json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        bare = f"without the {CONFIRM_S:g} s between two quotes: {p50 - CONFIRM_S:.2f} s, {p99 - CONFIRM_S:.2f} s"
        what = f"kill -9 to the first completed risk check, {pairs} pairs, {len(times)} runs"
        sys.stdout.write(f"{what}: p50 {p50:.2f} s, p99 {p99:.2f} s ({bare})\n")


if __name__ == "__main__":
    main()
