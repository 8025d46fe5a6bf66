"""The `view` part of state.json: what a person wants to know, never read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenkeel.engine import step
from evenkeel.portfolio.book import Difference
from evenkeel.portfolio.orders import UNITS_LOCKED
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.types import Memory, Plan
from evenkeel.units import HOUR_S, iso, plain


def portfolio(plan: Plan, memory: Memory, settings: OverlaySettings, scored: Mapping[str, Any]) -> dict[str, Any]:
    """Everything a person asks first, after a slot. `scored` is what `scores` said at the last trading slot."""
    return {
        "slot": plan.slot.id,
        "as_of": iso(plan.as_of),
        "equity_usd": round(plan.equity, 2),
        "cash_usd": plain(step.cash_of(memory)),
        "drawdown": round(plan.drawdown, 6),
        "drawdown_scale": memory.drawdown_scale,
        "trading_state": memory.trading_state.value,
        "cold_until": _cold_until(plan, memory, settings),
        "regime": memory.regime.label,
        "opinions": opinions(plan),
        "positions": {a: _position(a, plan, memory, settings) for a in memory.positions if a in plan.assets},
        "units_locked": units_locked(plan),
        **scored,
    }


def units_locked(plan: Plan) -> list[str]:
    """Assets of which less is sold than is wanted, because an order that is not ours holds units back."""
    return [dropped.asset for dropped in plan.dropped if dropped.code == UNITS_LOCKED]


def _cold_until(plan: Plan, memory: Memory, settings: OverlaySettings) -> str | None:
    """Until when a cold start holds purchases back; None = it does not, or no more."""
    until = memory.cold + round(settings.cold_start_h * HOUR_S)
    return iso(until) if plan.slot.time < until else None


def opinions(plan: Plan) -> dict[str, dict[str, str]]:
    """Health of each opinion, with its version and what else is to be said of it."""
    said: dict[str, dict[str, str]] = {}
    for opinion in plan.opinions:
        said[opinion.name] = {"health": opinion.health.value}
        if opinion.version:
            said[opinion.name]["version"] = opinion.version
        if opinion.reason:
            said[opinion.name]["reason"] = opinion.reason
    return said


def scores(plan: Plan) -> dict[str, Any]:
    """Targets and scores of a trading slot, and what was not sent and why."""
    shown = np.flatnonzero((plan.target > 0) | (plan.held > 0))
    return {
        "scored_at": plan.slot.id,
        "targets": {plan.assets[i]: round(float(plan.target[i]), 6) for i in shown},
        "scores": {a: round(float(s), 6) for a, s in zip(plan.assets, plan.score, strict=True) if s},
        "dropped": {d.asset: d.code for d in plan.dropped},
    }


def _position(asset: str, plan: Plan, memory: Memory, settings: OverlaySettings) -> dict[str, Any]:
    held = memory.positions[asset]
    price = float(plan.price[plan.assets.index(asset)])
    basis = float(held.basis) if held.basis is not None else None
    levels = [held.stop, held.high * (1 - settings.trailing), basis * (1 - settings.max_loss) if basis else np.nan]
    stop = max((level for level in levels if np.isfinite(level) and settings.exits), default=None)
    return {
        "units": plain(held.units),
        "price_usd": price,
        "value_usd": round(float(held.units) * price, 2),
        "weight": round(float(held.units) * price / plan.equity, 6),
        "basis_usd": basis,
        "return": round(price / basis - 1, 6) if basis else None,
        "stop_usd": stop,
        "opened": iso(held.opened),
    }


def difference(found: Difference) -> dict[str, str]:
    """A disagreement between Memory and venue, as a log line's fields."""
    return {
        "code": found.code,
        "asset": found.asset,
        "remembered": plain(found.remembered),
        "venue": plain(found.venue),
    }
