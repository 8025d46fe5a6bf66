"""Books on the files of `rl_data.py`, and what needs no torch: rl_books.py act|judge FOLDER [SEED].

act    microseconds for 88 assets by the numpy actor
judge  read paths of an actor's layers (.npz), a line each; print the score of each: Sharpe ratio a year of what it
       earns above the risk-matched share, on later windows
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research import exams
from evenkeel.research.env.batch import Batch, Lesson, Windows
from evenkeel.research.env.slots import SlotRules
from evenkeel.research.env.tape import Tape
from evenkeel.signals.actor import MOVES, Actor
from evenkeel.signals.policy import NAMES

ASSETS_SERVED = 88
COLUMNS = tuple(f.name for f in fields(Tape) if f.name not in {"bar_s", "assets", "raw"})


def opened(folder: Path, count: int, seed: int) -> tuple[Batch, Windows]:
    """A batch of books on the files, and the windows that judge."""
    said = json.loads((folder / "rules.json").read_text())
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    raw = np.empty((0, 0, 0), dtype=np.float32)
    tape = Tape(bar_s=said["bar_s"], assets=tuple(said["assets"]), raw=raw, **{name: arrays[name] for name in COLUMNS})
    limits = {name: said[name] for name in ("exits", "atr_multiple", "trailing", "max_loss", "participation")}
    rules = SlotRules(
        cap=said["cap"], overlay=OverlaySettings(**limits), orders=OrderSettings(), costs=CostSettings(),
        rebalance_s=said["rebalance_s"], tier=np.array(said["tier"]), price_scale=np.array(said["price_scale"]),
        lot_scale=np.array(said["lot_scale"]), min_notional=np.array(said["min_notional"]),
    )  # fmt: skip
    lesson = Lesson(**{f.name: said[f.name] for f in fields(Lesson)} | {"budgets": tuple(said["budgets"])})
    taught, judged = (Windows(arrays[name][:, 0], arrays[name][:, 1]) for name in ("taught", "judged"))
    return Batch(tape, arrays["market"], rules, lesson, taught, count, seed), judged


def check(folder: Path) -> dict[str, float]:
    """What fixed actions make of the first judged window, as the hand-written environment is asked."""
    batch, judged = opened(folder, 1, 0)
    batch.place(judged.row[:1], judged.asset[:1], np.array([10_000.0]))
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, batch.lesson.bars)
    reward = 0.0
    for action in actions[:-1]:
        reward += float(batch.step(np.array([action])).reward[0])
    before = float(batch.worth[0])
    came = batch.step(actions[-1:])
    return {"worth": before * float(np.exp(came.net[0])), "reward": reward + float(came.reward[0])}


def judging(folder: Path) -> Callable[[Actor], float]:
    """What scores actors on the later windows."""
    batch, judged = opened(folder, 1, 0)
    regime = np.zeros((len(batch.tape.time), 3))
    desk = exams.Desk(batch.tape, batch.market, regime, batch.rules, batch.lesson, judged)
    return lambda actor: exams.sit(desk, exams.alone(actor), batch.lesson.budgets).figures().score


def act(seed: int) -> dict[str, float]:
    """Microseconds for all assets, a number each or one of three moves."""
    rng = np.random.default_rng(seed)
    seen = rng.uniform(-2.0, 2.0, (ASSETS_SERVED, len(NAMES))).astype(np.float32)
    allowed = np.ones((ASSETS_SERVED, len(MOVES)), dtype=bool)
    found = {}
    for name, outputs in (("continuous", 1), ("discrete", len(MOVES))):
        sizes = ((64, len(NAMES)), (64, 64), (outputs, 64))
        layers = [(0.1 * rng.standard_normal(size).astype(np.float32), np.zeros(size[0], np.float32)) for size in sizes]
        actor, taken = Actor(tuple(layers)), []
        for _ in range(5_000):
            began = time.perf_counter_ns()
            actor.act(seen, allowed)
            taken.append(time.perf_counter_ns() - began)
        found[name] = float(np.median(taken)) / 1e3
    return found


def judge(folder: Path) -> None:
    """A line in, a line out."""
    scored = judging(folder)
    for line in sys.stdin:
        saved = np.load(line.strip())
        actor = Actor(tuple((saved[f"weight{i}"], saved[f"bias{i}"]) for i in range(len(saved.files) // 2)))
        print(json.dumps(scored(actor)), flush=True)


def main() -> None:
    """Print one JSON line, or one for each line read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["act", "judge"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    given = parser.parse_args()
    if given.what == "judge":
        judge(given.folder)
    else:
        print(json.dumps(act(given.seed)))


if __name__ == "__main__":
    main()
