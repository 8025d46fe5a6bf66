"""A new model from time to time, fitted beside the service or the desk: a niced child that no slot ever waits for.

One at a time; what came of it is logged. The child writes a bundle and nothing else: what decides changes only by
`evenkeel models promote`, which a person, or a timer of theirs, calls.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import orjson
from structlog.stdlib import BoundLogger

from evenkeel.service.child import ended, last_line

NICE = 19


def command(home: Path, data: Sequence[str], trials: int, config: Path) -> list[str]:
    """The command line of one training.

    data  candle files, relative to the home; the first is learned from · config  file with the run's configuration
    """
    files = [word for file in data for word in ("--data", str((home / file).absolute()))]
    return [
        sys.executable, "-m", "evenkeel", "--home", str(home.absolute()), "train", "alpha", *files,
        "--trials", str(trials), "--jobs", "1", "--config", str(config.absolute()), "--json",
    ]  # fmt: skip


def command_of_contracts(home: Path, model: str, data: str, results: str) -> list[str]:
    """The command line of one training on event contracts. data, results  files, relative to the home; `` = none."""
    files = [word for name, file in (("--data", data), ("--results", results)) if file
             for word in (name, str((home / file).absolute()))]  # fmt: skip
    return [
        sys.executable, "-m", "evenkeel", "--home", str(home.absolute()), "train", "kalshi", "--model", model, *files,
        "--json",
    ]  # fmt: skip


def repeated(every_s: int, work: Callable[[], None], now: Callable[[], float], stop: threading.Event) -> None:
    """Do the work at the multiples of `every_s` (UTC s) until `stop` is set; one that is missed is left out."""
    while not stop.wait(every_s - now() % every_s):
        work()


def train(words: Sequence[str], log: BoundLogger, stop: threading.Event) -> None:
    """Run one training to its end, or until `stop` is set; never raises for what goes wrong in it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=said)  # noqa: S603 - our own
        except OSError as error:
            log.warning("training_failed", code=None, error=str(error))
            return
        os.setpriority(os.PRIO_PROCESS, child.pid, NICE)  # its workers are born later and inherit it
        log.info("training_started", process=child.pid)
        if not ended(child, stop):
            log.info("training_stopped", process=child.pid)
        elif child.returncode:
            log.warning("training_failed", code=child.returncode, error=last_line(said))
        else:
            log.info("training_done", **_made(out))


def _made(out: IO[bytes]) -> dict[str, Any]:
    """What the line of the log says of the document that a training prints."""
    out.seek(0)
    document = orjson.loads(out.read())
    alpha = "evidence" in document
    kept = ("ic", "ic_t") if alpha else ("events", "k", "earns")
    found = document["evidence" if alpha else "worth"]
    evidence = {of: {name: one[name] for name in kept} for of, one in found.items()}
    cost = {name: document[name] for name in ("seconds", "peak_rss_mb") if name in document}
    return {"version": document["version"], "digest": document["digest"], **cost, "evidence": evidence}
