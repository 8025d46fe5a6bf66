"""Many simulated lives on all cores, and what came of them: `make faults PROFILE=short|full`.

Ends with 1 and the seeds that broke a law; `--seed N` lives one of them again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evenkeel.portfolio.breakers import BreakerSettings
from faults.checker import broken
from faults.history import Committed, Crashed, History, Socket
from faults.simulation import Profile, live
from faults.throughput import report as throughput

DAYS = {"short": 3, "full": 30}
LIVES = {"short": 240, "full": 10_500}
WARY = BreakerSettings(least=3, latency_s=30.0, errors=0.5, rejects=0.5, calm_s=600)
"""Breakers that open and close again within a life, and mostly in a storm only."""
LIVE = Profile(style="market", breakers=WARY, asks_rules=True)
"""As the service is started: under breakers, and asking for the rules."""
KINDS = (
    Profile(),
    Profile(named=True),
    Profile(bad=0.45, people=9, crashes=7),
    Profile(jumps=False, crashes=8, power=1.0, disk=0.01),
    replace(LIVE, storms=2),
    replace(LIVE, storms=2, named=True, bad=0.1, parts=0.5, crowd=0.5),
    replace(LIVE, style="limit", crowd=0.5),
    replace(LIVE, style="limit", named=True, bad=0.4, people=8, crowd=0.6, parts=0.6),
    replace(LIVE, style="twap", storms=1),
    replace(LIVE, style="vwap", named=True, parts=0.6, crowd=0.5),
)


@dataclass
class Told:
    """Counts of many lives, where they died, and the sentences of the broken ones."""

    counts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)


def one(seed: int) -> tuple[int, Counter[str], Counter[str], list[str]]:
    """A life and its judgement; an error of the program is a sentence, too."""
    deaths: Counter[str] = Counter()
    try:
        history = live(seed, KINDS[seed % len(KINDS)], deaths)
        return seed, _counted(history), deaths, broken(history)
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        return seed, Counter(lives=1), deaths, [f"the program failed: {traceback.format_exc(limit=-4)}"]


def _counted(history: History) -> Counter[str]:
    crashes = sum(isinstance(event, Crashed) for event in history.events) - 1  # the last one was asked for
    sockets = Counter(event.id for event in history.events if isinstance(event, Socket))
    commits = [event for event in history.events if isinstance(event, Committed)]
    lost = {id_ for commit in commits for id_, leg in commit.legs.items() if leg.status == "UNKNOWN"}
    ours = [trade for trade in history.ending.trades if trade.tag]
    placed = Counter(trade.tag for trade in ours)
    return Counter({
        "lives": 1, "lives with a crash": crashes > 0, "crashes": crashes, "commits": len(commits),
        "orders that left": sum(sockets.values()), "sent again after proof": sum(n - 1 for n in sockets.values()),
        "orders at the venue": len(ours), "orders of people": len(history.ending.trades) - len(ours),
        "answers lost": len(lost), "duplicated orders": sum(n - 1 for n in placed.values()),
        "orders of risk checks": sum(trade.tag.startswith("ris") for trade in ours),
        "orders filled in parts": sum(trade.parts > 1 for trade in ours),
        "orders left with a part": sum(0 < abs(trade.units) < abs(trade.quantity) for trade in ours),
        "cancels that met a fill": history.ending.raced,
        "breakers that opened": sum(len(set(now.trips) - set(was.trips)) for was, now in pairwise(commits)),
        "breakers that closed": sum(len(set(was.trips) - set(now.trips)) for was, now in pairwise(commits)),
        "lives with a pair at limits": any(commit.limited for commit in commits),
        "lives with a pair for a person": any(commit.quarantined for commit in commits),
    })  # fmt: skip


def many(seeds: Iterable[int], jobs: int) -> Told:
    """All lives, in any order."""
    told = Told()
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for seed, counts, deaths, sentences in pool.imap_unordered(one, seeds, chunksize=4):
            told.counts.update(counts)
            told.deaths.update(deaths)
            if sentences:
                told.broken[seed] = sentences
                sys.stdout.write(f"seed {seed}: {sentences[0]}\n")
                sys.stdout.flush()
    return told


def report(told: Told, seconds: float) -> str:
    """For people."""
    rows = [f"  {name:<32}{count:>9,}" for name, count in told.counts.items()]
    rows += [f"  {'places of death':<32}{len(told.deaths):>9,}", f"  {'laws broken (lives)':<32}{len(told.broken):>9,}"]
    rows += [f"    died at {name:<36}{count:>7,}" for name, count in sorted(told.deaths.items())]
    rows += [f"  seed {seed}: {'; '.join(said)}" for seed, said in sorted(told.broken.items())]
    return "\n".join([*rows, f"  {seconds:.0f} s, {told.counts['lives'] / seconds:.1f} lives a second"])


def main() -> int:
    """0 = every life was lawful."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--profile", choices=sorted(LIVES), default="short")
    asked.add_argument("--first", type=int, default=0, help="first seed")
    asked.add_argument("--seed", type=int, help="only this one")
    asked.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    words = asked.parse_args()
    seeds = range(words.first, words.first + LIVES[words.profile]) if words.seed is None else [words.seed]
    began = time.monotonic()
    told = many(seeds, words.jobs)
    sys.stdout.write(f"{report(told, time.monotonic() - began)}\n")
    if words.seed is None:
        sys.stdout.write(f"{throughput(DAYS[words.profile])}\n")
    return 1 if told.broken else 0


if __name__ == "__main__":
    sys.exit(main())
