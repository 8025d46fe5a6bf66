"""What each strategy brings beside its name: a layer of settings that lies right under the layer that names it.

A strategy with a score stands alone: all opinions are off, everything else is the rebalancer's, so that the two differ
by the score only. One that wants weights also goes without regime, caps and overlay: it is the plain thing it is named
after. The policy's weights keep the overlay. Halting, reducing, flattening, the quality of prices and the freezing of
pairs hold for every strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenkeel.signals.strategies import LEARNED, OPINIONATED, SCORES, WEIGHTS

OPINIONS = ("alpha", "policy", "edge", "rule")

_NO_OPINION: Mapping[str, Any] = {"opinions": dict.fromkeys(OPINIONS, False)}

_UNCAPPED = {"tier1": 1.0, "tier2": 1.0, "tier3": 1.0, "tier3_sleeve": 1.0}

_PLAIN: Mapping[str, Any] = {
    **_NO_OPINION,
    "allocate": {
        "method": "direct",
        "gross": {"trend": 1.0, "chop": 1.0, "down": 1.0},
        "caps": _UNCAPPED,
        "cash_buffer": 0.01,
    },
    "overlay": {
        "exits": False,
        "caps": _UNCAPPED,
        "cluster_cap": 1.0,
        "participation": 1.0,
        "vol_target": 5.0,
        "drawdown_floor": 1.0,
        "daily_loss": 1.0,
    },
}
"""The cash buffer of 1 % pays for fees and slippage, so `orders.cash_reserve` asks for nothing more."""


_POLICY: Mapping[str, Any] = {
    "opinions": {"alpha": False, "edge": False, "rule": False},
    "allocate": {
        "method": "direct",
        "gross": {"trend": 1.0, "chop": 1.0, "down": 1.0},
        "caps": {"tier1": 0.5, "tier2": 0.25, "tier3": 0.1, "tier3_sleeve": 0.3},
        "cash_buffer": 0.03,
    },
    "overlay": {
        "caps": {"tier1": 0.6, "tier2": 0.3, "tier3": 0.12, "tier3_sleeve": 0.36},
        "cluster_cap": 0.6,
    },
    "orders": {"band": {"score": 0.002, "rebalance": 0.002}},
}
"""It may leave the market by itself, so regimes take nothing away. The overlay's caps lie a fifth above those up to
which is bought, so that winners may drift. Bands are narrow: an action nearer to 0 than 0.1 holds already."""


def _plain(**band: float) -> Mapping[str, Any]:
    return {**_PLAIN, "orders": {"cash_reserve": 0.0, "band": band}}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    OPINIONATED: {},
    "inverse_vol": _NO_OPINION,
    **dict.fromkeys(SCORES, _NO_OPINION),
    "buy_and_hold": _plain(score=0.5, rebalance=0.5),
    "equal_weight": _plain(score=1.0, rebalance=0.002),
    "rsi": _plain(score=0.002, rebalance=0.002),
    "rsi_sma": _plain(score=0.002, rebalance=0.002),
    "ma_crossover": _plain(score=0.002, rebalance=0.002),
    LEARNED: _POLICY,
}
"""Bands: held is held; equal weights are restored at rebalances only; signals are followed at every scoring pass."""


def contradiction(strategy: str, method: str, opinions: Mapping[str, bool]) -> str:
    """Why these settings do not go together with the strategy; `` if they do."""
    needed = "direct" if strategy in {*WEIGHTS, LEARNED} else "scores"
    advice = "leave that key out, or name the strategy with --strategy, which brings its settings"
    if method != needed:
        return f"strategy {strategy} needs allocate.method {needed}, not {method}: {advice}"
    if strategy == OPINIONATED:
        return ""
    on = [name for name, is_on in opinions.items() if is_on and name != strategy]
    if on:
        return f"strategy {strategy} stands alone, but opinions.{on[0]} is true: {advice}"
    if not opinions.get(strategy, True):
        return f"strategy {strategy} decides by opinions.{strategy}, which is false: {advice}"
    return ""
