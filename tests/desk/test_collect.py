"""Weeks of boards for training: every look and every end stands there once, and training reads what was kept."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from desk.world import Prices, served, wire
from evenkeel.archive import contracts
from evenkeel.desk.collect import Kept, by_day, collected, watched
from evenkeel.errors import DataError, VenueUnknownError
from evenkeel.research.kalshi import ladders
from evenkeel.venues.kalshi import Kalshi

SERIES = ("KXBTC", "KXBTCD", "KXETHD")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A home after looks of an hour and a half, and the world's truth."""
    home, total = tmp_path_factory.mktemp("kept"), Kept()
    with served() as (url, box):
        market = Kalshi(wire(url, box.clock.now))
        for _ in range(7):
            total += collected(home, market, SERIES, Prices(url), int(box.clock.now()))
            box.clock.advance(900)
        again = collected(home, market, SERIES, Prices(url), int(box.clock.now()))
        more = collected(home, market, SERIES, Prices(url), int(box.clock.now()))
        yield home, total + again, more, box.kalshi


def test_every_look_and_every_end_stands_there_once(kept):
    home, total, again, venue = kept
    path, rows, ended = contracts.joined(home, "KXBTC")
    table = pq.read_table(path).to_pylist()
    keys = [(row["captured_at"], row["ticker"]) for row in table]

    assert len(keys) == len(set(keys)) == rows
    assert again.ends == again.trades == 0  # the same moment once more
    assert total.ends > 0
    assert total.trades > 0
    assert 0 < ended < rows
    for row in table:
        if row["result"]:
            assert row["result"] == venue.world.outcome(venue.world.listing(row["ticker"]))[0]
        assert row["spot_price"] > 0


def test_what_nobody_quoted_is_null_and_no_price(kept):
    """The sandbox's own books beside what was kept."""
    home, *_, venue = kept
    table = pq.read_table(contracts.joined(home, "KXBTCD")[0]).to_pylist()
    empty = [row for row in table if row["yes_bid"] is None or row["yes_ask"] is None]

    assert empty
    for row in empty:
        listing = venue.world.listing(row["ticker"])
        yes, no = venue.world.bids(listing, int(row["captured_at"].timestamp()) // 10 * 10)
        assert (row["yes_bid"] is None, row["yes_ask"] is None) == (not yes, not no)


@pytest.mark.parametrize("series", SERIES)
def test_training_reads_what_was_kept(kept, series):
    """Ranges exclude each other, thresholds do not."""
    home, *_ = kept
    found = ladders.read(contracts.joined(home, series)[0])

    assert {one.exclusive for _, board, _ in found.boards() for one in board.contracts} == {series == "KXBTC"}
    assert set(found.quotes.series.tolist()) == {series}

    assert len(found.quotes.time) > 50
    assert np.isfinite(found.quotes.outcome).any()
    assert np.isfinite(found.spot).all()


def test_a_damaged_file_is_named_and_left_alone(tmp_path):
    path = tmp_path / "data" / "kalshi" / "results" / "KXBTC.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no parquet")

    with pytest.raises(DataError, match=r"KXBTC\.parquet cannot be read .*: move it away"):
        contracts.ended(tmp_path, "KXBTC")
    assert path.read_bytes() == b"no parquet"


def test_a_look_that_fails_is_counted_and_the_next_one_is_due():
    """At the grid's times, from at once; until its time is over or it is asked to stop."""
    clock, told, waits = [1_000.0], [], []

    def look(at: int) -> Kept:
        if at == 1_200:
            raise VenueUnknownError("HTTP 503")
        return Kept(quotes=5)

    def pause(seconds: float) -> bool:
        waits.append(seconds)
        clock[0] += seconds
        return False

    done = watched(look, 300, now=lambda: clock[0], pause=pause, told=lambda *row: told.append(row), until=2_000)

    assert done == (Kept(quotes=15), 1)
    assert [(at, wrong) for at, _, wrong in told] == [(1_000, ""), (1_200, "HTTP 503"), (1_500, ""), (1_800, "")]
    assert waits == [200.0, 300.0, 300.0]
    assert watched(look, 300, now=lambda: 3_000.0, pause=lambda _: True, told=lambda *_: None)[0] == Kept(quotes=5)


def test_what_is_kept_is_joined_once_a_day_after_a_look_that_came_through():
    """The first look ever is one of its day: a process that was killed joins what the last one left."""
    done = []

    def look(time):
        done.append(time)
        if time == 86_400:
            raise VenueUnknownError("planted")
        return Kept(quotes=1)

    looked = by_day(look, lambda: done.append("joined"))
    for time in (100, 400):
        assert looked(time) == Kept(quotes=1)
    with pytest.raises(VenueUnknownError):
        looked(86_400)
    looked(86_700)

    assert done == [100, "joined", 400, 86_400, 86_700, "joined"]
