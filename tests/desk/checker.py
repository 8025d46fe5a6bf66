"""Was anything doubled or lost? The desk's files against the venue's own record, to the cent, by plain arithmetic."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from evenkeel.sandbox.kalshi_orders import fee as exact_fee
from evenkeel.sandbox.kalshi_venue import Venue, step_of
from evenkeel.units import utc

D = Decimal


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file, line by line."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def check(home: Path, box_venue: Venue, capital: str, *, paper: bool, folder: str = "paper") -> Counter[str]:
    """Everything that must hold; -> how many of each action there were."""
    place = home / "data" / folder
    trades, equity = rows(place / "trades.csv"), rows(place / "equity.csv")
    book = json.loads((place / "book.json").read_text())
    cash, held, realized = D(capital), {}, D(0)
    for row in trades:
        assert row["action"] in {"BUY", "SETTLE"}, row
        count, notional, after = D(row["contracts"]), D(row["notional"]), D(row["cash_after"])
        key = row["market_ticker"]
        assert notional == D(row["price"]) * count
        if row["action"] == "BUY":
            paid = _paid(row)
            before = held.get(key, (row["side"], D(0), D(0)))
            assert before[0] == row["side"]
            held[key] = (row["side"], before[1] + count, before[2] + notional)
            cash, realized = cash - notional - paid, realized - paid
        else:
            side, count_held, cost = held.pop(key)
            assert (side, count_held) == (row["side"], count)
            assert notional == (count if _result(box_venue, key) == side else 0), row
            cash, realized = cash + notional, realized + notional - cost
        assert after == cash, row
    ends = Counter(row["market_ticker"] for row in trades if row["action"] == "SETTLE")
    assert set(ends.values()) <= {1}, "a market was settled twice"
    _same_as(book, equity, cash, held, realized)
    names = Counter(row["note"].split()[0] for row in trades if row["action"] == "BUY")
    (_on_paper if paper else _at_venue)(home, box_venue, trades, cash, held, names)
    return Counter(row["action"] for row in trades)


def _result(venue: Venue, ticker: str) -> str:
    listing = venue.world.listing(ticker)
    assert listing is not None
    outcome = venue.world.outcome(listing)
    assert outcome is not None
    return outcome[0]


def _paid(row: dict[str, str]) -> Decimal:
    """The fee in a note; 0 for the fill of an order whose fee stands elsewhere."""
    _, _, paid = row["note"].partition(" fee ")
    return D(paid)


def _same_as(
    book: dict[str, Any], equity: list[dict[str, str]], cash: Decimal, held: dict[str, Any], realized: Decimal
) -> None:
    """book.json and the last row of equity.csv say what the trades come to; no row of a time twice."""
    assert D(str(book["cash"])) == cash
    assert D(str(book["realized_pnl"])) == realized
    assert {t: (p["side"], D(str(p["contracts"]))) for t, p in book["positions"].items()} == {
        ticker: (side, count) for ticker, (side, count, _) in held.items()
    }
    times = [row["timestamp"] for row in equity]
    assert times == sorted(set(times)), "a row of equity.csv is doubled"
    last = equity[-1]
    assert D(last["cash"]) + sum((cost for *_, cost in held.values()), D(0)) + D(last["unrealized_pnl"]) == D(
        last["equity"]
    )


def _on_paper(
    home: Path, venue: Venue, trades: list[dict[str, str]], cash: Decimal, held: dict[str, Any], names: Counter[str]
) -> None:
    """Each fill was really offered there and then, its fee is the venue's; the paper account agrees."""
    for row in trades:
        if row["action"] == "BUY":
            listing = venue.world.listing(row["market_ticker"])
            yes, no = venue.world.bids(listing, step_of(utc(row["timestamp"])))
            offered = no if row["side"] == "yes" else yes
            assert offered[1 - D(row["price"])] >= D(row["contracts"]), row
            assert _paid(row) == exact_fee(D(row["contracts"]), D(row["price"]), taker=True), row
    with sqlite3.connect(home / "state" / "kalshi-paper.db") as db:
        fills = Counter(name for (name,) in db.execute("select order_id from fills"))
        ends = [ticker for (ticker,) in db.execute("select ticker from settlements")]
        units = {t: D(q) for t, q in db.execute("select ticker, quantity from positions")}
        assert D(db.execute("select usd from account").fetchone()[0]) == cash
    assert fills == names, "a fill is doubled or lost"
    assert len(ends) == len(set(ends))
    assert units == {t: (count if side == "yes" else -count) for t, (side, count, _) in held.items()}


def _at_venue(
    home: Path, venue: Venue, trades: list[dict[str, str]], cash: Decimal, held: dict[str, Any], names: Counter[str]
) -> None:
    """The account: the same cash, contracts, fills and ends; no order under one id twice."""
    del home
    orders = Counter(order.client for order in venue.orders.values())
    assert set(orders.values()) <= {1}, "an order was placed twice"
    assert Counter(fill.order.client for fill in venue.fills) == names, "a fill is doubled or lost"
    assert sum(venue.cash.values()) == cash
    assert {t: one.count for t, one in venue.held.items() if one.count} == {
        t: (count if side == "yes" else -count) for t, (side, count, _) in held.items()
    }
    assert {s.listing.ticker for s in venue.settled} == {r["market_ticker"] for r in trades if r["action"] == "SETTLE"}
