"""The venue changes its rules while the service runs: precision, suspension, and back; plans keep to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from e2e.agreement import disagreements
from e2e.sandboxed import CAPITAL, World, world
from evenkeel import wiring
from evenkeel.sandbox.faults import Fault

COINS = "BTC,ETH,SOL,XRP,BNB,LINK,UNI,LTC,ADA,AVAX,DOT,NEAR"
WINDOW = (
    "clock.from=2025-02-10", "clock.to=2025-02-11T02:00", "strategy=equal_weight",
    "orders.band.rebalance=0.0005", f"universe.only=[{COINS}]",
    "history.days=31",
)  # fmt: skip
COARSE = Fault("precision", path="/roostoo/*", amount_decimals=1)
SUSPENDED = Fault("suspend", path="/roostoo/*", asset="LINK")


def at(made: World, hours: float) -> int:
    """So many hours after the window's start, UTC s."""
    return wiring.window(made.loaded.config)[0] + int(hours * 3_600)


def taken(made: World, since: float, before: float) -> dict[str, int]:
    """Assets of the orders that the venue took between two hours, and the most decimals of their quantities."""
    found: dict[str, int] = {}
    for order in made.box.exchange.state(made.box.clock.now())["orders"]:
        if at(made, since) <= order["created"] < at(made, before):
            asset, used = order["pair"].partition("/")[0], len(order["quantity"].partition(".")[2])
            found[asset] = max(used, found.get(asset, 0))
    return found


def told(made: World) -> list[dict[str, list[str]]]:
    """What was logged of the venue's rules."""
    kinds = ("changed", "suspended", "resumed", "new")
    return [{k: line[k] for k in kinds if k in line} for line in made.log() if line["event"] == "venue_rules"]


@pytest.mark.slow
def test_new_precision_and_a_suspension_take_effect_at_the_next_slot(tmp_path: Path) -> None:
    """One decimal only, LINK suspended: no order is refused, LINK keeps its units; afterwards all is as before."""
    with world(tmp_path / "home", *WINDOW) as made:
        made.later += [
            (at(made, 1), lambda: made.box.faults.replace([COARSE, SUSPENDED])),
            (at(made, 13), lambda: made.box.faults.replace([])),
        ]
        memory = made.run()
        venue = made.box.exchange.state(made.box.clock.now())

        changed = sorted(
            pair.asset for pair in made.engine.rules.pairs if pair.amount_decimals != 1 and pair.asset != "LINK"
        )
        assert told(made) == [{"changed": changed, "suspended": ["LINK"]}, {"changed": changed, "resumed": ["LINK"]}]
        first, coarse, again = (taken(made, *hours) for hours in ((0, 1), (1, 13), (13, 26)))
        assert max(first.values()) > max(coarse.values()) == 1 < max(again.values())
        assert "LINK" in first.keys() & again.keys() - coarse.keys()
        assert {row["status"] for row in made.rows("orders")} == {"FILLED"}
        assert disagreements(memory, made.rows("orders"), made.rows("fills"), venue, CAPITAL) == []


@pytest.mark.slow
def test_a_refusal_for_its_step_is_understood_at_once(tmp_path: Path) -> None:
    """The rules change between the plan and its orders: refused, asked for anew, and the next slot is legal."""
    with world(tmp_path / "home", *WINDOW) as made:
        told_late = replace(COARSE, path="*/exchangeInfo", first=3)
        made.box.faults.replace([replace(COARSE, path="*/place_order"), told_late])
        made.run(until=at(made, 7))
        rows = made.rows("orders")
        refused = [row for row in rows if row["status"] == "REJECTED"]

        assert refused
        assert "quantity step size error" in refused[0]["note"]
        assert all("more than 1 decimals" in row["note"] for row in refused[1:])
        assert {row["slot"] for row in refused} == {"rebalance@2025-02-10T00:00:00Z"}
        assert {row["status"] for row in rows if row["slot"] != refused[0]["slot"]} == {"FILLED"}
