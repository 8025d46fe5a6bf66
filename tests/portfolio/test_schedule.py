"""One order in time: to the lot, never beyond the parent, and nothing lost without a word."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.portfolio import schedule
from evenkeel.portfolio.schedule import Cancel, Child, Done, ScheduleSettings, Wait, next_child, scheduled, slices
from evenkeel.types import Fill, Intent, IntentStatus, Order, Pair
from evenkeel.units import DAY_S, HOUR_S

PAIR = Pair("BTC", "BTC/USD", 1, 2, 2, Decimal(10))
PRICE = Decimal(100)
START = 1_751_328_000  # 00:00 UTC
TWAP = ScheduleSettings("twap", over_s=600, slices=6)
ACKED, FILLED, UNKNOWN = IntentStatus.ACKED, IntentStatus.FILLED, IntentStatus.UNKNOWN
REJECTED, CANCELED, PREPARED = IntentStatus.REJECTED, IntentStatus.CANCELED, IntentStatus.PREPARED


def parent(quantity="60"):
    return Order("reb-BTC-0", "slot", 0, "BTC", Decimal(quantity), "TARGET")


def plan(style="twap", quantity="60", **more):
    return scheduled(parent(quantity), START, PAIR, PRICE, replace(TWAP, style=style), **more)


def answered(order, status=FILLED, got=None, price=PRICE):
    got = order.quantity if got is None else Decimal(got)
    fills = (Fill(order.id, order.id, "BTC", got, price, Decimal(0), START),) if got else ()
    return Intent(order, status, 1, "", fills)


def sent(of, children, minute):
    """What goes out at the n-th slice of 100 s."""
    step = next_child(of, children, START + 100 * minute, PRICE)
    return step.order if isinstance(step, Child) else step


# ---------------------------------------------------------------- cutting

QUANTITIES = st.integers(1, 10**7).map(lambda n: Decimal(n) / 100) | st.integers(1, 10**4).map(Decimal)
SIGNED = st.builds(lambda q, s: q * s, QUANTITIES, st.sampled_from([1, -1]))
PRICES = st.sampled_from([Decimal("0.01"), Decimal("0.37"), Decimal(3), Decimal("99.5"), Decimal(60_000)])
PROFILES = st.none() | st.lists(st.floats(0, 10), min_size=24, max_size=24).map(np.array)


@given(SIGNED, PRICES, st.integers(1, 50), st.integers(50, 3 * DAY_S), PROFILES)
@settings(max_examples=300)
def test_slices_sum_to_the_parent_and_each_is_legal(quantity, price, count, span, profile):
    cut = slices(parent(str(quantity)), START, START + span, count, profile, PAIR, price)

    assert sum(s.quantity for s in cut) == quantity
    assert 1 <= len(cut) <= count
    assert cut[0].time >= START
    assert cut[-1].time < START + span
    assert all(a.time < b.time for a, b in pairwise(cut))
    assert all(s.quantity == round(s.quantity, 2) and s.quantity * quantity > 0 for s in cut)
    assert len(cut) == 1 or all(abs(s.quantity) * price > PAIR.min_notional for s in cut)


@given(st.integers(10**4, 10**8), st.integers(1, 50))
@settings(max_examples=100)
def test_an_even_slice_is_off_by_less_than_a_lot(lots, count):
    cut = slices(parent(str(Decimal(lots) / 100)), START, START + 3_600, count, None, PAIR, PRICE)

    assert [s.time for s in cut] == [START + i * 3_600 // count for i in range(count)]
    assert all(abs(float(s.quantity) * 100 - lots / count) < 1 for s in cut)


@given(st.lists(st.floats(0, 10), min_size=24, max_size=24), st.integers(0, 86_399), st.integers(1, 30))
@settings(max_examples=50)
def test_slices_by_volume_follow_the_profile(profile, offset, minutes):
    """The twin adds the profile up second by second."""
    begin, count = START + offset, 7
    span = 60 * minutes * count
    second = (np.arange(span) + offset) % DAY_S // HOUR_S
    volume = np.array(profile)[second].reshape(count, -1).sum(axis=1)
    if volume.sum() < 1:
        return
    cut = slices(parent("100000"), begin, begin + span, count, np.array(profile), PAIR, Decimal(10**6))
    by_time = {s.time: float(s.quantity) for s in cut}
    got = np.cumsum([by_time.get(begin + i * span // count, 0.0) for i in range(count)])

    np.testing.assert_allclose(got, np.cumsum(volume) / volume.sum() * 1e5, atol=0.2)


def test_slices_that_are_too_small_wait_for_the_next():
    """0.5 units are 50 USD: a fiftieth would be illegal, five of just over 10 USD do not fit, four do."""
    cut = slices(parent("0.5"), START, START + 500, 50, None, PAIR, PRICE)

    assert [(s.time - START, s.quantity) for s in cut] == [
        (100, Decimal("0.11")), (210, Decimal("0.11")), (320, Decimal("0.11")), (430, Decimal("0.17")),
    ]  # fmt: skip


def test_a_parent_below_the_minimum_is_one_slice_and_said_to_be_left():
    small = scheduled(parent("-0.1"), START, PAIR, PRICE, TWAP)

    assert [s.quantity for s in small.slices] == [Decimal("-0.1")]
    assert next_child(small, [], START, PRICE) == Done("BELOW_MIN_NOTIONAL", Decimal("-0.1"))


@pytest.mark.parametrize("profile", [None, np.full(24, np.nan), np.zeros(24)])
def test_vwap_without_a_profile_is_twap_and_says_so(profile):
    fallen = plan("vwap", profile=profile)

    assert fallen.slices == plan("twap").slices
    assert fallen.note == schedule.NO_PROFILE
    assert (plan("vwap", profile=np.ones(48)).slices, plan("vwap", profile=np.ones(48)).note) == (fallen.slices, "")


@pytest.mark.parametrize(
    ("quantity", "end", "count", "price"),
    [("1", 0, 3, 1), ("1", 2, 3, 1), ("1", 9, 0, 1), ("1", 9, 3, 0), ("1.001", 9, 3, 1)],
)
def test_nonsense_is_refused(quantity, end, count, price):
    with pytest.raises(ValueError, match=r"slices from|no price|no whole number"):
        slices(parent(quantity), START, START + end, count, None, PAIR, Decimal(price))


# ---------------------------------------------------------------- volume by time of day


def days(count, bar_s=3_600):
    return START + bar_s * np.arange(1, count * DAY_S // bar_s + 1)


def test_the_profile_is_the_median_day_whatever_one_day_did():
    usual = np.tile(np.repeat([1.0, 3.0], 12), 7)
    wild = usual.copy()
    wild[5] = 1e9

    for volume in (usual, wild):
        got = schedule.volume_profile(days(7), volume, 3_600)
        np.testing.assert_allclose(got, np.repeat([1, 3], 12) / 48)


def test_a_day_with_an_unknown_bar_does_not_count_and_too_few_days_are_unknown():
    volume = np.ones(7 * 24)
    volume[[3, 30]] = np.nan

    np.testing.assert_allclose(schedule.volume_profile(days(7), volume, 3_600), 1 / 24)
    assert np.isnan(schedule.volume_profile(days(7), volume, 3_600, least_days=6)).all()
    assert np.isnan(schedule.volume_profile(days(7), np.zeros(7 * 24), 3_600)).all()
    assert np.isnan(schedule.volume_profile(days(1)[:0], volume[:0], 3_600)).all()


def test_half_hours_need_half_hour_bars():
    assert schedule.volume_profile(days(5, 900), np.ones(5 * 96), 900, 48).shape == (48,)
    with pytest.raises(ValueError, match="48 bins"):
        schedule.volume_profile(days(5), np.ones(5 * 24), 3_600, 48)


# ---------------------------------------------------------------- sending


def test_undisturbed_children_are_the_slices_and_have_their_ids():
    of, children = plan(quantity="61.01"), []
    for n in range(6):
        order = sent(of, children, n)
        assert (order.id, order.quantity, order.style) == (f"reb-BTC-0.{n}", of.slices[n].quantity, "market")
        children.append(answered(order))

    assert next_child(of, children, START + 501, PRICE) == Done("FILLED")


def test_o18_what_a_failed_slice_did_not_get_is_spread_over_the_rest():
    of, children, sizes = plan(), [], []
    for n in range(6):
        order = sent(of, children, n)
        sizes.append(order.quantity)
        children.append(answered(order, REJECTED, 0) if n == 0 else answered(order))

    assert sizes == [10, 12, 12, 12, 12, 12]


def test_o18_no_child_is_more_than_twice_its_slice_and_o9_the_end_leaves_the_rest():
    of = plan()
    child = sent(of, [], 4)
    children = [answered(child)]
    last = sent(of, children, 5)

    assert (child.id, child.quantity, last.quantity) == ("reb-BTC-0.4", 20, 20)
    assert next_child(of, [*children, answered(last)], START + 501, PRICE) == Done("SLICES_SPENT", Decimal(20))
    assert next_child(of, children, of.end, PRICE) == Done("DEADLINE", Decimal(40))


def test_o4_while_a_child_is_unknown_nothing_is_sent_and_a_failed_one_is_not_repeated_in_its_slice():
    of = plan()
    child = sent(of, [], 0)

    assert sent(of, [answered(child, UNKNOWN, 0)], 3) == Wait(START + 301, "PAIR_BUSY")
    assert sent(of, [answered(child, PREPARED, 0)], 0) == Wait(START + 100, "PAIR_BUSY")
    assert sent(of, [answered(child, REJECTED, 0)], 0) == Wait(START + 100)
    assert next_child(of, [], START - 5, PRICE) == Wait(START)


def test_o9_an_open_child_is_cancelled_when_its_time_is_over_and_its_part_is_booked():
    of = plan()
    child = sent(of, [], 0)

    assert sent(of, [answered(child, ACKED, 4)], 1) == Cancel("reb-BTC-0.0")
    booked = answered(child, CANCELED, 4)
    assert sent(of, [booked], 1).quantity == Decimal("11.2")
    assert sent(of, [replace(booked, fills=booked.fills * 2)], 1).quantity == Decimal("11.2")  # O8: told twice


def test_a_limit_order_rests_then_crosses_with_what_remains():
    of = plan("limit", "-60")
    rest = next_child(of, [], START, PRICE)
    cross = next_child(of, [answered(rest.order, CANCELED, -25)], START + 60, PRICE)

    assert (rest.order.style, rest.order.quantity, rest.until) == ("limit", -60, START + 60)
    assert (cross.order.style, cross.order.quantity, cross.until) == ("market", -35, of.end)
    assert next_child(of, [answered(rest.order, ACKED, -25)], START + 60, PRICE) == Cancel(rest.order.id)


def test_o11_where_slippage_was_bad_a_limit_order_never_crosses():
    of = plan("limit", cross=False)
    rest = next_child(of, [], START, PRICE)

    assert rest.until == of.end
    assert next_child(of, [answered(rest.order, CANCELED, 7)], of.end, PRICE) == Done("DEADLINE", Decimal(53))


def test_a_market_order_is_one_child_and_a_refusal_ends_it():
    of = plan("market")
    order = sent(of, [], 0)

    assert (order.id, order.quantity, order.style) == ("reb-BTC-0.0", 60, "market")
    assert sent(of, [answered(order, REJECTED, 0)], 0) == Done("SLICES_SPENT", Decimal(60))


def test_a_child_that_became_too_small_waits_for_the_next_and_a_small_remainder_joins_the_child_before():
    of = plan(quantity="0.40")
    first = sent(of, [], 1)
    cheap = Decimal(60)  # 0.16 units are no longer an order

    assert [s.quantity for s in of.slices] == [Decimal("0.13"), Decimal("0.13"), Decimal("0.14")]
    assert next_child(of, [answered(first)], START + 300, cheap) == Wait(START + 500)
    assert next_child(of, [answered(first)], START + 500, cheap).order.quantity == Decimal("0.27")
    assert sent(of, [answered(first, got="0.21")], 3).quantity == Decimal("0.19")


def test_the_child_of_another_parent_is_refused():
    with pytest.raises(ValueError, match="no child of"):
        next_child(plan(), [answered(parent())], START, PRICE)
    with pytest.raises(ValueError, match="no child of"):
        next_child(plan(), [answered(replace(parent(), id="reb-BTC-0.6"))], START, PRICE)


STYLES = st.sampled_from(["market", "limit", "twap", "vwap"])
PARTS = st.integers(0, 100)


def taken(children):
    """Confirmed + open + unknown, without a sign."""
    return sum(
        abs(sum((f.quantity for f in i.fills), Decimal(0))) if i.status.resolved else abs(i.order.quantity)
        for i in children
    )


@given(SIGNED, STYLES, PROFILES, st.data())
@settings(max_examples=100)
def test_whatever_happens_to_children_the_parent_is_never_overfilled(quantity, style, profile, data):
    """Any time may pass, anything may become of a child, also later: the law holds before and after every send."""
    of = scheduled(parent(str(quantity)), START, PAIR, PRICE, replace(TWAP, style=style), profile)
    children, now = [], START - 50
    for _ in range(25):
        now += data.draw(st.integers(0, 90))
        price = data.draw(st.sampled_from([PRICE, PRICE * 2, PRICE / 2]))
        step = next_child(of, children, now, price)
        assert step == next_child(of, children[::-1], now, price)
        if isinstance(step, Done):
            assert taken(children) + abs(step.left) == abs(quantity)
            return
        if isinstance(step, Child):
            fresh = step.order
            assert fresh.id not in {i.order.id for i in children}
            assert fresh.quantity * quantity > 0
            assert now < step.until <= of.end
            if style in ("twap", "vwap"):
                assert abs(fresh.quantity) <= 2 * abs(of.slices[int(fresh.id.rpartition(".")[2])].quantity)
            children.append(answered(fresh, PREPARED, 0))
        assert taken(children) + abs(schedule.left(of, children)) == abs(quantity)
        if isinstance(step, Wait):
            assert step.until > now
        for place, intent in enumerate(children):
            if not intent.status.resolved and data.draw(st.booleans()):
                part = round(intent.order.quantity * data.draw(PARTS) / 100, 2)
                status = data.draw(st.sampled_from(list(IntentStatus)))
                full = intent.order.quantity if status is FILLED else part
                children[place] = answered(intent.order, status, full)


# ---------------------------------------------------------------- afterwards


def test_the_schedule_beside_what_was_executed():
    of = plan(quantity="-60")
    fills = [
        Fill("1", "reb-BTC-0.0", "BTC", Decimal(-4), Decimal(99), Decimal(0), START),
        Fill("2", "reb-BTC-0.0", "BTC", Decimal(-6), Decimal(98), Decimal(0), START),
        Fill("2", "reb-BTC-0.0", "BTC", Decimal(-6), Decimal(98), Decimal(0), START),
        Fill("3", "reb-BTC-0.2", "BTC", Decimal(-10), Decimal(101), Decimal(0), START),
    ]
    rows = schedule.shortfall(of, fills)

    assert [(r.target, r.executed, r.price) for r in rows[:3]] == [
        (-10, -10, Decimal("98.4")), (-10, 0, None), (-10, -10, 101),
    ]  # fmt: skip
    assert [r.time - START for r in rows] == [0, 100, 200, 300, 400, 500]
    np.testing.assert_allclose([r.bps for r in rows[:3]], [160, np.nan, -100])


def test_a_limit_order_must_rest_less_than_it_lasts():
    with pytest.raises(ValueError, match="maker_s"):
        ScheduleSettings(maker_s=600, over_s=600)
