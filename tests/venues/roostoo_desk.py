"""What the tests of Roostoo share: a clock that only waiting moves, and a client of the loopback server."""

from __future__ import annotations

import threading
from decimal import Decimal

import requests

from evenkeel.types import Order
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire
from venues.roostoo_server import KEY, NOW_MS, SECRET

NOW = NOW_MS // 1000


class Clock:
    """UTC s that only waiting moves."""

    def __init__(self, now: float = float(NOW)) -> None:
        self.now, self.slept = now, []

    def __call__(self) -> float:
        """UTC s now."""
        return self.now

    def sleep(self, wait_s: float) -> None:
        """Move on."""
        self.slept.append(wait_s)
        self.now += wait_s

    def wait(self, _turn: threading.Condition, wait_s: float) -> None:
        """Move on, as the limiter does it."""
        self.sleep(wait_s)


def session() -> requests.Session:
    """A session that takes nothing from the environment."""
    made = requests.Session()
    made.trust_env = False
    return made


def wire(server, clock=None, *, calls=1000, timeout_s=5.0, key=KEY, secret=SECRET) -> Wire:
    """A wire to the loopback server."""
    clock = clock or Clock()
    limiter = Limiter(calls, 60.0, kept=0, clock=clock, wait=clock.wait)
    account = Credentials(key, secret)
    return Wire(
        account, limiter, connect=session, base_url=server.url, timeout_s=timeout_s, clock=clock, sleep=clock.sleep
    )


def venue(server, clock=None, **more) -> Roostoo:
    """A broker at the loopback server."""
    return Roostoo(wire(server, clock, **more))


def order(quantity: str, asset: str = "BTC", style: str = "market") -> Order:
    """A leg of a plan."""
    return Order("o-1", "rebalance@x", 1, asset, Decimal(quantity), "TARGET", style)
