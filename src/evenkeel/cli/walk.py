"""The walk of `why`: features -> regime -> opinions -> score -> rank -> raw weight -> each rule -> target -> order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenkeel.cli import crowd
from evenkeel.cli.adviser import policy_of, sentence, wish_of
from evenkeel.cli.decided import dropped_of, heading, opinions, orders_of
from evenkeel.cli.output import console, percent, table
from evenkeel.cli.planning import Look
from evenkeel.cli.reasons import meaning
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.market.quality import Fault
from evenkeel.portfolio.overlay import EXIT_CODES
from evenkeel.portfolio.overlay import RULES as OVERLAY
from evenkeel.signals.regime import LABELS, VOL_LABELS
from evenkeel.types import BoolArray
from evenkeel.units import iso

if TYPE_CHECKING:
    from evenkeel.config import Loaded


def known(home: Path, loaded: Loaded, asset: str) -> None:
    """Raise UsageError with the nearest name for an asset that is not in the universe, before anything slow begins."""
    from evenkeel import wiring
    from evenkeel.config.values import did_you_mean

    listed = [pair.asset for pair in wiring.universe(loaded.config, home)]
    if _plain(asset) not in listed:
        raise UsageError(f"{asset} is not in the universe: {did_you_mean(_plain(asset), listed)}")


def _plain(asset: str) -> str:
    return asset.upper().partition("/")[0]


def why_of(seen: Look, asset: str) -> dict[str, Any]:
    """The document behind `why`. Raises NotReadyError for an asset without a bar."""
    name, decided, view = _plain(asset), seen.plan, seen.view
    if name not in decided.assets:
        raise NotReadyError(f"{name} is in the universe but has no candles here: import or download some first")
    i = decided.assets.index(name)
    order = next((order for order in orders_of(seen) if order["asset"] == name), None)
    drop = next((leg for leg in dropped_of(seen) if leg["asset"] == name), None)
    return heading("why", seen) | {
        "asset": name,
        "tier": seen.engine.rules.pairs[i].tier,
        "price": _known(view.price[i]),
        "age_s": _known(view.age[i]),
        "source": seen.engine.sources.get(name),
        "fault": Fault(int(view.fault[i])).name,
        "features": _named(view.feature_names, view.features[i]),
        "market": _named(view.market_names, view.market),
        "regime": _regime(seen),
        "opinions": opinions(seen, name),
        "policy": policy_of(seen, i),
        "edge": crowd.edge_of(seen, i),
        "vol": _known(view.vol[i]),
        "expected": float(decided.expected[i]),
        "score": float(decided.score[i]),
        "method": seen.engine.rules.allocate.method,
        "wanted": wish_of(seen, i),
        **_rank(seen, i),
        "held": float(decided.held[i]),
        "raw": float(decided.raw[i]),
        "overlay": _overlay(seen, i),
        "target": float(decided.target[i]),
        "order": order,
        "dropped": drop and {"code": drop["code"], "meaning": drop["meaning"]},
    }


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _named(names: tuple[str, ...], values: Any) -> dict[str, float | None]:
    return {name: _known(value) for name, value in zip(names, values, strict=True)}


def _regime(seen: Look) -> dict[str, Any]:
    regime = seen.plan.carry.regime
    shares = dict(zip((*LABELS, *VOL_LABELS), seen.view.regime.tolist(), strict=True))
    return {"label": regime.label, "since": iso(regime.since) if regime.since else None, "probabilities": shares}


def _rank(seen: Look, i: int) -> dict[str, Any]:
    """Place among the assets that may be held, as `portfolio.allocate.ranking` has it."""
    decided, view = seen.plan, seen.view
    may = _eligible(seen)
    merit, depth = np.nan_to_num(decided.score), np.nan_to_num(view.liquidity)
    order = [int(j) for j in np.lexsort((-depth, -merit)) if may[j]]
    settings = seen.engine.rules.allocate
    return {
        "eligible": bool(may[i]),
        "barred": "" if may[i] else _barred(seen, i),
        "rank": order.index(i) + 1 if i in order else None,
        "ranked": len(order),
        "k": getattr(settings.k, decided.carry.regime.label),
        "margin": settings.margin,
        "chosen": bool(may[i] and decided.raw[i] > 0),
    }


def _eligible(seen: Look) -> BoolArray:
    memory, view = seen.start.memory, seen.view
    free = [memory.cooldowns.get(a, 0) <= view.time and a not in memory.quarantined for a in view.assets]
    may: BoolArray = view.ready & (view.fault == 0) & np.array(free) & np.isfinite(view.vol)
    return may


def _barred(seen: Look, i: int) -> str:
    memory, view, asset = seen.start.memory, seen.view, seen.plan.assets[i]
    if view.fault[i]:
        return Fault(int(view.fault[i])).name
    if asset in memory.quarantined:
        return f"PAIR_FROZEN ({memory.quarantined[asset]})"
    if memory.cooldowns.get(asset, 0) > view.time:
        return "COOLDOWN"
    return "too little history"


def _overlay(seen: Look, i: int) -> list[dict[str, Any]]:
    """Every rule of this kind of slot in its order: its factor (1 = it did nothing) and the weight after it."""
    decided, asset = seen.plan, seen.plan.assets[i]
    factors = {reason.rule: reason.factor for reason in decided.reasons if reason.asset == asset}
    weight, rows = float(decided.raw[i]), []
    for rule, _ in OVERLAY[decided.slot.kind]:
        factor = factors.get(rule, 1.0)
        if factor < 1.0:
            before = max(float(decided.held[i]), weight) if rule in EXIT_CODES else weight
            weight = min(weight, before * factor)
        rows.append({"rule": rule, "factor": factor, "weight": weight, "meaning": meaning(rule)})
    return rows


# ---------------------------------------------------------------- for people


def show(document: Mapping[str, Any]) -> None:
    """The walk as a page."""
    out, regime = console(), document["regime"]
    out.print(f"{document['asset']} in {document['slot']}, seen as of {document['as_of']}")
    out.print(f"price {_number(document['price'])} of {document['source'] or '-'}, {_number(document['age_s'])} s old, "
              f"{document['fault']}, tier {document['tier']}, "
              f"volatility {percent(document['vol'])} a year\n")  # fmt: skip
    out.print("features   " + _listed(document["features"]))
    out.print("market     " + _listed(document["market"]))
    out.print(f"regime     {regime['label']}: " + ", ".join(f"{n} {p:.0%}" for n, p in regime["probabilities"].items()))
    for name, said in document["opinions"].items():
        out.print(f"{name:<11}{_opinion(said)}")
        if name == "policy" and document["policy"]:
            out.print(f"{'':<11}{sentence(document['policy'])}")
        if name == "edge" and document["edge"]:
            for line in crowd.lines(document["edge"]):
                out.print(f"{'':<11}{line}")
    out.print(f"expected   {document['expected']:+.4%} in 24 h, score {document['score']:+.5f}")
    out.print("rank       " + _ranked(document))
    out.print(f"held       {percent(document['held'])}\nraw        {percent(document['raw'])}")
    cut = [row for row in document["overlay"] if row["factor"] < 1]
    rows = [(r["rule"], f"x {r['factor']:.4f}", percent(r["weight"]), r["meaning"]) for r in cut]
    idle = [row["rule"] for row in document["overlay"] if row["factor"] >= 1]
    if rows:
        out.print(table("", ("rule", "factor", "weight", "why"), rows, right=(1, 2)))
    out.print(f"unchanged by {', '.join(idle)}")
    out.print(f"target     {percent(document['target'])}")
    out.print("order      " + _outcome(document))


def _ranked(document: Mapping[str, Any]) -> str:
    if not document["eligible"]:
        return f"may not be opened: {meaning(document['barred']) or document['barred']}"
    if document["method"] == "direct":
        wish = document["wanted"]
        return f"none: the strategy {'has no wish' if wish is None else f'wants {percent(wish)}'}"
    chosen = "chosen" if document["chosen"] else "not chosen"
    stays = document["k"] + document["margin"]
    return (
        f"{document['rank']} of {document['ranked']}, {chosen} "
        f"(the best {document['k']} are held; what is held stays to rank {stays})"
    )


def _outcome(document: Mapping[str, Any]) -> str:
    if document["order"]:
        order = document["order"]
        return f"{order['side']} {order['quantity']} at about {_number(order['price'])}: {order['meaning']}"
    if document["dropped"]:
        return f"none, {document['dropped']['code']}: {document['dropped']['meaning']}"
    return "none wanted"


def _opinion(said: Mapping[str, Any]) -> str:
    if "value" not in said:
        return f"{said['health']}" + (f" ({said['reason']})" if "reason" in said else "")
    told = f"{said['health']}, x {said['value']:+.3f}, strength {said['strength']:g}, weight {said['weight']:g}"
    return told + (f" ({said['reason']})" if "reason" in said else "")


def _listed(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
