"""`--strategy` and `--universe`: the service sends the back-test's orders, `plan` finds the run, mistakes are told."""

from __future__ import annotations

import pytest

from e2e.program import SMALL
from evenkeel.types import Health

HALF_DAY = ("--set", "clock.to=2025-02-10T12:00")


def test_a_run_of_a_strategy_is_its_back_test_and_is_found_again(run, tmp_path):
    """Orders and digests agree; `plan` decides by the strategy of the run, and its opinion stands alone."""
    words = (*SMALL, *HALF_DAY, "--strategy", "low_vol", "--json")
    ran, tested = run(tmp_path, "run", *words), run(tmp_path / "other", "backtest", *words)

    assert (ran.code, tested.code) == (0, 0), ran.err + tested.err
    assert ran.json["orders_sha256"] == tested.json["orders_sha256"]
    assert ran.json["config_digest"] == tested.json["config_digest"]
    assert ran.json["metrics"]["orders"] > 0
    planned = run(tmp_path, "plan", "--json")
    assert planned.code == 0, planned.err
    assert planned.json["config_digest"] == ran.json["config_digest"]
    assert [n for n, said in planned.json["opinions"].items() if said["health"] != Health.OFF] == ["low_vol"]
    why = run(tmp_path, "why", "BTC")
    assert why.code == 0, why.err
    assert "low_vol    ok, x " in why.out


def test_a_strategy_of_weights_runs_and_is_explained(run, tmp_path):
    ran = run(tmp_path, "run", *SMALL, *HALF_DAY, "--strategy", "buy_and_hold", "--json")
    why = run(tmp_path, "why", "BTC", "--json")

    assert ran.code == why.code == 0, ran.err + why.err
    assert ran.json["strategy"] == "buy_and_hold"
    assert ran.json["metrics"]["orders"] == 1
    assert (why.json["method"], why.json["wanted"]) == ("direct", 1.0)
    assert "none: the strategy wants 0.00%" in run(tmp_path, "why", "ETH").out
    assert {p["stop_usd"] for p in run(tmp_path, "status", "--json").json["positions"].values()} == {None}
    assert why.json["raw"] == pytest.approx(0.99)
    assert why.json["held"] == pytest.approx(0.99, abs=0.01)


def test_a_universe_is_a_list_of_coins_or_a_file(run, tmp_path):
    """Both keep two pairs, and then send the same orders."""
    pairs = tmp_path / "two.yaml"
    words = ("backtest", "--config", "config/demo.yaml", "--from", "2025-02-10", "--to", "2025-02-10T06:30",
             "--set", "history.days=31", "--strategy", "equal_weight", "--json")  # fmt: skip
    pairs.write_text(
        "pairs:\n"
        "- {asset: BTC, pair: BTC/USD, tier: 1, price_decimals: 2, amount_decimals: 5, min_notional: 1}\n"
        "- {asset: ETH, pair: ETH/USD, tier: 1, price_decimals: 2, amount_decimals: 4, min_notional: 1}\n",
        encoding="utf-8",
    )
    coins = run(tmp_path, *words, "--universe", "BTC,ETH")
    both = run(tmp_path, *words, "--universe", str(pairs))

    assert (coins.code, both.code) == (0, 0), coins.err + both.err
    assert coins.json["orders_sha256"] == both.json["orders_sha256"]
    assert coins.json["metrics"]["orders"] == 2


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("run", ("--strategy", "momentun"), ("strategy is 'momentun'", "did you mean momentum?")),
        ("backtest", ("--strategy", "[rsi"), ("not valid YAML",)),
        ("backtest", ("--strategy", ""), ("strategy is null",)),
        ("backtest", ("--universe", "NOPE"), ("NOPE is not listed",)),
        ("backtest", ("--universe", "ETH"), ("BTC", "every signal needs it")),
        ("backtest", ("--universe", "nope.yaml"), ("nope.yaml", "no such file")),
    ],
)
def test_a_wrong_strategy_or_universe_is_one_sentence(run, tmp_path, command, words, said):
    done = run(tmp_path, command, "--config", "config/demo.yaml", *words)

    assert done.code == 2
    assert done.err.count("\n") == 1
    for part in said:
        assert part in done.err
    assert not (tmp_path / "state").exists()
