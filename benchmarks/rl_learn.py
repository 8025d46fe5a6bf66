"""evenkeel's books stepped and learned from: rl_learn.py env|ppo|score FOLDER SEED [SCORE JUDGE...].

env    slot steps a second of 2,048 books, random actions drawn before
ppo    training steps a second with the peer's minibatches and epochs
score  train with our settings until the score on later windows is reached; what follows it starts the judge, whom the
       peer asks, too
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.research.env.vec import SlotVecEnv
from evenkeel.research.ppo import Learner, PpoSettings
from peers.rl_judge import Judge
from rl_books import check, opened

BOOKS, SECONDS = 2_048, 3.0
ROUNDS = 40


def env(folder: Path, seed: int) -> dict[str, Any]:
    """Steps a second through the interface of stable-baselines3."""
    batch, _ = opened(folder, BOOKS, seed)
    books = SlotVecEnv(batch)
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (500, BOOKS, 1)).astype(np.float32)
    books.reset()
    for action in actions[:50]:
        books.step(action)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        books.step(actions[steps % len(actions)])
        steps += 1
    return {"rate": steps * BOOKS / (time.perf_counter() - began), "books": BOOKS} | check(folder)


def ppo(folder: Path, seed: int) -> dict[str, Any]:
    """Steps a second of the second and third round, the peer's minibatches and epochs."""
    batch, _ = opened(folder, 256, seed)
    learner = Learner(batch, PpoSettings(books=256, batch=2_048, epochs=10), seed)
    learner.round()
    began = time.perf_counter()
    for _ in range(2):
        learner.round()
    return {"rate": 2 * batch.count * batch.lesson.bars / (time.perf_counter() - began)}


def score(folder: Path, seed: int, wanted: float, command: Sequence[str]) -> dict[str, Any]:
    """Rounds until the score is reached: seconds so far and the score after each, and how long judging took."""
    began, judge = time.perf_counter(), Judge(command)
    settings = PpoSettings()
    batch, _ = opened(folder, settings.books, seed)
    learner = Learner(batch, settings, seed)
    clock: list[float] = []
    scores: list[float] = []
    while len(scores) < ROUNDS and (not scores or scores[-1] < wanted):
        learner.round()
        clock.append(time.perf_counter() - began - judge.seconds)
        scores.append(judge(learner.actor().layers))
    judge.close()
    steps = len(scores) * batch.count * batch.lesson.bars
    return {"judged_s": judge.seconds, "steps": steps, "clock": clock, "scores": scores}


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["env", "ppo", "score"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("score", nargs="?", type=float)
    parser.add_argument("judge", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if given.what == "score":
        found = score(given.folder, given.seed, given.score, given.judge)
    else:
        found = {"env": env, "ppo": ppo}[given.what](given.folder, given.seed)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
