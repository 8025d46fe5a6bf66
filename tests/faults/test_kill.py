"""Kill -9 at random moments of a replay changes nothing: same orders, same journal, same state, no slot twice."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from faults.torment import torment, undisturbed

FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
DAYS, KILLS = (14, 50) if FULL else (7, 12)
OPTIONS = ("--config", "config/demo.yaml", "--set", f"clock.to=2025-02-{10 + DAYS}")
SLOTS = DAYS * (96 + 44 + 4)


@pytest.mark.slow
def test_a_killed_replay_ends_as_an_undisturbed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders, journal and state of a run that died again and again are those of one that did not."""
    calm = undisturbed(tmp_path / "calm", OPTIONS)

    told = torment(tmp_path / "killed", OPTIONS, kills=KILLS, slots=SLOTS, seed=20_261_121)
    with capsys.disabled():
        sys.stdout.write(f"\nwhere {KILLS} kills fell:\n{told.histogram()}\n")

    for name in ("orders_sha256", "journal_sha256", "state_sha256", "slots"):
        assert told.result[name] == calm[name], name
    with sqlite3.connect(tmp_path / "killed" / "state" / "journal.db") as journal:
        (twice,) = journal.execute("select count(*) - count(distinct slot) from slots").fetchone()
    assert twice == 0
    assert sum(count for kind, count in told.kinds.items() if kind != "risk") * 2 >= KILLS
