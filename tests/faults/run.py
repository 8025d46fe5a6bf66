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
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.checker import broken
from faults.history import Committed, Crashed, History, Socket
from faults.simulation import Profile, live
from faults.throughput import report as throughput

DAYS = {"short": 3, "full": 30}
LIVES = {"short": 240, "full": 10_500}
KINDS = (
    Profile(),
    Profile(named=True),
    Profile(bad=0.45, people=9, crashes=7),
    Profile(jumps=False, crashes=8, power=1.0, disk=0.01),
    Profile(style="limit"),
    Profile(style="twap"),
    Profile(style="limit", named=True, bad=0.4, people=8),
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
    placed = Counter(trade.tag for trade in history.ending.trades if trade.tag)
    return Counter({
        "lives": 1, "lives with a crash": crashes > 0, "crashes": crashes, "commits": len(commits),
        "orders that left": sum(sockets.values()), "sent again after proof": sum(n - 1 for n in sockets.values()),
        "orders at the venue": sum(placed.values()), "orders of people": len(history.ending.trades) - placed.total(),
        "answers lost": len(lost), "duplicated orders": sum(n - 1 for n in placed.values()),
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
