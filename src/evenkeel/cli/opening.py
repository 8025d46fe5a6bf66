"""What a command that runs slots begins with: its configuration, the home taken into use, signals that stop it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evenkeel.cli import remembered
from evenkeel.cli.output import Context
from evenkeel.types import Slot

if TYPE_CHECKING:
    from evenkeel.config import Loaded, Secrets
    from evenkeel.service.runner import Runner
    from evenkeel.wiring import Engine


def settings(made: Context, config: Path | None, overrides: list[str]) -> Loaded:
    """The configuration of a command; going live is refused until everything it needs is there."""
    from evenkeel import config as configs

    loaded = configs.load(config, environ=made.environ, overrides=overrides, home=made.home)
    credentials(made, loaded)
    return loaded


def credentials(made: Context, loaded: Loaded) -> Secrets:
    """What real orders need; none for a dry run, which reads no secret. Raises ConfigError if something is missing."""
    from evenkeel import config as configs

    names = configs.credential_names(loaded.config)
    held = configs.secrets(made.home, made.environ, names, dry_run=loaded.config.dry_run)
    configs.live_allowed(loaded.config, made.environ, held)
    return held


@contextmanager
def opened(made: Context, loaded: Loaded, engine: Engine) -> Iterator[Runner]:
    """The home taken into use by this engine."""
    from evenkeel.engine import slots
    from evenkeel.service import log, session

    clock, written = loaded.config.clock, loaded.config.logging
    out = log.open_log(
        made.home, level=written.level, rotate_mb=written.rotate_mb, keep=written.keep,
        bound={"mode": engine.identity.clock, "config": loaded.digest[:12]},
        redact=tuple(credentials(made, loaded).values.values()),
    )  # fmt: skip
    start, end = clock.start or 0, clock.end or 0
    with session.session(
        made.home, engine.memory(loaded.digest), engine.feed, engine.open_broker, engine.brain, engine.rules, out,
        wall=time.time, finished=lambda memory: slots.finished(memory, start, end, engine.cadence),
        clock=engine.clock, expired=_expired(engine) if clock.kind == "real" else lambda _: False,
        desk=engine.desk, expected=engine.expected,
    ) as runner:  # fmt: skip
        remembered.remember(made.home, loaded)
        yield runner


def _expired(engine: Engine) -> Callable[[Slot], bool]:
    """Whether a slot is no longer one that would be begun now: what it planned is not sent any more."""
    from evenkeel.engine import slots

    def expired(slot: Slot) -> bool:
        return (slot, "") not in slots.due(slot.time - 1, slot.kind, int(time.time()), engine.cadence)

    return expired


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask the loop to end after the running slot.

    The signal is read from a pipe by a thread of its own: a Python handler runs in the main thread only, which may be
    blocked for good, or may hold the very lock that `stop.set` needs.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = {number: signal.signal(number, _heard) for number in (signal.SIGTERM, signal.SIGINT)}
    woken = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_stop_when_told, args=[told, stop], name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(tell)


def _heard(*_: object) -> None:
    """Take the signal's default effect away."""


def _stop_when_told(told: int, stop: threading.Event) -> None:
    """Wait for a byte, which is a signal, or for the end of the pipe."""
    if os.read(told, 1):
        stop.set()
    os.close(told)
