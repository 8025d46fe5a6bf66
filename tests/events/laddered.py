"""Ladders for tests: contracts and boards from numbers."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np

from evenkeel.events.board import Ladders, ladders
from evenkeel.types import Board, Contract

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CENTS = ((Decimal(0), Decimal(1), Decimal("0.01")),)
TAPERED = tuple(
    tuple(map(Decimal, row)) for row in (("0", "0.1", "0.001"), ("0.1", "0.9", "0.01"), ("0.9", "1", "0.001"))
)
NOW = 1_787_000_000


def decimal(price):
    """A price from a number or text; None stays none."""
    return None if price is None else Decimal(str(price))


def made(kind="greater", floor=None, cap=None, bid="0.40", ask="0.44", **changes):
    """A contract on BTC that closes in an hour, 100 on each side that is quoted."""
    at = {"ticker": f"KXBTCD-X-{kind}{floor}{cap}", "event": "KXBTCD-X", "asset": "BTC", "expiry": NOW + 3600}
    terms = {"ticks": CENTS, "fee_type": "quadratic", "fee_multiplier": Decimal(1), "status": "active"}
    sizes = {"bid_size": Decimal(100 if bid else 0), "ask_size": Decimal(100 if ask else 0)}
    whole = {**at, **terms, **sizes, **changes}
    return Contract(kind=kind, floor=floor, cap=cap, yes_bid=decimal(bid), yes_ask=decimal(ask), **whole)


def board(*contracts: Contract) -> Ladders:
    """The contracts as quoted now."""
    return ladders(Board(NOW, contracts))


def partitioned(edges, **changes) -> tuple[Contract, ...]:
    """Tails and ranges that cover everything: below edges[0], [edges[i], edges[i + 1]), from the last one up."""
    ranges = [made("between", float(a), round(float(b) - 0.01, 2), **changes) for a, b in pairwise(edges)]
    last = round(float(edges[-1]) - 0.01, 2)
    return (made("less", None, float(edges[0]), **changes), *ranges, made("greater", last, None, **changes))


def quoted(contracts, p, spread=0.02):
    """The same contracts, two-sided around p: bid rounded down to the cent, ask up; no side at 0 or 1."""
    bids, asks = np.floor((p - spread / 2) * 100) / 100, np.ceil((p + spread / 2) * 100) / 100
    return tuple(
        made(c.kind, c.floor, c.cap, _inside(b), _inside(a), ticker=c.ticker, event=c.event)
        for c, b, a in zip(contracts, bids, asks, strict=True)
    )


def _inside(price):
    return f"{price:.2f}" if 0.005 < price < 0.995 else None
