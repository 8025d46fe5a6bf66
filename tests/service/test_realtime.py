"""The service on the computer's clock, as a process of its own, against an exchange on loopback."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from e2e.program import document, evenkeel, log, running, sets, state, until
from evenkeel.errors import StateError
from evenkeel.journal import recent
from evenkeel.store import send
from venues.binance_server import BinanceServer

COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "BNB", "LTC")
CADENCE = {"risk": 1, "score": 2, "rebalance": 6}


class Exchange(BinanceServer):
    """The loopback exchange, whose clock is the computer's; `stuck` holds every request of a path while it is there."""

    def __init__(self) -> None:
        began = int(time.time()) // 86_400 * 86_400 - 90 * 86_400
        super().__init__(now=0.0, listed={f"{coin}USDT": began for coin in COINS})
        self.stuck: set[str] = set()
        bar = int(time.time()) // 1_800 * 1_800
        self.gaps = {("LTCUSDT", bar + n * 1_800) for n in range(-2, 3)}  # so that every pass asks for candles again

    @property
    def now(self) -> float:  # type: ignore[override]
        """UTC s."""
        return time.time()

    @now.setter
    def now(self, value: float) -> None:
        """The clock cannot be set."""

    def serve(self, handler: Any) -> None:
        """Answer, unless the path is stuck."""
        path = handler.path.partition("?")[0].removeprefix("/api/v3/")
        while path in self.stuck:
            time.sleep(0.05)
        super().serve(handler)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A fresh one."""
    with Exchange() as server:
        yield server


def options(server: Exchange, *more: str) -> list[str]:
    """A dry run on that exchange with second-sized cadences."""
    return sets(
        "feed.kind=ccxt", f"feed.hosts=[{server.url}]", "feed.confirm_s=0", "feed.timeout_s=5",
        "schedule.risk=1", "schedule.score=2", "schedule.rebalance=6", "schedule.settle_s=0", "schedule.bar_wait=3",
        "history.days=60", f"universe.only=[{','.join(COINS)}]",
        "overlay.participation=1", "costs.impact.tier1=1", "costs.impact.tier2=1", "costs.impact.tier3=1",
        "logging.level=debug", "opinions.edge=false", *more,
    )  # fmt: skip


@contextmanager
def service(home: Path, server: Exchange, *more: str) -> Iterator[Any]:
    """The running service; its stderr lies beside the home."""
    with (home.parent / "stderr").open("w+") as stderr, running(
        home, "run", "--json", *options(server, *more), stderr=stderr
    ) as process:  # fmt: skip
        yield process


def stopped(process: Any, home: Path, within: float = 10.0) -> dict[str, Any]:
    """SIGTERM; exit 0 in time, without a traceback; -> what it printed."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=within + 5)
    assert time.monotonic() - began < within
    said = (home.parent / "stderr").read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said, said
    found: dict[str, Any] = json.loads(out)
    return found


def slots(home: Path) -> list[dict[str, Any]]:
    """Journal rows of all slots."""
    try:
        return recent(home / "state" / "journal.db", "slots", limit=10**9)
    except StateError:  # it is being made just now
        return []


def held(home: Path) -> dict[str, Decimal]:
    """The paper account."""
    with closing(sqlite3.connect(home / "state" / "paper.db", timeout=10)) as venue:
        rows = venue.execute("select asset, quantity from balances").fetchall()
    return {asset: Decimal(quantity) for asset, quantity in rows if Decimal(quantity)}


def orders(home: Path) -> int:
    """How many orders the venue has."""
    with closing(sqlite3.connect(home / "state" / "paper.db", timeout=10)) as venue:
        return int(venue.execute("select count(*) from orders").fetchone()[0])


def trading(home: Path) -> str:
    """The remembered trading state."""
    return str(state(home).get("memory", {}).get("trading_state", ""))


def bought(home: Path) -> bool:
    """Whether anything is held."""
    return (home / "state" / "paper.db").exists() and bool(state(home).get("memory", {}).get("positions"))


