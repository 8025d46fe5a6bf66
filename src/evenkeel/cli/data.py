"""`data import|ls|check|download|resample|build`: candles into the archive, how far they can be trusted, and what is
learned from them. `data collect` is in `collecting`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli import collecting
from evenkeel.cli.candles import Data, Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Context, aligned, emit, errors, say
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import HOUR_S, iso, seconds, utc

if TYPE_CHECKING:
    from evenkeel.archive import IntegrityReport, Rows
    from evenkeel.venues.candles import Downloaded

DEGRADED = 5
ROW_DEFECTS = ("missing_value", "nonpositive_price", "broken_ohlc", "negative_volume", "off_grid", "duplicate")
SAY_EVERY_S = 10.0

Bar = Annotated[str, typer.Option("--bar", help="Length of one bar: 15m, 30m, 1h.")]
Source = Annotated[str | None, typer.Option("--source", help="Name of the dataset under data/candles.")]

app = typer.Typer(no_args_is_help=True, help="Candles: import, download, collect, list, check, resample, build.")
collecting.register(app)


@app.command(name="import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Tidy .parquet, .csv or .feather file of candles.")],
    bar: Bar,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Import a file of candles; prints the integrity report. The source's default name is the file's."""
    from evenkeel import archive

    made: Context = context.obj
    name = source if source is not None else re.sub(r"[^a-z0-9_-]+", "_", file.stem.lower()).strip("_-")
    _report(archive.ingest(file, _bar(bar), made.home, name), as_json=as_json)


@app.command()
def ls(context: typer.Context, as_json: AsJson = False) -> None:
    """List what is stored."""
    from evenkeel import archive

    made: Context = context.obj
    stored = [dataset.to_json() for dataset in archive.datasets(made.home)]
    if as_json:
        emit({"command": "data ls", "datasets": stored})
    elif not stored:
        say("nothing is stored yet: `evenkeel data import FILE --bar 30m`, or `evenkeel data download`")
    else:
        columns = ("source", "bar", "assets", "rows", "from", "to", "bytes")
        for line in aligned(columns, [[one[c] for c in columns] for one in stored], right=(2, 3, 6)):
            say(line)


