"""Do the numbers deserve belief? Bars and what is made of them in, ten checks out; any that fails ends the evidence.

The checks are of the code as it stands, on the bars that are given: causality by recomputing, leaks by refitting. One
of them is a crime of our own on a copy, which the others have to find; with `plant` it is done to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from evenkeel.research import causality, leakage
from evenkeel.research.causality import Observe, Subject, Window
from evenkeel.research.checks import Check, judged
from evenkeel.research.fitting import TrainSettings
from evenkeel.research.leakage import Sample, Tested
from evenkeel.research.walkforward import LEAK_IC
from evenkeel.signals import alpha
from evenkeel.signals.alpha import AlphaModel
from evenkeel.signals.blend import PRIOR_STRENGTH
from evenkeel.signals.view import SignalSettings

KINDS = ("NaN", "noise")
FOLDS = 3
DECISION_DAYS = 5
DECISIONS = 20
SELF_TEST_TIMES = 3
NEVER = 2**62

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is checked. times  random times · seeds  refits on permuted labels · seed  of everything drawn."""

    times: int = 200
    seeds: int = 20
    seed: int = 7


def work(amount: Amount) -> int:
    """How often `examine` calls `advance` at most, for a progress bar."""
    walks = len(TrainSettings().horizons_h) + 1
    return amount.times + len(KINDS) * causality.WINDOWS + amount.seeds + walks + DECISIONS


def examine(
    subject: Subject, amount: Amount, *, plant: bool = False, advance: Advance = lambda _: None
) -> Iterator[Check]:
    """Every check, as soon as it is done.

    plant  smuggle in a feature that leads by one bar: a sound checker then fails
    Raises DataError or NotReadyError for bars that nothing can be learned from.
    """
    sample = leakage.sample_of(subject.panel, TrainSettings(folds=FOLDS))
    older = leakage.lagged(sample, subject.panel)
    if plant:
        sample = leakage.planted(sample, subject.panel, amount.seed)
        older = leakage.planted(older, subject.panel, amount.seed, lag=1)
    now = _tested(sample, advance)
    subject = speaking(subject, sample, now)
    observe = causality.observing(subject.brain, _outspoken(subject.settings))
    observe = causality.leading(observe, amount.seed) if plant else observe
    found = causality.windows(subject.panel, amount.times, subject.rules.benchmark, amount.seed)
    yield causality.truncation(found, observe, advance)
    for kind in KINDS:
        yield causality.poisoned(found, observe, kind, amount.seed, advance)
    yield leakage.permuted(sample, range(amount.seed, amount.seed + amount.seeds), advance)
    yield leakage.older(now, [leakage.walk(older, one.horizon_h, one.models) for one in now])
    yield _self_test(subject, sample, observe, found[0], amount.seed)
    advance(1)
    yield leakage.alarm(now)
    yield leakage.purge(sample)
    replayed = causality.replayed(subject, DECISION_DAYS)
    yield causality.decision_time(replayed)
    yield causality.recomputed(subject, replayed, DECISIONS, amount.seed, advance)


def speaking(subject: Subject, sample: Sample, now: Sequence[Tested]) -> Subject:
    """The subject with an alpha that speaks: where none is in use, that of the last fold, fitted before its test."""
    if subject.brain.alpha or not subject.settings.opinions.alpha:
        return subject
    models = alpha.forest({one.horizon_h: one.models[-1] for one in now})
    model = AlphaModel("last-fold", "", models, sample.plan[-1].train_until, NEVER, PRIOR_STRENGTH, {})
    return replace(subject, brain=replace(subject.brain, alpha=(model,)))


def _tested(sample: Sample, advance: Advance) -> list[Tested]:
    made = []
    for horizon_h in sample.settings.horizons_h:
        made.append(leakage.walk(sample, horizon_h))
        advance(1)
    return made


def _outspoken(settings: SignalSettings) -> SignalSettings:
    """Settings under which a fitted model judges all rows: causality does not depend on what it was trained on."""
    return replace(settings, opinions=replace(settings.opinions, alpha_in_sample=True))


def _self_test(subject: Subject, sample: Sample, observe: Observe, window: Window, seed: int) -> Check:
    """A feature that leads by one bar, on a copy: recomputing must name it, and its IC must ring the alarm."""
    some = [replace(window, rows=window.rows[:SELF_TEST_TIMES])]
    crime = causality.leading(observe, seed)
    caught = causality.truncation(some, crime).failed and causality.poisoned(some, crime, "noise", seed).failed
    walk = leakage.walk(leakage.planted(sample, subject.panel, seed), min(sample.settings.horizons_h))
    rings = leakage.too_good(walk)
    if caught and not rings and not leakage.measurable(walk):
        told = f"recomputing caught a planted feature that leads by one bar; {leakage.TOO_LITTLE}"
        return Check(causality.PLANTED, "not judged", walk.mean("ic"), LEAK_IC, told)
    by = ", ".join(["recomputing"] * caught + ["the leak alarm"] * rings) or "nothing"
    text = f"IC of {walk.horizon_h} h where a planted feature leads by one bar, must be above: caught by {by}"
    return judged(causality.PLANTED, walk.mean("ic"), LEAK_IC, text, good=caught and rings)
