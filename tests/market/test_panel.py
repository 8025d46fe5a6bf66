"""Panels: what the door refuses, and what slices and coarser bars mean."""

import numpy as np
import pytest

from evenkeel.errors import DataError
from evenkeel.market.panel import index_of, panel, pick, resample, rows, trailing, until

START = 1_700_006_400  # 2023-11-15T00:00Z, a whole hour


def make(bars=8, assets=("BTC", "ETH"), bar_s=1800, first=START + 1800, **changes):
    """Build a valid panel of distinct numbers; `changes` replace arguments."""
    shape = (bars, len(assets))
    close = 100.0 + np.arange(bars * len(assets), dtype=float).reshape(shape)
    given = {
        "time": first + bar_s * np.arange(bars),
        "assets": assets,
        "open": close - 0.5,
        "high": close + 2.0,
        "low": close - 2.0,
        "close": close,
        "volume": np.ones(shape) * np.arange(1, bars + 1)[:, None],
        "bar_s": bar_s,
    }
    return panel(**(given | changes))


def test_arrays_are_read_only_contiguous_floats_whatever_was_given():
    """Integers in Fortran order come out as read-only float64 C arrays."""
    built = make(close=np.asfortranarray(np.arange(16).reshape(8, 2)))

    for array in (built.open, built.high, built.low, built.close, built.volume):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert not array.flags.writeable
    assert not built.time.flags.writeable


def test_later_writes_of_the_caller_do_not_reach_the_panel():
    """A writable array is copied at the door."""
    close = np.full((8, 2), 5.0)
    built = make(close=close)
    close[:] = 7.0

    assert (built.close == 5.0).all()
    assert close.flags.writeable


def test_read_only_arrays_are_kept_without_a_copy():
    """An archive's read-only array costs no second copy."""
    close = np.full((8, 2), 5.0)
    close.flags.writeable = False

    assert make(close=close).close is close


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"close": np.ones((7, 2))}, r"close has shape \(7, 2\).*\(8, 2\)"),
        ({"close": [["a", "b"]] * 8}, "close holds something that is no number"),
        ({"assets": ("BTC", "BTC")}, "BTC more than once"),
        ({"assets": ("BTC", "")}, "non-empty names"),
        ({"assets": ()}, "one or more"),
        ({"time": []}, "one bar or more"),
        ({"time": START + 1800.0 * np.arange(8)}, "whole UTC seconds"),
        ({"time": START + 1800 * np.array([0, 1, 2, 3, 5, 6, 7, 8])}, "steps by 3600 s.*1800 s"),
        ({"time": START - 1800 * np.arange(8)}, "steps by -1800 s"),
        ({"bar_s": 0}, "bar_s is 0"),
    ],
)
def test_the_door_refuses_in_one_sentence(changes, says):
    """What, value, limit and what to do."""
    with pytest.raises(DataError, match=says) as refused:
        make(**changes)

    assert "\n" not in str(refused.value)


def test_rows_are_views_by_index():
    """No array is copied and time goes along."""
    whole = make()
    part = rows(whole, 2, 5)

    assert (part.time == whole.time[2:5]).all()
    assert np.shares_memory(part.close, whole.close)
    for start, stop in ((3, 3), (-1, 2), (0, 9)):
        with pytest.raises(DataError, match="0 <= start < stop"):
            rows(whole, start, stop)


def test_until_keeps_bars_closed_by_then():
    """A bar that closes one second later is not seen."""
    whole = make()

    assert len(until(whole, int(whole.time[3])).time) == 4
    assert len(until(whole, int(whole.time[4]) - 1).time) == 4
    assert len(until(whole, int(whole.time[-1]) + 99_999).time) == 8
    with pytest.raises(DataError, match="no bar is closed by"):
        until(whole, int(whole.time[0]) - 1)


