"""S3: everything is lost, and a home without state takes over an account that holds coins."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evenkeel.journal import recent
from evenkeel.service import control
from laws import world

HOUR = 3_600
LOST = world.START + 6 * HOUR
"""When everything is lost: after the account's first rebalance."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an account that was traded until then."""
    home = tmp_path_factory.mktemp("before")
    market = world.feed()
    with world.service(home, market, lambda path: world.venue(market, path)) as runner:
        for slot in world.window(0.25):
            runner.run(slot)
    return home / "state" / "paper.db"


def taken_over(account: Path, home: Path, hours: float, rules: Any = world.RULES, resumes_at: int = 0) -> Any:
    """(Memory after the first slot and at the end, times of purchases, alerts) of so many hours in a new home."""
    (home / "state").mkdir(parents=True)
    shutil.copy(account, home / "state" / "paper.db")
    market = world.feed()
    with world.service(home, market, lambda path: world.venue(market, path), rules=rules) as runner:
        first = None
        for slot in world.window(3):
            if LOST <= slot.time < LOST + hours * HOUR:
                if slot.time == resumes_at:
                    runner.store.commit(lambda m: control.told(m, "resume", "looked"))
                    resumes_at = 0
                runner.run(slot)
                first = first or runner.store.memory
        memory = runner.store.memory
    rows = {table: recent(home / "state" / "journal.db", table, limit=10**6) for table in ("orders", "alerts")}
    bought = sorted(row["time"] for row in rows["orders"] if row["side"] == "BUY")
    return first, memory, bought, rows["alerts"]


def test_s3_stops_stand_from_the_present_price_and_nothing_is_bought_for_a_day(account: Path, tmp_path: Path) -> None:
    """Adopted with an unknown basis, protected at once, told to a person; after 24 h of stops it buys again."""
    first, memory, bought, alerts = taken_over(account, tmp_path / "home", 36)

    shown = world.feed().view(LOST, 0)
    price, atr = (dict(zip(shown.assets, x.tolist(), strict=True)) for x in (shown.price, shown.atr))
    held = world.venue(world.feed(), account).holdings(LOST)
    assert len(held.units) > 3
    assert first.positions.keys() == held.units.keys()
    for asset, position in first.positions.items():
        stop = price[asset] - world.RULES.overlay.atr_multiple * atr[asset] * price[asset]
        assert (position.units, position.basis, position.opened) == (held.units[asset], None, LOST)
        assert position.stop == pytest.approx(stop)
        assert position.high >= price[asset]
    assert (first.cash, first.cold) == (held.cash, LOST)
    pages = [(row["asset"], row["time"]) for row in alerts if (row["level"], row["code"]) == ("page", "COLD_START")]
    assert sorted(pages) == [(asset, LOST) for asset in sorted(held.units)]

    assert memory.cold == LOST
    assert bought
    assert min(bought) >= LOST + 24 * HOUR


def test_s3_without_the_pause_it_would_have_bought_at_once(account: Path, tmp_path: Path) -> None:
    """What the test above would not see if nothing had been wanted."""
    rules = replace(world.RULES, overlay=replace(world.RULES.overlay, cold_start_h=0.0))

    assert min(taken_over(account, tmp_path / "home", 24, rules)[2]) < LOST + 24 * HOUR


def test_s3_a_person_who_has_looked_ends_it(account: Path, tmp_path: Path) -> None:
    """`resume`, and the next trading slot buys."""
    looked = LOST + 6 * HOUR
    _, memory, bought, _ = taken_over(account, tmp_path / "home", 24, resumes_at=looked)

    assert memory.cold == 0
    assert looked <= min(bought) < LOST + 24 * HOUR


def test_s3_a_stop_fires_in_the_cold(tmp_path: Path) -> None:
    """Held back are purchases, never exits: a coin that falls through its new stop is sold."""
    market = world.feed()
    shown = world.feed().view(LOST, 0)
    asset = "BTC"
    with world.service(tmp_path, market, lambda path: world.venue(market, path)) as runner:
        runner.broker.vault.put(asset, Decimal("0.5"))
        slots = [slot for slot in world.window(3) if slot.time >= LOST]
        runner.run(slots[0])
        position = runner.store.memory.positions[asset]
        assert math.isfinite(position.stop)
        runner.store.commit(
            lambda m: replace(
                m, positions={asset: replace(position, stop=2.0 * shown.price[shown.assets.index(asset)].item())}
            )
        )
        runner.run(next(slot for slot in slots if slot.time == LOST + HOUR))

        assert runner.store.memory.cold == LOST
        assert asset not in runner.store.memory.positions
        assert recent(tmp_path / "state" / "journal.db", "orders", limit=1)[0]["reason"] == "ATR_STOP"
