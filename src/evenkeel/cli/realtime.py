"""`run` on the computer's clock, on live public data: a dry run, or with real orders where everything allows them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from evenkeel.cli import opening, remembered, summary
from evenkeel.cli.output import Context, emit, errors, say
from evenkeel.errors import FeedError, NotReadyError
from evenkeel.types import Slot, SlotKind
from evenkeel.units import duration

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.service.runner import Runner
    from evenkeel.wiring import Engine


def serve(made: Context, loaded: Loaded, *, once: SlotKind | None, last: int, as_json: bool) -> None:
    """Run until SIGTERM or SIGINT, or for `last` s (0 = for ever); with `once`, run one slot and print what it did."""
    from evenkeel import wiring

    stop = threading.Event()
    engine = wiring.build_live(loaded.config, made.home, stop, opening.credentials(made, loaded))
    with opening.stopping(stop), opening.opened(made, loaded, engine) as runner:
        if once is not None:
            _warm_up(engine, runner)
            idle, document = True, _one(runner, once)
        else:
            idle, document = _loop(made, loaded, engine, runner, stop, last)
        if as_json:
            emit(document)
        elif once is not None:
            say(" ".join(str(document[key]) for key in ("slot", "outcome", "reason") if document[key]))
        sys.stdout.flush()
        if not idle:
            os._exit(0)  # a worker still waits for a server; what it would do is done again at the next start
    if once is None:
        os._exit(0)  # everything is closed and flushed; no library's thread may hold up the end
    if document["outcome"] == "failed":
        raise typer.Exit(1)


def _loop(
    made: Context, loaded: Loaded, engine: Engine, runner: Runner, stop: threading.Event, last: int
) -> tuple[bool, dict[str, Any]]:
    from evenkeel.service import loop, retraining

    exchange = loaded.config.feed.exchange
    end = f"it ends in {duration(last)}, ctrl-c stops it before" if last else "ctrl-c stops"
    doing = (
        "dry run" if loaded.config.dry_run else f"LIVE, real orders go to {engine.identity.venue}, prices are watched"
    )
    errors().print(f"evenkeel runs in {made.home.resolve()}: {doing} on {exchange}; {end}")
    if last:
        alarm = threading.Timer(last, stop.set)
        alarm.daemon = True
        alarm.start()
    settle = loaded.config.schedule.settle_s
    service = loop.Service(runner, engine.cadence, settle_s=settle, now=time.time, stop=stop)
    wanted = loaded.config.training
    words = retraining.command(made.home, wanted.data, wanted.trials, made.home / "state" / remembered.FILE)
    with _desk_beside(made, loaded, runner, stop):
        idle = service.serve(
            first=lambda: _warm_up(engine, runner),
            training=(wanted.every, lambda: retraining.train(words, runner.log, stop)) if wanted.every else None,
        )
    return idle, {"command": "run", "outcome": "stopped", "slots": summary.slots(runner.store.memory)}


@contextmanager
def _desk_beside(made: Context, loaded: Loaded, runner: Runner, stop: threading.Event) -> Iterator[None]:
    """A desk in a process of its own while the block runs, where one is wanted."""
    from evenkeel.service import beside, child

    verb = {"none": "", "paper": "paper", "live": "run"}[loaded.config.kalshi.desk]
    if not verb:
        yield
        return
    words = beside.command(made.home, verb, made.home / "state" / remembered.FILE)
    with child.alongside("desk", lambda: beside.kept(words, runner.log, stop, stop.wait), stop):
        yield


def _warm_up(engine: Engine, runner: Runner) -> None:
    """Bars from the origin on, before the first slot; the loop goes on without them if the exchange is down."""
    try:
        engine.feed.refresh(int(time.time()))
    except FeedError as error:
        runner.log.warning("feed_unavailable", error=str(error))
        errors().print(f"evenkeel: {error}; the loop goes on and asks again")


def _one(runner: Runner, kind: SlotKind) -> dict[str, Any]:
    """One slot now, whatever the grid says. Raises NotReadyError where one of that kind has begun this very second."""
    slot = Slot(kind, int(time.time()))
    runner.obey(slot.time)
    if slot.time <= runner.store.memory.watermarks.get(kind.value, -1):
        raise NotReadyError(f"a {kind.value} slot has begun at this time or later: wait a second and ask again")
    runner.run(slot)
    told = {"command": "run", "slot": slot.id, "outcome": "open", "reason": "an order is unresolved", "orders": 0}
    for row in runner.store.memory.slots:
        if row.slot == slot.id:
            told |= {"outcome": row.outcome, "reason": row.reason, "orders": row.orders}
    return told
