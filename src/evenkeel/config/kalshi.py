"""Where Kalshi is, for the edge opinion, which only reads, and for the desk; and what the desk may do there."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from evenkeel.desk.risk import RiskSettings
from evenkeel.events.pipeline import ScreenSettings, StakeSettings
from evenkeel.units import DAY_S, Key


@dataclass(frozen=True, slots=True)
class Kalshi:
    """Which Kalshi is asked, for which no key is needed, and how the desk trades there, which needs one."""

    env: Annotated[Literal["demo", "prod"], Key("prod = the exchange; demo = its place for play money")] = "prod"
    url: Annotated[str, Key("address of its API, such as a sandbox's; empty = that of `env`")] = ""
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait for one answer", "s")] = 10.0
    interval: Annotated[int, Ge(1), Le(DAY_S), Key("period of the desk's turns, on its multiples in UTC", "s")] = 300
    bankroll: Annotated[Decimal, Gt(0), Le(1_000_000_000), Key("cash that the desk starts with on paper", "USD")] = (
        Decimal(100)
    )
    screen: ScreenSettings = ScreenSettings()
    stake: StakeSettings = StakeSettings()
    risk: RiskSettings = RiskSettings()
