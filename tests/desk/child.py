"""A desk as a process that is killed at a chosen effect: of the disk, of the network, of a file of rows."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from desk.world import EAGER, opened
from evenkeel.desk import files
from evenkeel.desk.decide import Limits
from evenkeel.store import RealDisk
from evenkeel.venues import kalshi_wire
from evenkeel.venues.kalshi_wire import Credentials

STEP = 300


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


def live(home: Path, url: str, until: int, key: tuple[str, str] | None, kill_at: int, limits: Limits = EAGER) -> None:
    """One life: turns until `until`, or until it is killed. key  id and PEM; None = on paper."""
    fuse = Fuse(kill_at)
    for verb in ("write", "sync", "link", "replace", "unlink", "sync_folder"):
        setattr(RealDisk, verb, fuse.around(getattr(RealDisk, verb)))
    files._append = fuse.around(files._append)
    files._replace = fuse.around(files._replace)
    kalshi_wire.exchange = fuse.around(kalshi_wire.exchange)
    kalshi_wire.Wire.__init__.__kwdefaults__["carry"] = kalshi_wire.exchange
    clock = Clock(url)
    account = Credentials(*key) if key else None
    with opened(home, url, clock, key=account, durable=False, limits=limits) as made:
        while clock() < until:
            made.desk.turn(int(clock()) // STEP * STEP)
            while limits.maker is not None and made.ledger.open_slots and clock() % STEP < STEP - 30:
                clock.set(clock() + 20)
                made.desk.resolve()
            clock.set(int(clock()) // STEP * STEP + STEP + 1)
