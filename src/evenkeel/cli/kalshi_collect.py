"""`kalshi collect`: boards, trades and ends into the archive, for weeks, so that training has data."""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any

import typer

from evenkeel.cli.kalshi_options import Series, loaded, period
from evenkeel.cli.opening import stopping
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, errors, say
from evenkeel.errors import FeedError, StoppedError, VenueError, VenueUnknownError
from evenkeel.units import duration, iso


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
    from evenkeel.archive import contracts
    from evenkeel.desk import collect as desk
    from evenkeel.venues.kalshi import Kalshi
    from evenkeel.wiring import desk as parts

    made: Context = context.obj
    found, _ = loaded(made, config, overrides, series=series, interval=period("--interval", interval))
    wanted, stop, total = found.config.kalshi.screen.series, threading.Event(), desk.Kept()
    market, spots = Kalshi(parts.public(found.config, stop)), parts.spots(found.config, stop)
    until = None if last is None else time.time() + (period("--for", last) or 0)
    every, failed = found.config.kalshi.interval, 0
    with stopping(stop):
        while not stop.is_set():
            now = int(time.time())
            try:
                total, said = _looked(total, lambda at=now: desk.collected(made.home, market, wanted, spots, at))
                failed += said is not None
                if not as_json:
                    errors().print(f"{iso(now)} {said or f'{total.quotes} quotes, {total.ends} ends'}", soft_wrap=True)
            except StoppedError:
                break
            left = now // every * every + every - time.time()
            if once or (until is not None and time.time() + left >= until) or stop.wait(max(left, 0.05)):
                break
    files = {name: contracts.joined(made.home, name) for name in wanted}
    document: dict[str, Any] = {
        "command": "kalshi collect", "quotes": total.quotes, "ends": total.ends, "trades": total.trades,
        "failed": failed, "every": duration(every),
        "files": [{"series": name, "path": str(path), "rows": rows, "settled": ended}
                  for name, (path, rows, ended) in files.items()],
    }  # fmt: skip
    if as_json:
        emit(document)
    else:
        say(f"{total.quotes} quotes, {total.ends} ends, {total.trades} trades; {failed} looks failed")
        for row in document["files"]:
            say(f"{row['path']}: {row['rows']} quotes, {row['settled']} of markets that have ended")
    if once and failed:
        raise typer.Exit(1)


def _looked(total: Any, look: Any) -> tuple[Any, str | None]:
    """What there is after a look, and why it failed if it did: the next one is due all the same."""
    try:
        return total + look(), None
    except (VenueError, VenueUnknownError, FeedError) as error:
        return total, f"nothing was kept: {error}"
