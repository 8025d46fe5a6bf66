"""What has a model shown on settled markets? Series -> measured skill, and the file that carries it.

`models/kalshi/<version>/evidence.json`, written by training, read by the desk:

    {"schema": 1, "model": "lognormal", "series": {"KXBTCD": {"events": 412, "k": 0.08, "error": 0.05}}}

events  settled events it was measured on, out of time · k  the part of the gap to the market that came true
error   standard error of k, clustered by event

The law: what was not measured has no skill. A series that is not named is `UNPROVEN`, and so nothing is staked on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import orjson

from evenkeel.errors import ArtifactError
from evenkeel.events.board import Ladders, series_of
from evenkeel.events.calibration import Z80
from evenkeel.events.fair import Fair
from evenkeel.events.stake import UNPROVEN, Skill, shrunk

FILE: Final = "evidence.json"
SCHEMA: Final = 1


class Trust(Protocol):
    """Who says how far the model of a series is believed: an `Evidence`, or one `Skill` for all series."""

    def of(self, series: str) -> Skill:
        """The skill that was measured on a series; `UNPROVEN` where none was."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Skill by series, as it was measured for one model."""

    model: str = ""
    series: Mapping[str, Skill] = field(default_factory=dict)

    def of(self, series: str) -> Skill:
        """The skill on a series; `UNPROVEN` for one that was not measured."""
        return self.series.get(series, UNPROVEN)


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


def dumped(evidence: Evidence) -> bytes:
    """The bytes of the file. An error that is unknown is null."""
    rows = {name: {"events": one.events, "k": one.k, "error": one.error} for name, one in evidence.series.items()}
    return orjson.dumps({"schema": SCHEMA, "model": evidence.model, "series": rows}, option=orjson.OPT_INDENT_2)


def loaded(raw: bytes, name: str) -> Evidence:
    """The evidence in the bytes of the file `name`. Raises ArtifactError for what is none."""
    try:
        body = orjson.loads(raw)
        if body["schema"] != SCHEMA:
            raise ArtifactError(f"{name} has schema {body['schema']}, this version reads {SCHEMA}: update evenkeel")
        return Evidence(str(body["model"]), {str(key): _skill(row) for key, row in body["series"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{name} is no evidence of a Kalshi model ({error!r}): train a new version") from None


def _skill(row: Mapping[str, Any]) -> Skill:
    events, k, error = row["events"], row["k"], row["error"]
    if type(events) is not int or events < 0 or not math.isfinite(float(k)):
        raise ValueError(f"events {events}, k {k}")
    return Skill(events, float(k), math.nan if error is None else float(error))
