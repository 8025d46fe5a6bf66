"""E1: the venue revokes the key of a running service, as the service meets it over HTTP."""

from __future__ import annotations

from pathlib import Path

from e2e.sandboxed import world
from evenkeel.sandbox.faults import Fault
from evenkeel.store import peek
from evenkeel.types import TradingState
from evenkeel.units import HOUR_S, iso

WINDOW = ("clock.from=2025-02-10", "clock.to=2025-02-10T03:00", "universe.stocks=false", "history.days=31")
REVOKED = [
    Fault("status", path=f"/roostoo/v3/{call}", status=401) for call in ("balance", "query_order", "place_order")
]
QUARTER = 900


def test_e1_a_service_whose_key_is_revoked_halts_loudly_and_goes_on_valuing(tmp_path: Path) -> None:
    """Three tries, one a slot, then HALTED with a page; nothing more is sent; what is held is valued at new prices."""
    with world(tmp_path / "home", *WINDOW) as made:
        made.watched = True
        start = int(made.box.clock.now())
        made.run(until=start + HOUR_S)
        orders, asked = len(made.rows("orders")), len(made.calls.seen)
        held = peek(made.home).view["positions"]
        made.later.append((start + HOUR_S, lambda: made.box.faults.replace(REVOKED)))
        memory = made.run()

        assert (memory.trading_state, made.log()[-1]["event"]) == (TradingState.HALTED, "slot_ended")
        assert memory.state_reason.startswith("ACCESS_REFUSED: roostoo balance: no access (HTTP 401)")
        slots = [row for row in made.rows("slots") if row["time"] >= start + HOUR_S]
        assert {(row["outcome"], row["reason"]) for row in slots} == {("failed", "account_unreadable")}
        refused = [path for _, path, status in made.calls.seen[asked:] if status == 401]
        assert refused == ["/roostoo/v3/balance"] * len(slots)
        pages = [row for row in made.rows("alerts") if row["level"] == "page"]
        assert [(row["code"], row["time"]) for row in pages] == [("ACCESS_REFUSED", start + HOUR_S + QUARTER)]
        assert [line["level"] for line in made.log() if line["event"] == "breakers"] == ["error"]
        assert len(made.rows("orders")) == orders > 0

        shown = peek(made.home).view
        assert shown["slot"].endswith(iso(start + 3 * HOUR_S - QUARTER))
        assert shown["positions"].keys() == held.keys()
        assert [p["price_usd"] for p in shown["positions"].values()] != [p["price_usd"] for p in held.values()]
