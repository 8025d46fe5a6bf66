"""D8: a coin is redenominated 1:1000 (or back) while the service holds it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenkeel.engine.replay import Replay
from evenkeel.journal import recent
from evenkeel.market import panel as panels
from evenkeel.service import control
from evenkeel.signals.compute import compute
from evenkeel.types import Brain, Plan, SlotKind
from laws import world

BAR = 1_800
WHEN = world.START + world.DAY + 9 * 3_600
"""Close of the first bar at the new price, in the middle of a day that has traded."""


def feed(asset: str, factor: Decimal) -> Replay:
    """The small world in which a coin's price is divided by a factor from a bar on."""
    market = world.panel()
    given = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    rows, column = market.time >= WHEN, market.assets.index(asset)
    for name, array in given.items():
        array[rows, column] *= float(factor if name == "volume" else 1 / factor)
    changed = panels.panel(market.time, market.assets, bar_s=market.bar_s, **given)
    return Replay(compute(changed, Brain(), world.SIGNALS, world.first_row(changed)))


@pytest.fixture(scope="module")
def asset() -> str:
    """The largest holding just before."""
    plans: list[Plan] = []
    world.backtested(on_plan=plans.append)
    last = [plan for plan in plans if plan.slot.time < WHEN][-1]
    return last.assets[int(np.argmax(last.held))]


def lived(home: Path, asset: str, factor: Decimal, moved_s: int, resumes_at: int = 0) -> Any:
    """(Memory before, Memory after, equity rows, orders, alerts) of two days in which units move `moved_s` later."""
    market = feed(asset, factor)
    with world.service(home, market, lambda path: world.venue(market, path)) as runner:
        before = None
        for slot in world.window(1.75):
            if slot.time >= WHEN + moved_s and before is None:
                before = runner.store.memory
                vault = runner.broker.vault
                vault.put(asset, vault.balance(asset) * factor)
            if resumes_at and slot.time >= resumes_at:
                runner.store.commit(lambda m: control.told(m, "resume", "looked"))
                resumes_at = 0
            runner.run(slot)
        after = runner.store.memory
    tables = ("equity", "orders", "alerts")
    return before, after, *(recent(home / "state" / "journal.db", table, limit=10**6) for table in tables)


@pytest.mark.parametrize(("moved_s", "doubted"), [(0, True), (900, True), (BAR, False)])
def test_d8_a_coin_renamed_1_to_1000_is_frozen_and_told_and_is_neither_a_crash_nor_a_deposit(
    tmp_path: Path, asset: str, moved_s: int, doubted: bool
) -> None:
    """Units move with the first price, between it and the one that confirms it, or with that: the same comes of it."""
    before, after, equity, orders, alerts = lived(tmp_path / "home", asset, Decimal(1_000), moved_s)
    was, now = before.positions[asset], after.positions[asset]

    assert now.units == was.units * 1_000
    assert now.basis == was.basis / 1_000
    assert now.stop == pytest.approx(was.stop / 1_000)
    assert was.high / 1_000 <= now.high < was.high / 900
    assert after.quarantined == {asset: "REDENOMINATED: units x 1000"}
    codes = [row["code"] for row in sorted(alerts, key=lambda row: row["time"]) if row["asset"] == asset]
    assert codes == ["UNITS_DOUBTED"] * codes.count("UNITS_DOUBTED") + ["REDENOMINATED"]
    assert ("UNITS_DOUBTED" in codes) is doubted
    assert [row["level"] for row in alerts if row["code"] == "REDENOMINATED"] == ["page"]

    later = [row for row in orders if row["time"] >= WHEN]
    assert asset not in {row["asset"] for row in later}
    assert later  # the others go on
    assert after.flows == before.flows
    around = sorted((row["time"], row["equity"]) for row in equity if abs(row["time"] - WHEN) <= 4 * BAR)
    steps = np.diff(np.log([value for _, value in around]))
    assert np.abs(steps).max() < 0.02
    assert {row["scale"] for row in equity if row["time"] >= WHEN} == {
        row["scale"] for row in equity if row["time"] < WHEN
    }


def test_d8_after_a_person_has_looked_it_is_held_and_stopped_in_its_new_units(tmp_path: Path, asset: str) -> None:
    """`resume` releases the pair: it trades on, and no stop of the old price fires."""
    _, after, _, orders, _ = lived(tmp_path / "home", asset, Decimal(1_000), 0, resumes_at=WHEN + 4 * BAR)

    assert after.quarantined == {}
    exits = [row for row in orders if row["asset"] == asset and WHEN <= row["time"] < WHEN + 6 * BAR]
    assert not [row for row in exits if row["reason"] != "TARGET"]


def test_d8_a_thousand_for_one_is_the_same_the_other_way(tmp_path: Path, asset: str) -> None:
    """Few and dear where there were many and cheap."""
    before, after, _, orders, _ = lived(tmp_path / "home", asset, Decimal("0.001"), 900)

    assert after.positions[asset].units == before.positions[asset].units / 1_000
    assert after.positions[asset].stop == pytest.approx(before.positions[asset].stop * 1_000)
    assert after.quarantined == {asset: "REDENOMINATED: units x 0.001"}
    assert asset not in {row["asset"] for row in orders if row["time"] >= WHEN}


def test_d8_units_that_move_at_a_price_that_stays_are_a_deposit(tmp_path: Path, asset: str) -> None:
    """Adopted as ever, and no pair is frozen for it."""
    market = world.feed()
    with world.service(tmp_path, market, lambda path: world.venue(market, path)) as runner:
        for slot in world.window(1.5):
            if slot.time == WHEN and slot.kind is SlotKind.RISK:
                runner.broker.vault.put(asset, runner.broker.vault.balance(asset) * 3)
            if slot.time <= WHEN:
                runner.run(slot)

        assert runner.store.memory.quarantined == {}
        assert runner.store.memory.positions[asset].basis is None
