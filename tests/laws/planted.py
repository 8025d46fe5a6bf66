"""Planted violations: parts that break one law each, for the tests of the tests."""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from evenkeel.decide import decide
from evenkeel.portfolio import orders
from evenkeel.portfolio.costs import BPS, slippage
from evenkeel.portfolio.orders import BandByKind
from evenkeel.venues.sim import PaperVenue

# ---------------------------------------------------------------- law 1


def peeking(rule):
    """An opinion that knows the next row."""

    def peek(*arguments):
        x = rule(*arguments)
        return np.concatenate([x[1:], x[-1:]])

    return peek


def demeaned(rule):
    """An opinion that knows the mean of the whole history."""

    def mean(*arguments):
        x = rule(*arguments)
        return x - np.nan_to_num(np.where(np.isfinite(x), x, 0.0).mean(axis=0))

    return mean


# ---------------------------------------------------------------- law 3


class Shifted:
    """A feed that shows the bar before or after the one that is due."""

    def __init__(self, feed, bars, bar_s=1_800):
        self._feed, self._by = feed, bars * bar_s

    def refresh(self, time):
        """Pass on."""
        self._feed.refresh(time)

    def view(self, time, since):
        """The view of another moment under this one's name."""
        return replace(self._feed.view(time + self._by, since + self._by if since else since), time=time)

    def price(self, asset, time):
        """The tape tells the truth."""
        return self._feed.price(asset, time)


class ShiftedTape(Shifted):
    """A tape that is one bar late or early; the feed tells the truth."""

    def view(self, time, since):
        """The truth."""
        return self._feed.view(time, since)

    def price(self, asset, time):
        """A price of another moment."""
        return self._feed.price(asset, time + self._by)


# ---------------------------------------------------------------- law 4


def enlarging(w, _facts, _settings):
    """A rule that spreads what another rule has cut."""
    return w * 1.01


def turning_short(w, _facts, _settings):
    """A rule that sells more than there is."""
    return np.where(w > 0, -2.0 * w, w)


# ---------------------------------------------------------------- law 5


class Feeless(PaperVenue):
    """A venue that says it took a fee and forgets to."""

    def _book(self, order, fill):
        super()._book(order, replace(fill, fee=Decimal(0)))
        return fill


class Twice(PaperVenue):
    """A venue that fills every order twice and tells of one."""

    def _book(self, order, fill):
        kept = super()._book(order, fill)
        if fill.quantity > 0:
            super()._book(replace(order, id=f"{order.id}-again"), fill)
        return kept


# ---------------------------------------------------------------- law 6


def plan_without_band(slot, wanted, pairs, settings, costs):
    """A planner that ignores the band and the smallest order."""
    return orders.plan(slot, wanted, pairs, replace(settings, band=BandByKind(0, 0, 0), min_order_usd=0.0), costs)


def gate_on_the_whole_leg(wanted, settings, costs):
    """A cost gate that prices the whole leg: what it cuts today is cheap enough tomorrow."""
    notional = np.abs(wanted.target - wanted.held) * wanted.equity
    cost = 2 * (costs.taker * BPS + slippage(notional, wanted.liquidity, wanted.tier, costs))
    limit = np.where(wanted.expected * settings.hold_days > cost, np.inf, np.maximum(wanted.base, wanted.held))
    cut = (wanted.target > wanted.held) & (wanted.target > limit + 1e-12)
    return np.where(cut, limit, wanted.target), cut


# ---------------------------------------------------------------- law 7


def rounded_up(change, units, price, equity, pair, *, leaves):
    """Quantities rounded away from zero."""
    step = Decimal(1).scaleb(-pair.amount_decimals)
    wished = -units if leaves else Decimal(repr(change * equity / price))
    return (wished / step).to_integral_value(rounding="ROUND_UP") * step


# ---------------------------------------------------------------- law 8 and 9


class Counting:
    """A decider that remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, view, book, brain, rules, slot):
        """Every second decision sends nothing."""
        self.calls += 1
        plan = decide(view, book, brain, rules, slot)
        return plan if self.calls % 2 else replace(plan, orders=())


def first_column_wins(view, book, brain, rules, slot):
    """A decider that gives what stands first a little more."""
    plan = decide(view, book, brain, rules, slot)
    return replace(plan, target=plan.target * (1.0 - 0.001 * np.arange(len(plan.target))))


def cheapest_wins(view, book, brain, rules, slot):
    """A decider that takes a price for a size."""
    plan = decide(view, book, brain, rules, slot)
    return replace(plan, target=plan.target / (1.0 + np.nan_to_num(view.price)))


# ---------------------------------------------------------------- law 11


def no_last_check(*_):
    """The order protocol without its last look before the socket."""
    return ""
