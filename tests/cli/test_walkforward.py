"""`walkforward` as its user meets it: folds, portfolio, the alarm, and one line in the ledger for each try."""

from __future__ import annotations

import sys

import pytest

from cli.fitted import candles
from evenkeel.research import trials

pytest.importorskip("optuna", reason="training needs the [train] extra")


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """Four months of hourly candles of ten assets in which nothing can be known ahead, before the hold-out."""
    return candles(tmp_path_factory.mktemp("walk") / "hours.parquet", 120, 0.0)


def entered(home):
    """Tries of the walk-forward family in the home's ledger."""
    return [trial for trial in trials.read(home / "data" / trials.FILE).trials if trial.family == "walkforward"]


def test_a_walk_prints_folds_and_portfolio_and_is_one_try_however_often(run, hours, tmp_path):
    words = ("walkforward", "--data", str(hours), "--folds", "2", "--no-baselines", "--json")
    first, second = run(tmp_path, *words), run(tmp_path, *words)

    assert first.code == 0, first.err
    document = first.json
    assert document["command"] == "walkforward"
    assert len(document["folds"]) == 2
    assert set(document["evidence"]) == {"6h", "24h", "mixed"}
    assert document["folds"][0]["strength"] == 0.002
    assert document["baselines"] == []
    low, high = document["portfolio"]["sharpe_interval"]
    assert low < document["portfolio"]["sharpe"] < high
    assert document["pbo"]["probability"] is None
    assert "10 are needed" in document["pbo"]["reason"]
    assert second.json["portfolio"]["orders_sha256"] == document["portfolio"]["orders_sha256"]
    assert [trial.status for trial in entered(tmp_path)] == [trials.FINISHED]


def test_a_walk_of_forecasts_alone_is_no_try_of_a_portfolio(run, hours, tmp_path):
    done = run(tmp_path, "walkforward", "--data", str(hours), "--folds", "2", "--no-portfolio", "--json")

    assert done.code == 0, done.err
    assert "portfolio" not in done.json
    assert entered(tmp_path) == []


def test_what_is_too_good_to_be_true_ends_with_4(run, tmp_path):
    """Candles in which every hour is pulled by the day before: no market is like that."""
    known = candles(tmp_path / "known.parquet", 120)

    done = run(tmp_path, "walkforward", "--data", str(known), "--folds", "2", "--no-portfolio", "--json")

    assert done.code == 4
    assert done.json["leak_alarm"] is True
    assert "leak alarm" in done.err


def test_too_little_history_is_one_sentence(run, hours, tmp_path):
    done = run(tmp_path, "walkforward", "--data", str(hours), "--folds", "50")

    assert done.code == 3
    assert "too little history for 50 folds" in done.err
    assert "Traceback" not in done.err


def test_a_machine_without_the_extra_is_told_before_the_walk(run, hours, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    done = run(tmp_path, "walkforward", "--data", str(hours), "--folds", "2")

    assert done.code == 3
    assert done.err.splitlines()[-1].endswith("LightGBM is not installed: python -m pip install 'evenkeel[train]'")
    assert "Traceback" not in done.err
    assert entered(tmp_path) == []
