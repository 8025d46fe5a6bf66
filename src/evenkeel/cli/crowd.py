"""The part `edge` of `why`: which ladder of event contracts spoke of an asset, what it implies, and its quotes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evenkeel.cli.output import percent
from evenkeel.cli.planning import Look
from evenkeel.cli.reasons import meaning
from evenkeel.signals.edge import BENCHMARK
from evenkeel.units import iso

SHOWN = 6
"""Contracts that a page shows, those nearest to an even chance; the document has all."""


def edge_of(seen: Look, i: int) -> dict[str, Any] | None:
    """What stands behind the edge opinion of the asset in column i; None where nothing was read."""
    asset, readings = seen.view.assets[i], {one.asset: one for one in seen.view.readings}
    read = readings.get(asset, readings.get(BENCHMARK))
    if read is None:
        return None
    x = next(opinion.x[i] for opinion in seen.plan.opinions if opinion.name == "edge")
    return {
        "coin": read.asset,
        "correlation": 1.0 if read.asset == asset else _number(x / read.drift) if read.drift else None,
        "event": read.event or None,
        "closes": iso(read.close) if read.close else None,
        "as_of": iso(read.time),
        "drift": _number(read.drift),
        "error": _number(read.error),
        "mu": _number(read.mu),
        "mean": _number(read.mean),
        "past": read.past,
        "sd": _number(read.sd),
        "vol": _number(read.vol),
        "reason": read.reason,
        "contracts": [{"ticker": ticker, "bid": bid, "ask": ask} for ticker, bid, ask in read.contracts],
    }


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def lines(edge: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    if edge["event"] is None:
        yield f"{edge['coin']}: {meaning(edge['reason'])}"
        return
    yield f"{edge['coin']} {edge['event']}, closes {edge['closes']}, seen {edge['as_of']}: {_told(edge)}"
    nearest = sorted(edge["contracts"], key=lambda c: abs(c["bid"] + c["ask"] - 1.0))[:SHOWN]
    quotes = sorted(nearest, key=lambda c: str(c["ticker"]))
    if quotes:
        yield ", ".join(f"{c['ticker'].rpartition('-')[2]} {c['bid']:g}/{c['ask']:g}" for c in quotes) + (
            f" and {len(edge['contracts']) - len(quotes)} more" if len(edge["contracts"]) > len(quotes) else ""
        )


def _told(edge: Mapping[str, Any]) -> str:
    implied = f"implied volatility {percent(edge['vol'])} a year" if edge["vol"] is not None else ""
    if edge["reason"]:
        return ", ".join(word for word in (meaning(edge["reason"]), implied) if word)
    moved = f"drift {edge['drift']:+.3f} +- {edge['error']:.3f} sigmas" + f" against {edge['past']} readings before"
    if edge["correlation"] is not None and not math.isclose(edge["correlation"], 1.0):
        moved += f", times a correlation of {edge['correlation']:.2f}"
    return f"{moved}, {implied}"
