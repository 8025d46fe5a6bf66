"""A desk as a process that is killed at a chosen effect: of the disk, of the network, of a file of rows."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import requests

from desk.world import EAGER, SEED, Prices, believed, opened, plenty
from evenkeel import cli
from evenkeel.desk import files, loop
from evenkeel.desk.decide import Limits
from evenkeel.errors import StoppedError
from evenkeel.sandbox import kalshi_keys
from evenkeel.store import RealDisk
from evenkeel.venues import kalshi_wire
from evenkeel.venues.kalshi_wire import Credentials
from evenkeel.wiring import desk as parts

STEP = 300
GRID = 3_600
"""Period of the turns that the stream does not ask for, s."""
NEWS_S = 0.25
"""So long, in real time, a pause waits for the stream: one that is cut must not hold the world up."""


class Fuse:
    """Counts effects; at the chosen one this process is gone."""

    def __init__(self, at: int) -> None:
        self.left = at

    def burn(self) -> None:
        """One effect more."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a point before and one after it."""

        def burning(*given: Any, **named: Any) -> Any:
            self.burn()
            done = call(*given, **named)
            self.burn()
            return done

        return burning


class Clock:
    """The sandbox's clock, which only this process moves."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/sandbox/clock"
        self._now = float(requests.get(self._url, timeout=10).json()["now"])

    def __call__(self) -> float:
        """UTC s."""
        return self._now

    def set(self, moment: float) -> None:
        """Go there."""
        self._now = moment
        requests.put(self._url, json={"now": moment}, timeout=10).raise_for_status()

    def step(self) -> None:
        """Go to a second after the next multiple of `STEP`."""
        self.set(int(self()) // STEP * STEP + STEP + 1)


def live(home: Path, url: str, until: int, paper: bool, kill_at: int, limits: Limits = EAGER) -> None:
    """One life: turns until `until`, or until it is killed; on paper or at the account."""
    _fused(kill_at)
    clock = Clock(url)
    account = None if paper else Credentials(kalshi_keys.key_id(SEED), kalshi_keys.pem(SEED))
    with opened(home, url, clock, key=account, durable=False, limits=limits) as made:
        while clock() < until:
            made.desk.turn(int(clock()) // STEP * STEP)
            while limits.maker is not None and made.ledger.open_slots and clock() % STEP < STEP - 30:
                clock.set(clock() + 20)
                made.desk.resolve()
            clock.step()


def command(home: Path, url: str, until: int, paper: bool, kill_at: int, limits: Limits = EAGER) -> None:
    """One life of `kalshi paper --stream` or `kalshi run --stream` itself, whose waits pass the sandbox's time.

    Its time, its prices of coins and who speaks for the series are the test's; all else is as its user has it.
    """
    _fused(kill_at)
    clock, serve = Clock(url), loop.serve
    time.time = clock
    named = kalshi_wire.Wire.__init__.__kwdefaults__
    named |= {"clock": clock, "sleep": lambda _: None, "reads": plenty(), "writes": plenty()}
    parts.spots = lambda *_: Prices(url)
    parts.speakers = lambda *_: believed
    loop.serve = lambda *given, bell, **more: serve(
        *given, **more | {"bell": bell, "pause": partial(_passed, clock, until, bell)}
    )
    secrets = {"KALSHI_KEY_ID": kalshi_keys.key_id(SEED), "KALSHI_PRIVATE_KEY": kalshi_keys.pem(SEED)}
    os.environ |= secrets if paper else secrets | {"EVENKEEL_LIVE": "I-understand"}
    sys.argv = ["evenkeel", "--home", str(home), "kalshi", *_words(url, limits, paper=paper)]
    with (home / "told.txt").open("a") as told:
        sys.stdout = sys.stderr = told
        cli.main()


def _words(url: str, limits: Limits, *, paper: bool) -> list[str]:
    """The command line after `kalshi`."""
    given = {"url": f"{url}/kalshi/trade-api/v2"}
    for name, part in (("screen", limits.screen), ("stake", limits.stake), ("risk", limits.risk)):
        given |= {f"{name}.{key}": value for key, value in asdict(part).items() if key != "series"}
    sets = [word for key, value in given.items() for word in ("--set", f"kalshi.{key}={value}")]
    series = ",".join(limits.screen.series)
    doing = ["paper", "--bankroll", "100"] if paper else ["run", "--set", "dry_run=false"]
    return [*doing, "--stream", "--interval", str(GRID), "--series", series, "--json", *sets]


def _passed(clock: Clock, until: int, bell: loop.Bell, _: float) -> None:
    """A pause: time goes on, and the stream may tell what happened meanwhile."""
    if clock() >= until:
        raise StoppedError("the span is over")
    clock.step()
    bell._rung.wait(NEWS_S)


def _fused(kill_at: int) -> None:
    """Let the process die at an effect; 0 = never."""
    fuse = Fuse(kill_at)
    for verb in ("write", "sync", "link", "replace", "unlink", "sync_folder"):
        setattr(RealDisk, verb, fuse.around(getattr(RealDisk, verb)))
    files._append = fuse.around(files._append)
    files._replace = fuse.around(files._replace)
    kalshi_wire.exchange = fuse.around(kalshi_wire.exchange)
    kalshi_wire.Wire.__init__.__kwdefaults__["carry"] = kalshi_wire.exchange
