"""Which prices are believed: every planted fault is caught, nothing sound is lost, nothing looks ahead."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.market.quality import (
    BENCHMARK_UNAVAILABLE,
    UNIVERSE_UNAVAILABLE,
    Codes,
    Fault,
    QualitySettings,
    carried,
    codes,
    quote_codes,
    universe_ok,
)
from evenkeel.types import Array, Panel, Quotes

BAR_S = 1800
QUALITY = QualitySettings()
FIELDS = ("open", "high", "low", "close", "volume")


def panel(close: Array) -> Panel:
    """A sound panel around given closes (T, N)."""
    time = BAR_S * np.arange(1, len(close) + 1, dtype=np.int64)
    names = tuple(f"A{i}" for i in range(close.shape[1]))
    volume = np.where(np.isnan(close), np.nan, 1.0)
    return Panel(time, names, close * 1.0, close * 1.01, close * 0.99, close * 1.0, volume, BAR_S)


def wander(seed: int, bars: int = 40, assets: int = 5) -> Array:
    """Closes that move by about 1 % a bar, (T, N)."""
    moves = np.random.default_rng(seed).normal(0, 0.01, (bars, assets))
    walk: Array = 100.0 * np.exp(np.cumsum(moves, axis=0))
    return walk


def faulty(seed: int) -> Panel:
    """A panel in which about a third of all bars is damaged in some way."""
    rng = np.random.default_rng(seed)
    sound = panel(wander(seed))
    damage = rng.integers(0, 18, sound.close.shape)
    close = sound.close * np.select([damage == 0, damage == 1, damage == 2], [10.0, 0.5, 0.0], 1.0)
    close[damage == 3] = np.nan
    high = np.where(damage == 4, sound.low / 2, np.maximum(sound.high, close))
    return dataclasses.replace(sound, close=close, high=high, low=np.minimum(sound.low, close))


def cut(whole: Panel, rows: int, columns: list[int] | None = None) -> Panel:
    """The first rows of a panel, in another order of assets."""
    order = list(range(len(whole.assets))) if columns is None else columns
    fields = {name: getattr(whole, name)[:rows][:, order] for name in FIELDS}
    return dataclasses.replace(whole, time=whole.time[:rows], assets=tuple(whole.assets[i] for i in order), **fields)


# ---------------------------------------------------------------- laws


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 40))
def test_verdicts_are_causal(seed: int, rows: int) -> None:
    """Verdict, carried close and age of a row have the same bits whether the panel ends there or later."""
    whole = faulty(seed)
    short = cut(whole, rows)

    verdict, early = codes(whole, QUALITY), codes(short, QUALITY)

    close, age = carried(whole, verdict)
    early_close, early_age = carried(short, early)
    assert verdict[:rows].tobytes() == early.tobytes()
    assert close[:rows].tobytes() == early_close.tobytes()
    assert age[:rows].tobytes() == early_age.tobytes()


@given(seed=st.integers(0, 10**6), order=st.permutations(range(5)))
def test_order_of_assets_does_not_matter(seed: int, order: list[int]) -> None:
    """Permuted assets get permuted verdicts."""
    whole = faulty(seed)

    assert (codes(cut(whole, 40, order), QUALITY) == codes(whole, QUALITY)[:, order]).all()


@given(seed=st.integers(0, 10**6), power=st.integers(-20, 20))
def test_scale_of_prices_does_not_matter(seed: int, power: int) -> None:
    """Prices times a power of two get the same verdicts."""
    whole = faulty(seed)
    scaled = dataclasses.replace(whole, **{name: getattr(whole, name) * 2.0**power for name in FIELDS})

    assert (codes(scaled, QUALITY) == codes(whole, QUALITY)).all()


@given(seed=st.integers(0, 10**6))
def test_sound_bars_are_believed(seed: int) -> None:
    """Nothing is wrong with a market that moves by 1 % a bar."""
    assert (codes(panel(wander(seed)), QUALITY) == Fault.OK).all()


@given(seed=st.integers(0, 10**6))
def test_believed_prices_are_sound(seed: int) -> None:
    """A carried price is positive, its age 0 exactly where its own bar is believed, and NaN only if none ever was."""
    whole = faulty(seed)
    verdict = codes(whole, QUALITY)

    close, age = carried(whole, verdict)

    seen = np.isfinite(age)
    assert (close[seen] > 0).all()
    assert np.isnan(close[~seen]).all()
    assert ((age == 0) == (verdict == Fault.OK)).all()
    assert (close[verdict == Fault.OK] == whole.close[verdict == Fault.OK]).all()


# ---------------------------------------------------------------- planted faults in bars

PLANTS = {
    Fault.MISSING: {"open": math.nan, "high": math.nan, "low": math.nan, "close": math.nan, "volume": math.nan},
    Fault.ZERO: {"low": 0.0, "close": 0.0},
    Fault.BROKEN: {"high": 1.0},
    Fault.SPIKE: {"high": 1e4, "close": 1e4},
}


@pytest.mark.parametrize("fault", PLANTS)
@given(seed=st.integers(0, 10**6), row=st.integers(1, 39), column=st.integers(0, 4))
def test_planted_fault_is_caught_where_it_is(fault: Fault, seed: int, row: int, column: int) -> None:
    """One damaged bar gets its verdict; every other bar stays believed."""
    whole = panel(wander(seed))
    for name, value in PLANTS[fault].items():
        getattr(whole, name)[row, column] = value

    verdict = codes(whole, QUALITY)

    assert verdict[row, column] == fault
    assert np.count_nonzero(verdict) == 1


@pytest.mark.parametrize(("name", "value"), [("open", 0.0), ("low", -1.0), ("high", math.inf), ("open", math.nan)])
def test_any_field_can_spoil_a_bar(name: str, value: float) -> None:
    """Zero, negative, infinite or missing: one field is enough."""
    whole = panel(wander(1))
    getattr(whole, name)[7, 2] = value

    assert codes(whole, QUALITY)[7, 2] != Fault.OK


@given(seed=st.integers(0, 10**6), row=st.integers(1, 38), factor=st.sampled_from([10.0, 0.1, 1.6, 0.5]))
def test_one_bad_tick_is_never_believed(seed: int, row: int, factor: float) -> None:
    """A one-bar spike never becomes a carried price, and the bar after it is believed again."""
    close = wander(seed)
    close[row, 3] *= factor

    verdict = codes(panel(close), QUALITY)

    believed, age = carried(panel(close), verdict)
    assert verdict[row, 3] == Fault.SPIKE
    assert verdict[row + 1, 3] == Fault.OK
    assert believed[row, 3] == close[row - 1, 3]
    assert age[row, 3] == BAR_S
    assert believed[row + 1, 3] == close[row + 1, 3]


@given(seed=st.integers(0, 10**6), row=st.integers(1, 37), hole=st.booleans())
def test_true_crash_is_believed_on_confirmation(seed: int, row: int, hole: bool) -> None:
    """A fall of 40 % that stays is doubted for one bar and believed with the next known one."""
    close = wander(seed)
    close[row:, 3] *= 0.6
    if hole:
        close[row + 1, 3] = np.nan
    confirmed = row + 1 + hole

    verdict = codes(panel(close), QUALITY)

    assert verdict[row, 3] == Fault.SPIKE
    assert (verdict[confirmed:, 3] == Fault.OK).all()
    assert carried(panel(close), verdict)[0][confirmed, 3] == close[confirmed, 3]


def test_two_different_bad_ticks_do_not_confirm_each_other() -> None:
    """Ten times, then a tenth, then back: neither is ever believed."""
    close = np.full((6, 1), 100.0)
    close[2:4, 0] = [1000.0, 10.0]

    assert codes(panel(close), QUALITY)[:, 0].tolist() == [0, 0, Fault.SPIKE, Fault.SPIKE, 0, 0]


def test_a_bad_tick_that_returns_is_doubted_again() -> None:
    """A good bar between clears the suspicion: the same bad tick later must be confirmed anew."""
    close = np.full((6, 1), 100.0)
    close[[1, 3], 0] = 1000.0

    assert codes(panel(close), QUALITY)[:, 0].tolist() == [0, Fault.SPIKE, 0, Fault.SPIKE, 0, 0]


def test_missing_becomes_stale_becomes_absent() -> None:
    """An asset whose bars stop is missing, then stale, then no longer of the market; one not yet listed is absent."""
    close = np.full((12, 2), 100.0)
    close[3:, 0] = np.nan
    close[:5, 1] = np.nan
    limits = QualitySettings(max_age=2 * BAR_S, delisted_after=5 * BAR_S)

    verdict = codes(panel(close), limits)

    gone = [Fault.MISSING] * 2 + [Fault.STALE] * 3 + [Fault.ABSENT] * 4
    assert verdict[:, 0].tolist() == [0, 0, 0, *gone]
    assert verdict[:, 1].tolist() == [Fault.ABSENT] * 5 + [Fault.OK] * 7


def test_age_limit_is_never_below_one_and_a_half_bars() -> None:
    """One lost bar is missing, not stale, however small the configured age."""
    close = np.full((4, 1), 100.0)
    close[1:3, 0] = np.nan

    verdict = codes(panel(close), QualitySettings(max_age=1))

    assert verdict[:, 0].tolist() == [Fault.OK, Fault.MISSING, Fault.STALE, Fault.OK]


def test_spike_does_not_count_as_a_sign_of_life() -> None:
    """Age runs on while prices are doubted: a missing bar after a long doubt is stale."""
    close = np.array([[100.0], [1000.0], [10.0], [np.nan]])

    verdict = codes(panel(close), QUALITY)

    assert verdict[:, 0].tolist() == [Fault.OK, Fault.SPIKE, Fault.SPIKE, Fault.STALE]
    assert carried(panel(close), verdict)[1][:, 0].tolist() == [0, BAR_S, 2 * BAR_S, 3 * BAR_S]


def test_never_seen_has_no_price_and_no_age() -> None:
    """An asset without a believed bar is carried as NaN with infinite age."""
    whole = panel(np.full((3, 1), np.nan))

    close, age = carried(whole, codes(whole, QUALITY))

    assert np.isnan(close).all()
    assert np.isinf(age).all()


# ---------------------------------------------------------------- quotes


def _quote(bid: float = 99.9, ask: float = 100.1, age: float = 1.0, last: float = 100.0, bar_s: int = 0) -> int:
    one = np.array([math.nan])
    quotes = Quotes(0, np.array([bid]), np.array([ask]), one, one, np.array([age]))
    return int(quote_codes(quotes, np.array([last]), QUALITY, bar_s=bar_s)[0])


@pytest.mark.parametrize(
    ("fault", "planted"),
    [
        (Fault.OK, {}),
        (Fault.OK, {"bid": 100.0, "ask": 100.0}),
        (Fault.OK, {"last": math.nan}),
        (Fault.OK, {"age": 2_600.0, "bar_s": 1_800}),
        (Fault.MISSING, {"bid": math.nan}),
        (Fault.MISSING, {"ask": math.inf}),
        (Fault.STALE, {"age": 901.0}),
        (Fault.STALE, {"age": math.inf}),
        (Fault.STALE, {"age": math.nan}),
        (Fault.STALE, {"age": 2_701.0, "bar_s": 1_800}),
        (Fault.ZERO, {"bid": 0.0}),
        (Fault.ZERO, {"bid": -1.0}),
        (Fault.CROSSED, {"bid": 100.2}),
        (Fault.SPIKE, {"ask": 1_000.0}),
        (Fault.SPIKE, {"bid": 10.0}),
        (Fault.SPIKE, {"last": 10.0}),
    ],
)
def test_planted_quote_fault_is_caught(fault: Fault, planted: dict[str, float]) -> None:
    """Each damaged quote gets its verdict; sound ones are believed."""
    assert _quote(**planted) == fault  # type: ignore[arg-type]


# ---------------------------------------------------------------- fail closed


def _row(**counts: int) -> Codes:
    """OK benchmark first, then so many assets of each fault."""
    return np.array([Fault.OK, *(Fault[name] for name, count in counts.items() for _ in range(count))], dtype=np.int8)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.OK])
def test_unavailable_benchmark_fails_closed(fault: Fault) -> None:
    """Whatever is wrong with BTC, or if it is not there at all, nothing is traded."""
    row = _row(OK=9)
    row[0] = fault

    assert universe_ok(row, 0, QUALITY) == BENCHMARK_UNAVAILABLE
    assert universe_ok(_row(OK=9), -1, QUALITY) == BENCHMARK_UNAVAILABLE


def test_more_than_three_tenths_unavailable_fails_closed() -> None:
    """Three of ten are borne, four are not, whatever their faults."""
    assert universe_ok(_row(OK=6, STALE=3), 0, QUALITY) == ""
    assert universe_ok(_row(OK=5, STALE=1, SPIKE=1, MISSING=1, ZERO=1), 0, QUALITY) == UNIVERSE_UNAVAILABLE


def test_absent_assets_are_no_members() -> None:
    """Assets not yet listed or long gone count neither as unavailable nor as part of the universe."""
    assert universe_ok(_row(OK=6, STALE=3, ABSENT=50), 0, QUALITY) == ""
    assert universe_ok(_row(OK=5, STALE=4, ABSENT=50), 0, QUALITY) == UNIVERSE_UNAVAILABLE
