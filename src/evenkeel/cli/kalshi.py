"""`kalshi ...`: event contracts, looked at, traded on paper or for real, and settled by the venue's record."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli import kalshi_backtest, kalshi_collect, kalshi_scan, kalshi_status
from evenkeel.cli.kalshi_options import (
    Bankroll,
    MaxContracts,
    MaxEdge,
    MinEdge,
    Series,
    Side,
    Tickers,
    admitted,
    loaded,
    period,
    standing,
)
from evenkeel.cli.opening import stopping
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, errors
from evenkeel.errors import StoppedError, UsageError
from evenkeel.units import iso

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

    from evenkeel.config import Loaded
    from evenkeel.desk.loop import Bell
    from evenkeel.desk.turn import Desk
    from evenkeel.venues.kalshi_wire import Credentials

app = typer.Typer(
    no_args_is_help=True, help="Event contracts at Kalshi: scan, trade on paper or for real, settle.",
)  # fmt: skip
kalshi_scan.register(app)
kalshi_collect.register(app)
kalshi_status.register(app)
app.command()(kalshi_backtest.backtest)

Interval = Annotated[str | None, typer.Option("--interval", help="Period of its turns, such as 300 or 5m.")]
Once = Annotated[bool, typer.Option("--once", help="One turn, now, then stop.")]
For = Annotated[str | None, typer.Option("--for", help="How long, such as 6h; without it until ctrl-c.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of book.json, trades.csv, equity.csv; default data/paper.")
]
Stream = Annotated[
    bool,
    typer.Option("--stream", help="Also a turn after trades and ends, as Kalshi's stream tells them; needs a key."),
]
Attached = Annotated[
    bool, typer.Option("--attached", help="Stop where standard input ends, as it does when its parent is gone.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="You looked at it: end a halt after a drawdown, and quarantine.")
]


@app.command()
def paper(
    context: typer.Context,
    series: Series = None,
    tickers: Tickers = None,
    interval: Interval = None,
    bankroll: Bankroll = None,
    min_edge: MinEdge = None,
    max_edge: MaxEdge = None,
    side: Side = None,
    max_contracts: MaxContracts = None,
    data_dir: DataDir = None,
    once: Once = False,
    last: For = None,
    stream: Stream = False,
    attached: Attached = False,
    resume: Resume = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Trade on paper: real quotes, fees and results; no order leaves. After ctrl-c the same command goes on."""
    made: Context = context.obj
    found, names = loaded(
        made, config, overrides, series=series, tickers=tickers, interval=period("--interval", interval),
        bankroll=bankroll, stake__min_edge=min_edge, stake__max_edge=max_edge, stake__side=side,
        stake__max_contracts=max_contracts,
    )  # fmt: skip
    folder = made.home / "data" / "paper" if data_dir is None else data_dir
    span = _Span(once, period("--for", last), resume, stream, attached)
    _serve(made, found, names, folder, None, span, as_json=as_json)


