"""Which settings exist: every section of the configuration, composed into `Config`.

A section is a frozen, slotted dataclass whose fields read `Annotated[type, Ge(..), Le(..), Key(doc, unit)] = default`
and whose docstring's first line says what it decides. To add one that a room owns: import it, add one line to `Config`.

Conventions that the mechanism understands:
- `int` with unit `s` is a duration: people may write `15m`, the program gets seconds;
- `int` with unit `UTC` is a moment: people write `2025-07-01` or `2025-07-01T06:00`, the program gets UTC seconds;
- `field(default=..., metadata={"key": "from"})` gives a field another name for people (Python keeps `from` for itself);
- ValueError in `__post_init__` refuses values that do not go together; its text is shown after the section's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

from evenkeel.config.kalshi import Kalshi
from evenkeel.config.strategies import OPINIONS, contradiction
from evenkeel.market.quality import QualitySettings
from evenkeel.market.synthetic import SyntheticSettings
from evenkeel.portfolio.allocate import AllocateSettings
from evenkeel.portfolio.breakers import BreakerSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.portfolio.schedule import ScheduleSettings
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.regime import RegimeSettings
from evenkeel.signals.strategies import Name
from evenkeel.units import DAY_S, HOUR_S, Key, duration, iso


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from."""

    kind: Annotated[
        Literal["real", "virtual"],
        Key("real = the computer's clock; virtual = a clock that steps over past bars from `from` to `to`"),
    ] = "real"
    start: Annotated[int | None, Ge(0), Key("first moment of a virtual clock", "UTC")] = field(
        default=None, metadata={"key": "from"}
    )
    end: Annotated[int | None, Ge(0), Key("last moment of a virtual clock (not included)", "UTC")] = field(
        default=None, metadata={"key": "to"}
    )
    speed: Annotated[
        float,
        Ge(0),
        Le(1_000_000),
        Key("how fast a virtual clock runs; 0 = as fast as possible", "market seconds per second"),
    ] = 0.0

    def __post_init__(self) -> None:
        """A virtual clock needs a beginning and, after it, an end."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"from must be before to: {iso(self.start)} is not before {iso(self.end)}")
        if self.kind == "virtual" and (self.start is None or self.end is None):
            raise ValueError("a virtual clock needs both from and to, such as 2025-07-01 and 2025-08-01")


@dataclass(frozen=True, slots=True)
class Feed:
    """Where candles and quotes come from."""

    kind: Annotated[
        Literal["synthetic", "archive", "ccxt"],
        Key("synthetic = the embedded market; archive = candles under data/; ccxt = live public data of an exchange"),
    ] = "ccxt"
    source: Annotated[str, Key("dataset under data/candles that an archive feed reads")] = ""
    bar: Annotated[int, Ge(60), Le(DAY_S), Key("length of one bar", "s")] = 1_800
    exchange: Annotated[str, MinLen(1), Key("exchange that candles and quotes are asked of (ccxt name)")] = "binance"
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait for one answer", "s")] = 10.0
    confirm_s: Annotated[float, Ge(0), Le(5), Key("pause between the two quotes that agree on a stop", "s")] = 2.0
    hosts: Annotated[tuple[str, ...], Key("base addresses of the exchange, tried in order; empty = its own")] = ()


@dataclass(frozen=True, slots=True)
class History:
    """The origin from which every signal is computed."""

    days: Annotated[int, Ge(1), Le(3_650), Key("warm-up before the first slot, unless `from` is set", "d")] = 60
    start: Annotated[int | None, Ge(0), Key("declared origin; null = `days` before the first slot", "UTC")] = field(
        default=None, metadata={"key": "from"}
    )


@dataclass(frozen=True, slots=True)
class Venue:
    """Who takes the orders."""

    kind: Annotated[
        Literal["paper", "roostoo", "spot"],
        Key("paper = the built-in paper broker; roostoo = Roostoo; spot = a spot exchange through ccxt"),
    ] = "paper"
    capital: Annotated[Decimal, Gt(0), Le(1_000_000_000), Key("cash that the paper broker starts with", "USD")] = (
        Decimal(100_000)
    )
    url: Annotated[str, Key("address of the venue, such as a sandbox's; empty = its own")] = ""
    calls_per_minute: Annotated[
        int, Ge(6), Le(30), Key("most calls to Roostoo in any minute; it allows 30, and 5 are kept for exits", "count")
    ] = 25
    exchange: Annotated[Literal["binance", "coinbase"], Key("where venue.kind spot trades")] = "binance"
    testnet: Annotated[bool, Key("whether venue.kind spot trades on the exchange's test network")] = False
    timeout_s: Annotated[float, Gt(0), Le(120), Key("longest wait for one answer", "s")] = 10.0


@dataclass(frozen=True, slots=True)
class Universe:
    """Which pairs may be held."""

    file: Annotated[str, MinLen(1), Key("file of pairs, tiers and symbols, in config/")] = "universe.yaml"
    stocks: Annotated[bool, Key("whether tokenised stocks may be held")] = False
    only: Annotated[tuple[str, ...], Key("coins to keep, such as [BTC, ETH]; empty = all")] = ()
    exclude: Annotated[tuple[str, ...], Key("coins to leave out")] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often the three kinds of slot fall due (on multiples of their period in UTC), and how late they may run."""

    risk: Annotated[int, Ge(1), Le(DAY_S), Key("period of risk checks", "s")] = 900
    score: Annotated[int, Ge(1), Le(DAY_S), Key("period of scoring passes", "s")] = 1_800
    rebalance: Annotated[int, Ge(1), Le(DAY_S), Key("period of full rebalances", "s")] = 6 * HOUR_S
    settle_s: Annotated[int, Ge(0), Le(300), Key("pause after a bar's close before a trading slot starts", "s")] = 5
    bar_wait: Annotated[int, Ge(0), Le(600), Key("how long a trading slot waits for the benchmark's bar", "s")] = 60
    rebalance_late: Annotated[int, Ge(0), Le(DAY_S), Key("a rebalance later than this is skipped", "s")] = HOUR_S

    def __post_init__(self) -> None:
        """Slots of one kind fall on slots of the faster kind, so that one instant has one order of work."""
        for slow, fast in (("score", "risk"), ("rebalance", "score")):
            slow_s, fast_s = getattr(self, slow), getattr(self, fast)
            if slow_s % fast_s:
                raise ValueError(f"{slow} ({duration(slow_s)}) must be a whole multiple of {fast} ({duration(fast_s)})")
        if DAY_S % self.rebalance:
            raise ValueError(f"rebalance ({duration(self.rebalance)}) must divide a day, such as 6h")


