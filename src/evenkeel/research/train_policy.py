"""The policy, trained: a panel in, bundles of PPO actors out.

Seeds and budgets are courses; the rounds of all courses run through the same pool as alpha's trials, and every course
is checkpointed after each of its rounds. General actors come first, specialists then begin with what these have become.
What is shipped is the seed of the median score, not the best one.

The laws: no held-out bar is read; the same panel, settings and seeds give the same bytes with any number of processes,
interrupted or not.
"""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.research import exams, lessons, policy_bundle, search, tilts
from evenkeel.research.checkpoints import Shelf
from evenkeel.research.courses import Course, PolicySettings, Standing, advance
from evenkeel.research.env.tape import Tape
from evenkeel.research.evidence import Evidence
from evenkeel.research.lessons import School, World
from evenkeel.research.policy_bundle import Graduate, Specialist, middle
from evenkeel.research.ppo import actor_in
from evenkeel.research.search import Backend
from evenkeel.research.tracking import Tracker
from evenkeel.signals.actor import DIRECTIONS
from evenkeel.signals.policy import KIND
from evenkeel.types import Panel

ALL = "all"
"""Name of the group of one actor for all budgets."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands. done, total  rounds of all courses · best  score so far, NaN = none · rss  bytes."""

    course: str
    done: int
    total: int
    steps_a_s: float
    eta_s: float
    best: float
    rss: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: its bundles, what it took, and how tracking went. steps  of books, in this process."""

    bundles: tuple[Bundle, ...]
    seconds: float
    steps: int
    peak_rss: int
    tracked: str


@dataclass(frozen=True, slots=True)
class Group:
    """Budgets that share actors, and the version that these become."""

    name: str
    budgets: tuple[float, ...]
    version: str


@dataclass(slots=True)
class _Work:
    """How one training goes about it, and what it has done."""

    school: School
    settings: PolicySettings
    backend: Backend
    shelf: Shelf | None
    on_progress: Callable[[Progress], None]
    tracker: Tracker
    standings: dict[Course, Standing] = field(default_factory=dict)
    began: float = field(default_factory=clock.monotonic)
    before: int = 0
    steps: int = 0
    workers: dict[int, int] = field(default_factory=dict)


def train(
    panel: Panel,
    models: Path,
    version: str,
    world: World,
    settings: PolicySettings,
    *,
    created: int,
    backend: Backend,
    also: Sequence[Panel] = (),
    checkpoints: Path | None = None,
    resume: bool = False,
    on_begin: Callable[[], None] = lambda: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    tracker: Tracker | None = None,
) -> Trained:
    """Train, judge and write `models/policy/<version>`, or one bundle for each budget.

    also     panels of other bars on which the tilt is judged too, so that the bundle may be served on them
    created  UTC s, goes into the manifest · checkpoints  folder where courses are kept, none = nowhere
    on_begin  called when nothing is left to be refused, before the first lesson
    Raises DataError for data or budgets that teach nothing, ArtifactError for a version that exists, StateError for
    checkpoints that must not be used.
    """
    tracker = tracker or Tracker(None)
    try:
        groups = groups_of(settings, version)
        for group in groups:
            artifacts.free(models, KIND, group.version)
        school = _school(panel, world, settings)
        others = [lessons.seen_tape(other, world)[0] for other in also]
        work = _Work(school, settings, backend, None, on_progress, tracker)
        if checkpoints is not None:
            work.shelf = Shelf(checkpoints, settings, school.digest())
            if not resume:
                work.shelf.refuse_used()
        on_begin()
        _teach(_generals(groups, settings), work)
        _teach(_specialists(groups, work), work)
        made = [_bundle(group, work, others, created) for group in groups]
        bundles = tuple(
            artifacts.write(models, KIND, group.version, manifest, files)
            for group, (manifest, files) in zip(groups, made, strict=True)
        )
    finally:
        tracked = tracker.close()
    rss = search.own_peak_rss() + sum(work.workers.values())
    return Trained(bundles, clock.monotonic() - work.began, work.steps, rss, tracked)


def first_experiment(settings: PolicySettings) -> str:
    """The group of runs that a tracker begins with."""
    return experiment_of(Course(ALL, settings.seed, settings.budgets), settings.budgets[0])


def groups_of(settings: PolicySettings, version: str) -> tuple[Group, ...]:
    """One group for all budgets, or one for each: `<version>-<budget>`."""
    budgets = tuple(dict.fromkeys(settings.budgets))
    if len(budgets) == 1:
        return (Group(f"{budgets[0]:.0f}", budgets, version),)
    if settings.per_budget:
        return tuple(Group(f"{one:.0f}", (one,), f"{version}-{one:.0f}") for one in budgets)
    return (Group(ALL, budgets, version),)


def _school(panel: Panel, world: World, settings: PolicySettings) -> School:
    budgets = settings.budgets
    if settings.regimes == "specialists":
        budgets = (*budgets, settings.specialist_budget)  # refused early, if it buys nothing
    lesson = replace(settings.lesson, budgets=budgets)
    made = lessons.school(panel, world, lesson, symbols=settings.symbols, validation=settings.validation)
    return replace(made, lesson=settings.lesson)


def _generals(groups: Sequence[Group], settings: PolicySettings) -> dict[Course, Standing]:
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return {Course(group.name, seed, group.budgets): Standing() for group in groups for seed in seeds}


def _specialists(groups: Sequence[Group], work: _Work) -> dict[Course, Standing]:
    """Courses that begin with the general actors as they have become."""
    if work.settings.regimes != "specialists":
        return {}
    made = {}
    for course, standing in list(work.standings.items()):
        group = next(one for one in groups if one.name == course.group)
        budgets = group.budgets if len(group.budgets) == 1 else (work.settings.specialist_budget,)
        for regime in DIRECTIONS:
            made[Course(group.name, course.seed, budgets, regime)] = Standing(base=standing.kept)
    return made


def _teach(courses: Mapping[Course, Standing], work: _Work) -> None:
    """Let every course come to its end, a round of each at a time."""
    for course, fresh in courses.items():
        stood = work.shelf.take(course) if work.shelf is not None else None
        work.standings[course] = stood or fresh
        work.before += work.standings[course].rounds
        _track_settings(course, work)
    job = partial(advance, work.school, work.settings)
    with search.pool(work.backend) as run:
        while todo := [course for course in courses if not work.standings[course].done]:
            given = [(course, work.standings[course]) for course in todo]
            for course, (standing, process, rss) in zip(todo, run(job, given), strict=True):
                if process != os.getpid():
                    work.workers[process] = max(work.workers.get(process, 0), rss)
                _kept(course, standing, work)


def _kept(course: Course, standing: Standing, work: _Work) -> None:
    """A round of a course is over: on disk first, then told."""
    work.standings[course] = standing
    if work.shelf is not None:
        work.shelf.keep(course, standing)
    work.steps += work.settings.books * work.settings.bars
    _track(course, standing, work)
    work.on_progress(_progress(course, work))


def _progress(course: Course, work: _Work) -> Progress:
    """Courses that have ended early count no more rounds than they had."""
    done = sum(one.rounds for one in work.standings.values())
    total = sum(one.rounds if one.done else course.rounds(work.settings) for course, one in work.standings.items())
    seconds = clock.monotonic() - work.began
    scores = [mark.figures.score for one in work.standings.values() for mark in one.curve]
    return Progress(
        course=course.name,
        done=done,
        total=total,
        steps_a_s=work.steps / seconds,
        eta_s=seconds / max(1, done - work.before) * (total - done),
        best=max(scores, default=float("nan")),
        rss=search.own_peak_rss(),
    )


def _track_settings(course: Course, work: _Work) -> None:
    said = {name: value for name, value in asdict(work.settings).items() if name != "ppo"}
    for budget in course.budgets:
        work.tracker.params({**said, "course": course.name}, experiment_of(course, budget))


def _track(course: Course, standing: Standing, work: _Work) -> None:
    """The last validation, of each budget in an experiment of its own."""
    if not standing.curve or standing.curve[-1].round != standing.rounds:
        return
    mark = standing.curve[-1]
    for budget, found in zip(course.budgets, mark.each, strict=True):
        named = {"reward": mark.reward, **{f"validation_{name}": x for name, x in asdict(found).items()}}
        work.tracker.metrics(named, mark.round, experiment_of(course, budget))


def experiment_of(course: Course, budget: float) -> str:
    """Name of a group of runs: `policy/10000/seed-3`, and `/trend` for a specialist."""
    return "/".join(filter(None, ("policy", f"{budget:.0f}", f"seed-{course.seed}", course.regime)))


# ---------------------------------------------------------------- what comes of it


def _bundle(group: Group, work: _Work, others: Sequence[Tape], created: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of a group."""
    own = {course: one for course, one in work.standings.items() if course.group == group.name}
    graduates = [Graduate(course.seed, one) for course, one in own.items() if course.regime is None]
    chosen = middle(graduates)
    specialists = [found for regime in DIRECTIONS if (found := _specialist(regime, chosen.seed, own)) is not None]
    proofs = _proofs(chosen, group, work, others)
    manifest = policy_bundle.manifest(
        work.school, work.settings, group.budgets, graduates, specialists, proofs, created
    )
    return manifest, policy_bundle.files(graduates, specialists, work.settings)


