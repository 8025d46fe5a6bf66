"""Trainings of the policy in the ledger of tries: each seed of each training counts, finished or not."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from evenkeel.cli.backtests import command_line, ledger_of
from evenkeel.signals.actor import DIRECTIONS
from evenkeel.signals.policy import KIND

if TYPE_CHECKING:
    from evenkeel.research.courses import PolicySettings
    from evenkeel.research.trials import Trial


def planned(config_digest: str, settings: PolicySettings, data_end: int) -> list[Trial]:
    """A try for each seed of each group of budgets; its specialists count with it.

    The same seed of the same training is one try, however often it is resumed and whatever other seeds stand beside it.
    """
    from evenkeel.research import trials
    from evenkeel.research.train_policy import groups_of

    common = {name: value for name, value in asdict(settings).items() if name not in {"seed", "seeds"}}
    count = 1 + (len(DIRECTIONS) if settings.regimes == "specialists" else 0)
    made = []
    for group in groups_of(settings, ""):
        for seed in range(settings.seed, settings.seed + settings.seeds):
            told = {"config": config_digest, **common, "budgets": group.budgets, "seed": seed}
            digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
            made.append(trials.Trial(
                id=trials.trial_id(KIND, digest, data_end), family=KIND, config_digest=digest, data_end=data_end,
                command=command_line(), created=int(time.time()), count=count,
                note=f"training of seed {seed}, budgets {group.name}",
            ))  # fmt: skip
    return made


def begin(home: Path, tries: Sequence[Trial]) -> None:
    """Into the ledger before they are taught: what is broken off counts."""
    from evenkeel.research import trials

    trials.enter_first_look(ledger_of(home))
    for one in tries:
        trials.begin(ledger_of(home), one)


def end(home: Path, tries: Sequence[Trial], version: str) -> None:
    """They are over. No returns: what they earn on bars that count is another line, of `evaluate`."""
    from evenkeel.research import trials

    for one in tries:
        trials.finish(ledger_of(home), one, np.empty(0, dtype=np.int64), np.empty(0), reference=f"policy {version}")
