"""Real kill -9 of the real process over HTTP: no order lost, none doubled, each bound to one intent, soon."""

from __future__ import annotations

import os
import sys

import pytest

from faults.http_kill import many

RUNS = 300 if os.environ.get("EVENKEEL_TEST_PROFILE") == "full" else 30


@pytest.mark.slow
def test_kill_9_while_orders_go_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Answers are lost, reads fail, the process dies at drawn requests; then venue, state and journal agree."""
    told = many(RUNS, seed=7)
    with capsys.disabled():
        sys.stdout.write(f"\n{told.line()}\n")

    assert told.wrong == []
    assert (told.lost, told.doubled) == (0, 0)
    assert told.most <= 2
    assert told.kills >= RUNS
    assert told.places.keys() == {"before", "accepted", "answered"}
    assert told.requests > told.orders > 10 * RUNS
