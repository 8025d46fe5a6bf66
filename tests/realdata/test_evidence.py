"""Real candles: nothing knows what comes later, a planted leak is caught, a recorded run is its back-test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2e.program import ROOT, assert_refused, document, evenkeel, sets

SHARED = ROOT.parent / "shared" / "data"
HOURLY, HALF_HOURLY = SHARED / "spot_1h.parquet", SHARED / "perp_30m.parquet"
LESS = ("--times", "40", "--seeds", "4", "--json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HOURLY.exists(), reason=f"the shared candles are not here: {SHARED}"),
]


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    """Check -> verdict."""
    return {one["name"]: one["verdict"] for one in told["checks"]}


def test_four_years_of_hours_are_honest(tmp_path: Path) -> None:
    told = document(evenkeel(tmp_path, "honesty", "--data", str(HOURLY), *LESS))

    assert set(verdicts(told).values()) == {"ok"}
    assert told["data"]["to"] == "2025-07-01T00:00:00Z"


def test_a_planted_leak_is_caught_on_them(tmp_path: Path) -> None:
    """By recomputing and by the alarm."""
    done = evenkeel(tmp_path, "honesty", "--data", str(HOURLY), *LESS, "--plant", "leak")

    assert done.returncode == 4
    assert "truncation" in done.stderr
    assert "leak alarm" in done.stderr


def test_recorded_days_are_its_back_test(tmp_path: Path) -> None:
    """Slot by slot, to the last digit; and no other configuration is compared."""
    document(evenkeel(tmp_path, "data", "import", str(HALF_HOURLY), "--bar", "30m", "--json"))
    window = sets("clock.from=2025-06-01", "clock.to=2025-06-04")
    document(evenkeel(tmp_path, "run", "--config", "config/replay.yaml", *window, "--json"))
    told = document(evenkeel(tmp_path, "parity", "--from-journal", "--json"))

    assert told["identical"] is True
    assert told["fills"] == {"compared": told["orders"], "max_bps": 0.0, "mean_bps": 0.0}
    assert_refused(evenkeel(tmp_path, "parity", "--from-journal", "--set", "orders.band.score=0.02"), 4, "config")