@app.command()
def check(
    context: typer.Context,
    source: Source = None,
    bar: Annotated[str | None, typer.Option("--bar", help="Only bars of this length.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the defects of what is stored; exit 5 where a stored row is damaged."""
    from evenkeel import archive

    made: Context = context.obj
    length = None if bar is None else _bar(bar)
    chosen = [
        (one.source, seconds(one.bar))
        for one in archive.datasets(made.home)
        if source in (None, one.source) and length in (None, seconds(one.bar))
    ]
    if not chosen:
        raise NotReadyError("nothing of that is stored: see `evenkeel data ls`, or import or download it first")
    reports = [archive.check(made.home, *one) for one in chosen]
    if as_json:
        emit({"command": "data check", "reports": [report.to_json() for report in reports]})
    else:
        for report in reports:
            _show(report)
    if any(report.count(kind) for report in reports for kind in ROW_DEFECTS):
        raise typer.Exit(DEGRADED)


@app.command()
def resample(
    context: typer.Context,
    source: Annotated[str, typer.Option("--source", help="Name of the dataset under data/candles.")],
    bar: Bar,
    to: Annotated[str, typer.Option("--to", help="Coarser bar to build, such as 1h.")],
    as_json: AsJson = False,
) -> None:
    """Build coarser bars of what is stored; incomplete ones are left out."""
    from evenkeel import archive

    made: Context = context.obj
    _report(archive.resample(made.home, source, _bar(bar), _bar(to)), as_json=as_json)


@app.command()
def download(
    context: typer.Context,
    since: Annotated[str, typer.Option("--since", help="First day, UTC, such as 2025-01-01.")],
    exchange: Annotated[str, typer.Option(help="A ccxt name: binance, coinbase, ...")] = "binance",
    bar: Bar = "30m",
    until: Annotated[str | None, typer.Option("--until", help="Day after the last; now if left out.")] = None,
    symbols: Annotated[
        str | None,
        typer.Option("--symbols", help="The exchange's names, such as BTCUSDT,ETHUSDT; default: the universe."),
    ] = None,
    source: Source = None,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Address to ask instead of the exchange's own; may be given again."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Download closed candles through ccxt. What is stored stays; the same command resumes where it stopped."""
    from evenkeel import archive
    from evenkeel.venues.candles import CandleSource

    made: Context = context.obj
    bar_s, name = _bar(bar), source or exchange
    span = (_day(since), _day(until) if until else int(time.time()))
    if span[0] >= span[1]:
        raise UsageError(f"--since {since} is not before the end {iso(span[1])}: give an earlier day")
    names = _names(symbols) if symbols else _listed(made, config, exchange)
    ranges = archive.plan_ranges(archive.spans(made.home, name, bar_s), names, bar_s, *span)
    stored: dict[str, int] = {}

    def store(symbol: str, rows: Rows) -> None:
        stored[symbol] = archive.append(made.home, name, bar_s, symbol, rows)

    with _progress(f"{name} {bar}", quiet=as_json) as told:
        got = CandleSource(exchange, hosts=host or None).download(ranges, bar_s, store, told)
    document = _downloaded(got, name, bar, stored)
    if as_json:
        emit(document)
    else:
        _show_download(document)


@app.command()
def build(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write: features and labels.")],
    indicators: Annotated[
        bool, typer.Option("--indicators", help="Write OUT_indicators.parquet too: candles with SMA, RSI, MACD, ...")
    ] = False,
    holdout: Holdout = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write what `train alpha` learns from, as Parquet for people's own research."""
    from evenkeel.cli import candles
    from evenkeel.research import dataset
    from evenkeel.research import indicators as known

    made: Context = context.obj
    _writable(out)
    _, pairs = candles.configured(made, config, None)
    read = candles.read(data, pairs, leave=(made, "data build") if holdout else None)
    rows = dataset.build(read.panel)
    beside = out.with_name(f"{out.stem}_indicators.parquet") if indicators else None
    try:
        written = dataset.write(rows, out), known.write(read.panel, beside) if beside else 0
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written ({error.strerror}): free space, or name another") from error
    document = {
        "command": "data build", "data": read.to_json(), "out": out, "rows": written[0],
        "features": list(rows.names), "horizons_h": list(rows.returns), "step_h": rows.step_s // HOUR_S,
        "indicators": beside, "candles": written[1],
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    say(read.sentence())
    say(f"{document['rows']} rows of {len(rows.names)} features and {len(rows.returns)} labels in {out}")
    if beside:
        say(f"{document['candles']} candles with indicators in {beside}")


def _writable(path: Path) -> None:
    """Refuse before the work, not after it, a file that cannot be written. Raises UsageError."""
    if path.suffix != ".parquet" or path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"--out {path}: give a .parquet file in a folder that exists and can be written")


def _downloaded(got: Downloaded, source: str, bar: str, stored: Mapping[str, int]) -> dict[str, Any]:
    return {
        "command": "data download", "source": source, "bar": bar, "rows": sum(got.rows.values()),
        "assets": len(got.rows), "symbols": dict(got.rows), "stored": dict(stored), "skipped": dict(got.skipped),
        "notes": list(got.notes),
    }  # fmt: skip


def _show_download(document: Mapping[str, Any]) -> None:
    say(f"{document['source']} {document['bar']}: {document['rows']} new rows of {document['assets']} symbols")
    for symbol, reason in document["skipped"].items():
        say(f"skipped {symbol}: {reason}")
    for note in document["notes"]:
        say(f"note: {note}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _listed(made: Context, config: Path | None, exchange: str) -> list[str]:
    """Symbols of the universe at an exchange."""
    from evenkeel import config as configs
    from evenkeel import wiring

    loaded = configs.load(config, environ=made.environ, overrides=[], home=made.home)
    pairs = wiring.universe(loaded.config, made.home)
    found = [pair.symbols[exchange][0] for pair in pairs if exchange in pair.symbols]
    if not found:
        raise UsageError(f"the universe has no symbols of {exchange}: name them with --symbols")
    return found


def _bar(text: str) -> int:
    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"--bar {error}") from error


def _day(text: str) -> int:
    try:
        return utc(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: write a UTC date such as 2025-07-01") from None


def _report(report: IntegrityReport, *, as_json: bool) -> None:
    if as_json:
        emit(report.to_json())
    else:
        _show(report)


def _show(report: IntegrityReport) -> None:
    document = report.to_json()
    say(f"{report.source} {report.bar}: {report.assets} assets, {report.rows} rows, {report.kept} kept, "
        f"{report.stored} stored, {document['from']} .. {document['to']}")  # fmt: skip
    found: Sequence[Any] = [issue for issue in report.issues if issue.count]
    if not found:
        say("no defects")
        return
    rows = [(issue.kind, issue.count, issue.outcome, issue.example) for issue in found]
    for line in aligned(("defect", "count", "outcome", "example"), rows, right=(1,)):
        say(line)


@contextmanager
def _progress(title: str, *, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr; a line every ten seconds where that is no terminal; nothing when quiet."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = errors()
    if quiet:
        yield lambda _symbol, _done, _total: None
    elif not console.is_terminal:
        yield _plain(title)
    else:
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        with bar:
            task = bar.add_task(title)
            yield lambda symbol, done, total: bar.update(
                task, completed=done, total=total, description=f"{title} {symbol}"
            )


def _plain(title: str) -> Callable[[str, int, int], None]:
    console, said = errors(), [time.monotonic()]

    def tell(symbol: str, done: int, total: int) -> None:
        if time.monotonic() - said[0] >= SAY_EVERY_S or done == total:
            said[0] = time.monotonic()
            console.print(f"{title} {symbol}: {done}/{total} bars")

    return tell
