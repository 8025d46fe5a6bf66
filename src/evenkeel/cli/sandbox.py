"""`sandbox`: loopback servers that speak Roostoo, Binance, Coinbase and Kalshi over one market and one fault plan."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.candles import configured, moment
from evenkeel.cli.opening import stopping
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import DAY_S, duration, iso, plain, seconds

if TYPE_CHECKING:
    from evenkeel.config import Config
    from evenkeel.sandbox.app import Sandbox
    from evenkeel.types import Pair, Panel

EMBEDDED = "synthetic"
"""The source that is no dataset."""


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(sandbox)


def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port of the loopback; 0 = any that is free.")] = 8700,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which world and which keys; default: synthetic.seed.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="UTC time at which the sandbox's clock begins; default: now.")
    ] = None,
    speed: Annotated[
        float, typer.Option(help="Sandbox seconds per second; 0 = time stands until /sandbox/clock moves it.")
    ] = 1.0,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="YAML or JSON file with what goes wrong; default: nothing.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="synthetic = the embedded market; else the name of a dataset under data/candles.")
    ] = EMBEDDED,
    bar: Annotated[str, typer.Option(help="Bars of the dataset that the prices move through: 15m, 30m, 1h.")] = "30m",
    past: Annotated[int, typer.Option(min=1, max=3_650, help="Days of market before the beginning.")] = 90,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days of market after it; then nothing is quoted.")] = 30,
    capital: Annotated[
        str | None, typer.Option(help="USD that each account starts with; default: venue.capital.")
    ] = None,
    boards: Annotated[
        Path | None, typer.Option(help="Parquet file of captured Kalshi boards; default: ladders over the market.")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Serve exchanges on this machine, to try the program against; ctrl-c ends it. Nothing of it is real."""
    made: Context = context.obj
    loaded, pairs = configured(made, config, overrides)
    begin = moment("--from", start)
    now = time.time() if begin is None else float(begin)
    window = (int(now) - past * DAY_S, int(now) + days * DAY_S)
    chosen = loaded.config.synthetic.seed if seed is None else seed
    cash = loaded.config.venue.capital if capital is None else _usd(capital)
    panel = _panel(made, loaded.config, source, bar, pairs, window, chosen)
    box = _built(panel, pairs, faults, begin, speed, chosen, cash, boards)
    if not box.market.begin <= now < box.market.end:
        told = f"{iso(box.market.begin)} .. {iso(box.market.end)}"
        raise UsageError(f"{source} has a market from {told} only: choose --from within")
    stop = threading.Event()
    with stopping(stop), box.serve(port=port) as url:
        document = _document(box, url, source, panel, chosen, cash)
        emit(document) if as_json else _show(document)
        sys.stdout.flush()
        stop.wait()


def _panel(
    made: Context, config: Config, source: str, bar: str, pairs: Sequence[Pair], window: tuple[int, int], seed: int
) -> Panel:
    """The bars of the window, as far as there are any."""
    from evenkeel import archive
    from evenkeel.market import synthetic

    if source != EMBEDDED:
        try:
            return archive.load(made.home, source, seconds(bar), pairs, *window)[0]
        except ValueError as error:
            raise UsageError(f"--bar {error}") from error
    epoch = window[0] // DAY_S * DAY_S
    settings = replace(config.synthetic, seed=seed, epoch=max(epoch, 0))
    return synthetic.market(pairs, settings.epoch, window[1], synthetic.STEP_S, settings)


def _built(
    panel: Panel,
    pairs: Sequence[Pair],
    plan: Path | None,
    begin: int | None,
    speed: float,
    seed: int,
    cash: Decimal,
    boards: Path | None,
) -> Sandbox:
    try:
        from evenkeel.sandbox import app, faults
        from evenkeel.sandbox.kalshi_recorded import Recorded
    except ImportError as error:
        raise NotReadyError(f"the sandbox needs {error.name}: pip install 'evenkeel[dashboard]'") from error
    from evenkeel.sandbox.clock import Clock
    from evenkeel.sandbox.market import Market

    rules = () if plan is None else faults.read(plan)
    clock = Clock(time.time, start=begin, speed=speed)
    market = Market(panel, {pair.asset: pair for pair in pairs})
    world = None if boards is None else Recorded(boards, seed)
    return app.build(market, clock, faults.Faults(rules, seed=seed), seed=seed, capital=cash, boards=world)


def _document(box: Sandbox, url: str, source: str, panel: Panel, seed: int, cash: Decimal) -> dict[str, Any]:
    from evenkeel.sandbox import kalshi_keys

    return {
        "command": "sandbox", "roostoo": f"{url}/roostoo", "binance": f"{url}/binance/api/v3",
        "coinbase": f"{url}/coinbase", "kalshi": f"{url}/kalshi/trade-api/v2",
        "kalshi_key": kalshi_keys.key_id(box.seed), "controls": f"{url}/sandbox", "key": box.account.key,
        "secret": box.account.secret, "seed": seed, "capital": plain(cash), "source": source,
        "bar": duration(panel.bar_s), "assets": len(panel.assets), "from": iso(box.market.begin),
        "to": iso(box.market.end), "now": iso(int(box.clock.now())), "speed": box.clock.speed,
        "faults": len(box.faults.to_json()),
    }  # fmt: skip


def _show(document: dict[str, Any]) -> None:
    for name in ("roostoo", "binance", "coinbase", "kalshi", "controls", "key", "secret"):
        say(f"{name:<9} {document[name]}")
    say(f"kalshi    key {document['kalshi_key']}, private key at {document['controls']}/kalshi.pem")
    say(f"market    {document['source']}, {document['assets']} assets, {document['bar']} bars, "
        f"{document['from']} .. {document['to']}")  # fmt: skip
    say(f"time      {document['now']}, {document['speed']:g} s per second; {document['faults']} faults planned")
    say(f"account   {document['capital']} USD that nobody has; ctrl-c ends it")


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"--capital {text}: give USD as a number above 0, such as 1000")
    return amount
