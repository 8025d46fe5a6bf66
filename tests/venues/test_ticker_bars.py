"""Bars made of a polled ticker."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.units import DAY_S
from evenkeel.venues.roostoo_rows import Tick
from evenkeel.venues.ticker_bars import BarBuilder

BAR = 900
START = 1_790_000_100 // BAR * BAR


def _tick(at: float, last: object, day_units: object | None = None) -> Tick:
    price = Decimal(str(last))
    units = None if day_units is None else Decimal(str(day_units))
    return Tick(int((START + at) * 1000), price, price, price, units)


def _polled(prices, every_s=60, bars=None, asset="BTC", first=0) -> BarBuilder:
    builder = bars or BarBuilder(BAR)
    for i, price in enumerate(prices):
        builder = builder.take({asset: _tick(first + i * every_s, price)})
    return builder


def test_a_watched_bar_has_the_prices_that_were_seen():
    """First, highest, lowest and last price of the bar; nothing before it is over; handed out once."""
    builder = _polled([10, 12, 9, *[10.5] * 11, 11, 99])

    assert builder.closed(START + BAR - 1)[0] == {}
    made, left = builder.closed(START + BAR)
    np.testing.assert_array_equal(made["BTC"], [[START, 10.0, 12.0, 9.0, 11.0, np.nan]])
    assert left.closed(START + BAR)[0] == {}
    assert left.forming["BTC"].open == 99.0


def test_a_bar_without_a_tick_is_absent():
    """Nobody polled for a bar: it is not there, and its neighbours do not stretch over it."""
    builder = _polled([1] * 15)
    builder = _polled([2] * 15, bars=builder, first=2 * BAR)

    made, _ = builder.closed(START + 3 * BAR)

    assert made["BTC"][:, 0].tolist() == [START, START + 2 * BAR]


def test_a_bar_that_was_not_watched_from_end_to_end_is_absent():
    """Begun late, left early, or interrupted for more than the gap: absent."""
    late = _polled([1] * 9, first=360)
    early = _polled([1] * 9)
    torn = _polled([1] * 5, bars=_polled([1] * 5), first=600)

    for builder in (late, early, torn):
        assert builder.closed(START + BAR)[0] == {}


def test_repeated_and_old_ticks_count_for_nothing():
    """A cached answer neither moves a price nor makes it younger."""
    builder = _polled([10] * 15)
    stale = builder.take({"BTC": _tick(14 * 60, 99)}).take({"BTC": _tick(30, 1)})

    assert stale == builder
    assert stale.ages(START + BAR) == {"BTC": 60.0}


def test_a_tick_that_is_too_late_for_its_bar_does_not_bring_it_back():
    """What was handed out stays as it was."""
    _, drained = _polled([10] * 15).closed(START + BAR)

    late = drained.take({"ETH": _tick(BAR - 1, 5)})

    assert late == drained
    assert drained.source == "ticker"


def test_volume_is_told_where_yesterdays_is_known():
    """Change of the day's units plus what left it; NaN without the neighbour, without yesterday, or below zero."""
    builder = BarBuilder(BAR)
    for i in range(30):
        builder = builder.take({"BTC": _tick(i * 60, 10, 1000 + i)})
    first, second = START - DAY_S, START + BAR - DAY_S

    def volumes(traded):
        return builder.closed(START + 2 * BAR, {"BTC": traded})[0]["BTC"][:, 5]

    np.testing.assert_array_equal(volumes({first: 7.0, second: 5.0}), [np.nan, 20.0])
    np.testing.assert_array_equal(volumes({}), [np.nan, np.nan])
    np.testing.assert_array_equal(volumes({second: -16.0}), [np.nan, np.nan])


@given(
    steps=st.lists(st.tuples(st.integers(-100, 400), st.integers(1, 1000)), max_size=80),
    cuts=st.sets(st.integers(0, 80), max_size=5),
)
def test_bars_do_not_depend_on_when_they_are_fetched(steps, cuts):
    """Fetched in pieces or at the end: the same bars, each within what was seen, on the grid, in order."""
    whole = pieces = BarBuilder(BAR)
    rows, at = [], 0
    for i, (step, price) in enumerate(steps):
        at = max(0, at + step)
        tick = {"BTC": _tick(at, price)}
        whole, pieces = whole.take(tick), pieces.take(tick)
        if i in cuts:
            made, pieces = pieces.closed(max(START, pieces.seen["BTC"].time // 1000))
            rows.extend(made.get("BTC", np.empty((0, 6))))
    end = START + 10**6
    rows.extend(pieces.closed(end)[0].get("BTC", np.empty((0, 6))))
    together = whole.closed(end)[0].get("BTC", np.empty((0, 6)))

    np.testing.assert_array_equal(np.array(rows).reshape(-1, 6), together)
    assert (together[:, 0] % BAR == 0).all()
    assert (np.diff(together[:, 0]) > 0).all()
    assert (together[:, 3] <= together[:, [1, 4]].min(axis=1)).all()
    assert (together[:, 2] >= together[:, [1, 4]].max(axis=1)).all()


def test_the_builder_given_away_never_changes():
    """Taking a tick leaves the old builder as it was."""
    before = _polled([1, 2])
    copy = replace(before, seen=dict(before.seen), forming=dict(before.forming))

    before.take({"BTC": _tick(500, 3)})

    assert before == copy
