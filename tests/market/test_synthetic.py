"""The embedded market: one world, whoever looks at it and through whichever window."""

from __future__ import annotations

import dataclasses
import time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import ConfigError
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.market.synthetic_boards import MAJORS, board
from evenkeel.types import Pair, Panel
from evenkeel.units import DAY_S, HOUR_S

WORLD = SyntheticSettings(late_asset="LATE", late_day=3, gone_asset="GONE", gone_day=5, gap_rate=1.0)
EPOCH = WORLD.epoch
FIELDS = ("open", "high", "low", "close", "volume")


def pair(asset: str, tier: int = 2, decimals: int = 4, kind: str = "crypto") -> Pair:
    """A pair of the small test universe."""
    return Pair(asset, f"{asset}/USD", tier, decimals, 3, Decimal(1), kind)


PAIRS = [
    pair("BTC", 1, 2),
    pair("ETH", 1, 2),
    pair("DOGE", 1, 5),
    pair("LATE", 3, 4),
    pair("GONE", 3, 8),
    pair("TINY", 3, 8),
    pair("TSLAB", 3, 2, "stock"),
]


def same(left: Panel, right: Panel) -> bool:
    """True when two panels hold the same bits in every field."""
    return left.assets == right.assets and all(
        getattr(left, name).tobytes() == getattr(right, name).tobytes() for name in ("time", *FIELDS)
    )


def part(panel: Panel, rows: slice, columns: list[int]) -> Panel:
    """Some rows and columns of a panel."""
    cut: dict[str, Any] = {name: np.ascontiguousarray(getattr(panel, name)[rows][:, columns]) for name in FIELDS}
    return dataclasses.replace(panel, time=panel.time[rows], assets=tuple(panel.assets[c] for c in columns), **cut)


@pytest.fixture(scope="module")
def week() -> Panel:
    """Eight days of half-hour bars of the test world."""
    return market(PAIRS, EPOCH, EPOCH + 8 * DAY_S, 1800, WORLD)


@settings(max_examples=25, deadline=None)
@given(first=st.integers(0, 8 * DAY_S), length=st.integers(0, 8 * DAY_S), bar_s=st.sampled_from([900, 1800, 3600]))
def test_window_does_not_change_the_world(first: int, length: int, bar_s: int) -> None:
    """Any window, on the grid or off it, shows the rows of the whole, bit for bit."""
    whole = market(PAIRS[:3], EPOCH, EPOCH + 16 * DAY_S, bar_s, WORLD)

    seen = market(PAIRS[:3], EPOCH + first, EPOCH + first + length, bar_s, WORLD)

    inside = (whole.time - bar_s >= EPOCH + first) & (whole.time <= EPOCH + first + length)
    rows = np.flatnonzero(inside)
    start, stop = (rows[0], rows[-1] + 1) if len(rows) else (0, 0)
    assert same(seen, part(whole, slice(start, stop), [0, 1, 2]))


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(len(PAIRS))), count=st.integers(1, len(PAIRS)))
def test_an_asset_does_not_depend_on_its_neighbours(week: Panel, order: list[int], count: int) -> None:
    """Other assets, fewer or in another order, leave every column's bits as they are."""
    seen = market([PAIRS[i] for i in order[:count]], EPOCH, EPOCH + 8 * DAY_S, 1800, WORLD)

    assert same(seen, part(week, slice(None), list(order[:count])))


def test_bar_sizes_show_one_world(week: Panel) -> None:
    """Half-hour bars are two quarter-hour bars put together; a bar with a missing half is missing."""
    fine = market(PAIRS, EPOCH, EPOCH + 8 * DAY_S, 900, WORLD)

    halves = {name: getattr(fine, name).reshape(-1, 2, len(PAIRS)) for name in FIELDS}
    lost = np.isnan(halves["close"]).any(axis=1)
    assert (np.isnan(week.close) == lost).all()
    assert np.array_equal(week.open[~lost], halves["open"][:, 0][~lost])
    assert np.array_equal(week.high[~lost], halves["high"].max(axis=1)[~lost])
    assert np.array_equal(week.low[~lost], halves["low"].min(axis=1)[~lost])
    assert np.array_equal(week.close[~lost], halves["close"][:, 1][~lost])
    assert np.array_equal(week.volume[~lost], halves["volume"].sum(axis=1)[~lost])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**9), vol_scale=st.floats(0, 5), depth=st.floats(0, 0.6))
def test_every_world_has_sound_bars(seed: int, vol_scale: float, depth: float) -> None:
    """Bars are ordered, above zero, on the pair's grid, and all fields go missing together."""
    world = dataclasses.replace(WORLD, seed=seed, vol_scale=vol_scale, crash_depth=depth, jump_rate=2.0)

    seen = market(PAIRS, EPOCH, EPOCH + 4 * DAY_S, 1800, world)

    known = ~np.isnan(seen.close)
    for name in FIELDS:
        assert (np.isfinite(getattr(seen, name)) == known).all()
    assert (seen.high[known] >= np.maximum(seen.open, seen.close)[known]).all()
    assert (seen.low[known] <= np.minimum(seen.open, seen.close)[known]).all()
    assert (seen.low[known] > 0).all()
    assert (seen.volume[known] >= 0).all()
    for column, one in enumerate(PAIRS):
        ticks = seen.close[known[:, column], column] * 10.0**one.price_decimals
        assert np.allclose(ticks, np.round(ticks), rtol=0, atol=1e-4)


