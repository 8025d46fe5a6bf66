"""Fills the parts of a report that only the run itself knows, while it runs: give `on_plan` to the back-test.

Between two decisions k and k+1 the price moves give held(k+1) equity(k+1) (1 - price(k)/price(k+1)) per asset: what was
held after the fills of k, at the prices of both decisions. The sum over all steps, less fees and less the distance from
the decision's price to the fill's, is the change of equity, to the cent.

By opinion: the weights of the last full decision are cut into what the base would have held, what the opinions added
(split by the size of what each said of the asset), what the rules took away then and at the risk checks since, and what
bands, cost gate, lots and drift made of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from evenkeel.research.report.data import Contributions, Costs, Curve, Labels, Traded
from evenkeel.signals.alpha import IN_SAMPLE
from evenkeel.types import Array, Fill, Health, Opinion, Plan, SlotKind
from evenkeel.units import DAY_S

BASE, RULES, REST = "base (inverse vol)", "risk rules", "bands, gates, drift"


class Collector:
    """Sees every plan of a run once, in order. Memory grows by one equity row per plan and nothing else.

    in_sample  whether an opinion ever judged bars that it was trained on
    """

    def __init__(self) -> None:
        self._equity: list[tuple[int, float]] = []
        self._labels: list[tuple[int, str]] = []
        self._asset: dict[str, float] = defaultdict(float)
        self._opinion: dict[str, float] = defaultdict(float)
        self._before: Plan | None = None
        self._parts: dict[str, Array] = {}
        self._spoke: dict[str, None] = {}
        self._silent: dict[str, str] = {}
        self.in_sample = False

    def on_plan(self, plan: Plan) -> None:
        """Take in one decision: pass it as `on_plan` to the back-test."""
        if self._before is not None:
            self._attribute(self._before, plan)
        self._equity.append((plan.slot.time, plan.equity))
        self._labels.append((plan.slot.time, plan.carry.regime.label))
        if plan.slot.kind is not SlotKind.RISK:
            self._parts = _parts(plan)
            for said in plan.opinions:
                self._hear(said)
        elif self._parts:
            self._parts = self._parts | {RULES: self._parts[RULES] + plan.target - plan.held}
        self._before = plan

    @property
    def curve(self) -> Curve:
        """Equity at each decision."""
        return _columns(self._equity)

    @property
    def regimes(self) -> Labels:
        """The regime that each decision believed in."""
        return Labels(np.array([time for time, _ in self._labels], dtype=np.int64), tuple(s for _, s in self._labels))

    @property
    def spoke(self) -> tuple[str, ...]:
        """Opinions that said something in some full decision."""
        return tuple(self._spoke)

    @property
    def silent(self) -> dict[str, str]:
        """Opinions that never did, and why."""
        return {name: why for name, why in self._silent.items() if name not in self._spoke}

    def contributions(self, tiers: Mapping[str, int]) -> Contributions:
        """USD by tier, asset and opinion; tiers: asset -> 1, 2 or 3."""
        by_tier: dict[str, float] = defaultdict(float)
        for asset, usd in self._asset.items():
            by_tier[f"tier {tiers[asset]}"] += usd
        return Contributions(dict(sorted(by_tier.items())), dict(self._asset), dict(self._opinion))

    def costs(self, fills: Iterable[Fill], capital: float) -> Costs:
        """Gross, fees and slippage up to the last decision; fills sent at it or later are not in its equity."""
        last = self._equity[-1] if self._equity else (0, capital)
        fees = sum(float(fill.fee) for fill in fills if fill.time < last[0])
        gross = sum(self._asset.values())
        return Costs(gross, fees, gross - fees - (last[1] - capital))

    def traded(self, fills: Iterable[Fill]) -> Traded:
        """USD bought plus sold on each day of the run."""
        if not self._equity:
            return Traded(np.empty(0, dtype=np.int64), np.empty(0))
        first, last = self._equity[0][0] // DAY_S, self._equity[-1][0] // DAY_S
        usd = np.zeros(last - first + 1)
        for fill in fills:
            day = fill.time // DAY_S - first
            if 0 <= day < len(usd):
                usd[day] += abs(float(fill.quantity * fill.price))
        return Traded(DAY_S * np.arange(first, last + 1, dtype=np.int64), usd)

    def _hear(self, said: Opinion) -> None:
        if said.health is Health.OK and np.isfinite(said.x).any():
            self._spoke.setdefault(said.name)
            self.in_sample |= said.reason.startswith(IN_SAMPLE)
        elif said.health is not Health.OFF:
            self._silent[said.name] = said.reason

    def _attribute(self, before: Plan, now: Plan) -> None:
        held = now.held != 0
        start = np.where(held & np.isfinite(before.price), before.price, 0.0)
        moved = np.zeros(len(now.held))
        moved[held] = 1.0 - start[held] / now.price[held]
        usd = now.held * now.equity * moved
        for place in np.flatnonzero(usd):
            self._asset[now.assets[place]] += float(usd[place])
        left = float(usd.sum())
        per_weight = now.equity * moved
        for name, weights in self._parts.items():
            part = float(weights @ per_weight)
            self._opinion[name] += part
            left -= part
        self._opinion[REST] += left


def _parts(plan: Plan) -> dict[str, Array]:
    """Weights (N,) by what asked for them; together they are the plan's target."""
    said = {o.name: np.abs(np.nan_to_num(o.x * o.strength)) for o in plan.opinions}
    total = np.sum(list(said.values()), axis=0) if said else np.zeros(len(plan.assets))
    added = plan.raw - plan.base
    parts = {BASE: plan.base, RULES: plan.target - plan.raw}
    for name, size in said.items():
        share = np.divide(size, total, out=np.zeros_like(added), where=total > 0)
        if share.any():
            parts[name] = added * share
    spoken = total > 0
    if not spoken.all():
        parts[BASE] = plan.base + np.where(spoken, 0.0, added)
    return parts


def _columns(rows: list[tuple[int, float]]) -> Curve:
    return np.array([time for time, _ in rows], dtype=np.int64), np.array([value for _, value in rows])
