"""The RL trader as a job of its own: on the computer's clock against a loopback Coinbase, for some seconds."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from e2e.program import document, evenkeel, log, sets, state
from evenkeel import artifacts
from evenkeel.journal import recent
from laws import taught
from venues.coinbase_server import CoinbaseServer

JOB = ("--config", "config/rl.yaml", "--symbols", "BTC-USD,ETH-USD", "--capital", "1000")


def options(server: CoinbaseServer) -> list[str]:
    """That exchange, and cadences of seconds."""
    return sets(
        f"feed.hosts=[{server.url}]", "feed.confirm_s=0", "schedule.risk=1", "schedule.score=2", "schedule.rebalance=6",
        "schedule.settle_s=0", "schedule.bar_wait=3", "overlay.vol_target=5",
    )  # fmt: skip


def held(home: Path) -> dict[str, Decimal]:
    """The paper account."""
    with closing(sqlite3.connect(home / "state" / "paper.db", timeout=10)) as venue:
        rows = venue.execute("select asset, quantity from balances").fetchall()
    return {asset: Decimal(quantity) for asset, quantity in rows if Decimal(quantity)}


def said(home: Path) -> dict[str, Any]:
    """What the journal's last trading plan says of the policy."""
    rows = recent(home / "state" / "journal.db", "plans", limit=10_000)
    trading = [row for row in rows if not row["slot"].startswith("risk@")]
    found: dict[str, Any] = json.loads(trading[-1]["plan"])["opinions"]["policy"]
    return found


@pytest.mark.slow
def test_the_job_trades_its_coins_with_its_cash_and_ends_by_itself(tmp_path: Path) -> None:
    """Half of 97 % in each of two coins; one that was taught until now: missing, nothing bought, and it goes on."""
    home, now = tmp_path / "home", int(time.time())
    bundle = taught.bundle(home / "models", "mine", until=now - 5 * 86_400, still=True, eager=1.0, discrete=True)
    artifacts.promote("policy", "mine", home / "models", home / "none")
    with CoinbaseServer({f"{coin}-USD": now - 90 * 86_400 for coin in ("BTC", "ETH", "SOL")}) as server:
        began = time.monotonic()
        ended = document(evenkeel(home, "run", *JOB, "--duration", "20s", "--json", *options(server)))
        took = time.monotonic() - began

        assert 20 < took < 60
        assert (ended["outcome"], ended["slots"]["risk"]["failed"]) == ("stopped", 0)
        assert held(home).keys() == {"USD", "BTC", "ETH"}
        assert Decimal(10) < held(home)["USD"] < Decimal(60)
        positions = state(home)["view"]["positions"]
        assert [p["weight"] for p in positions.values()] == pytest.approx([0.485, 0.485], abs=0.01)
        assert said(home)["version"] == f"mine {bundle.digest[:12]}"
        assert said(home)["x"] == {"BTC": 1.0, "ETH": 1.0} or said(home)["x"] == {"BTC": 0.0, "ETH": 0.0}
        assert not [line for line in log(home) if line["event"] in ("lane_failed", "slot_failed")]
        status = document(evenkeel(home, "status", "--json"))
        assert status["opinions"]["policy"]["health"] == "ok"
        why = document(evenkeel(home, "why", "ETH", "--json"))
        assert (why["policy"]["mode"], why["policy"]["actors"]) == ("discrete", {"general": 1.0})

        bare = tmp_path / "bare"
        taught.bundle(bare / "models", "late", until=now, still=True, eager=1.0, discrete=True)
        artifacts.promote("policy", "late", bare / "models", bare / "none")
        document(evenkeel(bare, "run", *JOB, "--duration", "15s", "--json", *options(server)))
        assert held(bare) == {"USD": Decimal(1000)}
        assert said(bare)["health"] == "missing"
        assert said(bare)["reason"].startswith("trained on what is shown here")
        assert len([r for r in recent(bare / "state" / "journal.db", "slots", limit=999) if r["outcome"] == "done"]) > 5
