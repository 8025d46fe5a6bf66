"""What is known of event contracts: a bundle in, a model and its measured skill for each series out.

`models/kalshi/<version>/` holds up to three parts, `lognormal.json`, `calibration.json` and `ensemble.json`. Each says
what was fitted, until when it was trained, when it expires, what it gave for made-up inputs (replayed at every load),
and the evidence: for each series how far settled markets followed the model rather than the price, k with its error and
the number of settled events. The desk stakes by that evidence and by nothing else.

The law: a series without evidence, with too few events, or with a part that has expired, has no skill: no stake.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.errors import ArtifactError
from evenkeel.events import ensemble, fair
from evenkeel.events.calibration import Calibrated, Curve
from evenkeel.events.ensemble import Ensemble
from evenkeel.events.fair import Lognormal, Model
from evenkeel.events.stake import BOUND, UNPROVEN, Skill
from evenkeel.types import Array

KIND: Final = "kalshi"
PARTS: Final = ("lognormal", "calibration", "ensemble")
"""Names of parts; each is the file `<name>.json`."""

_EXACT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Part:
    """One model and what is known of it.

    skill       by series, out of time · words  by series, the verdict in a sentence
    train_end   UTC s of the last close that it was fitted on; None = nothing is fitted · expires  UTC s
    """

    name: str
    model: Model
    skill: Mapping[str, Skill]
    words: Mapping[str, str]
    train_end: int | None
    expires: int

    def skill_of(self, series: str, now: int) -> Skill:
        """Measured skill at `now`, UTC s; none for another series and after the part expired."""
        return UNPROVEN if now > self.expires else self.skill.get(series, UNPROVEN)


@dataclass(frozen=True, slots=True)
class Known:
    """A loaded bundle."""

    version: str
    digest: str
    parts: tuple[Part, ...]

    def of(self, series: str, now: int) -> Part | None:
        """The part that speaks for a series: the one with the highest lower bound of its skill; None = no model."""
        speak = [part for part in self.parts if series in part.skill]
        return max(speak, key=lambda part: _bound(part.skill_of(series, now)), default=None)


def _bound(skill: Skill) -> float:
    return skill.k - BOUND * skill.error if skill.proven else -math.inf


def load(path: Path) -> Known:
    """The bundle in a folder, its golden outputs replayed. Raises ArtifactError, in one sentence, if it is refused."""
    bundle = artifacts.read(path, KIND)
    names = [name for name in PARTS if file_of(name) in bundle.files]
    if not names:
        raise ArtifactError(f"{path} has none of the parts {', '.join(PARTS)}: train a new version")
    return Known(bundle.version, bundle.digest, tuple(_part(bundle, name) for name in names))


def file_of(part: str) -> str:
    """Name of a part's file."""
    return f"{part}.json"


def _part(bundle: Bundle, name: str) -> Part:
    try:
        said = orjson.loads(bundle.files[file_of(name)])
        model = read(name, said["model"], f"{name}@{bundle.version}")
        part = Part(
            name=name,
            model=model,
            skill={series: _skill(one) for series, one in said["evidence"].items()},
            words={series: str(one["words"]) for series, one in said["evidence"].items()},
            train_end=None if said["train"]["until"] is None else int(said["train"]["until"]),
            expires=int(said["expires"]),
        )
        wanted, given = said["golden"]["output"], golden(model, said["golden"]["input"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"{bundle.path / file_of(name)} is no {name} ({type(error).__name__} {error}): train a new version"
        ) from error
    if not same(given, wanted):
        raise ArtifactError(
            f"{bundle.path / file_of(name)} does not give its golden output: its numbers do not belong together, or "
            "this machine computes otherwise; train a new version here"
        )
    return part


def _skill(said: Mapping[str, Any]) -> Skill:
    error = said["error"]
    return Skill(int(said["events"]), float(said["k"]), math.nan if error is None else float(error))


def read(name: str, said: Mapping[str, Any], called: str) -> Model:
    """A model of the `model` of its part. Raises KeyError, TypeError or ValueError for what is none."""
    if name == "lognormal":
        return Lognormal(oldest_s=float(said["oldest_s"]), name=called)
    if name == "calibration":
        curves = tuple(None if one is None else curve(one) for one in said["curves"])
        edges = tuple(float(edge) for edge in said["edges"])
        if len(edges) != len(curves) + 1 or list(edges) != sorted(edges):
            raise ValueError(f"{len(curves)} curves have {len(edges)} edges of time to close")
        return Calibrated(called, frozenset(said["series"]), edges, curves)
    if tuple(said["features"]) != ensemble.NAMES:
        raise ValueError(f"it was fitted on {', '.join(said['features'])}, a board gives {', '.join(ensemble.NAMES)}")
    members = tuple(ensemble.member(one) for one in said["members"])
    return Ensemble(called, frozenset(said["series"]), float(said["life_s"]), members, curve(said["curve"]))


def curve(said: Mapping[str, Any]) -> Curve:
    """A curve of its JSON form. Raises ValueError for one that is none."""
    rows = [np.array(said[name], dtype=np.float64) for name in ("price", "p", "count", "error")]
    price, p, count, error = rows
    whole = len({len(row) for row in rows}) == 1 and len(price) > 0 and all(np.isfinite(row).all() for row in rows)
    if not whole or (np.diff(price) <= 0).any() or (np.diff(p) < 0).any() or (error <= 0).any() or (count <= 0).any():
        raise ValueError("a curve does not rise, or has no sample")
    if p[0] < 0 or p[-1] > 1:
        raise ValueError("a curve leaves [0, 1]")
    return Curve(price, p, count, error)


def golden(model: Model, given: list[list[float]]) -> list[list[float]]:
    """What a part's model makes of its golden inputs, one row of numbers for each.

    lognormal    strike USD, spot USD, volatility per sqrt(s), s to the close -> P(above)
    calibration  price USD of YES, s to the close -> p, error · ensemble  the inputs -> each member, p, error
    """
    rows = np.array(given, dtype=np.float64)
    if isinstance(model, Calibrated):
        found = _curved(model, rows)
    elif isinstance(model, Ensemble):
        each = model.each(rows)
        found = np.vstack([each, *model.calibrated(each)])
    else:
        strike, spot, sigma, left = rows.T
        found = fair.inside(strike, np.full(len(rows), np.inf), spot, fair.sd(sigma, left))[None]
    return [[float(x) for x in row] for row in found.T]


def _curved(model: Calibrated, rows: Array) -> Array:
    """(2, n) p and error of prices at times to close."""
    out = np.full((2, len(rows)), np.nan)
    bucket = np.searchsorted(model.edges, rows[:, 1], side="right") - 1
    for k, one in enumerate(model.curves):
        if one is not None and (bucket == k).any():
            out[:, bucket == k] = one.at(rows[bucket == k, 0])
    return out


def same(found: list[list[float]], wanted: list[list[float | None]]) -> bool:
    """Whether two tables agree to 1e-12; unknown (None) where the other is NaN."""
    ours = np.array(found, dtype=np.float64)
    theirs = np.array([[math.nan if x is None else x for x in row] for row in wanted], dtype=np.float64)
    return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=_EXACT, atol=_EXACT, equal_nan=True))
