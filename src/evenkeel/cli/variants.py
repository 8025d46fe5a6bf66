"""The other back-tests of a report: baselines, the run without each of its parts, and the run at twice the cost.

All are configurations like any other, derived from the one that was asked for: what a baseline or an ablation brings
lies over everything that was set, capital, costs, universe and window stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evenkeel.cli.backtests import Ask, with_digest

if TYPE_CHECKING:
    from evenkeel.config import Loaded

OPINIONATED, LEARNED, BENCHMARK = "rebalancer", "policy", "buy_and_hold"

NAMES: Mapping[str, str] = {
    OPINIONATED: "evenkeel",
    "buy_and_hold": "buy-and-hold BTC",
    "equal_weight": "equal weight",
    "inverse_vol": "inverse volatility",
    "low_vol": "low volatility",
    "momentum": "7-day momentum",
    "random": "random score",
    "rsi": "RSI 30/70",
    "rsi_sma": "RSI with SMA",
    "ma_crossover": "MA crossover",
    LEARNED: "RL policy",
}
"""Strategy -> its name on a page; what is best known first."""

ALPHA, EDGE, OVERLAY = "alpha", "edge", "overlay"
OPINIONS = ("alpha", "policy", "edge", "rule")


@dataclass(frozen=True, slots=True)
class Ablation:
    """The run without a part: name -> configuration, and a sentence for each that was not worth a back-test."""

    runs: Mapping[str, Loaded]
    notes: tuple[str, ...]


def baselines(ask: Ask, own: Loaded, *, quick: bool) -> dict[str, Loaded]:
    """Every strategy that needs no model under its name; the benchmark alone where it must be quick."""
    names = [BENCHMARK] if quick else [name for name in NAMES if name not in {OPINIONATED, LEARNED}]
    return {NAMES[name]: _strategy(ask, name) for name in names if name != own.config.strategy}


def without(ask: Ask, own: Loaded, spoke: Iterable[str], silent: Mapping[str, str]) -> Ablation:
    """The run without each opinion that spoke, and without the risk overlay."""
    heard, alone = set(spoke), own.config.strategy
    runs = {f"without {name}": ask.loaded(*_silenced(name)) for name in OPINIONS if name in heard - {alone}}
    runs[f"without {OVERLAY}"] = ask.loaded(*_no_overlay())
    notes = [f"Without {name}: not computed, it said nothing anyway ({why})." for name, why in silent.items()]
    same = [name for name, loaded in runs.items() if loaded.digest == own.digest]
    notes += [f"{name.capitalize()}: not computed, the run has none." for name in same]
    if alone in heard & {LEARNED}:
        notes.append(f"Without {alone}: not computed, nothing else decides.")
    if EDGE in heard and own.config.feed.kind == "synthetic":
        told = own.config.synthetic.crowd_knows
        crowd = f"the embedded market, whose crowd knows {told:g} of the next hour"
        notes.append(f"The share of the edge is that of {crowd}: it says nothing about Kalshi.")
    if ALPHA in heard:
        notes.append("Without alpha the stand-in, rule, is silent too.")
    return Ablation({name: loaded for name, loaded in runs.items() if name not in same}, tuple(notes))


def doubled(own: Loaded) -> Loaded:
    """The same run with fees, spread and impact twice as high, for the planner and for the venue."""
    costs = own.config.costs
    spread, impact = (
        replace(each, tier1=2 * each.tier1, tier2=2 * each.tier2, tier3=2 * each.tier3)
        for each in (costs.half_spread, costs.impact)
    )
    dear = replace(costs, taker=2 * costs.taker, maker=2 * costs.maker, half_spread=spread, impact=impact)
    return with_digest(own, replace(own.config, costs=dear))


def _strategy(ask: Ask, name: str) -> Loaded:
    """A baseline as it is defined: its settings lie over what was set for the run."""
    from evenkeel.config.strategies import PRESETS

    return ask.loaded(f"strategy={name}", "allocate.method=scores", *_assigned(PRESETS[name]))


def _silenced(name: str) -> list[str]:
    off = [name, "rule"] if name == ALPHA else [name]
    return [f"opinions.{each}=false" for each in off]


def _no_overlay() -> list[str]:
    """What the plain strategies bring: every limit so wide that it never binds."""
    from evenkeel.config.strategies import PRESETS

    return _assigned({"overlay": PRESETS[BENCHMARK]["overlay"]})


def _assigned(preset: Mapping[str, Any]) -> list[str]:
    """Sections as `key=value`, JSON being YAML."""
    return [f"{section}={json.dumps(values)}" for section, values in preset.items()]
