"""Boards that were collected are heard in a replay: as they were known at each bar, by the service's own reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenkeel.archive import contracts
from evenkeel.market import synthetic_boards
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.signals import crowd as crowds
from evenkeel.types import Board, Panel
from evenkeel.wiring.kept import NOTHING, recorded
from venues.exchanges import PAIRS

BEGIN, DAY, HOUR = 1_735_689_600, 86_400, 3_600
SETTINGS = SyntheticSettings(seed=7, gap_rate=0.0)


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Hourly bars of BTC and ETH, four days."""
    return market(tuple(PAIRS.values()), BEGIN, BEGIN + 4 * DAY, HOUR, SETTINGS)


def keep(home: Path, panel: Panel, rows: range, late: int = 0) -> None:
    """What `kalshi collect` writes of the embedded ladders, captured so many seconds after the bars' closes."""
    for row in rows:
        board = synthetic_boards.board(panel, row, SETTINGS, hours=1)
        for i, coin in enumerate(panel.assets):
            quotes = [
                _row(c, board.time + late, float(panel.close[row, i])) for c in board.contracts if c.asset == coin
            ]
            contracts.keep_board(home, f"KX{coin}D", board.time + late, quotes)


def _row(c, time, spot):
    number = {"yes_bid": c.yes_bid, "yes_ask": c.yes_ask, "bid_size": c.bid_size, "ask_size": c.ask_size}
    return {
        "captured_at": time, "event_ticker": c.event, "ticker": c.ticker, "open_time": time, "close_time": c.expiry,
        "strike_type": c.kind, "floor_strike": c.floor, "cap_strike": c.cap, "no_bid": None, "no_ask": None,
        "series": c.event.partition("-")[0], "spot_price": spot,
        **{name: None if value is None else float(value) for name, value in number.items()},
    }  # fmt: skip


def test_kept_boards_give_the_readings_that_the_boards_gave(panel: Panel, tmp_path: Path) -> None:
    """Bit for bit those of the embedded market itself, trailing mean included."""
    first = len(panel.time) - 6
    keep(tmp_path, panel, range(len(panel.time)))

    heard, live = recorded(tmp_path, panel, first), crowds.embedded(panel, SETTINGS, first)

    assert heard.source == "Kalshi"
    assert heard.readings.keys() == live.readings.keys()
    for time, readings in live.readings.items():
        assert repr(heard.readings[time]) == repr(readings)
    assert np.isfinite([r.drift for r in heard.readings[int(panel.time[-1])][:2]]).all()


def test_a_board_counts_in_the_bar_in_which_it_was_captured_and_in_no_other(panel: Panel, tmp_path: Path) -> None:
    """Ten minutes after a close: the next close hears it, the one before it did not; a day without boards is silent."""
    keep(tmp_path, panel, range(40, 42), late=600)

    heard = recorded(tmp_path, panel, 0)

    assert list(heard.readings) == panel.time[41:43].tolist()
    assert heard.readings[int(panel.time[41])][0].time == int(panel.time[40]) + 600
    assert heard.silent == "no board of Kalshi was kept at this bar"


def test_without_kept_boards_it_says_how_to_get_some(panel: Panel, tmp_path: Path) -> None:
    """And nothing is made up."""
    assert recorded(tmp_path, panel, 0) is NOTHING


def test_a_capture_without_the_coins_price_is_not_read(panel: Panel, tmp_path: Path) -> None:
    """No price stands in for it."""
    board = synthetic_boards.board(panel, 50, SETTINGS, hours=1)
    rows = [_row(c, board.time, None) for c in board.contracts if c.asset == "BTC"]
    contracts.keep_board(tmp_path, "KXBTCD", board.time, rows)

    (readings,) = recorded(tmp_path, panel, 0).readings.values()

    assert {r.asset: r.reason for r in readings}["BTC"] == "SPOT_STALE"


def test_the_board_that_was_kept_is_the_board_that_was_seen(panel: Panel, tmp_path: Path) -> None:
    """Quotes and strikes survive the file."""
    keep(tmp_path, panel, range(60, 61))
    seen = synthetic_boards.board(panel, 60, SETTINGS, hours=1)
    plain = [replace(c, ticks=(), fee_type="", fee_multiplier=None) for c in seen.contracts]
    spots = crowds.spots(
        panel, seen.time, {a: (float(panel.close[60, i]), seen.time) for i, a in enumerate(panel.assets)}
    )

    (readings,) = recorded(tmp_path, panel, 0).readings.values()

    assert repr(readings) == repr(crowds.read(Board(seen.time, tuple(plain)), spots, {}))
