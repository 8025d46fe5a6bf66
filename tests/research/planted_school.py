"""Planted markets for those who learn: the first 2,700 bars are taught, the later 1,700 are judged."""

import numpy as np

from evenkeel.research import exams
from evenkeel.research.env import batch as lessons
from evenkeel.research.env import planted
from evenkeel.research.env.tape import scale_of
from evenkeel.research.ppo import Learner, PpoSettings

CUT = 2_700
BUDGETS = (1_000.0, 10_000.0)


def classroom(strength, seed, *, books=256, bars=120, assets=8, discrete=False):
    """A batch to learn on, a desk to be judged at, and the scale of the inputs."""
    plant = planted.Plant(strength=strength, seed=seed, assets=assets)
    tape, rules = planted.tape(plant), planted.rules(plant)
    scale = scale_of(tape, slice(0, CUT))
    lesson = lessons.Lesson(bars=bars, discrete=discrete, budgets=BUDGETS)
    market = tape.scaled(scale)
    taught = lessons.windows(tape, lesson, slice(0, CUT - bars))
    judged = lessons.windows(tape, lesson, slice(CUT, None))
    batch = lessons.Batch(tape, market, rules, lesson, taught, books, seed)
    likely = tape.raw[:, :, -6:-3].mean(axis=1).astype(np.float64)
    return batch, exams.Desk(tape, market, likely, rules, lesson, judged), scale


def learned(strength, seed, rounds, **given):
    """A learner after some rounds, and the desk."""
    batch, desk, _ = classroom(strength, seed, **given)
    learner = Learner(batch, PpoSettings(), seed)
    for _ in range(rounds):
        learner.round()
    return learner, desk
