"""What is a policy worth on bars that it was not taught on? A bundle's actors and a panel in, figures of books out.

Every window of the period is traded at every budget by every actor, by the step that trades; beside them stand holding,
chance and doing nothing. Nothing is drawn but by chance's own seed: the same bundle and bars give the same bits. What a
portfolio of them would have earned is a back-test of the strategy `policy`, and none of this page's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from evenkeel.artifacts import Bundle
from evenkeel.errors import ArtifactError, DataError, NoEvidenceError, NotReadyError
from evenkeel.market import panel as panels
from evenkeel.research import exams, lessons
from evenkeel.research.env.batch import Lesson, Windows, windows
from evenkeel.research.env.tape import Tape
from evenkeel.research.exams import Desk, Exam, Player
from evenkeel.research.lessons import World
from evenkeel.signals import policy
from evenkeel.signals.actor import GENERAL, Actor
from evenkeel.signals.policy import PolicyModel
from evenkeel.types import IntArray, Panel
from evenkeel.units import YEAR_S, iso

CHANCE = 1
"""Seed of the random actions."""

BESIDE: Mapping[str, Player] = {"hold": exams.hold, "nothing": exams.nothing}
"""What an actor stands beside, and chance, whose draws begin anew with each exam."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The actors of a bundle, ready to speak on some bar.

    model   as it is served, with the specialists that were kept · served  whether it may speak on this bar at all
    seeds   by name, `seed 3`, in their order · chosen  name of the one that is the general actor
    digests  of each of `seeds`: the SHA-256 of its file · budgets  USD that it was taught with
    lesson_s  s of a window's bars
    """

    model: PolicyModel
    served: bool
    seeds: Mapping[str, Actor]
    chosen: str
    digests: Mapping[str, str]
    budgets: tuple[float, ...]
    lesson_s: int

    @property
    def routed(self) -> bool:
        """Whether a specialist was kept."""
        return len(self.model.actors) > 1

    def alone(self, name: str) -> PolicyModel:
        """The model as if one of its seeds were all that it has."""
        whole = not self.routed and name == self.chosen
        return replace(
            self.model,
            actors={GENERAL: self.seeds[name]},
            digest=self.model.digest if whole else self.digests[name],
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """Which books are opened.

    since, until  UTC s · episodes  windows at least · symbols  none = all · budgets  USD
    """

    since: int
    until: int
    episodes: int
    symbols: tuple[str, ...]
    budgets: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """Figures of the average book. NaN = not known.

    net_return, matched_return  of the whole period, and of holding the risk-matched share · active_return  the first
    less the second · sharpe  of the active return, a year · max_drawdown  share · win_rate  share of windows whose
    active return is above 0 · turnover  bought plus sold a year, as a multiple of the book · doubtful  share of answers
    that were not believed
    """

    net_return: float
    matched_return: float
    active_return: float
    sharpe: float
    max_drawdown: float
    win_rate: float
    turnover: float
    doubtful: float

    def to_json(self) -> dict[str, float | None]:
        """Fields by name; null = not known."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value if math.isfinite(value) else None for name, value in named.items()}


def load(bundle: Bundle, bar_s: int) -> Cast:
    """The actors of a bundle for `bar_s` bars, served there or not. Raises ArtifactError for one that is refused."""
    said = bundle.manifest
    try:
        own = [int(bar) for bar in said["bars"]]
        model, served = _model(bundle, own, bar_s)
        files = {f"seed {one['seed']}": str(one["file"]) for one in said["seeds"]}
        return Cast(
            model=model,
            served=served,
            seeds={name: policy.actor(orjson.loads(bundle.files[file])) for name, file in files.items()},
            chosen=f"seed {said['chosen']}",
            digests={name: str(said["files"][file]) for name, file in files.items()},
            budgets=tuple(float(budget) for budget in said["budgets"]),
            lesson_s=int(said["train"]["window_s"]),
        )
    except (KeyError, TypeError, ValueError, orjson.JSONDecodeError) as error:
        raise ArtifactError(
            f"{bundle.path} has no actor of each seed ({type(error).__name__} {error}): train a new version"
        ) from error


