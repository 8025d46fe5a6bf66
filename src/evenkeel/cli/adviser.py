"""What the policy had to do with an asset's weight: what it said, which actors spoke, and the weight without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evenkeel.cli.output import percent
from evenkeel.cli.planning import Look
from evenkeel.decide import decide, proposed
from evenkeel.types import Plan


def wish_of(seen: Look, i: int) -> float | None:
    """The weight that somebody wants of the asset in column i: of a strategy of weights, the policy among them."""
    if seen.engine.rules.allocate.method != "direct":
        return None
    wanted = proposed(seen.view, seen.book, seen.engine.brain, seen.engine.rules, seen.start.slot).wanted[i]
    return float(wanted) if np.isfinite(wanted) else None


def policy_of(seen: Look, i: int) -> dict[str, Any] | None:
    """The part `policy` of `why` for the asset in column i; None where no policy is asked."""
    model, rules = seen.engine.brain.policy, seen.engine.rules
    if model is None or not rules.opinions.policy:
        return None
    said = next(opinion for opinion in seen.plan.opinions if opinion.name == "policy")
    other = without(seen)
    return {
        "tilt": float(said.x[i]) if np.isfinite(said.x[i]) else None,
        "mode": "discrete" if model.actors["general"].discrete else "continuous",
        "actors": model.voices(seen.view.regime),
        "without": {"raw": float(other.raw[i]), "target": float(other.target[i])},
    }


def without(seen: Look) -> Plan:
    """The same slot decided once more on the same view and book, with the policy switched off."""
    rules = seen.engine.rules
    silent = replace(rules, opinions=replace(rules.opinions, policy=False))
    return decide(seen.view, seen.book, seen.engine.brain, silent, seen.start.slot)


def sentence(policy: Mapping[str, Any]) -> str:
    """The same for people."""
    voices = ", ".join(f"{name} {share:.0%}" for name, share in policy["actors"].items())
    other = policy["without"]
    return f"spoken by {voices}; without it raw {percent(other['raw'])}, target {percent(other['target'])}"
