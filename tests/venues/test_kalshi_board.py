"""Kalshi's markets as a board: what is known of them travels, what is not stays unknown."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from evenkeel.errors import VenueUnknownError
from evenkeel.events.board import Flaw, contract, ladders
from evenkeel.units import utc
from evenkeel.venues import kalshi_rows as rows
from evenkeel.venues.kalshi_board import DOUBTED, asset_of, board, contract_of
from evenkeel.venues.kalshi_terms import Series
from sandbox.kalshi_world import NOW, desk
from venues.kalshi_server import arrived, market_row

SERIES = Series("KXBTC", "Bitcoin", "Crypto", "hourly", "quadratic", Decimal(1))


@pytest.mark.parametrize(
    ("series", "coin"),
    [("KXBTC", "BTC"), ("KXBTCD", "BTC"), ("KXBTC15M", "BTC"), ("KXDOGED", "DOGE"), ("KXNBAGAME", "")],
)
def test_a_series_is_about_a_coin_or_about_none(series, coin):
    """By its whole name, never by a part of it."""
    assert asset_of(series) == coin


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"strike_type": "greater", "cap_strike": None}, {"fractional_trading_enabled": True},
        {"strike_type": "structured", "floor_strike": None, "cap_strike": None, "close_time": "2026-07-24T02:00:00Z"},
    ],
)  # fmt: skip
def test_a_sound_market_is_the_contract_that_the_events_room_reads(changes):
    """Two readers of one object agree in every field."""
    row = arrived(market_row(**changes))
    read = contract_of(rows.market_of(row), SERIES, exclusive=True, seen=5)

    assert read == contract(row, asset="BTC", fee_type="quadratic", fee_multiplier=Decimal(1), exclusive=True, seen=5)


@pytest.mark.parametrize("changes", [{"status": "odd"}, {"yes_bid_dollars": 15}, {"price_ranges": []}])
def test_a_market_in_doubt_is_never_active(changes):
    """It stands on the board and is not traded."""
    read = contract_of(rows.market_of(arrived(market_row(**changes))), SERIES, exclusive=True)

    assert read.status == DOUBTED


def test_unknown_fees_stay_unknown():
    """Neither 0 nor the usual."""
    series = Series("KXBTC", "", "", "", None, None)
    read = contract_of(rows.market_of(arrived(market_row())), series, exclusive=True)

    assert (read.fee_type, read.fee_multiplier) == ("", None)


def test_a_board_of_the_sandbox_is_sane():
    """Over HTTP: every open market of two series, priced on its grid, no range bought below what excludes it."""
    with desk() as one:
        found, unread = board(one.public, ["KXBTC", "KXBTCD"], NOW)
    read = ladders(found)

    assert unread == ()
    assert len(found.contracts) == 84
    assert {row.status for row in found.contracts} == {"active"}
    assert {row.expiry for row in found.contracts} == {utc("2025-01-02T01:00:00Z")}
    assert not np.isin(read.flaw, (Flaw.CROSSED, Flaw.OFF_GRID)).any()


@pytest.mark.parametrize(
    ("own", "fee", "multiplier"),
    [
        ({}, "quadratic", "1"),
        ({"fee_type_override": None, "fee_multiplier_override": None}, "quadratic", "1"),
        ({"fee_multiplier_override": Decimal("0.5")}, "quadratic", "0.5"),
        ({"fee_multiplier_override": 0}, "quadratic", "0"),
        ({"fee_type_override": "quadratic_with_maker_fees"}, "quadratic_with_maker_fees", "1"),
        ({"fee_type_override": "cubic"}, "", "1"),
    ],
)
def test_what_an_event_says_of_fees_comes_before_its_series(own, fee, multiplier):
    """Null is nothing said; a kind that we do not know is no fee that could be paid."""
    row = {"event_ticker": "E", "series_ticker": "KXBTC", "mutually_exclusive": True, **own}
    read = contract_of(rows.market_of(arrived(market_row())), rows.event_of(row).own.over(SERIES), exclusive=True)

    assert (read.fee_type, read.fee_multiplier) == (fee, Decimal(multiplier))


@pytest.mark.parametrize("value", [-1, "0.5", True])
def test_a_multiplier_of_an_event_that_is_none_is_not_believed(value):
    row = {"event_ticker": "E", "series_ticker": "KXBTC", "mutually_exclusive": True, "fee_multiplier_override": value}

    with pytest.raises(VenueUnknownError, match="fee_multiplier_override"):
        rows.event_of(row)
