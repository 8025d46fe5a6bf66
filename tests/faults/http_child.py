"""The service as a process that may be killed at any moment: real state, real sockets, the sandbox's clock.

    python http_child.py FOLDER HOME URL

runs every slot of the window that has not begun; the market, computed once for all runs, lies in FOLDER. After the
start and after each slot the venue is told which of its orders are bound, so that it can count how long that took.
"""

from __future__ import annotations

import json
import pickle
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from evenkeel.decide import Rules
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.errors import NotReadyError
from evenkeel.journal import recent
from evenkeel.service import log, loop, session
from evenkeel.service.runner import Runner
from evenkeel.signals.view import Signals
from evenkeel.types import Brain, Identity, Memory
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire

STAGE = "stage.pickle"
ALL = 10**9


@dataclass(frozen=True)
class Stage:
    """What every life of every run is about."""

    signals: Signals
    brain: Brain
    rules: Rules
    cadence: Cadence
    start: int
    end: int
    key: str
    secret: str


class Clock:
    """The sandbox's clock, which only this process moves."""

    def __init__(self, url: str) -> None:
        self._http, self._url = requests.Session(), f"{url}/sandbox/clock"
        self._now = float(self._http.get(self._url, timeout=10).json()["now"])

    def now(self) -> float:
        """UTC s."""
        return self._now

    def set(self, moment: float) -> None:
        """Jump, never back."""
        self._now = max(self._now, float(moment))
        self._http.put(self._url, json={"now": self._now}, timeout=10).raise_for_status()

    def advance(self, seconds: float) -> None:
        """Wait."""
        self.set(self._now + seconds)


def broker(stage: Stage, url: str, clock: Clock) -> Roostoo:
    """The account through the real client."""
    limiter = Limiter(clock=clock.now, wait=lambda _, seconds: clock.advance(seconds))
    return Roostoo(
        Wire(
            Credentials(stage.key, stage.secret), limiter, base_url=f"{url}/roostoo", clock=clock.now,
            sleep=clock.advance, timeout_s=5.0,
        )
    )  # fmt: skip


def bound(runner: Runner) -> list[str]:
    """Numbers of the venue's orders that memory or journal know."""
    memory = runner.store.memory
    traces = [i.trace.venue for s in memory.open_slots for i in s.intents if i.trace is not None and i.trace.venue]
    fills = recent(runner.journal.path, "fills", limit=ALL)
    return sorted({*traces, *(str(fill["id"]).partition("-")[0] for fill in fills)})


def live(folder: Path, home: Path, url: str) -> None:
    """One life. Raises NotReadyError where the venue does not answer at the very start."""
    stage: Stage = pickle.loads((folder / STAGE).read_bytes())
    clock = Clock(url)
    feed = Replay(replace(stage.signals))
    first = Memory(Identity("roostoo", "kill", "virtual", "sandbox"), stage.start, config_digest="0" * 64)
    out = log.open_log(home, level="info", rotate_mb=50, keep=1, bound={})

    def told(*_: Any) -> None:
        requests.post(f"{url}/bound", data=json.dumps(bound(runner)), timeout=10)

    with session.session(
        home, first, feed, lambda: broker(stage, url, clock), stage.brain, stage.rules, out,
        wall=clock.now, finished=lambda _: False, clock=lambda _: clock.now(),
    ) as runner:  # fmt: skip
        told()
        loop.replay(runner, stage.start, stage.end, stage.cadence, stop=threading.Event(), pace=clock.set, on_slot=told)


if __name__ == "__main__":
    try:
        live(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except NotReadyError as error:
        sys.exit(f"not ready: {error}")
