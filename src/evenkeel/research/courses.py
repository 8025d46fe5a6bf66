"""One actor's way through a school: rounds of lessons, validation beside them, the best kept.

`advance` is one round: pure, picklable, from a standing to the next one, so that rounds of many courses run on any
machine and a course goes on from its last standing to the same bits. A general course keeps the weights of its best
validation and stops when they have not got better for a while. A specialist course begins with the general actor of its
seed, weighs what it learns by its regime's probability, and keeps its last weights: chosen by nothing, it may be
compared with the general actor on the validation that chose that one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from evenkeel.errors import DataError
from evenkeel.research import exams
from evenkeel.research.env.batch import Batch, Lesson
from evenkeel.research.exams import Figures
from evenkeel.research.lessons import School
from evenkeel.research.ppo import Learner, PpoSettings, State, actor_in

MODES = ("continuous", "discrete")
TEACHINGS = ("all", "specialists")
EXAM_EPISODES = 100
"""Validation comes after this many windows, or a round, whichever is later."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What is trained.

    mode      one of MODES · regimes one of TEACHINGS: general actors only, or specialists after them
    episodes  windows that each actor learns from, at most · patience  validations without a better one that end it
    budgets   USD; one actor for all, or one for each with `per_budget` · specialist_budget  USD, of the specialists
    seed      of the first of `seeds` actors · symbols  assets that books are opened on, none = all
    bars      of a window · validation  share of the rows, the latest, that judge
    """

    mode: str = "continuous"
    episodes: int = 20_000
    budgets: tuple[float, ...] = (1_000.0, 10_000.0, 50_000.0, 100_000.0)
    per_budget: bool = False
    regimes: str = "all"
    seeds: int = 5
    seed: int = 1
    symbols: tuple[str, ...] = ()
    bars: int = 240
    validation: float = 0.2
    patience: int = 20
    specialist_budget: float = 10_000.0
    expires_after_days: int = 180
    ppo: PpoSettings = PpoSettings()

    def __post_init__(self) -> None:
        if self.mode not in MODES or self.regimes not in TEACHINGS:
            raise DataError(
                f"mode {self.mode} for {self.regimes}: take {' or '.join(MODES)}, and {' or '.join(TEACHINGS)}"
            )
        if self.episodes < 1 or self.seeds < 1:
            raise DataError(f"{self.episodes} episodes of {self.seeds} seeds teach nothing: give 1 or more of each")
        if self.bars < 2 or not 0.0 < self.validation < 1.0:
            raise DataError(
                f"windows of {self.bars} bars and {self.validation:g} of the rows to judge: give 2 or more, and a "
                "share in (0, 1)"
            )

    @property
    def discrete(self) -> bool:
        """BUY, SELL and HOLD instead of numbers."""
        return self.mode == "discrete"

    @property
    def lesson(self) -> Lesson:
        """What a window is."""
        return Lesson(bars=self.bars, budgets=self.budgets, discrete=self.discrete)

    @property
    def books(self) -> int:
        """Windows in a round."""
        return min(self.ppo.books, self.episodes)


@dataclass(frozen=True, slots=True)
class Course:
    """Whose way it is. group  name of its budgets · regime  one of DIRECTIONS, None = the general actor."""

    group: str
    seed: int
    budgets: tuple[float, ...]
    regime: str | None = None

    @property
    def name(self) -> str:
        """As files and progress call it."""
        return "-".join(filter(None, (self.group, f"seed-{self.seed}", self.regime)))

    def rounds(self, settings: PolicySettings) -> int:
        """Rounds at most; a specialist has a quarter."""
        share = 1 if self.regime is None else 4
        return -(-settings.episodes // (settings.books * share))


@dataclass(frozen=True, slots=True)
class Mark:
    """One validation. reward  mean of a window of the round before it · figures  over all budgets, and of each."""

    round: int
    reward: float
    figures: Figures
    each: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a course stands between two rounds.

    learner  what the next round depends on · kept  the networks that count so far · base  of the general actor
    rival    what the general actor alone comes to at a specialist's budget, told at the end
    """

    rounds: int = 0
    done: bool = False
    best: int = 0
    curve: tuple[Mark, ...] = ()
    rival: Figures | None = None
    learner: State = field(default_factory=dict)
    kept: State = field(default_factory=dict)
    base: State = field(default_factory=dict)

    @property
    def mark(self) -> Mark | None:
        """The validation of the networks that are kept."""
        return next((mark for mark in self.curve if mark.round == self.best), None)


def advance(school: School, settings: PolicySettings, given: tuple[Course, Standing]) -> Standing:
    """One round more, and a validation where one is due."""
    course, standing = given
    learner = _learner(school, settings, course, standing)
    reward = learner.round()
    rounds, last = standing.rounds + 1, course.rounds(settings)
    standing = replace(standing, rounds=rounds, learner=learner.saved(), done=rounds >= last)
    every = -(-EXAM_EPISODES // settings.books)
    if rounds % every and rounds < last:
        return standing
    return _judged(school, settings, course, standing, learner, reward)


def _learner(school: School, settings: PolicySettings, course: Course, standing: Standing) -> Learner:
    lesson = replace(school.lesson, budgets=course.budgets)
    batch = Batch(school.tape, school.market, school.rules, lesson, school.taught, settings.books, course.seed)
    learner = Learner(batch, settings.ppo, course.seed)
    if course.regime is not None:
        learner.prefer(course.regime, school.scale)
    if standing.learner:
        learner.restore(standing.learner)
    elif standing.base:
        learner.begin(standing.base)
    return learner


def _judged(
    school: School, settings: PolicySettings, course: Course, standing: Standing, learner: Learner, reward: float
) -> Standing:
    """The standing after a validation of the learner's actor."""
    actor = learner.actor()
    if course.regime is None:
        player = exams.alone(actor)
    else:
        player = exams.router(actor_in(standing.base, settings.ppo, discrete=settings.discrete), {course.regime: actor})
    exam = exams.sit(school.desk, player, course.budgets)
    mark = Mark(standing.rounds, reward, exam.figures(), tuple(exam.figures(budget) for budget in course.budgets))
    standing = replace(standing, curve=(*standing.curve, mark))
    if course.regime is not None:
        standing = replace(standing, best=standing.rounds, kept=learner.networks())
        return replace(standing, rival=_rival(school, settings, course, standing)) if standing.done else standing
    before = max((one.figures.score for one in standing.curve[:-1]), default=-np.inf)
    if len(standing.curve) == 1 or mark.figures.score > before:
        standing = replace(standing, best=standing.rounds, kept=learner.networks())
    late = sum(one.round > standing.best for one in standing.curve)
    return replace(standing, done=standing.done or late >= settings.patience)


def _rival(school: School, settings: PolicySettings, course: Course, standing: Standing) -> Figures:
    """What the general actor alone comes to, on the same windows and budgets."""
    general = actor_in(standing.base, settings.ppo, discrete=settings.discrete)
    return exams.sit(school.desk, exams.alone(general), course.budgets).figures()
