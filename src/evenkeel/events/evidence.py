"""Who speaks for a series, and how far is it believed? A loaded bundle -> one model and one trust for a whole board.

Each series is spoken for by the part of the bundle with the best measured skill on it; a coin that no part was measured
on by the lognormal, which needs no fitting and is then shown and not staked on.

The law: what was not measured has no skill, and a contract is believed by its own series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evenkeel.events.board import Ladders, series_of
from evenkeel.events.calibration import Z80
from evenkeel.events.fair import Fair, Lognormal, Model, Spot
from evenkeel.events.fitted import Known, Part
from evenkeel.events.stake import UNPROVEN, Skill, shrunk


class Trust(Protocol):
    """Who says how far the model of a series is believed: `Voices`, or one `Skill` for all series."""

    def of(self, series: str) -> Skill:
        """The skill that was measured on a series; `UNPROVEN` where none was."""


@dataclass(frozen=True, slots=True)
class Voices:
    """The part that speaks for each series, at a time (UTC s); a model and a trust in one.

    otherwise  speaks where there is no part; it knows strikes only, so that it is silent about anything but coins
    """

    now: int
    parts: Mapping[str, Part] = field(default_factory=dict)
    otherwise: Model = Lognormal()

    @property
    def name(self) -> str:
        """Models that speak, such as `lognormal@v1`."""
        return "+".join(sorted({part.model.name for part in self.parts.values()})) or self.otherwise.name

    def of(self, series: str) -> Skill:
        """Its part's skill, if it has not expired."""
        return self.parts[series].skill_of(series, self.now) if series in self.parts else UNPROVEN

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:
        """Every contract by the model of its series."""
        p, error = np.full((2, len(board.contracts)), math.nan)
        series = [series_of(c.ticker) for c in board.contracts]
        models = {name: self.parts[name].model if name in self.parts else self.otherwise for name in set(series)}
        for model in {id(one): one for one in models.values()}.values():
            here = np.array([models[name] is model for name in series], dtype=bool)
            said = model(board, spots)
            p[here], error[here] = said.p[here], said.error[here]
        return Fair(p, error)


def voices(known: Known | None, series: Sequence[str], now: int) -> Voices:
    """Who speaks for these series now; nobody is measured without a bundle."""
    parts = {name: known.of(name, now) for name in series} if known is not None else {}
    return Voices(now, {name: part for name, part in parts.items() if part is not None})


def interval(skill: Skill) -> tuple[float, float]:
    """Ends of the 80 % interval of k; NaN where its error is unknown."""
    return skill.k - Z80 * skill.error, skill.k + Z80 * skill.error


def trusted(board: Ladders, fair: Fair, by: Trust) -> Fair:
    """`stake.shrunk`, each contract by the skill of its own series."""
    series = [series_of(c.ticker) for c in board.contracts]
    p, error = np.full((2, len(series)), math.nan)
    for name in dict.fromkeys(series):
        rows = np.array([one == name for one in series], dtype=bool)
        mixed = shrunk(board.mid[rows], Fair(fair.p[rows], fair.error[rows]), by.of(name))
        p[rows], error[rows] = mixed.p, mixed.error
    return Fair(p, error)
