"""Rows stand in a file once, whatever was killed when."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from evenkeel.desk.files import BOOK, EQUITY, HEADS, TRADES, noted, written
from evenkeel.desk.ledger import Ledger, Stake, Trade, opened
from evenkeel.errors import StateError
from evenkeel.types import Identity

D = Decimal
LEDGER = opened(Ledger(Identity("kalshi-paper", "test", "real", ""), 0), D("97.31"))


def trade(n: int) -> Trade:
    return Trade(n, "KXBTCD-A-1", "yes", "BUY", D("0.40"), D(n), D("0.40") * n, D(90), f"order, {n}")


def test_rows_are_written_once_through_any_repetition(tmp_path):
    """Each step is killed before, after or in the middle of its write, and done again."""
    ledger, wanted = LEDGER, HEADS[TRADES]
    for n in range(1, 6):
        ledger = noted(ledger, tmp_path, [trade(n)], n)
        written(tmp_path, ledger)
        with (tmp_path / TRADES).open("ab") as file:
            file.truncate(max((tmp_path / TRADES).stat().st_size - 7, 0))
            file.write(b"torn")
        written(tmp_path, ledger)
        written(tmp_path, ledger)
        wanted += f"1970-01-01T00:00:0{n}Z,KXBTCD-A-1,yes,BUY,0.4,{n},{0.4 * n:.9g},90,order; {n}\n"

    assert (tmp_path / TRADES).read_text() == wanted
    assert (tmp_path / EQUITY).read_text().splitlines()[1:] == [
        f"1970-01-01T00:00:0{n}Z,97.31,0,0,97.31,0" for n in range(1, 6)
    ]


def test_rows_that_an_older_state_does_not_know_are_taken_away(tmp_path):
    """state/kalshi.json fell back to a generation before the last trade: what it books again is not there twice."""
    first = noted(LEDGER, tmp_path, [trade(1)], 1)
    written(tmp_path, first)
    written(tmp_path, noted(first, tmp_path, [trade(2)], 2))
    written(tmp_path, first)

    assert (tmp_path / TRADES).read_text().count("\n") == 2
    assert (tmp_path / EQUITY).read_text().count("\n") == 2


def test_a_file_that_lost_rows_is_refused_and_a_new_folder_begins_anew(tmp_path):
    ledger = noted(noted(LEDGER, tmp_path, [trade(1)]), tmp_path, [trade(2)])
    (tmp_path / TRADES).write_text("short")

    with pytest.raises(StateError, match=r"has 5 bytes, .* were written"):
        written(tmp_path, ledger)
    other = tmp_path / "other"
    moved = noted(ledger, other, [trade(3)])
    written(other, moved)
    assert (other / TRADES).read_text().count("\n") == 2


def test_the_book_says_what_is_held_in_dollars(tmp_path):
    stake = Stake("KXBTCD-A-1", "KXBTCD-A", "KXBTCD", "BTC", "crypto", "c", 9, count=D(-3), cost=D("1.00"))
    written(tmp_path, noted(replace(LEDGER, held={stake.ticker: stake}), tmp_path))

    book = json.loads((tmp_path / BOOK).read_text())
    assert book["unit"] == "USD"
    assert book["cash"] == 97.31
    assert book["positions"] == {"KXBTCD-A-1": {"side": "no", "contracts": 3.0, "avg_price": 0.333333}}
    assert set(book) == {"unit", "cash", "positions", "realized_pnl", "updated_at"}