def test_pick_follows_the_order_asked_for():
    """Columns move with their names; an unknown name is refused."""
    whole = make(assets=("BTC", "ETH", "SOL"))
    some = pick(whole, ["SOL", "BTC"])

    assert some.assets == ("SOL", "BTC")
    assert (some.close == whole.close[:, [2, 0]]).all()
    assert not some.close.flags.writeable
    with pytest.raises(DataError, match="no DOGE"):
        pick(whole, ["DOGE"])


def test_index_of_finds_only_exact_closes():
    """Between two closes or outside the panel there is no row."""
    whole = make()

    assert [index_of(whole, int(t)) for t in whole.time] == list(range(8))
    for time_s in (whole.time[0] + 1, whole.time[0] - 1800, whole.time[-1] + 1800):
        with pytest.raises(DataError, match="no bar closes at"):
            index_of(whole, int(time_s))


def test_an_hour_is_made_of_its_two_halves():
    """Open of the first, extremes, close of the last, volume summed, closing on the full hour."""
    halves = make()
    hours = resample(halves, 3600)

    assert hours.bar_s == 3600
    assert (hours.time == START + 3600 * np.arange(1, 5)).all()
    assert (hours.open == halves.open[0::2]).all()
    assert (hours.high == np.maximum(halves.high[0::2], halves.high[1::2])).all()
    assert (hours.low == np.minimum(halves.low[0::2], halves.low[1::2])).all()
    assert (hours.close == halves.close[1::2]).all()
    assert (hours.volume == halves.volume[0::2] + halves.volume[1::2]).all()


def test_bars_covered_in_part_are_dropped():
    """A panel from 01:00 to 04:30 holds the hours that close at 02:00, 03:00 and 04:00."""
    hours = resample(make(first=START + 3600), 3600)

    assert (hours.time == START + 3600 * np.array([2, 3, 4])).all()


def test_one_unknown_half_makes_the_hour_unknown():
    """All five fields are NaN, and only in that hour and asset."""
    close = make().close.copy()
    close[2, 1] = np.nan
    hours = resample(make(close=close), 3600)

    for array in (hours.open, hours.high, hours.low, hours.close, hours.volume):
        assert np.isnan(array[1, 1])
        assert np.isnan(array).sum() == 1


def test_unknown_volume_alone_leaves_the_price_known():
    """Only the hour's volume is NaN."""
    volume = make().volume.copy()
    volume[0, 0] = np.nan
    hours = resample(make(volume=volume), 3600)

    assert np.isnan(hours.volume[0, 0])
    assert np.isfinite(hours.close).all()


@pytest.mark.parametrize("bar_s", [900, 2700, 0, -3600])
def test_only_whole_multiples_can_be_made(bar_s):
    """Finer bars are not invented."""
    with pytest.raises(DataError, match="whole multiple"):
        resample(make(), bar_s)


def test_no_whole_coarse_bar_is_an_error_not_an_empty_panel():
    """Four hours hold no day."""
    with pytest.raises(DataError, match="cover no whole 86400 s bar"):
        resample(make(), 86_400)


def test_same_bar_is_the_same_panel_and_steps_compose():
    """15 to 30 to 60 minutes is 15 to 60 minutes, bit for bit."""
    quarters = make(bars=40, bar_s=900, first=START + 900)
    direct, stepped = resample(quarters, 3600), resample(resample(quarters, 1800), 3600)

    assert resample(quarters, 900) is quarters
    assert (direct.close == stepped.close).all()
    assert (direct.high == stepped.high).all()
    assert (direct.volume == stepped.volume).all()


def test_trailing_bars_overlap_and_end_at_every_row():
    """The last row equals the coarse bar that ends there, and the first count - 1 rows are dropped."""
    whole = make()
    overlapping = trailing(whole, 4)

    assert (overlapping.time == whole.time[3:]).all()
    assert (overlapping.open == whole.open[:5]).all()
    assert (overlapping.volume[-1] == whole.volume[4:].sum(axis=0)).all()
    with pytest.raises(DataError, match="a bar of 9 bars"):
        trailing(whole, 9)
