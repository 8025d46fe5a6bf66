"""Sandboxes that are served while a test runs, with a clock that stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest

from evenkeel.sandbox.app import build
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.exchange import Rules
from evenkeel.sandbox.faults import Fault, Faults
from sandbox.world import START, Client, small_market

Opening = Callable[..., Client]


@pytest.fixture
def served() -> Iterator[Opening]:
    """Open sandboxes over real HTTP on the loopback; they end with the test."""
    with ExitStack() as stack:

        def opened(*faults: Fault, rules: Rules | None = None, capital: str = "1000", seed: int = 7) -> Client:
            clock = Clock(lambda: 0.0, start=START + 10.0, speed=0.0)
            box = build(small_market(), clock, Faults(faults), seed=seed, capital=Decimal(capital), rules=rules)
            return Client(stack.enter_context(box.serve()), box)

        yield opened
