"""What a report is made of. None = not measured: the page says so and shows nothing in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenkeel.research.significance import Overfit, Verdict
from evenkeel.types import Array, IntArray

Curve = tuple[IntArray, Array]
"""Times (T,) UTC s, never decreasing, and equity (T,) USD."""


@dataclass(frozen=True, slots=True)
class Costs:
    """From what the market gave to what was kept, USD over the whole run; costs are >= 0 but for lucky slippage.

    gross     price moves of what was held, between the prices at which decisions were made
    fees      paid to the venue · slippage  from the decision's price to the fill's: spread, impact, delay
    """

    gross: float
    fees: float
    slippage: float


@dataclass(frozen=True, slots=True)
class Traded:
    """USD bought plus sold per UTC day (start, s), (D,) each, over all days of the run."""

    days: IntArray
    usd: Array


@dataclass(frozen=True, slots=True)
class Contributions:
    """USD of price moves by name, before costs, over the whole run: three ways to cut one sum; None = not known."""

    tier: Mapping[str, float]
    asset: Mapping[str, float]
    opinion: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Out-of-sample IC of one horizon: time of each decision (D,) UTC s, IC and RankIC (D,); NaN = not known."""

    horizon: str
    time: IntArray
    ic: Array
    rank_ic: Array
    t: float


@dataclass(frozen=True, slots=True)
class Labels:
    """Regime label in force at each time: times (K,) UTC s, labels (K,)."""

    time: IntArray
    label: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """One run.

    created    UTC s, an argument like every time · command  what makes this report again
    strategy   the run itself · baselines  name -> curve, best known first
    in_sample  some bar lies before the train end of the model that decided on it
    variants   ablation: `without alpha` -> curve · doubled  the run with all costs twice as high
    verdicts   one per baseline, from `trials.judge` · families  whose trials were counted
    absent     section, `verdict` or `doubled` -> why it was not computed, where that is known better than here
    notes      section -> what a reader must know besides
    facts      what else to know: data, versions, model cards
    """

    title: str
    command: str
    config_digest: str
    created: int
    strategy: Curve
    name: str = "evenkeel"
    baselines: Mapping[str, Curve] = field(default_factory=dict)
    in_sample: bool = False
    verdicts: tuple[Verdict, ...] | None = None
    overfit: Overfit | None = None
    families: tuple[str, ...] = ()
    costs: Costs | None = None
    doubled: Curve | None = None
    traded: Traded | None = None
    contributions: Contributions | None = None
    forecasts: tuple[Forecast, ...] | None = None
    regimes: Labels | None = None
    variants: Mapping[str, Curve] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def curves(self) -> dict[str, Curve]:
        """The run, then its baselines."""
        return {self.name: self.strategy, **self.baselines}

    def why(self, name: str, otherwise: str) -> str:
        """Why a part of the report is not there."""
        return self.absent.get(name, otherwise)

    @property
    def first(self) -> str | None:
        """The baseline that all others are compared with; None where none was run."""
        return next(iter(self.baselines), None)
