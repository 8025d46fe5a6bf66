"""Where Kalshi is, for the edge opinion, which only reads, and for the desk; and what the desk may do there."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

from evenkeel.desk.maker import MakerSettings
from evenkeel.desk.risk import RiskSettings
from evenkeel.events.pipeline import ScreenSettings, StakeSettings
from evenkeel.units import DAY_S, Key


@dataclass(frozen=True, slots=True)
class Llm:
    """Which language model is asked where `kalshi.critic` is llm; it may only veto or shrink."""

    model: Annotated[str, MinLen(1), Key("its name at the vendor")] = "claude-haiku-4-5"
    url: Annotated[str, Key("address of its API; empty = the vendor's")] = ""
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait; then the rules' verdict stands", "s")] = 10.0


@dataclass(frozen=True, slots=True)
class KalshiTraining:
    """Whether a desk has a model trained anew beside its turns; what decides changes only by `models promote`."""

    every: Annotated[
        int, Ge(0), Le(366 * DAY_S), Key("period of trainings, on its multiples in UTC; 0 = never", "s")
    ] = 0
    model: Annotated[Literal["lognormal", "calibration", "ensemble"], Key("as of `train kalshi --model`")] = "lognormal"
    data: Annotated[str, Key("file as of `train kalshi --data`, relative to the home")] = ""
    results: Annotated[str, Key("file as of `train kalshi --results`, relative to the home; for a calibration")] = ""

    def __post_init__(self) -> None:
        """A training needs settled contracts, and a calibration the results of the games."""
        if self.every and not self.data:
            raise ValueError("every is set and data is empty: name a file of settled contracts, or set every to 0")
        if self.every and (self.model == "calibration") != bool(self.results):
            raise ValueError("results are for a calibration, which needs them: name their file, or leave it empty")


@dataclass(frozen=True, slots=True)
class Kalshi:
    """Which Kalshi is asked, for which no key is needed, and how the desk trades there, which needs one."""

    env: Annotated[Literal["demo", "prod"], Key("prod = the exchange; demo = its place for play money")] = "prod"
    url: Annotated[str, Key("address of its API, such as a sandbox's; empty = that of `env`")] = ""
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait for one answer", "s")] = 10.0
    desk: Annotated[
        Literal["none", "paper", "live"], Key("whether `run` keeps a desk beside it: on paper, or with real orders")
    ] = "none"
    interval: Annotated[int, Ge(1), Le(DAY_S), Key("period of the desk's turns, on its multiples in UTC", "s")] = 300
    bankroll: Annotated[Decimal, Gt(0), Le(1_000_000_000), Key("cash that the desk starts with on paper", "USD")] = (
        Decimal(100)
    )
    style: Annotated[Literal["taker", "maker-inside"], Key("orders take what is quoted, or rest inside the spread")] = (
        "taker"
    )
    maker: MakerSettings = MakerSettings()
    critic: Annotated[
        Literal["rule", "llm"], Key("who judges a bet: the rules, or a language model after them (ANTHROPIC_API_KEY)")
    ] = "rule"
    llm: Llm = Llm()
    screen: ScreenSettings = ScreenSettings()
    stake: StakeSettings = StakeSettings()
    risk: RiskSettings = RiskSettings()
    training: KalshiTraining = KalshiTraining()
