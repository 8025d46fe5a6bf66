"""status: JSON names, health checks, and what it must not import."""

from __future__ import annotations

import os
import subprocess
import sys

from evenkeel import cli, store
from evenkeel.cli import inspect, remembered
from evenkeel.types import Identity, Memory


def test_status_tells_state_money_positions_opinions_and_slots(run, played):
    said = run(played, "status", "--json")

    assert said.code == 0
    document = said.json
    assert set(document["opinions"]) == {"alpha", "policy", "edge", "rule"}
    assert document["opinions"]["policy"]["health"] == "missing"
    assert document["slots"]["risk"] | {"last": 0, "next": 0} == {
        "done": 144, "skipped": 0, "failed": 0, "last": 0, "next": 0,
    }  # fmt: skip
    assert document["slots"]["risk"]["next"] is None
    assert document["trading_state"] == "ACTIVE"
    assert document["mode"] == "dry_run"
    assert document["clock"] == "virtual"
    assert not document["running"]
    assert document["unresolved"] == []
    assert document["positions"]
    for position in document["positions"].values():
        assert {"weight", "value_usd", "return", "stop_usd"} <= set(position)
    total = float(document["cash"]) + sum(p["value_usd"] for p in document["positions"].values())
    assert abs(total / document["equity"] - 1) < 0.01


def test_status_for_people_says_the_same(run, played):
    said = run(played, "status")

    assert said.code == 0
    assert "equity" in said.out
    assert "alpha opinion" in said.out


def test_check_is_one_line_and_healthy(run, played):
    said = run(played, "status", "--check")

    assert said.code == 0
    assert said.out.startswith("healthy; ")
    assert said.out.count("\n") == 1
    assert "; edge missing: the embedded market quotes no event contracts" in said.out


def test_check_without_a_state_is_not_ready(run, tmp_path):
    said = run(tmp_path, "status", "--check")

    assert said.code == 3
    assert said.err.count("\n") == 1


def test_check_is_degraded_while_halted(run, played):
    store.set_halt(played, "test", wall_time=0.0)

    said = run(played, "status", "--check")

    assert said.code == 5
    assert said.out.startswith("degraded: ")
    assert said.out.count("\n") == 1


def test_the_quick_way_and_typer_say_the_same(run, played, monkeypatch):
    quick = run(played, "status", "--json").json
    monkeypatch.setattr(cli, "_quick_status", lambda _: None)
    slow = run(played, "status", "--json").json

    assert {**quick, "progress": 0} == {**slow, "progress": 0}


def test_status_imports_nothing_heavy(played):
    """Issue 2, must show 10: neither pandas, lightgbm, sqlite_utils nor ccxt."""
    code = (
        "import sys\n"
        f"sys.argv = ['evenkeel', '--home', {str(played)!r}, 'status', '--json']\n"
        "from evenkeel import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'pandas', 'lightgbm', 'sqlite_utils', 'ccxt', 'pyarrow', 'pydantic', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )

    assert done.returncode == 0, done.stderr


def test_the_next_slots_are_those_of_the_runs_own_periods(tmp_path):
    """Before any slot has ended, too; without the run's configuration nothing is said."""
    memory = Memory(Identity("paper", "a", "real", ""), 0)
    (tmp_path / "state").mkdir()
    unknown = remembered.periods(tmp_path)
    (tmp_path / "state" / "config.json").write_text('{"schedule": {"risk": "20s", "score": "1m", "rebalance": "2m"}}')
    known = remembered.periods(tmp_path)

    assert unknown == {}
    assert {row["next"] for row in inspect._slots(memory, 70.0, unknown).values()} == {None}
    assert {kind: row["next"] for kind, row in inspect._slots(memory, 70.0, known).items()} == {
        "risk": "1970-01-01T00:01:20Z", "score": "1970-01-01T00:03:00Z", "rebalance": "1970-01-01T00:02:00Z",
    }  # fmt: skip
