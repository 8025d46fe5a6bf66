"""What a process weighs before its first slot: startup.py service|training.

service   what `evenkeel run` imports and makes on the real clock: rules, models, store, feed; no torch among it
training  the same, and torch with stable-baselines3 beside it
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from evenkeel import wiring
from evenkeel.cli import opening, realtime, running, summary
from evenkeel.config import Config
from evenkeel.service import log, loop, retraining, runner, session

NEEDED = (opening, realtime, running, summary, log, loop, retraining, runner, session)
HEAVY = ("torch", "stable_baselines3", "gymnasium")


def main() -> None:
    """Print one JSON line."""
    with TemporaryDirectory() as home:
        wiring.build_live(Config(), Path(home), threading.Event())
        if sys.argv[1] == "training":
            importlib.import_module("stable_baselines3")
        found = {"heavy": [name for name in HEAVY if name in sys.modules], "modules": len(sys.modules)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
