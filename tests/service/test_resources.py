"""What the service may cost: `status` at once, memory that does not grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.program import ROOT, SMALL, document, environment, evenkeel

FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
HEAVY = ("pandas", "lightgbm", "sqlite_utils", "ccxt")


def _imported(code: str, home: Path) -> set[str]:
    """Top-level modules that a piece of code has imported, in a process of its own."""
    tail = "import sys; sys.stderr.write(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, cwd=ROOT, check=True,
        env=environment(EVENKEEL_HOME=str(home)),
    )  # fmt: skip
    return set(done.stderr.split())


def test_status_loads_nothing_heavy(tmp_path: Path) -> None:
    """No pandas, lightgbm, sqlite_utils or ccxt; nor does a replay of the embedded market load them."""
    document(evenkeel(tmp_path, "run", *SMALL, "--json"))
    call = (
        "import sys; sys.argv = ['evenkeel', {}]\nfrom evenkeel.cli import main\ntry: main()\nexcept SystemExit: pass"
    )

    asked = _imported(call.format("'status', '--json'"), tmp_path)
    replayed = _imported(call.format(f"'run', *{SMALL!r}, '--json'"), tmp_path / "again")

    assert "evenkeel" in asked
    assert not asked & set(HEAVY)
    assert not replayed & {"pandas", "ccxt", "lightgbm", "sqlite_utils"}


@pytest.mark.slow
def test_the_measured_figures_keep_their_limits() -> None:
    """benchmarks/resources.py, over two months of 31 days (short profile: of 4 days, where growth is start-up)."""
    words = ["--months", "2", "--days", "31" if FULL else "4"]
    done = subprocess.run(
        [sys.executable, "benchmarks/resources.py", *words], capture_output=True, text=True, cwd=ROOT, check=True,
        env=environment(),
    )  # fmt: skip
    found = json.loads(done.stdout)

    assert found["status_cpu_s"] < found["limits"]["status_cpu_s"]
    assert max(found["rss_mb"]) < found["limits"]["rss_mb"]
    assert found["growth_mb"] < found["limits"]["growth_mb"] * (1 if FULL else 3)