def _model(bundle: Bundle, bars: Sequence[int], bar_s: int) -> tuple[PolicyModel, bool]:
    """The served model; where it has no evidence on the bar, the same without any strength."""
    try:
        return policy.load(bundle.path, bar_s), True
    except NoEvidenceError:
        if not bars:
            raise
    other = policy.load(bundle.path, bars[0])
    return replace(other, strength=0.0, window_s=other.window_s - bars[0] + bar_s), False


def desk(cast: Cast, panel: Panel, world: World, wish: Wish) -> Desk:
    """Where the actors are judged: every window of the period, one every three quarters of a window, or denser.

    Raises NotReadyError where the data end before the period begins, DataError for an unknown symbol, a budget that
    buys nothing, or fewer windows than are wanted.
    """
    since = max(wish.since, cast.model.valid_from)
    last = min(wish.until, int(panel.time[-1]))
    if last <= since:
        raise NotReadyError(
            f"{cast.model.version} can be judged from {iso(since)} on, the data end at {iso(last)}: load later bars"
        )
    seen = panels.until(panel, last)
    first = int(np.searchsorted(seen.time, since))
    tape, rules = lessons.seen_tape(seen, world, first)
    columns = lessons.columns(tape.assets, wish.symbols)
    lessons.refuse_small(wish.budgets, rules)
    lesson = Lesson(bars=max(1, cast.lesson_s // tape.bar_s), budgets=wish.budgets)
    where = _windows(tape, lesson, columns, wish.episodes)
    return Desk(
        tape=lessons.without_raw(tape), market=tape.scaled(cast.model.scale), regime=lessons.directions(tape),
        rules=rules, lesson=lesson, where=where,
    )  # fmt: skip


def _windows(tape: Tape, lesson: Lesson, columns: IntArray, least: int) -> Windows:
    """Windows one after the other, overlapping as in lessons, or as much more as the wanted number needs."""
    if least < 1:
        raise DataError(f"{least} episodes judge nothing: give 1 or more")
    step = max(1, round(lesson.bars * (1.0 - lesson.overlap)))
    while True:
        found = windows(tape, replace(lesson, overlap=1.0 - step / lesson.bars), slice(None), columns)
        if len(found.row) >= least:
            return found
        if step == 1:
            raise DataError(
                f"{len(found.row)} windows of {lesson.bars} bars fit, {least} are asked for: give fewer episodes, more "
                "symbols or later data"
            )
        step = max(1, min(step - 1, step * len(found.row) // least))


def players(cast: Cast, *, router: bool) -> dict[str, Player]:
    """Who is examined: every seed alone, and the served model where specialists are to be heard."""
    made = {name: exams.alone(actor) for name, actor in cast.seeds.items()}
    if router and cast.routed:
        made["routed"] = exams.together(cast.model.actors)
    return made


def beside() -> dict[str, Player]:
    """What every actor stands beside."""
    return {**BESIDE, "random": exams.at_random(CHANCE)}


def worth(exam: Exam, bars: int, bar_s: int, budget: float | None = None) -> Worth:
    """Figures of an exam, at one budget or over all; bars  of a window."""
    found, (_, net, matched) = exam.figures(budget), exam.growth(budget)
    which = slice(None) if budget is None else exam.budgets.index(budget)
    ours, theirs = float(np.expm1(net.sum())), float(np.expm1(matched.sum()))
    return Worth(
        net_return=ours,
        matched_return=theirs,
        active_return=ours - theirs,
        sharpe=found.sharpe,
        max_drawdown=found.max_drawdown,
        win_rate=found.win_rate,
        turnover=float(exam.moved[which].mean()) * YEAR_S / (bars * bar_s),
        doubtful=float(exam.doubtful[which].mean()) / bars,
    )


def spread(rows: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Figures of several seeds -> name -> median, and the quartiles on either side of it; unknown ones left out."""
    found = {}
    for name in rows[0]:
        known = [value for row in rows if (value := row[name]) is not None]
        middle = np.quantile(known, (0.25, 0.5, 0.75)).tolist() if known else [None] * 3
        found[name] = dict(zip(("low", "median", "high"), middle, strict=True))
    return found
