"""A process of ours beside the service: waited for, ended with it, and what it said last."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

GRACE_S = 3.0


@contextmanager
def alongside(name: str, work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Do the work in a thread of its own while the block runs; it ends by itself once `stop` is set, as it then is."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2 * GRACE_S)


def ended(child: subprocess.Popen[bytes], stop: threading.Event) -> bool:
    """Wait for its end, or end it once `stop` is set; -> whether it ended by itself.

    What it has not finished then is lost: it writes whole things only.
    """
    while child.poll() is None and not stop.wait(0.2):
        pass
    if child.poll() is not None:
        return True
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    return False


def last_line(said: IO[bytes]) -> str:
    """What a process said last, of what it wrote to a file; `` = nothing."""
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
