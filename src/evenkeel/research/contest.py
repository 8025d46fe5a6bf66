"""What a duel has to know of a kind of model: from when on it may be judged, by what, and as which brain it trades.

Both sides of a duel are made here from the same panel, so that they differ in nothing but the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.research import exams, lessons, tilts
from evenkeel.research.evaluate import evaluate
from evenkeel.research.lessons import World
from evenkeel.signals import alpha, policy
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.policy import PolicyModel
from evenkeel.types import Array, Brain, IntArray, Panel


@dataclass(frozen=True, slots=True)
class Contestant:
    """One side of a duel.

    begins     UTC s, first decision that shares nothing with its training · horizon_h  h ahead that it is judged by
    judge      first decision UTC s -> decisions (D,) UTC s, IC of each (D,), NaN = not judged
    """

    version: str
    begins: int
    horizon_h: int
    brain: Brain
    judge: Callable[[int], tuple[IntArray, Array]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of model fights.

    load     folder, bar s -> model · enter  model, panel, rules -> one side of a duel
    checked  what `load` checks beyond digests · settings  `key=value` under which it decides
    """

    load: Callable[[Path, int], Any]
    enter: Callable[[Any, Panel, World], Contestant]
    checked: tuple[str, ...]
    settings: tuple[str, ...] = ()


def of_alpha(model: AlphaModel, panel: Panel, world: World) -> Contestant:
    """Its forecast as served; it decides as the only opinion of the configured strategy."""
    del world

    def judge(since: int) -> tuple[IntArray, Array]:
        found = evaluate(model, panel, since=since)
        return found.time, found.series["ic"]

    return Contestant(model.version, model.valid_from(panel.bar_s), model.longest_h, Brain(alpha=(model,)), judge)


def of_policy(model: PolicyModel, panel: Panel, world: World) -> Contestant:
    """Its tilt of half-held slots, as served; it decides alone, by what it wants to hold."""

    def judge(since: int) -> tuple[IntArray, Array]:
        first = int(np.searchsorted(panel.time, since))
        tape, _ = lessons.seen_tape(panel, world, first)
        budget = tilts.middle_budget([float(one) for one in model.manifest["budgets"]])
        market, regime = tape.scaled(model.scale), lessons.directions(tape)
        found = tilts.tilted(exams.together(model.actors), tape, market, regime, since, budget)
        return found.time, found.ic

    return Contestant(model.version, model.valid_from, tilts.HORIZON_H, Brain(policy=model), judge)


KINDS: Mapping[str, Kind] = {
    alpha.KIND: Kind(alpha.load, of_alpha, ("features", "golden output")),
    policy.KIND: Kind(policy.load, of_policy, ("features", "observation", "golden output"), ("strategy=policy",)),
}
"""Kinds of models that can be verified and promoted."""