def assert_sound(home: Path, *, off_grid: bool = False) -> None:
    """Every slot once and on its grid; memory and venue agree; nothing was adopted that our own fills explain."""
    rows = slots(home)
    names = [row["slot"] for row in rows]
    assert len(names) == len(set(names))
    if not off_grid:
        assert all(row["time"] % CADENCE[row["kind"]] == 0 for row in rows)
    kinds = {kind: [row["time"] for row in rows if row["kind"] == kind] for kind in CADENCE}
    assert not any(time_ % CADENCE["rebalance"] == 0 for time_ in kinds["score"])
    memory = state(home)["memory"]
    if not memory["open_slots"]:
        units = {asset: Decimal(row["units"]) for asset, row in memory["positions"].items()}
        assert {"USD": Decimal(memory["cash"]), **units} == held(home)
    assert not [line for line in log(home) if line["event"] in ("reconciled", "lane_failed", "slot_failed")]


@pytest.mark.slow
def test_a_day_in_the_life_of_the_service(exchange: Exchange, tmp_path: Path) -> None:
    """Slots on the grid, orders filled, a halt, a marker, a flatten, a SIGTERM, and a next start."""
    home = tmp_path / "home"
    with service(home, exchange) as process:
        until(lambda: bought(home), what="orders are filled")
        until(lambda: len([r for r in slots(home) if r["kind"] == "risk" and r["outcome"] == "done"]) > 4, what="risk")
        assert held(home).keys() > {"USD"}
        assert_sound(home)

        send(home, "halt", "test", wall_time=time.time())
        until(lambda: trading(home) == "HALTED", what="halted")
        count = orders(home)
        send(home, "resume", "test", wall_time=time.time())
        until(lambda: trading(home) == "ACTIVE", what="resumed")

        (home / "state" / "HALT").touch()
        until(lambda: trading(home) == "HALTED", what="halted by the marker")
        send(home, "resume", "test", wall_time=time.time())
        until(lambda: trading(home) == "ACTIVE", what="resumed")
        assert not (home / "state" / "HALT").exists()
        assert orders(home) >= count

        send(home, "flatten", "test", wall_time=time.time())
        until(lambda: trading(home) == "HALTED" and held(home).keys() == {"USD"}, what="all closed, then halted")
        ended = stopped(process, home)
    assert ended["slots"]["risk"]["done"] > 4
    assert_sound(home, off_grid=True)
    before = len(slots(home))

    with service(home, exchange) as process:
        until(lambda: len(slots(home)) > before + 3, what="the next start goes on")
        stopped(process, home)
    assert trading(home) == "HALTED"
    assert held(home).keys() == {"USD"}
    assert_sound(home, off_grid=True)


@pytest.mark.slow
def test_one_slot_at_a_time(exchange: Exchange, tmp_path: Path) -> None:
    """`--once rebalance` buys, `--once risk` checks; each prints what it did."""
    home = tmp_path / "home"

    first = document(evenkeel(home, "run", "--once", "rebalance", "--json", *options(exchange)))
    second = document(evenkeel(home, "run", "--once", "risk", "--json", *options(exchange)))

    assert (first["outcome"], first["slot"].partition("@")[0]) == ("done", "rebalance")
    assert first["orders"] > 0
    assert (second["outcome"], second["slot"].partition("@")[0], second["orders"]) == ("done", "risk", 0)
    assert len(held(home)) == first["orders"] + 1
    assert_sound(home, off_grid=True)


@pytest.mark.slow
def test_sigterm_while_a_slot_waits_for_a_hanging_exchange(exchange: Exchange, tmp_path: Path) -> None:
    """At the very start, the bars do not come: exit 0 within 10 s; the next start, with them, trades."""
    home = tmp_path / "home"
    exchange.stuck.add("klines")
    with service(home, exchange, "feed.timeout_s=60") as process:
        until(lambda: exchange.count("exchangeInfo") and state(home), what="it asks for bars")
        until(lambda: [row for row in slots(home) if row["kind"] == "risk"], what="the risk lane goes on")
        stopped(process, home)
    assert {row["reason"] for row in slots(home)} <= {"feed_unavailable"}

    exchange.stuck.clear()
    with service(home, exchange) as process:
        until(lambda: bought(home), what="orders are filled")
        stopped(process, home)
    assert_sound(home)


