"""Where Kalshi is: one connection for the edge opinion, which only reads, and for the desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Le

from evenkeel.units import Key


@dataclass(frozen=True, slots=True)
class Kalshi:
    """Which Kalshi is asked: for its public market data no key is needed."""

    env: Annotated[Literal["demo", "prod"], Key("prod = the exchange; demo = its place for play money")] = "prod"
    url: Annotated[str, Key("address of its API, such as a sandbox's; empty = that of `env`")] = ""
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait for one answer", "s")] = 10.0
