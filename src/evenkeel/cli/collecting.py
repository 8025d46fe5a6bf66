"""`data collect`: candles from an exchange's stream into the archive, as they close."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import AsJson, Context, emit, errors, say
from evenkeel.cli.progress import progress
from evenkeel.errors import UsageError
from evenkeel.units import iso, seconds, utc

if TYPE_CHECKING:
    from evenkeel.archive import Rows
    from evenkeel.venues.stream import Collected

LINE_EVERY_S = 60.0


def register(app: typer.Typer) -> None:
    """Beside the other data commands."""
    app.command()(collect)


def collect(
    context: typer.Context,
    symbols: Annotated[str, typer.Option("--symbols", help="The exchange's names, such as BTCUSDT,ETHUSDT.")],
    exchange: Annotated[str, typer.Option(help="An exchange whose stream has candles: binance.")] = "binance",
    bar: Annotated[str, typer.Option("--bar", help="Length of one bar, such as 1m.")] = "1m",
    since: Annotated[
        str | None, typer.Option("--since", help="First day, UTC, where nothing is stored yet; now if left out.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="UTC time of the end; without it until ctrl-c.")] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="How long, such as 6h, instead of --until.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Name of the dataset under data/candles; the exchange's if left out.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="REST address instead of the exchange's own; may be given again.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option("--stream", help="Stream address instead of the exchange's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store closed candles as they close, from the stream; gaps are filled by REST. The same command goes on later."""
    from evenkeel import archive
    from evenkeel.venues import stream as streams

    made: Context = context.obj
    bar_s, name, now = _bar(bar), source or exchange, time.time()
    end = _end(until, duration, now)
    where = stream or streams.host_of(exchange)
    have = archive.spans(made.home, name, bar_s)
    begin = -(-_time(since) // bar_s) * bar_s if since else int(now) // bar_s * bar_s
    first = {one: have[one].last + bar_s if one in have else begin for one in _names(symbols)}

    def store(symbol: str, rows: Rows) -> None:
        archive.append(made.home, name, bar_s, symbol, rows)

    wanted = streams.Wanted(first, bar_s, end)
    errors().print(f"{name} {bar} of {', '.join(first)} into {made.home}; {_ending(end)}", soft_wrap=True)
    with _stopping() as stop, _told(wanted, f"{name} {bar}", quiet=as_json) as told:
        done = _collector(where, exchange, host, store, stop, told).run(wanted)
    document = _document(done, name, bar, stopped=stop.is_set())
    if as_json:
        emit(document)
    else:
        _show(document)
    if done.skipped and len(done.skipped) == len(first):
        raise typer.Exit(1)


def _collector(
    where: str,
    exchange: str,
    hosts: Sequence[str] | None,
    store: Callable[[str, Rows], None],
    stop: threading.Event,
    told: Callable[[int], None],
) -> Any:
    import numpy as np

    from evenkeel.venues.candles import CandleSource
    from evenkeel.venues.stream import Collector

    return Collector(
        where,
        CandleSource(exchange, hosts=hosts or None),
        store,
        stopped=stop.is_set,
        sleep=stop.wait,
        clock=time.time,
        rng=np.random.default_rng(),
        told=told,
    )


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set: what is stored is whole, the command ends with what it has."""
    stop = threading.Event()
    before = {kind: signal.signal(kind, lambda *_: stop.set()) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def _told(wanted: Any, title: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar where the end is known, a line a minute where it is not, nothing when quiet."""
    if wanted.until is not None or quiet:
        total = (
            sum(max(wanted.until - first, 0) // wanted.bar_s for first in wanted.first.values()) if wanted.until else 0
        )
        with progress(total, title, quiet=quiet, unit="bars") as told:
            yield told
        return
    console, said, count = errors(), [time.monotonic()], [0]

    def tell(rows: int) -> None:
        count[0] += rows
        if time.monotonic() - said[0] >= LINE_EVERY_S:
            said[0] = time.monotonic()
            console.print(f"{title}: {count[0]} bars stored")

    yield tell


def _document(done: Collected, source: str, bar: str, *, stopped: bool) -> dict[str, Any]:
    return {
        "command": "data collect", "source": source, "bar": bar, "rows": sum(done.rows.values()),
        "symbols": dict(done.rows), "filled": done.filled, "connections": done.connections,
        "skipped": dict(done.skipped), "stopped": stopped, "notes": done.notes,
    }  # fmt: skip


def _show(document: Mapping[str, Any]) -> None:
    say(
        f"{document['source']} {document['bar']}: {document['rows']} new rows, {document['filled']} of them by REST, "
        f"over {document['connections']} connections"
    )
    for symbol, reason in document["skipped"].items():
        say(f"skipped {symbol}: {reason}")


def _ending(end: int | None) -> str:
    return "ctrl-c ends" if end is None else f"it ends at {iso(end)}, ctrl-c ends before"


def _end(until: str | None, duration: str | None, now: float) -> int | None:
    """UTC s at which it ends, None = never. Raises UsageError."""
    if until and duration:
        raise UsageError("--until and --duration say two ends: give one")
    try:
        end = int(now) + seconds(duration) if duration else None
    except ValueError as error:
        raise UsageError(f"--duration {error}") from error
    return _time(until) if until else end


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--symbols names nothing: write the exchange's names, such as BTCUSDT,ETHUSDT")
    return names


def _bar(text: str) -> int:
    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"--bar {error}") from error


def _time(text: str) -> int:
    try:
        return utc(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: write a UTC time such as 2025-07-01T12:00") from None
