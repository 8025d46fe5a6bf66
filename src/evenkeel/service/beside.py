"""A desk beside the service, as a process of its own: begun with it, begun again when it ends, and ended with it.

Nothing that goes wrong there harms a slot here. Its standard input is a pipe that nobody writes to: it closes when the
service is gone, however it went, and then the desk ends too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from structlog.stdlib import BoundLogger

from evenkeel.service.child import ended, last_line

FIRST_S, LONGEST_S = 5.0, 3_600.0
"""Pause before it is begun again, doubled up to the longest; one that held out for longer than that starts anew."""


def command(home: Path, verb: str, config: Path) -> list[str]:
    """The command line of a desk.

    verb  of `kalshi`: paper or run · config  file with the run's configuration
    """
    return [
        sys.executable, "-m", "evenkeel", "--home", str(home.absolute()), "kalshi", verb, "--attached", "--json",
        "--config", str(config.absolute()),
    ]  # fmt: skip


def kept(
    words: Sequence[str],
    log: BoundLogger,
    stop: threading.Event,
    pause: Callable[[float], object],
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Keep the command running until `stop` is set; whatever it does is logged, nothing is raised.

    pause  waits at most so many seconds, less where `stop` is set
    """
    wait_s = FIRST_S
    while not stop.is_set():
        began = steady()
        how = _once(words, log, stop)
        if stop.is_set():
            return
        wait_s = FIRST_S if steady() - began > LONGEST_S else wait_s
        log.warning("desk_ended", **how, again_in_s=wait_s)
        pause(wait_s)
        wait_s = min(2 * wait_s, LONGEST_S)


def _once(words: Sequence[str], log: BoundLogger, stop: threading.Event) -> dict[str, object]:
    """Run it until it ends, or `stop` is set: its exit code and its last sentence."""
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603
        except OSError as error:
            return {"code": None, "error": str(error)}
        with child:
            log.info("desk_started", process=child.pid)
            if not ended(child, stop):
                log.info("desk_stopped", process=child.pid)
        return {"code": child.returncode, "error": last_line(said)}
