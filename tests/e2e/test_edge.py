"""The program beside a Kalshi on the loopback: what it read stands in `why`; down, it decides as with the edge off."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.program import document, evenkeel, sets
from e2e.venue import COINS, Venue, sandbox
from evenkeel.journal import recent
from evenkeel.units import HOUR_S

pytestmark = pytest.mark.slow

LITTLE_S = 240
"""Room for the runs of this file, also on a busy machine."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A sandbox whose time stands still: every run sees the same bars, quotes and ladders.

    Its ladders close with the hour, and none is read in its last 90 s: where little is left the next hour is waited
    for, as the program itself lives in the computer's time.
    """
    left = HOUR_S - time.time() % HOUR_S
    if left < LITTLE_S:
        time.sleep(left + 5)
    with sandbox(tmp_path_factory.mktemp("sandbox"), "--speed", "0") as running:
        yield running


def options(venue: Venue, *more: str) -> list[str]:
    """A dry run on the sandbox's prices and its Kalshi."""
    return sets(
        f"feed.hosts=[{venue.told['binance']}]", "feed.confirm_s=0", f"universe.only=[{','.join(COINS)}]",
        "history.days=45", "opinions.min_history_days=10", f"kalshi.url={venue.told['kalshi']}", *more,
    )  # fmt: skip


def rebalanced(home: Path, venue: Venue, *more: str) -> list[tuple[str, ...]]:
    """One rebalance in a fresh home: its orders."""
    document(evenkeel(home, "run", "--json", "--once", "rebalance", *options(venue, *more)))
    orders = recent(home / "state" / "journal.db", "orders", limit=1000)
    return [(row["asset"], row["side"], row["quantity"]) for row in orders]


def edge(home: Path) -> dict[str, Any]:
    """The opinion as the state shows it."""
    found: dict[str, Any] = document(evenkeel(home, "status", "--json"))["opinions"]["edge"]
    return found


def test_what_the_last_pass_read_stands_behind_the_opinion(venue: Venue, tmp_path: Path) -> None:
    """One pass is too new for a drift; its ladder, quotes and implied volatility are there all the same."""
    home = tmp_path / "home"
    assert rebalanced(home, venue)

    read = {row["asset"]: row for row in recent(home / "state" / "journal.db", "edge", limit=1000)}
    # which coin has run out of its ladder depends on the minute of the day
    coin = next(asset for asset, row in read.items() if row["reason"] == "TOO_NEW")
    why = document(evenkeel(home, "why", coin, "--json", *options(venue)))

    assert {"BTC", "ETH"} <= read.keys()
    assert 0.05 < read[coin]["vol"] < 5
    assert edge(home)["health"] == "missing"
    assert re.search(rf"TOO_NEW \([^)]*\b{coin}\b", edge(home)["reason"])
    assert why["edge"]["event"] == read[coin]["event"]
    assert len(why["edge"]["contracts"]) >= 3


def test_m6_kalshi_down_changes_no_order_and_is_said(venue: Venue, tmp_path: Path) -> None:
    """503 at every call there: missing, with the reason; the orders are those of a run with the edge off."""
    venue.faults({"kind": "maintenance", "path": "/kalshi/*"})
    down = rebalanced(tmp_path / "down", venue)
    venue.faults()
    off = rebalanced(tmp_path / "off", venue, "opinions.edge=false")
    said = evenkeel(tmp_path / "down", "status", "--check")

    assert len(down) >= 3
    assert down == off
    assert edge(tmp_path / "down")["health"] == "missing"
    assert edge(tmp_path / "down")["reason"].startswith("Kalshi cannot be had")
    assert edge(tmp_path / "off")["health"] == "off"
    assert "edge missing: Kalshi cannot be had" in said.stdout
