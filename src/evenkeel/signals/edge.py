"""The `edge` opinion: what event contracts imply for every asset, weighed by nothing but its measured skill.

x_i = clip(d_i rho_i, -3, 3): a coin that Kalshi lists has its own drift d in sigmas, every other asset BTC's, times its
14-day correlation of hourly returns with BTC. An hour's drift is an hour's: strength is the information coefficient
times sqrt((T - 40 s) / 24 h), so that x strength sigma_24h is IC x sigma_T and no drift is counted for longer than its
ladder lasts. Unlike alpha it has no declared prior: what its evidence does not carry is 0 (decision 21).

The law: row t reads rows <= t and readings of boards that a slot at t had seen. Source: design section 10, Edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from evenkeel import artifacts
from evenkeel.errors import ArtifactError
from evenkeel.events.fair import AVERAGE_S
from evenkeel.signals import crowd as crowds
from evenkeel.signals.blend import strength
from evenkeel.signals.crowd import Crowd
from evenkeel.types import Array, BoolArray, Health, IntArray, Opinion, Reading, frozen
from evenkeel.units import DAY_S, HOUR_S, iso

KIND: Final = "edge"
BENCHMARK: Final = "BTC"
CLIP: Final = 3.0
CORRELATION_H: Final = 336
LEAST_H: Final = 168
"""Hours that two assets must both have moved in for a correlation."""


@dataclass(frozen=True, slots=True)
class Skill:
    """What the drift of ladders was worth, as measured by `evaluate edge`.

    source  whose contracts · ic, ic_se, ic_t  correlation with what came, its clustered standard error, and t
    events  that were measured · until  UTC s of the last outcome: only what comes later may trust it
    expires  UTC s after which nobody believes it any more
    """

    version: str
    digest: str
    source: str
    ic: float
    ic_se: float
    ic_t: float
    events: int
    until: int
    expires: int

    @property
    def weight(self) -> float:
        """Expected return per unit of x and of the ladder's own sigma: what of the IC its evidence carries."""
        return strength(self.ic, self.ic_t, prior=0.0)

    @property
    def words(self) -> str:
        """The figure for people."""
        return f"IC {self.ic:+.3f} +- {self.ic_se:.3f} of {self.events} events"


