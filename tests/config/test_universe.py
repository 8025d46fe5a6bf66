"""The shipped universe, and what is refused of others."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from evenkeel.config import Universe, find, load_universe, shipped
from evenkeel.errors import ConfigError, NotReadyError

FILE = shipped() / "config" / "universe.yaml"
ROW = "{asset: BTC, pair: BTC/USD, tier: 1, price_decimals: 2, amount_decimals: 5, min_notional: 1}"


@pytest.fixture(scope="module")
def listed():
    """Every pair, stocks included."""
    return {pair.asset: pair for pair in load_universe(FILE, Universe(stocks=True))}


@pytest.fixture
def written(tmp_path):
    """A universe file of some rows."""

    def write(*rows):
        path = tmp_path / "universe.yaml"
        path.write_text("pairs:\n" + "".join(f"  - {row}\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_there_are_88_pairs_of_which_21_are_stocks_that_are_off(listed):
    """67 coins are held unless stocks are switched on."""
    assert len(listed) == 88
    assert Counter(pair.kind for pair in listed.values()) == {"crypto": 67, "stock": 21}
    assert len(load_universe(FILE, Universe())) == 67


def test_price_factors_are_the_symbols_and_not_the_names(listed):
    """1000PEPEUSDT is PEPE x 1000; 1000CHEEMS is a coin's own name."""
    assert listed["PEPE"].symbols["binance_perp"] == ("1000PEPEUSDT", 1000)
    assert listed["PEPE"].symbols["binance"] == ("PEPEUSDT", 1)
    assert listed["1000CHEEMS"].symbols["binance_perp"] == ("1000CHEEMSUSDT", 1)
    assert {pair.asset for pair in listed.values() if pair.symbols.get("binance_perp", ("", 1))[1] == 1000} == {
        "BONK",
        "FLOKI",
        "PEPE",
        "SHIB",
    }
    assert listed["NVDAB"].symbols == {"binance": ("NVDABUSDT", 1)}
    assert listed["BTC"].symbols["coinbase"] == ("BTC-USD", 1)


def test_precisions_are_the_venues(listed):
    """A few rows, by hand from the venue's list."""
    assert (listed["BTC"].price_decimals, listed["BTC"].amount_decimals) == (2, 5)
    assert (listed["TAO"].price_decimals, listed["TAO"].amount_decimals) == (1, 4)
    assert (listed["SNDKB"].price_decimals, listed["SNDKB"].amount_decimals) == (2, 4)
    assert {pair.min_notional for pair in listed.values()} == {Decimal(1)}


def test_tiers_follow_the_stated_thresholds():
    """The file's own numbers give the file's own tiers, ordered by tier and value; without data the tier is 3."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    coins = [row for row in content["pairs"] if row["kind"] == "crypto"]

    assert str(content["as_of"]) == "2025-07-01"
    assert content["method"]
    for row in content["pairs"]:
        usd = row["median_daily_usd"] or 0
        assert row["tier"] == (1 if usd >= content["tier_1_usd"] else 2 if usd >= content["tier_2_usd"] else 3)
    assert [row["asset"] for row in coins][:3] == ["BTC", "ETH", "SOL"]
    assert coins == sorted(coins, key=lambda row: (row["tier"], -(row["median_daily_usd"] or 0), row["asset"]))
    assert all(row["tier"] == 3 for row in content["pairs"] if row["kind"] == "stock")
    assert {"XPL", "OMNI", "ASTER"} <= {row["asset"] for row in coins if row["source"] == "none"}


def test_only_and_exclude_keep_the_files_order():
    """Names filter; they do not sort."""
    assert [pair.asset for pair in load_universe(FILE, Universe(only=("SOL", "BTC")))] == ["BTC", "SOL"]
    assert "BTC" not in {pair.asset for pair in load_universe(FILE, Universe(exclude=("BTC",)))}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Universe(only=("BTCC",)), "universe.only: BTCC is not listed"),
        (Universe(exclude=("PEPPE",)), "did you mean PEPE?"),
        (Universe(only=("NVDAB",)), "universe.stocks"),
    ],
)
def test_unknown_names_are_refused(settings, words):
    """A slip in a filter would otherwise hold the wrong things."""
    with pytest.raises(ConfigError) as error:
        load_universe(FILE, settings)
    assert words in str(error.value)


def test_an_empty_universe_is_not_ready(written, tmp_path):
    """Exit 3, one sentence: nothing listed, or nothing left."""
    (tmp_path / "none.yaml").write_text("pairs: []\n", encoding="utf-8")

    for path, settings in ((tmp_path / "none.yaml", Universe()), (written(ROW), Universe(exclude=("BTC",)))):
        with pytest.raises(NotReadyError, match="the universe is empty") as error:
            load_universe(path, settings)
        assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((ROW, ROW), "BTC stands twice"),
        ((ROW, ROW.replace("asset: BTC", "asset: XBT")), "BTC/USD stands twice"),
        ((ROW.replace("tier: 1", "tier: 4"),), "pairs.0 (BTC).tier is 4: give a whole number, 1 to 3"),
        ((ROW.replace("tier: 1, ", ""),), "pairs.0 (BTC).tier is missing"),
        ((ROW.replace("tier:", "teir: 1, tier:"),), "unknown key pairs.0 (BTC).teir: did you mean pairs.0 (BTC).tier?"),
        ((ROW.replace("min_notional: 1", "min_notional: 0"),), "min_notional is 0"),
        ((ROW.replace("}", ", kind: bond}"),), "kind is 'bond'"),
        ((ROW.replace("}", ", symbols: {binance: 3}}"),), "BTC.symbols.binance.symbol is 3"),
        ((ROW.replace("}", ", symbols: {binance: {symbol: X, factor: 0}}}"),), "factor is 0"),
        (("BTC",), "pairs.0 is not a pair"),
    ],
)
def test_malformed_rows_are_one_sentence(written, rows, words):
    """File, place, value, what is allowed."""
    with pytest.raises(ConfigError) as error:
        load_universe(written(*rows), Universe())

    assert words in str(error.value)
    assert "universe.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_without_pairs_is_refused(tmp_path):
    """Not a list of pairs at all."""
    path = tmp_path / "universe.yaml"
    for text in ("", "BTC", "pairs: BTC", "- BTC"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="no list of pairs"):
            load_universe(path, Universe())


def test_a_home_may_bring_its_own_universe(written, tmp_path):
    """The home's config/ is looked at before the shipped one."""
    (tmp_path / "config").mkdir()
    written(ROW).rename(tmp_path / "config" / "universe.yaml")

    assert find(Path("universe.yaml"), tmp_path) == tmp_path / "config" / "universe.yaml"
    assert find(Path("universe.yaml"), tmp_path / "elsewhere") == FILE
