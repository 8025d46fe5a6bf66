"""A small training of the policy that takes seconds, for tests and for the processes that they start and kill."""

import sys
from dataclasses import replace
from pathlib import Path

from evenkeel.research.courses import PolicySettings
from evenkeel.research.lessons import World
from evenkeel.research.ppo import PpoSettings
from evenkeel.research.search import Backend
from evenkeel.research.train_policy import train
from laws import world

CREATED = 1_735_689_600
TINY = PpoSettings(books=8, batch=64, epochs=1, widths=(8,))
SMALL = PolicySettings(
    episodes=24, budgets=(1_000.0, 10_000.0), seeds=2, bars=24, patience=5, ppo=TINY, regimes="all"
)  # fmt: skip
ALONE = Backend(jobs=1)


def rules(assets):
    """The laws' rules, for the pairs of a panel."""
    pairs = {pair.asset: pair for pair in world.PAIRS}
    return World(replace(world.RULES, pairs=tuple(pairs[asset] for asset in assets)), world.SIGNALS)


def taught(panel, models, version="v1", settings=SMALL, **given):
    """Train on a panel."""
    options = {"created": CREATED, "backend": ALONE, **given}
    return train(panel, models, version, rules(panel.assets), settings, **options)


def files(trained):
    """Name -> bytes of all its bundles."""
    return {
        f"{bundle.version}/{path.name}": path.read_bytes()
        for bundle in trained.bundles
        for path in sorted(bundle.path.iterdir())
    }


if __name__ == "__main__":
    from research.conftest import make

    folder = Path(sys.argv[1])
    long = replace(SMALL, episodes=int(sys.argv[2]), regimes="specialists")
    taught(make(), folder / "models", settings=long, checkpoints=folder / "checkpoints", resume=True)