def load(path: Path) -> Skill:
    """The skill in a bundle folder. Raises ArtifactError, in one sentence, for anything wrong with it."""
    bundle = artifacts.read(path, KIND)
    try:
        said: Mapping[str, Any] = bundle.manifest["skill"]
        return Skill(
            version=bundle.version,
            digest=bundle.digest,
            source=str(said["source"]),
            ic=_number(said["ic"]),
            ic_se=_number(said["ic_se"]),
            ic_t=_number(said["ic_t"]),
            events=int(said["events"]),
            until=int(said["until"]),
            expires=int(bundle.manifest["expires"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is no edge bundle ({type(error).__name__} {error}): measure it again") from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Edge:
    """The opinion of all rows: x (R, N), NaN = none; strength (R,); health and words of each row."""

    x: Array
    strength: Array
    health: tuple[Health, ...]
    words: tuple[str, ...]
    version: str

    @property
    def weighs(self) -> BoolArray:
        """(R,) whether it is well and has a weight."""
        return np.array([health is Health.OK for health in self.health], dtype=bool)

    def opinion(self, row: int) -> Opinion:
        """What a decision is told; without a weight it is off, like a stand-in that nobody needs, and shown anyway."""
        return Opinion(KIND, self.x[row], self.health[row], float(self.strength[row]), self.version, self.words[row])


def edge(
    crowd: Crowd, skill: Skill | None, assets: Sequence[str], time: IntArray, logs: Array, bar_s: int, *, wanted: bool
) -> Edge:
    """The opinion of the last R rows of a panel.

    time  (R,) UTC s of their closes · logs (T, N) log prices of all rows, NaN = unknown; T >= R
    """
    version = "" if skill is None else f"{skill.version} {skill.digest[:12]}"
    if not (wanted and crowd.readings):
        return _nothing(len(time), len(assets), version if wanted else "", crowd.silent if wanted else "")
    first = len(logs) - len(time)
    x, strengths = np.full((len(time), len(assets)), np.nan), np.zeros(len(time))
    health, said = [], []
    for row, now in enumerate(time.tolist()):
        readings = crowd.readings.get(now, ())
        if any(math.isfinite(one.drift) for one in readings):
            x[row] = _spread(readings, assets, logs, first + row, HOUR_S // bar_s)
        known = bool(np.isfinite(x[row]).any())
        strengths[row], doubt = _trust(skill, crowd.source, readings, now) if known else (0.0, "")
        health.append((Health.OK if strengths[row] > 0 else Health.OFF) if known else Health.MISSING)
        said.append(_words(crowd, readings, doubt))
    return Edge(frozen(x), frozen(strengths), tuple(health), tuple(said), version)


def _nothing(rows: int, size: int, version: str, silent: str) -> Edge:
    """An opinion that says nothing in any row: missing, and why; off where nothing was wanted."""
    health, said = (Health.MISSING, silent) if silent else (Health.OFF, "switched off in config")
    x = np.broadcast_to(np.nan, (rows, size))
    return Edge(x, np.zeros(rows), (health,) * rows, (said,) * rows, version)


def _words(crowd: Crowd, readings: Sequence[Reading], doubt: str) -> str:
    if not readings:
        return crowd.silent
    return "; ".join(word for word in (doubt, crowds.words(readings)) if word)


def _trust(skill: Skill | None, source: str, readings: Sequence[Reading], now: int) -> tuple[float, str]:
    """Strength of a row, and why it is none or what it rests on."""
    if skill is None:
        return 0.0, "weighs nothing: its skill was never measured"
    if skill.source != source:
        return 0.0, f"weighs nothing: its skill was measured on {skill.source}, these are of {source}"
    if now < skill.until:
        return 0.0, f"weighs nothing: its skill was measured on what is shown here, until {iso(skill.until)}"
    if now > skill.expires:
        return 0.0, f"weighs nothing: its skill was measured long ago, that expired at {iso(skill.expires)}"
    if not skill.weight:
        return 0.0, f"weighs nothing: {skill.words}"
    read = next(one for one in readings if one.close)
    return skill.weight * math.sqrt((read.close - read.time - AVERAGE_S * 2 / 3) / DAY_S), skill.words


def _spread(readings: Sequence[Reading], assets: Sequence[str], logs: Array, row: int, hour: int) -> Array:
    """(N,) x of one row: each coin its own drift, everything else BTC's by its correlation with BTC."""
    drift = {one.asset: one.drift for one in readings}
    out = np.full(len(assets), np.nan)
    if math.isfinite(drift.get(BENCHMARK, math.nan)) and BENCHMARK in assets:
        out = drift[BENCHMARK] * correlation(logs, row, hour, list(assets).index(BENCHMARK))
    for i, asset in enumerate(assets):
        if asset in drift:
            out[i] = drift[asset]
    return np.asarray(np.clip(out, -CLIP, CLIP))


def correlation(logs: Array, row: int, hour: int, column: int) -> Array:
    """(N,) correlation of hourly log returns with those of a column over the 14 days to `row`; NaN = too few hours.

    hour  bars in an hour
    """
    hours = min(CORRELATION_H, row // hour)
    moves = np.diff(logs[row - hours * hour : row + 1 : hour], axis=0)
    both = np.isfinite(moves) & np.isfinite(moves[:, [column]])
    count = both.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mine, theirs = (np.where(both, side, 0.0) for side in (moves, moves[:, [column]]))
        mine, theirs = (np.where(both, side - side.sum(axis=0) / count, 0.0) for side in (mine, theirs))
        rho = (mine * theirs).sum(axis=0) / np.sqrt((mine**2).sum(axis=0) * (theirs**2).sum(axis=0))
    out: Array = np.where(count >= LEAST_H, np.clip(rho, -1.0, 1.0), np.nan)
    return out