@app.command()
def run(
    context: typer.Context,
    series: Series = None,
    tickers: Tickers = None,
    interval: Interval = None,
    min_edge: MinEdge = None,
    max_edge: MaxEdge = None,
    side: Side = None,
    max_contracts: MaxContracts = None,
    data_dir: DataDir = None,
    once: Once = False,
    last: For = None,
    stream: Stream = False,
    attached: Attached = False,
    resume: Resume = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Trade for real: signed orders to the account, behind the same three locks as the rebalancer's."""
    made: Context = context.obj
    found, names = loaded(
        made, config, overrides, series=series, tickers=tickers, interval=period("--interval", interval),
        stake__min_edge=min_edge, stake__max_edge=max_edge, stake__side=side, stake__max_contracts=max_contracts,
    )  # fmt: skip
    folder = made.home / "data" / "kalshi" if data_dir is None else data_dir
    span = _Span(once, period("--for", last), resume, stream, attached)
    _serve(made, found, names, folder, _key(made, found), span, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Span:
    """How long a desk runs (s, None = until stopped), and whether a person says that it may go on."""

    once: bool
    last: int | None
    resume: bool
    stream: bool
    attached: bool

    def __post_init__(self) -> None:
        """One turn has no length."""
        if self.once and (self.last is not None or self.stream):
            raise UsageError("--once runs one turn and ends: leave --for and --stream out")


def _key(made: Context, found: Loaded) -> Credentials | None:
    """The account's key, once all three locks are open. Raises ConfigError, VenueError."""
    from evenkeel import config as configs
    from evenkeel.wiring import desk

    held = configs.secrets(made.home, made.environ, configs.KALSHI, dry_run=found.config.dry_run)
    configs.desk_allowed(found.config, made.environ, held)
    return desk.key_of(held)


def _serve(
    made: Context, found: Loaded, names: tuple[str, ...], folder: Path, key: Credentials | None, span: _Span, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Run a desk until it is stopped, and say what came of it."""
    from evenkeel import config as configs
    from evenkeel.service import log
    from evenkeel.wiring import desk as parts

    stop, wanted = threading.Event(), found.config.kalshi.screen.series
    voices = parts.speakers(made.home, wanted)(int(time.time()))
    admitted(voices, wanted)
    _introduce(made, found, key, folder, standing(voices, wanted))
    wants = (configs.LLM,) if found.config.kalshi.critic == "llm" else ()
    mind = configs.secrets(made.home, made.environ, wants)
    written = found.config.logging
    out = log.open_log(
        made.home, level=written.level, rotate_mb=written.rotate_mb, keep=written.keep,
        bound={"mode": "real", "config": found.digest[:12]}, file="kalshi.jsonl",
        redact=(*mind.values.values(), *(() if key is None else (key.key, key.pem))),
    )  # fmt: skip
    asked = parts.Wanted(folder, names, key, parts.critic_of(found.config, mind))
    if span.attached:
        threading.Thread(target=_stop_at_the_end, args=[stop], name="parent", daemon=True).start()
    with stopping(stop), parts.desk(found.config, made.home, found.digest, asked, out, stop) as desk:
        with _training(made, found, span, out, stop), _bell(made, found, key, span, out, stop) as bell:
            _turns(desk, found.config.kalshi.interval, span, stop, bell, quiet=as_json)
        last = desk.ledger.slots[-1] if desk.ledger.slots else None
        failed = last is not None and last.outcome == "failed"
        document = kalshi_status.account("kalshi paper" if key is None else "kalshi run", desk.ledger)
    if as_json:
        emit(document)
    else:
        kalshi_status.show(document)
    sys.stdout.flush()
    if span.once and failed:
        raise typer.Exit(1)


def _stop_at_the_end(stop: threading.Event) -> None:
    """Read what nobody writes; its end is ours."""
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


@contextmanager
def _bell(
    made: Context, found: Loaded, key: Credentials | None, span: _Span, out: BoundLogger, stop: threading.Event
) -> Iterator[Bell | None]:
    """What the stream rings; None where none is wanted."""
    from evenkeel.desk.loop import Bell
    from evenkeel.wiring import desk

    if not span.stream:
        yield None
        return
    bell = Bell(frozenset(found.config.kalshi.screen.series))
    with desk.listening(found.config, key or _reading_key(made), bell, out, stop):
        yield bell


@contextmanager
def _training(made: Context, found: Loaded, span: _Span, out: BoundLogger, stop: threading.Event) -> Iterator[None]:
    """New models from time to time beside the turns, where that is wanted; it ends with them."""
    from evenkeel.service import child, retraining

    wanted = found.config.kalshi.training
    if not wanted.every or span.once:
        yield
        return
    words = retraining.command_of_contracts(made.home, wanted.model, wanted.data, wanted.results)

    def work() -> None:
        retraining.repeated(wanted.every, lambda: retraining.train(words, out, stop), time.time, stop)

    with child.alongside("training", work, stop):
        yield


def _reading_key(made: Context) -> Credentials:
    """A key for the stream alone: Kalshi shows it to nobody without. Raises ConfigError, UsageError."""
    from evenkeel import config as configs
    from evenkeel.wiring import desk

    held = configs.secrets(made.home, made.environ, configs.KALSHI)
    missing = [name for name in configs.KALSHI if name not in held]
    key = None if missing else desk.key_of(held)
    if key is None:
        raise UsageError(f"--stream needs {' and '.join(missing)}: Kalshi's stream takes nobody without a key")
    return key


def _turns(desk: Desk, interval: int, span: _Span, stop: threading.Event, bell: Bell | None, *, quiet: bool) -> None:
    from evenkeel.desk import loop
    from evenkeel.desk.risk import resumed

    told = _teller(desk, quiet=quiet)
    if span.resume:
        desk.commit(resumed)
    try:
        if span.once:
            at = int(desk.now())
            told(at, desk.turn(at))
            return
        if span.last is not None:
            alarm = threading.Timer(span.last, stop.set)
            alarm.daemon = True
            alarm.start()
        loop.serve(desk, interval, stopped=stop.is_set, pause=stop.wait, told=told, bell=bell)
    except StoppedError:
        return


def _teller(desk: Desk, *, quiet: bool) -> Callable[[int, str], None]:
    """One line a turn on stderr."""

    def told(at: int, outcome: str) -> None:
        ledger = desk.ledger
        whole = ledger.equity
        equity = "unknown" if whole is None else f"${whole:,.2f}"
        last = ledger.slots[-1] if ledger.slots else None
        if last is not None and (last.outcome, last.reason) == ("failed", outcome):
            outcome = f"failed ({outcome}; logs/kalshi.jsonl says more)"
        if not quiet:
            errors().print(f"{iso(at)} {outcome}: equity {equity}, {len(ledger.held)} markets held", soft_wrap=True)

    return told


def _introduce(made: Context, found: Loaded, key: Credentials | None, folder: Path, rows: list[dict[str, Any]]) -> None:
    from evenkeel.wiring import desk

    doing = "paper desk, no order leaves" if key is None else "LIVE desk, real orders go to Kalshi"
    errors().print(f"evenkeel {doing}: {desk.address(found.config)}, home {made.home.resolve()}, rows in {folder}",
                   soft_wrap=True)  # fmt: skip
    for row in rows:
        errors().print(row["words"] or f"{row['series']}: {row['model']}, {row['said']}", soft_wrap=True)
