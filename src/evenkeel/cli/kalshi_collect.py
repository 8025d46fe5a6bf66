"""`kalshi collect`: boards, trades and ends into the archive, for weeks, so that training has data."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.kalshi_options import Series, loaded, period
from evenkeel.cli.opening import stopping
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, errors, say
from evenkeel.units import duration, iso

if TYPE_CHECKING:
    from evenkeel.config import Loaded


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(collect)


def collect(
    context: typer.Context,
    series: Series = None,
    interval: Annotated[
        str | None, typer.Option("--interval", help="Pause between two looks, such as 300 or 5m.")
    ] = None,
    last: Annotated[str | None, typer.Option("--for", help="How long, such as 14d; without it until ctrl-c.")] = None,
    once: Annotated[bool, typer.Option("--once", help="One look, then stop.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Keep what is quoted, traded and paid, without any key. After ctrl-c the same command goes on."""
    made: Context = context.obj
    found, _ = loaded(made, config, overrides, series=series, interval=period("--interval", interval))
    length = 0 if once else period("--for", last)
    document = _watched(made, found, math.inf if length is None else time.time() + length, quiet=as_json)
    if as_json:
        emit(document)
    else:
        say(f"{document['quotes']} quotes, {document['ends']} ends, {document['trades']} trades; "
            f"{document['failed']} looks failed")  # fmt: skip
        for row in document["files"]:
            say(f"{row['path']}: {row['rows']} quotes, {row['settled']} of markets that have ended")
    if once and document["failed"]:
        raise typer.Exit(1)


def _watched(made: Context, found: Loaded, until: float, *, quiet: bool) -> dict[str, Any]:
    """Look until then or until asked to stop, and join what was kept, once a day and at the end."""
    from evenkeel.archive import contracts
    from evenkeel.desk.collect import Kept, by_day, collected, watched
    from evenkeel.venues.kalshi import Kalshi
    from evenkeel.wiring import desk

    wanted, every, stop = found.config.kalshi.screen.series, found.config.kalshi.interval, threading.Event()
    market, spots = Kalshi(desk.public(found.config, stop)), desk.spots(found.config, stop)

    def told(at: int, total: Kept, wrong: str) -> None:
        if not quiet:
            errors().print(f"{iso(at)} {wrong or f'{total.quotes} quotes, {total.ends} ends'}", soft_wrap=True)

    def joined() -> dict[str, tuple[Path, int, int]]:
        return {name: contracts.joined(made.home, name) for name in wanted}

    look = by_day(lambda at: collected(made.home, market, wanted, spots, at), joined)
    with stopping(stop):
        total, failed = watched(look, every, now=time.time, pause=stop.wait, told=told, until=until)
    files = joined()
    return {
        "command": "kalshi collect", "quotes": total.quotes, "ends": total.ends, "trades": total.trades,
        "failed": failed, "every": duration(every),
        "files": [{"series": name, "path": str(path), "rows": rows, "settled": ended}
                  for name, (path, rows, ended) in files.items()],
    }  # fmt: skip