def _specialist(regime: str, seed: int, own: Mapping[Course, Standing]) -> Specialist | None:
    """How a regime's courses went; None where there were none."""
    found = {course.seed: one for course, one in own.items() if course.regime == regime}
    if not found:
        return None
    wins = sum(_won(one) for one in found.values())
    return Specialist(regime, wins, len(found), found[seed].kept)


def _won(standing: Standing) -> bool:
    """Whether routing to the specialist came to a higher score than the general actor alone."""
    mark = standing.mark
    return mark is not None and standing.rival is not None and mark.figures.score > standing.rival.score


def _proofs(chosen: Graduate, group: Group, work: _Work, others: Sequence[Tape]) -> dict[int, Evidence]:
    """Bar s -> evidence of the chosen actor, on rows that its lessons did not see, at the middle budget."""
    school = work.school
    player = exams.alone(actor_in(chosen.standing.kept, work.settings.ppo, discrete=work.settings.discrete))
    budget = tilts.middle_budget(group.budgets)
    since = int(school.tape.time[school.cut])
    own = tilts.tilted(player, school.tape, school.market, school.regime, since, budget)
    proofs = {school.tape.bar_s: own.evidence}
    for tape in others:
        if tape.bar_s not in proofs:
            market, regime = tape.scaled(school.scale), lessons.directions(tape)
            proofs[tape.bar_s] = tilts.tilted(player, tape, market, regime, since, budget).evidence
    return proofs