@dataclass(frozen=True, slots=True)
class Training:
    """Whether the service has a new alpha trained beside its work; what decides changes only by `models promote`."""

    every: Annotated[
        int, Ge(0), Le(366 * DAY_S), Key("period of trainings, on its multiples in UTC; 0 = never", "s")
    ] = 0
    data: Annotated[
        tuple[str, ...], Key("candle files as of `train alpha --data`, relative to the home; the first is learned from")
    ] = ()
    trials: Annotated[int, Ge(1), Le(10_000), Key("trials of the search, for each horizon")] = 20

    def __post_init__(self) -> None:
        """A training needs candles."""
        if self.every and not self.data:
            raise ValueError("every is set and data is empty: name a file of candles, or set every to 0")


@dataclass(frozen=True, slots=True)
class Logging:
    """What is written to logs/evenkeel.jsonl."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Key("smallest importance that is written")] = "info"
    rotate_mb: Annotated[int, Ge(1), Le(10_000), Key("size at which a new log file begins", "MB")] = 50
    keep: Annotated[int, Ge(1), Le(1_000), Key("old log files kept", "files")] = 10


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Read-only; the same for back-test, dry run and live."""

    dry_run: Annotated[
        bool, Key("true = no order leaves this computer and no secret is read; false also needs keys and EVENKEEL_LIVE")
    ] = True
    seed: Annotated[int, Ge(0), Le(2**32 - 1), Key("seed of everything random (embedded market, models)")] = 7
    strategy: Annotated[
        Name, Key("what decides: the rebalancer, the policy alone, or a baseline; each brings settings (strategies.md)")
    ] = "rebalancer"
    clock: Clock = Clock()
    feed: Feed = Feed()
    history: History = History()
    venue: Venue = Venue()
    universe: Universe = Universe()
    schedule: Schedule = Schedule()
    quality: QualitySettings = QualitySettings()
    regime: RegimeSettings = RegimeSettings()
    opinions: OpinionSettings = OpinionSettings()
    allocate: AllocateSettings = AllocateSettings()
    overlay: OverlaySettings = OverlaySettings()
    orders: OrderSettings = OrderSettings()
    execution: ScheduleSettings = ScheduleSettings()
    breakers: BreakerSettings = BreakerSettings()
    costs: CostSettings = CostSettings()
    synthetic: SyntheticSettings = SyntheticSettings()
    kalshi: Kalshi = Kalshi()
    training: Training = Training()
    logging: Logging = Logging()

    def __post_init__(self) -> None:
        """A strategy that is no blend of opinions stands alone."""
        on = {name: bool(getattr(self.opinions, name)) for name in OPINIONS}
        if wrong := contradiction(self.strategy, self.allocate.method, on):
            raise ValueError(wrong)


UNDECIDING = ("clock.speed", "kalshi.desk", "training", "logging")
"""Keys that change no decision: left out of the digest."""
