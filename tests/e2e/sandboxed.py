"""The service over a market that a served sandbox quotes too, its orders going through the real Roostoo client.

One clock for all: it stands until a slot is due or somebody waits, so a week passes as fast as the computer can.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from e2e.program import ROOT, sets
from evenkeel import config as configs
from evenkeel import wiring
from evenkeel.config import Loaded
from evenkeel.engine import slots
from evenkeel.sandbox import app
from evenkeel.sandbox.app import Sandbox
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Fault, Faults
from evenkeel.sandbox.market import Market
from evenkeel.sandbox.wire import serving
from evenkeel.service import log, loop, session
from evenkeel.service.runner import Runner
from evenkeel.service.watch import Expectation
from evenkeel.store import peek
from evenkeel.types import Identity, Memory
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire

WEEK = ("clock.from=2025-02-10", "clock.to=2025-02-17")
CAPITAL = Decimal(100_000)


@dataclass
class Calls:
    """Every request as the venue saw it: sandbox time, path, status."""

    application: Any
    clock: Clock
    seen: list[tuple[float, str, int]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on and note what became of it."""

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.seen.append((self.clock.now(), scope["path"], message["status"]))
            await send(message)

        await self.application(scope, receive, noted)

    def most(self, window_s: float = 60.0) -> int:
        """The most calls of the venue in any half-open window."""
        times = np.array(sorted(time for time, path, _ in self.seen if path.startswith("/roostoo/")))
        return int((np.searchsorted(times, times + window_s, side="left") - np.arange(len(times))).max(initial=0))

    def count(self, status: int) -> int:
        """How many were answered so."""
        return sum(1 for _, _, found in self.seen if found == status)


class Blind:
    """A market that nobody quotes: fills are judged by nothing."""

    def touch(self, _asset: str) -> None:
        """None."""

    def profile(self, _asset: str) -> Any:
        """Unknown."""
        return np.full(24, np.nan)


@dataclass
class World:
    """A configured run and the sandbox that it meets.

    later    what is done before the first slot from a time (UTC s) on
    watched  whether circuit breakers look on, as in a live run
    """

    home: Path
    loaded: Loaded
    engine: wiring.Engine
    box: Sandbox
    calls: Calls
    url: str = ""
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    watched: bool = False

    def broker(self) -> Roostoo:
        """The account as the service asks it: calls wait on the sandbox's clock."""
        clock, account = self.box.clock, self.box.account
        limiter = Limiter(
            self.loaded.config.venue.calls_per_minute, clock=clock.now, wait=lambda _, s: clock.advance(s)
        )
        wire = Wire(
            Credentials(account.key, account.secret), limiter, base_url=f"{self.url}/roostoo", clock=clock.now,
            sleep=lambda s: clock.advance(s) and None, timeout_s=10.0,
        )  # fmt: skip
        return Roostoo(wire)

    def run(self, until: int | None = None) -> Memory:
        """Every slot of the window that has not begun, on the sandbox's clock; -> Memory at the end."""
        start, end = wiring.window(self.loaded.config)
        with self.opened() as runner:
            loop.replay(
                runner, start, until or end, self.engine.cadence, stop=threading.Event(), pace=self._reach,
            )  # fmt: skip
            return runner.store.memory

    @contextmanager
    def opened(self) -> Iterator[Runner]:
        """The home taken into use."""
        out = log.open_log(self.home, level="info", rotate_mb=50, keep=2, bound={})
        start, end = wiring.window(self.loaded.config)
        engine, clock = self.engine, self.box.clock
        with session.session(
            self.home, engine.memory(self.loaded.digest), engine.feed, self.broker, engine.brain, engine.rules, out,
            wall=clock.now, finished=lambda memory: slots.finished(memory, start, end, engine.cadence),
            clock=lambda _: clock.now(), expected=self._expected() if self.watched else None,
        ) as runner:  # fmt: skip
            yield runner

    def _expected(self) -> Expectation:
        config, now = self.loaded.config, self.box.clock.now
        pairs = {pair.asset: pair for pair in self.engine.rules.pairs}
        return Expectation(config.breakers, config.costs, pairs, Blind(), now, now)

    def _reach(self, moment: int) -> None:
        while self.later and self.later[0][0] <= moment:
            self.later.pop(0)[1]()
        if self.box.clock.now() < moment:
            self.box.clock.set(moment)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table of the journal, oldest first."""
        with closing(sqlite3.connect(self.home / "state" / "journal.db")) as journal:
            journal.row_factory = sqlite3.Row
            return [dict(row) for row in journal.execute(f"select * from {table} order by sequence, row")]

    def log(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [json.loads(line) for line in (self.home / "logs" / "evenkeel.jsonl").read_text().splitlines()]

    def memory(self) -> Memory:
        """As state.json has it."""
        found = peek(self.home).memory
        assert found is not None
        return found


@contextmanager
def world(home: Path, *assignments: str, faults: Sequence[Fault] = ()) -> Iterator[World]:
    """The demo's market, in 88 pairs, served."""
    home.mkdir(parents=True, exist_ok=True)
    given = sets("venue.kind=roostoo", f"venue.capital={CAPITAL}", *(assignments or WEEK))[1::2]
    loaded = configs.load(ROOT / "config" / "demo.yaml", environ={}, overrides=given, home=home)
    config = loaded.config
    start, end = wiring.window(config)
    panel, _ = wiring.market(config, home, start - config.history.days * 86_400, end)
    engine = wiring.build(config, home, loaded.digest, panel=panel)
    clock = Clock(lambda: 0.0, start=float(start), speed=0.0)
    pairs = {pair.asset: pair for pair in engine.rules.pairs}
    box = app.build(Market(panel, pairs), clock, Faults(faults), seed=7, capital=CAPITAL)
    own = hashlib.sha256(box.account.key.encode()).hexdigest()[:16]
    engine = replace(engine, identity=Identity("roostoo", own, "virtual", "sandbox"))
    calls = Calls(box.application, clock)
    with serving(calls) as url:
        yield World(home, loaded, engine, box, calls, url)
