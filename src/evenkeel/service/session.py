"""A home taken into use: lock, state, journal and log around a runner, in the order that start = recovery needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from structlog.stdlib import BoundLogger

from evenkeel.decide import Rules
from evenkeel.engine.listing import Lister
from evenkeel.engine.parents import Desk
from evenkeel.engine.ports import Broker, Feed
from evenkeel.errors import NotReadyError, VenueError, VenueUnknownError
from evenkeel.journal import Journal
from evenkeel.service.runner import Runner
from evenkeel.service.watch import Expectation, Watched
from evenkeel.store import Loaded, Lock, Store
from evenkeel.types import Brain, Memory, Slot


@contextmanager
def session(
    home: Path,
    first: Memory,
    feed: Feed,
    open_broker: Callable[[], Broker],
    brain: Brain,
    rules: Rules,
    log: BoundLogger,
    *,
    wall: Callable[[], float],
    finished: Callable[[Memory], bool],
    clock: Callable[[int], float] = float,
    expired: Callable[[Slot], bool] = lambda _: False,
    desk: Desk | None = None,
    expected: Expectation | None = None,
) -> Iterator[Runner]:
    """A runner whose home is locked, whose state is loaded or begun with `first`, and which has recovered.

    open_broker  called after the state was loaded, because an archived run takes its paper account with it
    finished     whether a virtual run that is found has come to its end
    clock        the present moment, UTC s, while a slot of a time is at work
    expired      whether what an interrupted slot planned is too old to be sent
    desk         how orders are sent over time · expected  what the venue is judged by; None = at once, and not at all
    Raises LockedError, StateError; NotReadyError where the venue does not let us in.
    """
    with Lock(home):
        store = Store.open(home, first.identity, now=lambda: int(wall()), finished=finished)
        loaded = store.load()
        broker = open_broker()
        _admitted(broker, log, int(wall()), begun=loaded.memory is not None)
        if loaded.memory is None:
            store.begin(first)
        _tell(log, loaded, store.memory)
        _configured(log, store, first.config_digest)
        journal = Journal.open(home / "state" / "journal.db")
        try:
            watch = Watched(broker, expected, store.memory) if expected is not None else None
            runner = Runner(
                home, store, journal, feed, watch or broker, brain, rules, log, wall,
                expired=expired, clock=clock, desk=desk, watch=watch,
                lister=broker if isinstance(broker, Lister) else None,
            )  # fmt: skip
            runner.scored = _scored(loaded.view)
            runner.relist()
            runner.recover(fell_back=loaded.fell_back)
            yield runner
        finally:
            journal.close()


def _admitted(broker: Broker, log: BoundLogger, now: int, *, begun: bool) -> None:
    """Ask for the account before anything is remembered of it: no run is begun, or goes on, with a key that is refused.

    A venue that is silent keeps only a first start waiting: a run that was begun goes on and asks again in each slot.
    """
    try:
        broker.holdings(now)
    except VenueError as error:
        raise NotReadyError(f"the venue refuses the account ({error}): correct the credentials, then start") from None
    except VenueUnknownError as error:
        if not begun:
            raise NotReadyError(f"the venue does not answer ({error}): nothing was begun, start again later") from None
        log.warning("account_unreadable", error=str(error))


def _configured(log: BoundLogger, store: Store, digest: str) -> None:
    """A run that goes on under another configuration remembers so; every plan in the journal names the one it used."""
    was = store.memory.config_digest
    if was != digest:
        store.commit(lambda m: replace(m, config_digest=digest))
        log.warning("config_changed", was=was[:12], now=digest[:12])


def _tell(log: BoundLogger, loaded: Loaded, memory: Memory) -> None:
    if loaded.note:
        log.warning("state", note=loaded.note, quarantined=[path.name for path in loaded.quarantined])
    log.info("started", sequence=memory.sequence, resumed=loaded.memory is not None, state=memory.trading_state.value)


def _scored(view: Mapping[str, object]) -> dict[str, object]:
    names = ("scored_at", "targets", "scores", "dropped")
    return {name: view[name] for name in names if name in view}
