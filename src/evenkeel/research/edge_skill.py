"""What is the drift that ladders imply worth? Boards with outcomes in, an information coefficient out, good or bad.

A sample is one event: the first reading of it that has a drift, beside what its coin did until the close, in the same
sigmas: z = log(settled / spot) / (sigma sqrt(T - 40 s)). IC = Pearson's correlation of drift and z over all events; its
standard error is that of a regression of one standardised variable on the other, clustered by close, because events
that close together share one market. The code that reads is the service's own (`signals.crowd`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.errors import DataError
from evenkeel.events.fair import Spot
from evenkeel.market.synthetic import SyntheticSettings
from evenkeel.research.kalshi import ladders, settled
from evenkeel.signals import crowd as crowds
from evenkeel.signals.blend import strength
from evenkeel.signals.crowd import Past
from evenkeel.signals.edge import KIND
from evenkeel.types import Board, Contract, Panel, Reading
from evenkeel.units import DAY_S, iso

KALSHI: Final = "Kalshi"
LEAST: Final = 30
"""Events below which nothing is measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One event: the drift that was read and the move that came, both in sigmas; left, s to the close."""

    coin: str
    close: int
    left: int
    drift: float
    came: float


@dataclass(frozen=True, slots=True)
class Heard:
    """Samples of a source, and why other readings gave none (reason code -> readings)."""

    source: str
    samples: tuple[Sample, ...]
    silent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What drift was worth.

    ic, ic_se, ic_t  correlation, its clustered standard error and t · events, closes  samples, and independent ones
    slope            sigmas that came for a sigma of drift · since, until  UTC s of the first and last close
    """

    source: str
    ic: float
    ic_se: float
    ic_t: float
    slope: float
    events: int
    closes: int
    since: int
    until: int

    @property
    def weight(self) -> float:
        """What of it goes into the blend, per unit of x and of the ladder's own sigma."""
        return strength(self.ic, self.ic_t, prior=0.0)

    def sentence(self) -> str:
        """The verdict for people."""
        low, high = self.ic - 1.96 * self.ic_se, self.ic + 1.96 * self.ic_se
        told = f"IC {self.ic:+.3f} +- {self.ic_se:.3f} (95 % {low:+.3f} .. {high:+.3f}, t {self.ic_t:+.2f})"
        if self.weight:
            return f"{told}: the edge weighs {self.weight:.4f} in the blend"
        return f"{told}: no edge is shown, it weighs nothing in the blend"


def captured(path: Path) -> Heard:
    """Samples of captured ladders with their settled values. Raises DataError for another kind of file."""
    rows = settled.table(path, ("event_ticker", "expiration_value"))
    known = np.isfinite(rows["expiration_value"])
    value = dict(zip(rows["event_ticker"][known].tolist(), rows["expiration_value"][known].tolist(), strict=True))
    return _heard(KALSHI, _listened(_looks(path)), value)


def _looks(path: Path) -> Iterator[tuple[Board, Mapping[str, Spot]]]:
    """Everything that was captured at one moment as one board, as the service sees it."""
    for time, parts in groupby(ladders.read(path).boards(), key=lambda part: part[1].time):
        contracts: list[Contract] = []
        spots: dict[str, Spot] = {}
        for _, told, known in parts:
            contracts += told.contracts
            spots |= known
        yield Board(time, tuple(contracts)), spots


def embedded(panel: Panel, settings: SyntheticSettings) -> Heard:
    """Samples of the embedded market's own boards; what it settles at is the bar that ends at the close."""
    crowd = crowds.embedded(panel, settings, 0)
    at = {time: row for row, time in enumerate(panel.time.tolist())}
    value: dict[str, float] = {}
    told: list[tuple[Reading, float]] = []
    for time, readings in crowd.readings.items():
        for one in readings:
            if one.asset in panel.assets:
                close = panel.close[:, panel.assets.index(one.asset)]
                told.append((one, float(close[at[time]])))
                if one.close in at:
                    value[one.event] = float(close[at[one.close]])
    return _heard(crowd.source, told, value)


def _listened(boards: Iterable[tuple[Board, Mapping[str, Spot]]]) -> Iterator[tuple[Reading, float]]:
    """Readings as the service would have had them, in the order of time, each with the spot price beside it."""
    past: Past = {}
    for board, spots in boards:
        readings = [one for one in crowds.read(board, spots, past) if one.asset in spots]
        past = crowds.later(past, readings)
        yield from ((one, spots[one.asset].price) for one in readings)


def _heard(source: str, told: Iterable[tuple[Reading, float]], value: Mapping[str, float]) -> Heard:
    """The first drift of each event whose settled value is known."""
    found: dict[str, Sample] = {}
    silent: Counter[str] = Counter()
    for one, spot in told:
        if not math.isfinite(one.drift):
            silent[one.reason] += 1
        elif not value.get(one.event, math.nan) > 0:
            silent["NOT_SETTLED"] += 1
        elif one.event not in found:
            came = math.log(value[one.event] / spot) / one.sd
            found[one.event] = Sample(one.asset, one.close, one.close - one.time, one.drift, came)
    return Heard(source, tuple(found.values()), dict(sorted(silent.items())))


def measured(heard: Heard) -> Measured:
    """The information coefficient of all samples. Raises DataError below `LEAST` of them, or where nothing moved."""
    samples = heard.samples
    if len(samples) < LEAST:
        why = ", ".join(f"{count} {reason}" for reason, count in heard.silent.items())
        raise DataError(f"{len(samples)} events can be measured, {LEAST} are needed ({why}): give more days")
    drift, came = (np.array([getattr(s, name) for s in samples]) for name in ("drift", "came"))
    if not (drift.std() > 0 and came.std() > 0):
        raise DataError("no drift or no price moves here: nothing can be measured")
    x, y = (drift - drift.mean()) / drift.std(), (came - came.mean()) / came.std()
    ic = float(np.mean(x * y))
    _, cluster = np.unique([s.close for s in samples], return_inverse=True)
    score = np.bincount(cluster, weights=x * (y - ic * x))
    closes = len(score)
    error = math.sqrt(float(score @ score) * closes / (closes - 1)) / len(samples)
    times = [s.close for s in samples]
    slope = ic * float(came.std() / drift.std())
    return Measured(heard.source, ic, error, ic / error, slope, len(samples), closes, min(times), max(times))


def keep(folder: Path, version: str, found: Measured, *, created: int, expires_days: int) -> Bundle:
    """Write it as a bundle of kind `edge`: models/edge/<version>. Raises ArtifactError where that cannot be."""
    manifest = {"created": created, "expires": created + expires_days * DAY_S, "skill": asdict(found)}
    return artifacts.write(folder, KIND, version, manifest, {"CARD.md": _card(version, found).encode()})


def _card(version: str, found: Measured) -> str:
    return f"""# edge {version}

What the drift that event contracts imply was worth: how much of the edge opinion may enter the blend.

Measured on {found.source}: {found.events} events with {found.closes} different closes, {iso(found.since)} to
{iso(found.until)}.

{found.sentence()}.

One reading an event, its first; drift and outcome in sigmas of our own volatility until the close; standard error
clustered by close. Only decisions after the last close may use it, and only on boards of the same source.
"""
