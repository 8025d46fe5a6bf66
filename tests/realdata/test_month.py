"""Real candles through the whole program: the same month by service and by back-test, twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e.program import ROOT, document, evenkeel, sets

DATA = ROOT.parent / "shared" / "data" / "perp_30m.parquet"
FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
DAYS = 31 if FULL else 3
LAST = "2025-08-01" if FULL else "2025-07-04"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason=f"the shared candles are not here: {DATA}"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the perpetuals' 30-minute candles."""
    made = tmp_path_factory.mktemp("month")
    report = document(evenkeel(made, "data", "import", str(DATA), "--bar", "30m", "--json", timeout=300))
    assert (report["assets"], report["rows"]) == (66, 928_363)
    return made


def test_a_month_of_real_bars(home: Path) -> None:
    """Every slot ends once; the back-test sends the same orders; a second run writes the same journal."""
    words = ["--config", "config/replay.yaml", *sets("clock.from=2025-07-01", f"clock.to={LAST}"), "--json"]

    first = document(evenkeel(home, "run", *words, timeout=900))
    tested = document(evenkeel(home, "backtest", "--from", "2025-07-01", "--to", LAST, "--json", timeout=900))
    second = document(evenkeel(home, "run", *words, timeout=900))

    assert {kind: sum(counts.values()) for kind, counts in first["slots"].items()} == {
        "risk": 96 * DAYS, "score": 44 * DAYS, "rebalance": 4 * DAYS,
    }  # fmt: skip
    assert not sum(counts["failed"] for counts in first["slots"].values())
    assert first["orders_sha256"] == tested["orders_sha256"]
    for name in ("orders_sha256", "journal_sha256", "state_sha256"):
        assert first[name] == second[name], name
    assert first["metrics"]["orders"] >= (100 if FULL else 10)
    if FULL:
        assert first["metrics"]["stop_exits"] >= 5
