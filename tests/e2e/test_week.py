"""A market week of the whole service through the real Roostoo client over HTTP, 88 pairs, on an accelerated clock."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from e2e.agreement import disagreements
from e2e.sandboxed import CAPITAL, WEEK, World, world
from evenkeel.types import Memory, TradingState

DAY = ("clock.from=2025-02-10", "clock.to=2025-02-11")
SHORT = os.environ.get("EVENKEEL_TEST_PROFILE") == "short"


def show(made: World, memory: Memory, days: int) -> None:
    """The counts, for people."""
    state = made.box.exchange.state(made.box.clock.now())
    counts = {kind: dict(found) for kind, found in sorted(memory.counts.items())}
    statuses = Counter(row["status"] for row in made.rows("orders"))
    sys.stdout.write(
        f"\n{days} d, {len(made.engine.rules.pairs)} pairs: slots {counts}; orders {dict(statuses)}, at the venue "
        f"{len(state['orders'])}; calls {len(made.calls.seen)}, at most {made.calls.most()} in a minute, "
        f"{made.calls.count(429)} answers of 429; cash {memory.cash} USD, fees {memory.fees} USD\n"
    )


def assert_sound(made: World, memory: Memory, days: int) -> None:
    """Every slot once; state, journal and venue alike to the last decimal; the venue was never asked too much."""
    venue = made.box.exchange.state(made.box.clock.now())
    rows = made.rows("slots")
    assert len(rows) == len({row["slot"] for row in rows}) == days * (96 + 44 + 4)
    assert {row["outcome"] for row in rows} <= {"done", "skipped"}
    assert memory.open_slots == ()
    assert memory.quarantined == {}
    assert disagreements(memory, made.rows("orders"), made.rows("fills"), venue, CAPITAL) == []
    assert not [line for line in made.log() if line["event"] in ("reconciled", "slot_left_open", "slot_failed")]
    assert len({order["pair"] for order in venue["orders"]}) > 8
    assert made.calls.most() <= 25
    assert made.calls.count(429) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("days", "window"), [(1, DAY)] if SHORT else [(7, WEEK)])
def test_a_week_of_slots_over_http(tmp_path: Path, capsys: pytest.CaptureFixture[str], days: int, window) -> None:
    """Each risk, score and rebalance slot of the days, real HTTP, nothing amiss at the end."""
    with world(tmp_path / "home", *window) as made:
        memory = made.run()
        with capsys.disabled():
            show(made, memory, days)

        assert_sound(made, memory, days)


def test_six_hours_over_http(tmp_path: Path) -> None:
    """The quick form: one rebalance and what follows until the next, ended in the middle and taken up again."""
    window = ("clock.from=2025-02-10", "clock.to=2025-02-10T06:00", "universe.stocks=false", "history.days=31")
    with world(tmp_path / "home", *window) as made:
        made.run(until=int(made.box.clock.now()) + 3_600)
        memory = made.run()
        venue = made.box.exchange.state(made.box.clock.now())

        assert disagreements(memory, made.rows("orders"), made.rows("fills"), venue, CAPITAL) == []
        assert memory.counts["rebalance"] == {"done": 1}
        assert made.calls.most() <= 25


def test_a_rebalance_of_every_coin_waits_for_its_turns_and_opens_no_breaker(tmp_path: Path) -> None:
    """Some sixty orders, four calls a minute left for them: our own queue is long, the venue answers at once."""
    window = (
        "clock.from=2025-02-10", "clock.to=2025-02-10T02:00", "history.days=31", "strategy=equal_weight",
        "venue.calls_per_minute=9",
    )  # fmt: skip
    with world(tmp_path / "home", *window) as made:
        made.watched = True
        memory = made.run()
        filled = [row for row in made.rows("orders") if row["status"] == "FILLED"]

        assert len(filled) >= 50
        assert made.calls.most() <= 9
        assert made.rows("alerts") == []
        assert (memory.trading_state, memory.trips) == (TradingState.ACTIVE, {})
