"""Real settled contracts: what the shipped models are worth, and that the shipped commands made them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from e2e.program import ROOT, document, evenkeel
from evenkeel import artifacts
from evenkeel.events import fitted

DATA = ROOT.parent / "shared" / "data"
LADDERS = ("--data", str(DATA / "kalshi_crypto_hourly.parquet"))
GAMES = ("--data", str(DATA / "kalshi_nba_candles_1h.parquet"), "--results", str(DATA / "kalshi_nba_markets.parquet"))
QUARTERS = ("--data", str(DATA / "kalshi_15m_labeled.parquet"))
SHIPPED = ROOT / "models" / "kalshi" / "v1"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(LADDERS[1]).exists(), reason=f"the shared contracts are not here: {DATA}"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Each part trained again: its document, and its file."""
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    home = tmp_path_factory.mktemp("kalshi")
    made = {}
    for part, words in {"lognormal": LADDERS, "calibration": GAMES, "ensemble": QUARTERS}.items():
        told = evenkeel(home, "train", "kalshi", "--model", part, *words, "--onto", "none", "--json", timeout=600)
        said = document(told)
        made[part] = (said, orjson.loads((Path(said["path"]) / fitted.file_of(part)).read_bytes()))
    return made


def same(one, other):
    """Equal, numbers to 1e-9."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other if not isinstance(one, float) else one == pytest.approx(other, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("part", fitted.PARTS)
def test_the_shipped_part_is_what_its_command_makes(trained, part):
    shipped = orjson.loads(artifacts.read(SHIPPED, fitted.KIND).files[fitted.file_of(part)])
    again = trained[part][1]

    assert same({**shipped, "expires": 0}, {**again, "expires": 0})


def test_the_quotes_of_hourly_ladders_are_better_than_a_lognormal(trained):
    """2,244 two-sided quotes of 166 hours; over all contracts everybody looks perfect, which is only a warning."""
    said = trained["lognormal"][0]

    assert said["data"]["judged"] == 2_296
    assert said["scores"]["rows"] == 2_244
    assert said["scores"]["brier_difference"]["low"] > 0
    assert said["all_contracts"]["brier"]["value"] < 0.02
    assert not any(one["earns"] for one in said["worth"].values())
    assert said["backtests"][0]["bets"] == 0


def test_games_show_no_longshot_bias_and_a_calibration_that_did_not_last(trained):
    """The slope is below 1 over all games, above 1 in the first half and below it in the second."""
    said = trained["calibration"][0]

    assert (said["games"], said["learned_from"] + said["judged_on"]) == (652, 652)
    assert said["bias"]["words"].startswith("no longshot bias is shown")
    assert said["bias_before"]["slope"]["value"] > 1 > said["bias_after"]["slope"]["high"]
    assert said["scores"]["brier_difference"]["low"] > 0
    assert said["backtests"][0]["win_rate"] > 0.8
    assert said["backtests"][0]["profit"]["value"] < 0
    assert not said["worth"]["KXNBAGAME"]["earns"]


def test_the_ensemble_does_not_beat_the_price_and_a_random_split_is_refused(trained, tmp_path):
    said = trained["ensemble"][0]
    refused = evenkeel(tmp_path, "evaluate", "kalshi", *QUARTERS, "--plant", "rows", timeout=300)

    assert "the model does not beat the market price" in said["words"][1]
    assert "the model does not beat the market price" in said["words"][2]
    assert len(said["dropped"]) == 8
    assert refused.returncode == 4
    assert "the model beats the market price" in refused.stderr
    assert "on both sides of the split" in refused.stderr
