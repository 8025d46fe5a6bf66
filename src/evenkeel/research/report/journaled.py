"""What a run left in its journal, as the parts of a report: the same sums as `collect`, from rows instead of plans.

Prices are those of the `targets` rows, which a slot writes when it decides in full or sends an order: every fill has
its decision's price, and what is held at the end has the last full decision's. Sums end there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from evenkeel.research.report.data import Contributions, Costs, Curve, Labels, Traded
from evenkeel.units import DAY_S

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the journal's tables, oldest first, of a run that began with `capital` USD."""

    equity: Sequence[Row]
    fills: Sequence[Row]
    targets: Sequence[Row]
    plans: Sequence[Row]
    capital: float

    @property
    def curve(self) -> Curve:
        """Equity at each slot."""
        return (
            np.array([row["time"] for row in self.equity], dtype=np.int64),
            np.array([row["equity"] for row in self.equity], dtype=np.float64),
        )

    @property
    def regimes(self) -> Labels:
        """The regime that each decision believed in."""
        times = {row["slot"]: row["time"] for row in self.equity}
        found = [(times[row["slot"]], orjson.loads(row["plan"])["regime"]) for row in self.plans]
        return Labels(np.array([time for time, _ in found], dtype=np.int64), tuple(label for _, label in found))

    @property
    def spoke(self) -> frozenset[str]:
        """Opinions that were healthy in some decision."""
        said = (orjson.loads(row["plan"])["opinions"] for row in self.plans)
        return frozenset(name for opinions in said for name, one in opinions.items() if one["health"] == "ok")

    def contributions(self, tiers: Mapping[str, int]) -> Contributions | None:
        """USD by tier and asset up to the last full decision; None where rows are missing.

        What each opinion asked for is not in a journal.
        """
        asset = _gross(self)
        if asset is None:
            return None
        tier: dict[str, float] = defaultdict(float)
        for name, usd in asset.items():
            tier[f"tier {tiers[name]}"] += usd
        return Contributions(dict(sorted(tier.items())), asset, None)

    def costs(self) -> Costs | None:
        """Gross, fees and slippage up to the last full decision; None where rows are missing."""
        asset, end = _gross(self), _last(self)
        if asset is None or end is None:
            return None
        gross, fees = sum(asset.values()), sum(float(row["fee"]) for row in _settled(self, end))
        return Costs(gross, fees, gross - fees - (float(end["equity"]) - self.capital))

    def traded(self) -> Traded:
        """USD bought plus sold on each day of the run."""
        first, last = (int(self.equity[i]["time"]) // DAY_S for i in (0, -1))
        usd = np.zeros(last - first + 1)
        for row in self.fills:
            usd[int(row["time"]) // DAY_S - first] += abs(float(row["quantity"]) * float(row["price"]))
        return Traded(DAY_S * np.arange(first, last + 1, dtype=np.int64), usd)


def _last(rows: Rows) -> Row | None:
    """Equity row of the last full decision that held something; None where there was none."""
    full = {row["slot"] for row in rows.targets if not row["slot"].startswith("risk@")}
    return next((row for row in reversed(rows.equity) if row["slot"] in full), None)


def _settled(rows: Rows, end: Row) -> list[Row]:
    """Fills that are in the equity of the last full decision."""
    return [row for row in rows.fills if row["time"] < end["time"]]


def _gross(rows: Rows) -> dict[str, float] | None:
    """USD of price moves of each asset: what is left at its last price, less every fill at its decision's.

    None where the journal does not begin with the run or lacks a price.
    """
    end = _last(rows)
    if end is None or abs(float(rows.equity[0]["equity"]) - rows.capital) > 0.01:
        return None
    price = {(row["slot"], row["asset"]): row["price"] for row in rows.targets}
    usd: dict[str, float] = defaultdict(float)
    units: dict[str, Decimal] = defaultdict(Decimal)
    for row in _settled(rows, end):
        decided = price.get((row["slot"], row["asset"]))
        if decided is None:
            return None
        units[row["asset"]] += Decimal(row["quantity"])
        usd[row["asset"]] -= float(row["quantity"]) * decided
    for asset, left in units.items():
        if left:
            now = price.get((end["slot"], asset))
            if now is None:
                return None
            usd[asset] += float(left) * now
    return dict(usd)