def test_seed_makes_another_world(week: Panel) -> None:
    """The seed, and only it, decides the path; the same seed gives the same bits."""
    again = market(PAIRS, EPOCH, EPOCH + 8 * DAY_S, 1800, WORLD)
    other = market(PAIRS, EPOCH, EPOCH + 8 * DAY_S, 1800, dataclasses.replace(WORLD, seed=8))

    assert same(week, again)
    assert not np.array_equal(week.close[:, 0], other.close[:, 0], equal_nan=True)


def test_listing_and_delisting(week: Panel) -> None:
    """The late asset has no bar before its day, the delisted none from its day on."""
    late, gone = week.close[:, week.assets.index("LATE")], week.close[:, week.assets.index("GONE")]

    assert np.isnan(late[: 3 * 48]).all()
    assert np.isfinite(late[3 * 48 :]).mean() > 0.8
    assert np.isnan(gone[5 * 48 :]).all()
    assert np.isfinite(gone[: 5 * 48]).mean() > 0.8


def test_outages_come_and_go(week: Panel) -> None:
    """Gaps are there, only about as many as configured, and can be switched off."""
    calm = market(PAIRS[:3], EPOCH, EPOCH + 8 * DAY_S, 900, dataclasses.replace(WORLD, gap_rate=0.0))

    holes = np.isnan(week.close[:, :3])
    assert 0 < holes.mean() < 0.2
    assert np.isfinite(calm.close).all()


def test_market_looks_like_crypto() -> None:
    """Over half a year: volatilities, fat tails, clustering, correlation and volume by tier are of the right size."""
    pairs = [pair("BTC", 1, 2), *(pair(f"T{tier}{i}", tier) for tier in (1, 2, 3) for i in range(12))]

    seen = market(pairs, EPOCH, EPOCH + 180 * DAY_S, 3600, SyntheticSettings(gap_rate=0.0))

    moves = np.diff(np.log(seen.close), axis=0)
    vol = moves.std(axis=0) * (365.25 * 24) ** 0.5
    kurtosis = (moves**4).mean(axis=0) / (moves**2).mean(axis=0) ** 2
    size = np.abs(moves[:, 0])
    correlation = np.corrcoef(moves.T)[np.triu_indices(moves.shape[1], 1)]
    dollars = np.array([(seen.volume * seen.close)[:, 1 + 12 * i : 13 + 12 * i].sum(axis=0).mean() for i in range(3)])
    assert 0.35 < vol[0] < 0.75
    assert 0.7 < np.median(vol[1:]) < 1.3
    assert np.median(kurtosis) > 6
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.1
    assert 0.4 < correlation.mean() < 0.85
    assert correlation.max() < 0.95
    assert (dollars / 180 > [3e8, 2e7, 2e6]).all()
    assert (dollars / 180 < [3e9, 2e8, 2e7]).all()


def test_demo_fortnight_has_a_crash_and_a_recovery() -> None:
    """Days 40 to 54 of the default world: BTC falls by more than 6 % within 6 h and wins back half of it in 48 h."""
    seen = market([pair("BTC", 1, 2)], EPOCH + 40 * DAY_S, EPOCH + 54 * DAY_S, 1800, SyntheticSettings(gap_rate=0.0))

    close = seen.close[:, 0]
    fall = np.array([close[max(i - 12, 0) : i + 1].max() for i in range(len(close))])
    bottom = int((close / fall).argmin())
    depth = 1 - close[bottom] / fall[bottom]
    assert depth > 0.06
    assert close[bottom : bottom + 96].max() > close[bottom] + 0.5 * (fall[bottom] - close[bottom])


def test_first_prices_are_realistic() -> None:
    """Majors begin near their known prices, all others with at least four significant digits on their grid."""
    seen = market(PAIRS, EPOCH, EPOCH + DAY_S, 900, SyntheticSettings(gap_rate=0.0, late_asset="", gone_asset=""))

    assert np.allclose(seen.open[0, :3], [60_000, 2_500, 0.15], rtol=0.02)
    digits = seen.close * 10.0 ** np.array([one.price_decimals for one in PAIRS])
    assert digits.min() >= 1_000


@pytest.mark.parametrize(("start", "bar_s"), [(EPOCH - 1, 1800), (EPOCH, 700), (EPOCH, 0), (EPOCH, 7 * HOUR_S)])
def test_impossible_requests_are_refused(start: int, bar_s: int) -> None:
    """Before the epoch there is no market, and bars must be made of quarter hours that divide a day."""
    with pytest.raises(ConfigError):
        market(PAIRS, start, EPOCH + DAY_S, bar_s, WORLD)
    with pytest.raises(ConfigError, match="twice"):
        market([PAIRS[0], PAIRS[0]], EPOCH, EPOCH + DAY_S, 1800, WORLD)


