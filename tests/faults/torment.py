"""Kill -9 a replay at random moments, start it again each time, and keep count of where it died."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenkeel.store import peek, read_heartbeat


@dataclass
class Torment:
    """Where the kills fell: by kind of slot and by phase inside it; and what the finished run printed."""

    kinds: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    result: dict[str, Any] = field(default_factory=dict)

    def histogram(self) -> str:
        """For people: one line per place of death."""
        rows = [f"  {name:<22} {'#' * count} {count}" for name, count in sorted(self.phases.items())]
        inside = sum(count for kind, count in self.kinds.items() if kind != "risk")
        return "\n".join([*rows, f"  inside trading slots: {inside} of {sum(self.kinds.values())}"])


def command(home: Path, options: Sequence[str]) -> list[str]:
    """The command line of a run with its summary as JSON."""
    return [sys.executable, "-m", "evenkeel", "--home", str(home), "run", *options, "--json"]


def undisturbed(home: Path, options: Sequence[str]) -> dict[str, Any]:
    """What the same run prints when nobody kills it."""
    done = subprocess.run(command(home, options), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def torment(home: Path, options: Sequence[str], *, kills: int, slots: int, seed: int) -> Torment:
    """Run to the end through `kills` deaths spread over `slots` slots, most aimed at a phase of a trading slot."""
    rng = random.Random(seed)
    told = Torment()
    for number in range(kills):
        process = subprocess.Popen(command(home, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        target = slots * (number + rng.random()) / (kills + 1)
        wanted = rng.choice(("any", "decide", "send", "send", "finish"))
        if not _reach(process, home, int(target), wanted):
            raise AssertionError(f"the run ended before kill {number}: {process.communicate()}")
        time.sleep(rng.random() * 0.004)
        process.kill()
        process.communicate()
        _note(told, home)
    told.result = undisturbed(home, options)
    return told


def _reach(process: subprocess.Popen[str], home: Path, slots: int, wanted: str) -> bool:
    """Spin until the run has ended about `slots` slots and is where we want it; False if it ended before."""
    passed = False
    while process.poll() is None:
        beat = read_heartbeat(home)
        if beat is None:
            continue
        if not passed:
            memory = peek(home).memory if (home / "state" / "state.json").exists() else None
            passed = memory is not None and memory.records >= slots and _alive(beat)
        elif wanted == "any" or (beat["phase"] == wanted and not beat["slot"].startswith("risk")):
            return True
    return False


def _alive(beat: dict[str, Any]) -> bool:
    return time.time() - float(beat["wall_time"]) < 1.0


def _note(told: Torment, home: Path) -> None:
    beat = read_heartbeat(home)
    assert beat is not None
    kind = str(beat["slot"]).partition("@")[0]
    told.kinds[kind] += 1
    told.phases[f"{kind} {beat['phase']}"] += 1
