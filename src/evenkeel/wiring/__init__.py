"""build(config, ...) -> Engine: the one place that knows which parts make which mode.

Everything below gets its parts as arguments and never asks what it is part of.
"""

from evenkeel.wiring.accounts import paper
from evenkeel.wiring.build import Engine, build, build_live, market
from evenkeel.wiring.settings import (
    BENCHMARK,
    brain_of,
    cadence,
    origin_at,
    rules_of,
    signal_settings,
    universe,
    warm_up_days,
    window,
)

__all__ = [
    "BENCHMARK",
    "Engine",
    "brain_of",
    "build",
    "build_live",
    "cadence",
    "market",
    "origin_at",
    "paper",
    "rules_of",
    "signal_settings",
    "universe",
    "warm_up_days",
    "window",
]
