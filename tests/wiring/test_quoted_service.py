"""The service with a pair that the candle exchange does not list: its price is the venue's, and `status` says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.program import ROOT, document, evenkeel, state
from e2e.venue import ALLOWED, COINS, sandbox

pytestmark = pytest.mark.slow


def _unlisted(home: Path, coin: str) -> None:
    """The shipped universe without any exchange's symbol for a coin."""
    lines = (ROOT / "config" / "universe.yaml").read_text().splitlines()
    own = [f"{line.partition(', symbols:')[0]}}}" if f"{{asset: {coin}," in line else line for line in lines]
    (home / "config").mkdir(parents=True)
    (home / "config" / "universe.yaml").write_text("\n".join(own) + "\n")


def test_a_pair_without_candles_is_priced_by_the_venue(tmp_path: Path) -> None:
    """Live, through the account's own limiter: fresh quotes from the ticker; nothing is bought without history."""
    home = tmp_path / "home"
    with sandbox(tmp_path / "sandbox") as venue:
        _unlisted(venue.keys(home), "XRP")
        done = document(evenkeel(home, "run", "--json", "--once", "rebalance", *venue.live(), **ALLOWED))
        told = document(evenkeel(home, "status", "--json"))
        why = document(evenkeel(home, "why", "XRP", "--json", *venue.live(), **ALLOWED))

    assert done["outcome"] in ("done", "open")
    assert {asset: row["source"] for asset, row in told["prices"].items()} == {
        coin: "ticker" if coin == "XRP" else "binance" for coin in COINS
    }
    assert all(row["age_s"] < 120 for row in told["prices"].values())
    assert why["source"] == "ticker"
    assert "XRP" not in state(home)["memory"]["positions"]
