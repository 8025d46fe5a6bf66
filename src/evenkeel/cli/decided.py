"""A plan as a document and as a page: what was decided, at what cost, and what is left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenkeel.cli.output import console, percent, table, usd
from evenkeel.cli.planning import Look
from evenkeel.cli.reasons import meaning
from evenkeel.portfolio.costs import BPS, slippage
from evenkeel.units import iso, plain


def plan_of(seen: Look) -> dict[str, Any]:
    """The document behind `plan`."""
    decided, memory = seen.plan, seen.start.memory
    orders = orders_of(seen)
    document = heading("plan", seen) | {
        "equity": decided.equity,
        "cash": plain(seen.start.holdings.cash),
        "drawdown": decided.drawdown,
        "drawdown_scale": decided.carry.drawdown_scale,
        "regime": decided.carry.regime.label,
        "opinions": opinions(seen),
        "targets": _targets(seen),
        "orders": orders,
        "turnover": sum(order["notional"] for order in orders),
        "expected_cost": sum(order["expected_cost"] for order in orders),
        "dropped": dropped_of(seen),
    }
    return document | {"note": _note(document, memory.state_reason)}


def heading(command: str, seen: Look) -> dict[str, Any]:
    """What a decision was made of: slot, time, memory and configuration."""
    return {
        "command": command,
        "slot": seen.start.slot.id,
        "as_of": iso(seen.view.as_of),
        "memory": seen.start.source,
        "config_digest": seen.loaded.digest,
        "same_config": seen.start.memory.config_digest == seen.loaded.digest,
        "trading_state": seen.start.memory.trading_state.value,
        "unavailable": seen.unavailable,
        "missing": list(seen.engine.missing),
    }


def opinions(seen: Look, asset: str | None = None) -> dict[str, dict[str, Any]]:
    """Health of every opinion; with an asset also its `value` (x), and what follows from it."""
    said: dict[str, dict[str, Any]] = {}
    for opinion in seen.plan.opinions:
        one: dict[str, Any] = {"health": opinion.health.value}
        if asset is not None:
            x = float(opinion.x[seen.plan.assets.index(asset)])
            if np.isfinite(x):
                one |= {"value": x}
            one["strength"] = opinion.strength
            one["weight"] = seen.engine.rules.opinions.weight(opinion.name, seen.view.regime)
        one |= {"version": opinion.version} if opinion.version else {}
        one |= {"reason": opinion.reason} if opinion.reason else {}
        said[opinion.name] = one
    return said


def orders_of(seen: Look) -> list[dict[str, Any]]:
    """Orders in the sequence of sending, each with what it is expected to cost (USD)."""
    decided = seen.plan
    made = []
    for order in decided.orders:
        i = decided.assets.index(order.asset)
        notional = abs(float(order.quantity)) * float(decided.price[i])
        made.append(
            {
                "id": order.id,
                "asset": order.asset,
                "side": "BUY" if order.quantity > 0 else "SELL",
                "quantity": plain(abs(order.quantity)),
                "price": float(decided.price[i]),
                "notional": notional,
                "expected_cost": _cost(seen, i, notional),
                "reason": order.reason,
                "meaning": meaning(order.reason),
                "stop": plain(order.stop) if order.stop is not None else None,
            }
        )
    return made


def _cost(seen: Look, i: int, notional: float) -> float:
    """Fee, half spread and impact of a taker, USD."""
    rules = seen.engine.rules
    slip = slippage(np.array([notional]), seen.view.liquidity[i : i + 1], rules.tiers()[i : i + 1], rules.costs)
    return notional * (rules.costs.taker * BPS + float(slip[0]))


def dropped_of(seen: Look) -> list[dict[str, Any]]:
    """Legs that are wanted and not sent."""
    return [
        {"asset": d.asset, "code": d.code, "meaning": meaning(d.code), "target": d.weight, "held": d.held}
        for d in seen.plan.dropped
    ]


def _targets(seen: Look) -> list[dict[str, Any]]:
    decided = seen.plan
    rows = [
        {
            "asset": asset,
            "held": float(decided.held[i]),
            "raw": float(decided.raw[i]),
            "target": float(decided.target[i]),
            "change": float(decided.target[i] - decided.held[i]),
            "score": float(decided.score[i]),
            "expected": float(decided.expected[i]),
            "price": float(decided.price[i]),
        }
        for i, asset in enumerate(decided.assets)
        if decided.held[i] > 0 or decided.target[i] > 0 or decided.raw[i] > 0
    ]
    return sorted(rows, key=lambda row: (-row["target"], -row["held"], row["asset"]))


def _note(document: Mapping[str, Any], reason: str) -> str:
    if document["unavailable"]:
        return f"this slot would be skipped: {meaning(document['unavailable']) or document['unavailable']}"
    if document["trading_state"] != "ACTIVE":
        return f"trading is {document['trading_state']} ({reason or 'no reason given'})"
    return ""


def show(document: Mapping[str, Any]) -> None:
    """The page."""
    out = console()
    out.print(f"{document['slot']}, seen as of {document['as_of']}: equity {usd(document['equity'])}, "
              f"cash {usd(float(document['cash']))}, regime {document['regime']}")  # fmt: skip
    out.print(", ".join(f"{name} {said['health']}" for name, said in document["opinions"].items()), "\n")
    sent = {order["asset"]: order for order in document["orders"]}
    left = {leg["asset"]: leg["code"] for leg in document["dropped"]}
    rows = [
        (
            row["asset"], percent(row["held"]), percent(row["target"]), f"{row['change']:+.2%}",
            f"{sent[row['asset']]['side']} {sent[row['asset']]['quantity']}" if row["asset"] in sent else "",
            usd(sent[row["asset"]]["expected_cost"]) if row["asset"] in sent else "",
            sent[row["asset"]]["reason"] if row["asset"] in sent else left.get(row["asset"], ""),
        )
        for row in document["targets"]
    ]  # fmt: skip
    columns = ("asset", "held", "target", "change", "order", "cost", "reason")
    out.print(table("", columns, rows, right=(1, 2, 3, 5)))
    out.print(f"\n{len(sent)} orders, turnover {usd(document['turnover'])}, "
              f"expected cost {usd(document['expected_cost'])}")  # fmt: skip
    for code in sorted(set(left.values()) | {order["reason"] for order in sent.values()}):
        out.print(f"  {code}: {meaning(code)}")
    if document["note"]:
        out.print(f"! {document['note']}")
