"""`kalshi scan`: what is quoted, what it is worth, what would be bought, and why not."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.kalshi_options import (
    Bankroll,
    MaxContracts,
    MaxEdge,
    MinEdge,
    Series,
    Side,
    Tickers,
    loaded,
    spoken_for,
    standing,
)
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, aligned, emit, say
from evenkeel.errors import NotReadyError
from evenkeel.units import duration, iso, plain

if TYPE_CHECKING:
    from evenkeel.events.pipeline import Scan


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(scan)


def scan(
    context: typer.Context,
    series: Series = None,
    tickers: Tickers = None,
    min_edge: MinEdge = None,
    max_edge: MaxEdge = None,
    side: Side = None,
    max_contracts: MaxContracts = None,
    bankroll: Bankroll = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of the table, those with the largest edge of the model.")] = 20,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show markets with fair value, edge, fee and stake; needs no key and sends nothing."""
    made: Context = context.obj
    found, names = loaded(
        made, config, overrides, series=series, tickers=tickers, bankroll=bankroll, stake__min_edge=min_edge,
        stake__max_edge=max_edge, stake__side=side, stake__max_contracts=max_contracts,
    )  # fmt: skip
    from evenkeel.events import pipeline
    from evenkeel.events.board import ladders
    from evenkeel.wiring import desk

    wanted, stop, kalshi = found.config.kalshi.screen.series, threading.Event(), found.config.kalshi
    voices = desk.speakers(made.home, wanted)(int(time.time()))
    kept, refused = spoken_for(voices, wanted)
    if not kept:
        raise NotReadyError(
            f"{', '.join(refused)}: no fitted model speaks for it: train one with `evenkeel train kalshi`"
        )
    seen = desk.sight(found.config, stop, kept, names)
    board = ladders(seen.board(int(time.time())))
    spots = seen.spots({name for name in board.assets if name}, board.time) if any(board.assets) else {}
    usd = float(kalshi.bankroll)
    began = time.perf_counter()
    done = pipeline.scan(board, voices, spots, voices, pipeline.Exposure(usd, usd), kalshi.screen, kalshi.stake)
    document = {
        "command": "kalshi scan", "time": iso(board.time), "url": desk.address(found.config), "model": voices.name,
        "markets": [_row(done, at) for at in range(len(board.contracts))], "series": standing(voices, kept),
        "refused": refused, "unread": list(seen.unread), "proposals": _proposals(done),
        "compute_s": time.perf_counter() - began,
    }  # fmt: skip
    if as_json:
        emit(document)
    else:
        _show(document, rows)


def _row(done: Scan, at: int) -> dict[str, Any]:
    from evenkeel.events.pipeline import Why

    one, of = done.board.contracts[at], done.offers
    gap = [_number(float(of.gap[side, at])) for side in (0, 1)]
    best = max((0, 1), key=lambda side: -math.inf if gap[side] is None else float(gap[side] or 0.0))
    price = _number(float(of.price[best, at]))
    one_fee = None if price is None else _number(float(of.rate[best, at]) * price * (1 - price))
    return {
        "ticker": one.ticker, "event": one.event, "asset": one.asset, "closes": iso(one.expiry),
        "left_s": one.expiry - done.board.time, "yes_bid": _plain(one.yes_bid), "yes_ask": _plain(one.yes_ask),
        "fair": _number(float(done.fair.p[at])), "error": _number(float(done.fair.error[at])),
        "staked": _number(float(done.staked.p[at])), "side": ("yes", "no")[best], "price": price, "fee": one_fee,
        "edge_of_model": gap[best], "edge": _number(float(of.edge[best, at])),
        "stake": _number(float(of.count[best, at])), "why": Why(int(done.why[at])).name,
    }  # fmt: skip


def _proposals(done: Scan) -> list[dict[str, Any]]:
    return [
        {"ticker": leg.ticker, "side": leg.side, "price": plain(leg.price), "contracts": plain(leg.count),
         "fee": plain(leg.fee), "cost": plain(leg.cost), "edge": leg.edge}
        for leg in done.proposals
    ]  # fmt: skip


def _show(document: dict[str, Any], most: int) -> None:
    markets = document["markets"]
    shown = sorted(markets, key=lambda row: (row["edge_of_model"] is None, -(row["edge_of_model"] or 0.0)))[:most]
    head = ("market", "left", "bid", "ask", "fair", "side", "edge", "fee", "stake", "why")
    cells = [
        (row["ticker"], duration(max(row["left_s"] // 60 * 60, 0)), row["yes_bid"] or "-", row["yes_ask"] or "-",
         _show_number(row["fair"]), row["side"], _show_number(row["edge_of_model"]), _show_number(row["fee"], 4),
         _show_number(row["stake"], 0), row["why"])
        for row in shown
    ]  # fmt: skip
    for line in aligned(head, cells, right=(2, 3, 4, 6, 7, 8)):
        say(line)
    counts = Counter(row["why"] for row in markets)
    say(f"{len(markets)} markets at {document['time']}: " + ", ".join(f"{n} {why}" for why, n in counts.most_common()))
    for row in document["series"]:
        say(row["words"] or f"{row['series']}: {row['model']}, {row['said']}")
    for name, why in document["refused"].items():
        say(f"{name}: refused, {why}")
    for leg in document["proposals"]:
        say(f"would buy {leg['contracts']} {leg['side']} of {leg['ticker']} at {leg['price']} (edge {leg['edge']:.3f})")


def _show_number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(price: Any) -> str | None:
    return None if price is None else plain(price)
