"""`run` and `backtest`: the main job, and the same decisions without store and journal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel import units
from evenkeel.cli import job, reporting, summary
from evenkeel.cli.backtests import Ask
from evenkeel.cli.job import Capital, Duration, Job, Symbols
from evenkeel.cli.opening import opened, stopping
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, errors
from evenkeel.cli.progress import progress
from evenkeel.cli.reporting import DEFAULT, Quick, Strict
from evenkeel.errors import EvidenceError, UsageError
from evenkeel.types import Slot, SlotKind

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.service.runner import Runner

StrategyName = Annotated[
    str | None, typer.Option("--strategy", help="rebalancer, or a baseline such as buy_and_hold or low_vol.")
]
When = Annotated[str | None, typer.Option(help="UTC date or time, such as 2025-07-01.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(run)
    app.command()(backtest)


def run(
    context: typer.Context,
    config: ConfigFile = None,
    strategy: StrategyName = None,
    symbols: Symbols = None,
    capital: Capital = None,
    duration: Duration = None,
    once: Annotated[SlotKind | None, typer.Option(help="Run one slot of this kind now, then stop.")] = None,
    until: When = None,
    orders_out: Annotated[
        Path | None, typer.Option(help="Write every order sent, one line each, to this file.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Run the rebalancer: on the real clock until stopped, or over past bars with a virtual one."""
    made: Context = context.obj
    asked = Job(symbols, capital, duration)
    loaded, last = job.loaded(made, config, [*_strategy(strategy), *(overrides or [])], asked)
    if loaded.config.clock.kind == "real":
        if until is not None or orders_out is not None:
            raise UsageError("--until and --orders-out belong to a virtual clock: leave them out, or set clock.kind")
        if once is not None and last:
            raise UsageError("--once runs one slot and ends: leave --duration out")
        from evenkeel.cli import realtime

        realtime.serve(made, loaded, once=once, last=last, as_json=as_json)
        return
    if once is not None:
        raise UsageError("--once runs one slot on the real clock: leave it out, or set clock.kind=real")
    _writable(orders_out)
    document = _replay(made, loaded, _moment(until), as_json=as_json)
    if orders_out is not None:
        summary.write_orders(made.home, orders_out)
    if as_json:
        emit(document)
    else:
        summary.show(document, made.home)


def backtest(
    context: typer.Context,
    start: Annotated[str | None, typer.Option("--from", help="First day, such as 2025-07-01.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Day after the last.")] = None,
    config: ConfigFile = None,
    strategy: StrategyName = None,
    universe: Annotated[str | None, typer.Option(help="Coins such as BTC,ETH, or a file of pairs (.yaml).")] = None,
    capital: Annotated[float | None, typer.Option(help="Starting cash in USD.")] = None,
    orders_out: Annotated[
        Path | None, typer.Option(help="Write every order sent, one line each, to this file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report here, its figures as JSON beside it.")
    ] = None,
    quick: Quick = False,
    strict: Strict = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Replay past bars through the same decision, without store, journal and scheduler."""
    made: Context = context.obj
    _writable(orders_out)
    given = [f"clock.from={start}"] * bool(start) + [f"clock.to={end}"] * bool(end)
    given += [f"venue.capital={capital}"] * (capital is not None)
    given += [*_strategy(strategy), *_universe(universe)]
    ask = Ask(made, config or DEFAULT, (*given, *(overrides or [])))
    if report is not None:
        reporting.ready(report, "--report")
    document = _tested(ask, orders_out, report, quick=quick, quiet=as_json)
    if as_json:
        emit(document)
    else:
        summary.show(document, made.home)
        reporting.say_verdict(document["verdict"], report)
    if strict and document["in_sample"]:
        raise EvidenceError("the verdict is IN-SAMPLE: begin after the model's train end, or leave alpha_in_sample out")


def _tested(ask: Ask, orders_out: Path | None, report: Path | None, *, quick: bool, quiet: bool) -> dict[str, Any]:
    """The summary document of a back-test, and the files that were asked for."""
    from evenkeel.cli import measured

    if report is not None:
        measured.enough(ask.loaded())
    done = measured.run(ask, "backtest", quiet=quiet)
    document = summary.of_backtest(done.result, done.loaded, done.engine.missing) | measured.unjudged(done)
    if orders_out is not None:
        orders_out.write_text("".join(f"{line}\n" for line in summary.lines(done.result.orders)))
    if report is not None:
        page = measured.of_backtest(ask, done, quick=quick, quiet=quiet)
        reporting.written(page, report)
        document |= {"verdict": page["verdict"]["line"], "report": str(report)}
    return document


def _strategy(name: str | None) -> list[str]:
    return [] if name is None else [f"strategy={name}"]


def _universe(text: str | None) -> list[str]:
    """A file of pairs, or the coins to keep of the one that is configured."""
    if text is None:
        return []
    if text.endswith((".yaml", ".yml")):
        return [f"universe.file={text}"]
    return [f"universe.only=[{text}]"]


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else units.utc(text)
    except ValueError:
        raise UsageError(f"--until {text}: write a date or time such as 2025-07-01 or 2025-07-01T06:00") from None


def _writable(path: Path | None) -> None:
    """Refuse before the work, not after it, a file that cannot be written."""
    if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
        raise UsageError(f"--orders-out {path}: cannot be written there, give a file in a writable folder")


def _replay(made: Context, loaded: Loaded, until: int | None, *, as_json: bool) -> dict[str, Any]:
    """The service's own code over past bars; returns the summary document."""
    from evenkeel import wiring
    from evenkeel.engine import slots
    from evenkeel.service import loop
    from evenkeel.store import Lock

    start, end = wiring.window(loaded.config)
    if until is not None and until <= start:
        moments = f"--until {units.iso(until)} is not after clock.from {units.iso(start)}"
        raise UsageError(f"{moments}: there is nothing to run")
    Lock(made.home).release()  # a second instance is told at once, not after reading the market
    engine = wiring.build(loaded.config, made.home, loaded.digest)
    style = loaded.config.execution.style
    if style != "market":
        errors().print(f"evenkeel: execution.style {style} needs the present: past bars are traded at market")
    stop_at = end if until is None else min(end, until)
    todo = sum(1 for _ in slots.between(start, stop_at, engine.cadence))
    stop = threading.Event()
    with stopping(stop), opened(made, loaded, engine) as runner, progress(todo, "replay", quiet=as_json) as advance:
        done = sum(1 for s in slots.between(start, stop_at, engine.cadence) if _ended(runner, s))
        advance(done)
        loop.replay(
            runner, start, stop_at, engine.cadence, stop=stop, pace=_pace(loaded.config.clock.speed, start, stop),
            on_slot=lambda _: advance(1),
        )  # fmt: skip
    return summary.of_run(made.home, loaded, engine.missing)


def _ended(runner: Runner, slot: Slot) -> bool:
    return slot.time <= runner.store.memory.watermarks.get(slot.kind.value, -1)


def _pace(speed: float, start: int, stop: threading.Event) -> Callable[[int], None]:
    """Sleep so that `speed` market seconds pass per second; 0 = never. Speed changes no decision."""
    began = time.monotonic()

    def pace(moment: int) -> None:
        if speed > 0:
            stop.wait(max(0.0, (moment - start) / speed - (time.monotonic() - began)))

    return pace