@pytest.mark.slow
def test_risk_is_on_time_while_trading_hangs(exchange: Exchange, tmp_path: Path) -> None:
    """Candles hang for 12 s: risk slots keep their time, trading slots are skipped with a word, none runs twice."""
    home = tmp_path / "home"
    with service(home, exchange, "feed.timeout_s=60") as process:
        until(lambda: bought(home), what="orders are filled")
        exchange.stuck.add("klines")
        began = until(lambda: _stuck(home), what="a trading slot waits")
        time.sleep(12)
        exchange.stuck.clear()
        until(lambda: _trading(home, began) and _trading(home, began)[-1]["time"] > began + 14, what="it goes on")
        stopped(process, home)
    assert_sound(home)
    risks = [line for line in log(home) if line["event"] == "decided" and line["slot"].startswith("risk@")]
    late = [line for line in risks if _lateness(line) > 5]
    assert not late, late
    times = {row["time"] for row in slots(home) if row["kind"] == "risk"}
    assert all(time_ in times for time_ in range(began + 1, began + 12))
    words = {row["reason"] for row in _trading(home, began) if row["outcome"] == "skipped"}
    assert words & {"late", "busy"}, words
    assert words <= {"late", "busy", "no_new_bar"}, words


def _stuck(home: Path) -> int:
    """Now (UTC s), once no trading slot has ended for four seconds; 0 before."""
    now = int(time.time())
    last = max((row["time"] for row in slots(home) if row["kind"] != "risk"), default=now)
    return now if now - last > 4 else 0


def _trading(home: Path, since: int) -> list[dict[str, Any]]:
    return [row for row in slots(home) if row["kind"] != "risk" and row["time"] >= since]


def _lateness(line: dict[str, Any]) -> float:
    from datetime import datetime

    due = datetime.fromisoformat(line["slot"].partition("@")[2])
    return (datetime.fromisoformat(line["wall"]) - due).total_seconds()


@pytest.mark.slow
def test_an_exchange_that_is_down_is_waited_for(exchange: Exchange, tmp_path: Path) -> None:
    """Down from the start: the loop lives, says so, and trades once it is back; down again: risk slots are skipped."""
    home = tmp_path / "home"
    exchange.blocked = True
    with service(home, exchange) as process:
        until(lambda: any(row["reason"] == "feed_unavailable" for row in slots(home)), what="said")
        exchange.blocked = False
        until(lambda: bought(home), what="orders are filled")
        exchange.blocked = True
        at = int(time.time()) + 1
        until(lambda: [r for r in slots(home) if r["reason"] == "feed_unavailable" and r["time"] >= at], what="said")
        exchange.blocked = False
        back = int(time.time()) + 1
        until(lambda: [r for r in slots(home) if r["outcome"] == "done" and r["time"] > back], what="it recovers")
        stopped(process, home)
    assert_sound(home)


@pytest.mark.slow
def test_kill_9_and_start_again(exchange: Exchange, tmp_path: Path) -> None:
    """Five deaths at any moment: no slot twice, no order lost or doubled, memory and venue agree."""
    home = tmp_path / "home"
    for number in range(5):
        with service(home, exchange) as process:
            until(lambda n=number: len(slots(home)) > 4 * n + 1, what="slots")
            time.sleep(0.37 * number)
            process.kill()
    before = len(slots(home))
    with service(home, exchange) as process:
        until(lambda: bought(home) and len(slots(home)) > before + 2, what="orders are filled, slots end")
        stopped(process, home)
    assert_sound(home)
