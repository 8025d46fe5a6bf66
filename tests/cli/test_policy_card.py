"""The card of a policy holds what the commands printed, and nothing that they did not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.fitted import candles
from evenkeel.units import utc

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

CARD = Path(__file__).parents[2] / "tools" / "card.py"
QUICK = (
    "--episodes", "24", "--bars", "24", "--seeds", "2", "--budgets", "1000,10000", "--jobs", "1", "--no-tracking"
)  # fmt: skip
SPARSE = tuple(f"--set=schedule.{kind}=1d" for kind in ("risk", "score", "rebalance"))


def test_a_card_is_made_of_what_was_printed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")
    hours = str(candles(tmp_path / "hours.parquet", 110, start=utc("2025-03-01")))
    told = ("--data", hours, "--until", "2025-06-01", "--regimes", "specialists", "--version", "vX", *QUICK)
    documents = [
        run(tmp_path, "train", "policy", *told, "--json"),
        run(tmp_path, "evaluate", "policy", "--model", "vX", "--data", hours, *SPARSE, "--json"),
        run(tmp_path, "evaluate", "policy", "--model", "vX", "--data", hours, "--no-portfolio", "--json"),
    ]
    for number, done in enumerate(documents):
        assert done.code == 0, done.err
        (tmp_path / f"{number}.json").write_text(done.out)

    made = subprocess.run(
        [sys.executable, str(CARD), *(str(tmp_path / f"{n}.json") for n in range(3))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    trained, judged = documents[0].json["bundles"][0], documents[1].json
    assert made.startswith("# policy vX\n")
    assert trained["digest"][:12] in made
    assert "**It does not.**" in made
    assert judged["verdict"] in made
    assert all(one["sentence"] in made for one in judged["portfolio"]["verdicts"])
    assert made.count("**median of 2 seeds**") == 6
    assert all(f"- {regime}: routing to it beat" in made for regime in ("trend", "chop", "down"))
    assert "None so far." in made
    assert str(tmp_path) not in made
