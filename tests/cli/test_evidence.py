"""`honesty` and `parity` as people call them: tables, documents, exit codes, one sentence for what failed."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import fitted
from evenkeel.research.stages import STAGES

QUICK = ("--times", "10", "--seeds", "1")


def edit(home: Path, statement: str) -> None:
    """Change the journal by hand."""
    with contextlib.closing(sqlite3.connect(home / "state" / "journal.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


# ---------------------------------------------------------------- parity


def test_a_recorded_run_is_identical(played: Path, run: Any, fingerprint: Any) -> None:
    """The configuration is that of the run; the document has every stage; nothing in the home changes."""
    before = fingerprint(played)
    told = run(played, "parity", "--from-journal", "--json")

    assert told.code == 0, told.err
    assert told.json["identical"] is True
    assert told.json["difference"] is None
    assert [one["stage"] for one in told.json["stages"]] == list(STAGES)
    assert {one["verdict"] for one in told.json["stages"]} == {"identical"}
    assert told.json["slots"] == told.json["decisions"] == 216
    assert told.json["fills"]["max_bps"] == 0.0
    assert told.json["fills"]["compared"] > 10
    assert fingerprint(played) == before


def test_an_edited_row_ends_with_4_and_names_its_stage(played: Path, run: Any) -> None:
    edit(played, "UPDATE targets SET raw = raw * 0.99 WHERE raw > 0")
    told = run(played, "parity", "--from-journal", "--json")

    assert told.code == 4
    assert told.json["identical"] is False
    assert told.json["difference"]["stage"] == "raw weights"
    assert [one["verdict"] for one in told.json["stages"]] == ["identical"] * 4 + ["differs"] + ["identical before"] * 3
    assert told.err.startswith("evenkeel: parity ends at raw weights: raw of ")
    assert told.err.count("\n") == 1


def test_another_configuration_is_refused_in_one_sentence(played: Path, run: Any) -> None:
    told = run(played, "parity", "--from-journal", "--set", "costs.taker=20")

    assert told.code == 4
    assert told.err.startswith("evenkeel: parity ends at config: the run was recorded with ")
    assert told.err.count("\n") == 1


def test_without_a_run_it_is_not_ready(tmp_path: Path, run: Any) -> None:
    told = run(tmp_path, "parity", "--from-journal")

    assert told.code == 3
    assert "run something in this home first" in told.err
    assert list(tmp_path.iterdir()) == []


def test_what_it_compares_with_has_to_be_said(played: Path, run: Any) -> None:
    told = run(played, "parity")

    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "--from-journal" in told.err


# ---------------------------------------------------------------- honesty


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and ten days of ten coins."""
    path: Path = tmp_path_factory.mktemp("candles") / "hourly.parquet"
    fitted.candles(path, 110, 0.0)
    return path


@pytest.mark.slow
def test_honest_candles_pass(candles: Path, tmp_path: Path, run: Any) -> None:
    """The document has every check with figure, limit and verdict."""
    told = run(tmp_path, "honesty", "--data", str(candles), *QUICK, "--json")

    assert told.code == 0, told.err
    assert told.json["ok"] is True
    assert told.json["data"]["assets"] == 10
    assert len(told.json["checks"]) == 10
    assert all(set(one) == {"name", "verdict", "figure", "limit", "text"} for one in told.json["checks"])
    assert {one["verdict"] for one in told.json["checks"]} <= {"ok", "not judged"}


@pytest.mark.slow
def test_a_planted_leak_ends_with_4(candles: Path, tmp_path: Path, run: Any) -> None:
    told = run(tmp_path, "honesty", "--data", str(candles), *QUICK, "--plant", "leak")

    assert told.code == 4
    assert "evenkeel: honesty failed in " in told.err
    assert "planted lead" in told.err
    assert "Traceback" not in told.err
    assert "FAILED" in told.out


def test_a_machine_without_the_extra_is_told_at_once(
    candles: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    told = run(tmp_path, "honesty", "--data", str(candles), *QUICK)

    assert told.code == 3
    assert told.err.splitlines()[-1].endswith("LightGBM is not installed: python -m pip install 'evenkeel[train]'")
    assert "Traceback" not in told.err


def test_too_few_candles_are_one_sentence(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "short.parquet"
    fitted.candles(path, 20, 0.0)
    told = run(tmp_path, "honesty", "--data", str(path), *QUICK, "--json")

    assert told.code == 3
    assert "too little history" in told.err
    assert told.out == ""


def test_a_file_without_the_benchmark_is_one_sentence(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "alts.parquet"
    fitted.candles(path, 20, 0.0, assets=fitted.ASSETS[1:])
    told = run(tmp_path, "honesty", "--data", str(path), *QUICK)

    assert told.code == 3
    assert "BTC has no candle here" in told.err


def test_an_empty_archive_is_not_ready(tmp_path: Path, run: Any) -> None:
    told = run(tmp_path, "honesty", "--config", "config/replay.yaml", *QUICK)

    assert told.code == 3
    assert "evenkeel data import" in told.err
