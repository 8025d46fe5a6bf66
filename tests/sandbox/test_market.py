from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.errors import DataError
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.sandbox.market import Market
from evenkeel.types import Pair

START = 1_735_689_600
BAR = 900
BTC = Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(1))
DOGE = Pair("DOGE", "DOGE/USD", 1, 5, 0, Decimal(1))
PANEL = market((BTC, DOGE), START, START + 3 * 86_400, BAR, SyntheticSettings(seed=7))
MARKET = Market(PANEL, {"BTC": BTC, "DOGE": DOGE}, spread_bps=2.0)
times = st.floats(START, START + 3 * 86_400 - 1e-3)


@given(times, st.sampled_from(["BTC", "DOGE"]))
def test_quotes_stand_on_the_grid_around_the_last_price(now, asset):
    """Bid < ask, both and the last price multiples of the tick, the last price not outside them."""
    tick = Decimal(1).scaleb(-MARKET.pair(asset).price_decimals)
    bid, ask = MARKET.quote(asset, now)
    last = MARKET.last(asset, now)

    assert 0 < bid < ask
    assert bid <= last <= ask
    assert all(Decimal(repr(price)) % tick == 0 for price in (bid, ask, last))


@given(times)
def test_prices_stay_inside_their_bar(now):
    """The path never leaves the bar's low and high, and begins and ends at its open and close."""
    row = int((now - START) // BAR)
    opens = START + row * BAR

    assert PANEL.low[row, 0] <= MARKET.last("BTC", now) <= PANEL.high[row, 0]
    assert MARKET.last("BTC", opens) == PANEL.open[row, 0]
    assert MARKET.last("BTC", opens + BAR - 1e-6) == pytest.approx(PANEL.close[row, 0], abs=0.011)


def test_whoever_polls_sees_each_bars_extremes():
    """At the turns of the path stand low and high."""
    seen = [MARKET.last("BTC", at) for at in (START, *MARKET.turns("BTC", START, START + BAR - 1e-6))]

    assert max(seen) == PANEL.high[0, 0]
    assert min(seen) == PANEL.low[0, 0]


def test_candles_of_the_panels_step_are_the_panel():
    """Closed bars come back as they are, with their open time."""
    rows = MARKET.bars("BTC", BAR, START, START + 86_400, START + 86_400)
    got = np.array([row[:6] for row in rows])
    want = np.stack([getattr(PANEL, f)[:96, 0] for f in ("open", "high", "low", "close", "volume")], axis=1)

    assert [row.time for row in rows] == list(range(START, START + 86_400, BAR))
    assert all(row.closed for row in rows)
    assert np.array_equal(got[:, 1:], want)


@pytest.mark.parametrize("step", [60, 300, 3_600, 14_400, 86_400])
def test_candles_of_every_step_agree(step):
    """Highest, lowest, first, last and volume of a day are the same whatever the step."""
    rows = MARKET.bars("BTC", step, START, START + 86_400, START + 86_400)

    assert rows[0].open == PANEL.open[0, 0]
    assert rows[-1].close == PANEL.close[95, 0]
    assert max(row.high for row in rows) == PANEL.high[:96, 0].max()
    assert min(row.low for row in rows) == PANEL.low[:96, 0].min()
    assert sum(row.volume for row in rows) == pytest.approx(PANEL.volume[:96, 0].sum(), rel=1e-6)


def test_the_newest_candle_is_still_open():
    """It has come as far as now, shows nothing later, and says that it is not closed."""
    now = START + 2 * 3_600 + 1_000.0
    rows = MARKET.bars("BTC", 3_600, START, now + 1, now)

    assert [row.closed for row in rows] == [True, True, False]
    assert rows[-1].close == MARKET.last("BTC", now)
    assert rows[-1].high <= PANEL.high[8:10, 0].max()
    assert rows[-1].volume < PANEL.volume[8:12, 0].sum()


def test_a_candle_that_opens_now_has_one_price():
    """At the very second of its opening: open, high, low and close are one, nothing is traded yet."""
    bar = MARKET.bars("BTC", 3_600, START + 3_600, START + 3_601, START + 3_600)[0]

    assert bar.open == bar.high == bar.low == bar.close == PANEL.open[4, 0]
    assert bar.volume == 0.0


def test_a_gap_has_no_market():
    """A missing bar: no quote, no last price, no candle; an hour with three of four bars is made of the three."""
    holed = market((BTC,), START, START + 86_400, BAR, SyntheticSettings(seed=7, gap_rate=0.0))
    fields = {f: getattr(holed, f).copy() for f in ("open", "high", "low", "close", "volume")}
    for field in fields.values():
        field[2] = np.nan
    panel = type(holed)(holed.time, holed.assets, **fields, bar_s=BAR)
    gappy = Market(panel, {"BTC": BTC})
    inside = START + 2 * BAR + 10

    assert gappy.quote("BTC", inside) is None
    assert gappy.last("BTC", inside) is None
    assert len(gappy.bars("BTC", BAR, START, START + 3_600, START + 3_600)) == 3
    assert len(gappy.bars("BTC", 3_600, START, START + 3_600, START + 3_600)) == 1


def test_before_and_after_the_panel_there_is_no_market():
    """Nothing is invented outside the bars that are known."""
    assert MARKET.begin == START
    assert MARKET.end == START + 3 * 86_400
    assert MARKET.quote("BTC", START - 1) is None
    assert MARKET.quote("BTC", MARKET.end) is None
    assert MARKET.bars("BTC", BAR, 0, START, START + 86_400) == []


def test_a_step_that_does_not_fit_is_refused():
    """7 minutes are neither part nor multiple of 15."""
    with pytest.raises(DataError, match="420"):
        MARKET.bars("BTC", 420, START, START + 1, START)


def test_the_day_before_has_its_change_and_volume():
    """From the open of the first of 96 bars to now."""
    now = START + 86_400 - 1.0
    day = MARKET.day("BTC", now)

    assert day.change == pytest.approx(PANEL.close[95, 0] / PANEL.open[0, 0] - 1, abs=1e-4)
    assert day.volume == pytest.approx(PANEL.volume[:96, 0].sum())
