"""`train kalshi`, `evaluate kalshi`, `models promote kalshi` and `kalshi backtest` as a person types them."""

from __future__ import annotations

import csv
import re

import pytest

from research import kalshi_files as files


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of all three kinds."""
    folder = tmp_path_factory.mktemp("settled")
    candles, markets = files.games(folder, count=120)
    return {
        "games": ("--data", str(candles), "--results", str(markets)),
        "ladders": ("--data", str(files.ladders(folder, hours=40))),
        "quarters": ("--data", str(files.quarters(folder))),
    }


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No shipped bundle, and an ensemble of a few trees."""
    from evenkeel.research.kalshi import fit_ensemble

    few = fit_ensemble.Settings(logistic=(1.0,), forest=(0.05,), boosting=(10,), trees=5)
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")
    monkeypatch.setattr(fit_ensemble, "Settings", lambda: few)


def test_a_bundle_grows_part_by_part_and_is_promoted_with_its_verdicts(run, tmp_path, data):
    first = run(tmp_path, "train", "kalshi", "--model", "lognormal", *data["ladders"], "--json")
    done = run(tmp_path, "models", "promote", "kalshi", "v1", "--json")
    second = run(tmp_path, "train", "kalshi", "--model", "calibration", *data["games"], "--json")
    verified = run(tmp_path, "models", "verify", "kalshi", "--json")

    assert (first.code, done.code, second.code, verified.code) == (0, 0, 0, 0), first.err + done.err + second.err
    assert first.json["version"] == "v1"
    assert second.json["parts"] == ["calibration", "lognormal"]
    assert second.json["base"]["digest"] == first.json["digest"]
    assert any("the desk refuses it" in words for words in done.json["words"])
    assert [one["checked"] for one in verified.json["models"]] == [["digests", "golden output"]] * 2


def test_an_ensemble_is_trained_and_says_what_it_read(run, tmp_path, data):
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    made = run(tmp_path, "train", "kalshi", "--model", "ensemble", *data["quarters"], "--json")

    assert made.code == 0, made.err
    assert made.json["dropped"] == ["f_spot_ratio", "f_spot_edge", "f_tape"]
    assert [one["name"] for one in made.json["members"]] == ["logistic", "forest", "boosting", "mean", "as served"]
    assert (tmp_path / "models" / "kalshi" / "v1" / "ensemble.json").is_file()


def test_evaluation_says_it_in_words(run, tmp_path, data):
    told = run(tmp_path, "evaluate", "kalshi", *data["ladders"])
    games = run(tmp_path, "evaluate", "kalshi", *data["games"], "--json")

    assert told.code == 0, told.err
    assert "against the price" in told.out
    assert "KXBTC: no edge is proven" in told.out
    assert "WARNING: scores over all contracts are artefacts" in told.err
    assert re.search(r"right \(Brier 0\.\d{4}, of the price 0\.\d{4}, over \d+ quotes\)", told.err)
    for name in ("model", "market", "difference"):
        assert re.search(rf"^{name} +-?[01]\.\d{{4}} +\[.+\] +-?[01]\.\d{{4}} +\[", told.out, re.MULTILINE)
    assert games.json["words"][0] == games.json["bias"]["words"]
    assert games.json["scores"]["brier_difference"]["clusters"] == games.json["scores"]["rows"]


def test_a_bundle_is_judged_on_what_came_after_its_training(run, tmp_path, data):
    made = run(tmp_path, "train", "kalshi", "--model", "calibration", *data["games"], "--version", "mine", "--json")
    again = run(tmp_path, "evaluate", "kalshi", *data["games"], "--version", "mine", "--json")

    assert again.code == 0, again.err
    assert again.json["scores"] == made.json["scores"]
    assert again.json["worth"] == made.json["worth"]


def test_a_split_by_random_rows_ends_with_4(run, tmp_path, data):
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    refused = run(tmp_path, "evaluate", "kalshi", *data["quarters"], "--plant", "rows")

    assert refused.code == 4
    assert "on both sides of the split" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("kind", "words", "code", "said"),
    [
        ("games", ("train", "kalshi", "--model", "ensemble"), 2, "it gives a calibration"),
        ("ladders", ("evaluate", "kalshi", "--before", "2026-07-05"), 2, "nothing is fitted there"),
        ("games", ("evaluate", "kalshi", "--before", "soon"), 2, "write a UTC date"),
        ("games", ("evaluate", "kalshi", "--before", "2025-10-21"), 2, "each needs 10"),
        ("games", ("evaluate", "kalshi", "--plant", "rows"), 2, "15-minute contracts"),
        ("games", ("evaluate", "kalshi", "--version", "v9"), 3, "promote one of these"),
        ("games", ("train", "kalshi", "--model", "calibration", "--onto", "v9"), 3, "promote one of these"),
        ("games", ("kalshi", "backtest"), 3, "no kalshi model is in use"),
        ("games", ("kalshi", "backtest", "--rule", "extremes", "--kelly", "0.2"), 2, "has no model"),
        ("games", ("kalshi", "backtest", "--stake", "5", "--kelly", "0.2"), 2, "exclude each other"),
        ("games", ("kalshi", "backtest", "--rule", "extremes", "--bankroll", "-5"), 2, "write dollars"),
        ("games", ("kalshi", "backtest", "--rule", "extremes", "--stake", "x"), 2, "not a number"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(run, tmp_path, data, kind, words, code, said):
    found = run(tmp_path, *words, *data[kind])

    assert found.code == code
    assert said in found.err
    assert "Traceback" not in found.err
    assert found.err.count("\n") == 1


def test_a_backtest_without_proven_skill_makes_no_bet_and_says_why(run, tmp_path, data):
    run(tmp_path, "train", "kalshi", "--model", "calibration", *data["games"])
    run(tmp_path, "models", "promote", "kalshi", "v1")

    refused = run(tmp_path, "kalshi", "backtest", *data["games"])
    told = run(tmp_path, "kalshi", "backtest", *data["games"], "--rule", "believe", "--max-edge", "1", "--json")

    assert refused.code == told.code == 0, refused.err + told.err
    assert "no bet was made" in refused.out
    assert "the desk refuses it" in refused.out
    assert "measured on these very quotes" in refused.out
    assert told.json["after"] is not None
    rows = list(csv.DictReader((tmp_path / "data" / "paper" / "backtest_trades.csv").read_text().splitlines()))
    assert len(rows) == told.json["bets"] > 0
    assert min(row["timestamp"] for row in rows) >= told.json["after"]


def test_the_rule_of_the_public_bots_is_played_over_all_games(run, tmp_path, data):
    folder = tmp_path / "elsewhere"
    words = ("--rule", "extremes", "--stake", "4", "--n", "7", "--bankroll", "60", "--data-dir", str(folder), "--json")
    told = run(tmp_path, "kalshi", "backtest", *data["games"], *words)

    assert told.code == 0, told.err
    assert told.json["bets"] == 7
    assert told.json["book"]["bankroll"] == "60"
    assert {path.name for path in folder.iterdir()} == {
        "backtest_trades.csv", "backtest_equity.csv", "backtest_book.json"}  # fmt: skip