def test_empty_period_is_an_empty_panel() -> None:
    """A period that holds no bar gives no row, not an error."""
    assert market(PAIRS, EPOCH, EPOCH, 1800, WORLD).close.shape == (0, len(PAIRS))
    assert market(PAIRS, EPOCH + DAY_S, EPOCH, 1800, WORLD).close.shape == (0, len(PAIRS))


def test_demo_is_made_in_time() -> None:
    """88 assets x 60 days x 30 minutes in under 3 s of CPU (0.35 s when nobody else computes)."""
    pairs = [pair(f"A{i}", 1 + i % 3) for i in range(88)]
    begin = time.process_time()

    seen = market(pairs, EPOCH, EPOCH + 60 * DAY_S, 1800, SyntheticSettings())

    assert seen.close.shape == (60 * 48, 88)
    assert time.process_time() - begin < 3


# ---------------------------------------------------------------- boards


@settings(max_examples=30, deadline=None)
@given(row=st.integers(0, 8 * 48 - 2))
def test_ignorant_crowd_does_not_see_the_future(week: Panel, row: int) -> None:
    """With crowd_knows = 0 the board is the same when the panel ends here or goes on otherwise."""
    seen = board(week, row, WORLD)

    ends = part(week, slice(0, row + 1), list(range(len(PAIRS))))
    poisoned = dataclasses.replace(week, close=np.where(np.arange(len(week.time))[:, None] > row, 1e9, week.close))
    assert board(ends, row, WORLD) == seen
    assert board(poisoned, row, WORLD) == seen


@settings(max_examples=30, deadline=None)
@given(row=st.integers(0, 8 * 48 - 1))
def test_board_is_a_sound_ladder(week: Panel, row: int) -> None:
    """Quotes stand on the cent grid, uncrossed, free of arbitrage along the strikes, sized exactly where quoted."""
    seen = board(week, row, WORLD)

    assert seen.time == week.time[row]
    assert {c.asset for c in seen.contracts} <= set(MAJORS)
    assert len({c.ticker for c in seen.contracts}) == len(seen.contracts)
    ladders = {event: [c for c in seen.contracts if c.event == event] for event in {c.event for c in seen.contracts}}
    for ladder in ladders.values():
        floors = [c.floor for c in ladder if c.floor is not None]
        asks = [c.yes_ask for c in ladder if c.yes_ask is not None]
        bids = [c.yes_bid for c in ladder if c.yes_bid is not None]
        assert floors == sorted(set(floors))
        assert len(floors) == len(ladder)
        assert all(0 < c.expiry - seen.time <= 2 * HOUR_S and c.expiry % HOUR_S == 0 for c in ladder)
        assert all(q == q.quantize(Decimal("0.01")) and 0 < q < 1 for q in asks + bids)
        assert all((c.yes_bid is None) == (c.bid_size == 0) for c in ladder)
        assert all((c.yes_ask is None) == (c.ask_size == 0) for c in ladder)
        for low, high in ((a, b) for i, a in enumerate(ladder) for b in ladder[i:]):
            assert low.yes_ask is None or high.yes_bid is None or high.yes_bid <= low.yes_ask


def test_two_sided_quotes_suffice_for_a_fit(week: Panel) -> None:
    """Nearly every event has the three two-sided quotes that the edge opinion asks for."""
    events: dict[str, int] = {}
    for row in range(100, 8 * 48, 7):
        for c in board(week, row, WORLD).contracts:
            quoted = c.yes_bid is not None and c.yes_ask is not None
            events[f"{c.event}@{row}"] = events.get(f"{c.event}@{row}", 0) + quoted

    assert np.mean([count >= 3 for count in events.values()]) > 0.95


def test_knowing_crowd_leans_the_right_way() -> None:
    """With crowd_knows > 0 the middle of the ladder moves with the hour that really follows; with 0 it does not."""
    seen = market(PAIRS[:1], EPOCH, EPOCH + 20 * DAY_S, 1800, dataclasses.replace(WORLD, gap_rate=0.0))

    assert _lean(seen, dataclasses.replace(WORLD, crowd_knows=0.5)) > 0.9
    assert abs(_lean(seen, WORLD)) < 0.2


def _lean(panel: Panel, world: SyntheticSettings) -> float:
    """Correlation of the sum of mid prices, which rises with the crowd's mean, with the return of the next hour."""
    rows = range(101, len(panel.time) - 2, 2)
    mids, moves = [], []
    for row in rows:
        ladder = board(panel, row, world, hours=1, strikes=61).contracts
        spot = panel.close[row, 0]
        wanted = [float((c.yes_bid or 0) + (c.yes_ask or 1)) / 2 for c in ladder]
        step = (ladder[1].floor or 0) - (ladder[0].floor or 0)
        mids.append(((ladder[0].floor or 0) + step * (sum(wanted) - 0.5)) / spot - 1)
        moves.append(np.log(panel.close[row + 2, 0] / spot))
    return float(np.corrcoef(mids, moves)[0, 1])
