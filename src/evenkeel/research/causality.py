"""Does anything that is said of a time know what came later? A panel and what is computed from it in, checks out.

Every check asks the same thing of the code as it stands: compute again from less, or from a future that lies, and
compare bits. Windows as long as the longest warm-up are drawn over the whole panel, each with some of the assets, so
that years of bars are searched in the time of a few hundred passes of the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from evenkeel.decide import Rules, decide
from evenkeel.engine import slots
from evenkeel.engine.ports import Feed
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.market import features
from evenkeel.market import panel as panels
from evenkeel.research.backtest import backtest
from evenkeel.research.checks import Check, judged
from evenkeel.signals.compute import compute
from evenkeel.signals.rule import WINDOW_H
from evenkeel.signals.view import SignalSettings
from evenkeel.types import Array, Book, Brain, Identity, Memory, Opinion, Panel, Plan, Slot, View
from evenkeel.units import DAY_S, HOUR_S, iso
from evenkeel.venues.sim import PaperVenue, Tape

WINDOWS = 10
ASSETS_AT_ONCE = 20
TAIL_DAYS = 4
"""Days at the end of a window from which its times are drawn."""
PRICES = ("open", "high", "low", "close", "volume")
PLANTED = "planted lead"
HOURLY_SD = 0.007
"""About the sd of a coin's hourly return: the noise on what is planted."""

Observe = Callable[[Panel, int], Mapping[str, Array]]
"""Panel and first row -> name -> what is known of each row from there on, rows first."""
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined: bars, fitted models, and everything configured that signals and decisions depend on.

    rules.pairs stand in the order of the panel's assets · capital USD
    """

    panel: Panel
    brain: Brain
    rules: Rules
    settings: SignalSettings
    cadence: Cadence
    capital: Decimal


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a panel, some of its assets, and the rows of it that are looked at."""

    panel: Panel
    first: int
    rows: tuple[int, ...]


def observing(brain: Brain, settings: SignalSettings) -> Observe:
    """Everything that signals say of a row: features and market features by name, prices, regime, opinions."""

    def observe(panel: Panel, first: int) -> dict[str, Array]:
        made = compute(panel, brain, settings, first)
        wide = made.features
        said = {name: wide.values[:, :, i] for i, name in enumerate(wide.names)}
        said |= {name: wide.market[:, i] for i, name in enumerate(wide.market_names)}
        said |= {name: getattr(made, name)[first:] for name in ("price", "age", "low", "high", "logs")}
        said["fault"], said["ready"] = made.fault[first:].astype(np.float64), made.ready.astype(np.float64)
        said |= {"regime": made.regime, "opinion rule": made.rule}
        for name in ("alpha", "score", "wanted"):
            known = getattr(made, name)
            if known is not None:
                said[f"opinion {name}"] = known
        return said

    return observe


def leading(observe: Observe, seed: int) -> Observe:
    """The same and one feature more, which leads by one bar: the crime that the checks have to find."""

    def observed(panel: Panel, first: int) -> dict[str, Array]:
        return {**observe(panel, first), PLANTED: lead(panel, seed)[first:]}

    return observed


def lead(panel: Panel, seed: int) -> Array:
    """(T, N) the next bar's return, and as much noise again; NaN where the next bar is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        told = panel.close[1:] / panel.close[:-1] - 1.0
    next_return = np.full(panel.close.shape, np.nan)
    next_return[:-1] = np.where(np.isfinite(told), told, np.nan)
    noise = np.random.default_rng(seed).standard_normal(next_return.shape)
    out: Array = next_return + HOURLY_SD * np.sqrt(panel.bar_s / HOUR_S) * noise
    return out


# ---------------------------------------------------------------- windows


def windows(panel: Panel, times: int, benchmark: str, seed: int) -> list[Window]:
    """Random parts of a panel with `times` random rows in all, no row twice in one window; the benchmark is in each."""
    rng = np.random.default_rng(seed)
    count = min(WINDOWS, times)
    tail = min(TAIL_DAYS * DAY_S // panel.bar_s, len(panel.time) // 2)
    length = min(len(panel.time), features.warmup_bars(panel.bar_s) + WINDOW_H * HOUR_S // panel.bar_s + tail)
    made = []
    for i, assets in zip(range(count), _some_assets(panel.assets, benchmark, rng), strict=False):
        start = int(rng.integers(0, len(panel.time) - length + 1))
        cut = panels.pick(panels.rows(panel, start, start + length), assets)
        wanted = min(times // count + (i < times % count), tail - 1)
        rows = rng.choice(np.arange(length - tail, length - 1), wanted, replace=False)
        made.append(Window(cut, length - tail, tuple(sorted(rows.tolist()))))
    return made


def _some_assets(assets: Sequence[str], benchmark: str, rng: np.random.Generator) -> Iterator[list[str]]:
    """Assets a few at a time, in the panel's order; all come up before one comes again. Endless."""
    others = [asset for asset in assets if asset != benchmark]
    while True:
        order = rng.permutation(len(others))
        for start in range(0, max(1, len(others)), ASSETS_AT_ONCE):
            chosen = {others[i] for i in order[start : start + ASSETS_AT_ONCE]} | {benchmark}
            yield [asset for asset in assets if asset in chosen]


# ---------------------------------------------------------------- truncation and poison


def truncation(found: Sequence[Window], observe: Observe, advance: Advance = lambda _: None) -> Check:
    """Every row of every window again, from a panel that ends with it."""
    changed: dict[str, int] = {}
    first_at, names = "", 0
    for window in found:
        whole = observe(window.panel, window.first)
        names = len(whole)
        for row in window.rows:
            cut = observe(panels.rows(window.panel, 0, row + 1), row)
            for name in _differences(whole, row - window.first, cut, 0, 1):
                changed[name] = changed.get(name, 0) + 1
                first_at = first_at or iso(int(window.panel.time[row]))
            advance(1)
    times = sum(len(window.rows) for window in found)
    looked = f"{names} columns, {times} random times, again from a panel that ends there"
    return _verdict("truncation", changed, first_at, looked)


def poisoned(
    found: Sequence[Window], observe: Observe, kind: str, seed: int, advance: Advance = lambda _: None
) -> Check:
    """The rows before a random time of each window again, with every later bar a lie of a kind: `NaN` or `noise`."""
    changed: dict[str, int] = {}
    first_at, names, rows = "", 0, 0
    for window in found:
        row = window.rows[len(window.rows) // 2]
        whole = observe(window.panel, window.first)
        names, rows = len(whole), rows + row + 1 - window.first
        lied = observe(lying(window.panel, row, kind, seed), window.first)
        for name in _differences(whole, 0, lied, 0, row + 1 - window.first):
            changed[name] = changed.get(name, 0) + 1
            first_at = first_at or iso(int(window.panel.time[row]))
        advance(1)
    looked = f"{names} columns, {rows} rows in {len(found)} windows, again while all later bars are {kind}"
    return _verdict(f"future of {kind}", changed, first_at, looked)


def lying(panel: Panel, row: int, kind: str, seed: int) -> Panel:
    """The panel with every bar after `row` unknown (`NaN`) or of random size (`noise`)."""
    rng = np.random.default_rng(seed)
    lies = {}
    for name in PRICES:
        array = getattr(panel, name).copy()
        shape = array[row + 1 :].shape
        array[row + 1 :] = np.nan if kind == "NaN" else rng.lognormal(0.0, 9.0, shape)
        lies[name] = array
    return panels.panel(panel.time, panel.assets, bar_s=panel.bar_s, **lies)


def _differences(
    ours: Mapping[str, Array], start: int, theirs: Mapping[str, Array], other: int, count: int
) -> Iterator[str]:
    for name, values in ours.items():
        if not same_bits(values[start : start + count], theirs[name][other : other + count]):
            yield name


def _verdict(name: str, changed: Mapping[str, int], first_at: str, looked: str) -> Check:
    if not changed:
        return judged(name, 0.0, 0.0, f"{looked}: the same bits", good=True)
    worst = sorted(changed, key=lambda key: (-changed[key], key))
    listed = ", ".join(worst[:5]) + (f" and {len(worst) - 5} more" if len(worst) > 5 else "")
    text = f"{looked}: {listed} changed, so it knows what comes later; first at {first_at}"
    return judged(name, float(len(changed)), 0.0, text, good=False)


def same_bits(left: Array, right: Array) -> bool:
    """Whether two arrays of one shape have equal bits; one NaN is as good as another, 0.0 is not -0.0."""
    a, b = (np.ascontiguousarray(np.where(np.isnan(x), np.nan, x), dtype=np.float64) for x in (left, right))
    return a.shape == b.shape and bool((a.view(np.int64) == b.view(np.int64)).all())


# ---------------------------------------------------------------- decisions


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of a back-test and everything that it was made of."""

    slot: Slot
    view: View
    book: Book
    plan: Plan


class Market(Feed, Tape, Protocol):
    """Bars as a feed and as a tape."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A back-test: the bars that it read, the feed and tape that it was shown, and every decision."""

    panel: Panel
    shown: Market
    made: Sequence[Decided]


Shown = Callable[[Replay], Market]
"""What stands between the bars and the back-test; nothing, but in tests of these checks."""


def replayed(subject: Subject, days: int, shown: Shown = lambda feed: feed) -> Replayed:
    """The last days of a panel as a back-test."""
    panel = subject.panel
    lead_in = features.warmup_bars(panel.bar_s) + WINDOW_H * HOUR_S // panel.bar_s
    span = min(days * DAY_S // panel.bar_s, len(panel.time) // 3)
    part = panels.rows(panel, max(0, len(panel.time) - span - lead_in), len(panel.time))
    first = len(part.time) - span
    tape = shown(Replay(compute(part, subject.brain, subject.settings, first)))
    pairs = {pair.asset: pair for pair in subject.rules.pairs}
    broker = PaperVenue(None, tape, pairs, subject.rules.costs, subject.capital)
    made: list[Decided] = []

    def decider(view: View, book: Book, brain: Brain, rules: Rules, slot: Slot) -> Plan:
        plan = decide(view, book, brain, rules, slot)
        made.append(Decided(slot, view, book, plan))
        return plan

    origin = int(part.time[0]) - part.bar_s
    memory = Memory(identity=Identity("paper", "paper", "virtual", "honesty"), origin=origin)
    todo = slots.between(int(part.time[first]), int(part.time[-1]), subject.cadence)
    backtest(todo, tape, broker, memory, subject.brain, subject.rules, decider=decider)
    return Replayed(part, tape, made)


def decision_time(found: Replayed) -> Check:
    """Every decision sees the newest bar that has closed, and its orders meet the first open after it."""
    wrong = [one.slot.id for one in found.made if not (_on_time(found.panel, one) and _after(found, one))]
    text = f"{len(found.made)} decisions saw the bar that closed last, their orders met the first open after it"
    if wrong:
        text = f"{len(wrong)} of {len(found.made)} decisions saw another bar, or were filled at one: first {wrong[0]}"
    return judged("decision time", float(len(wrong)), 0.0, text, good=not wrong and bool(found.made))


def _on_time(panel: Panel, one: Decided) -> bool:
    row = int(np.searchsorted(panel.time, one.slot.time, side="right")) - 1
    if row < 0 or one.view.as_of != int(panel.time[row]):
        return False
    sound = np.isfinite(panel.close[row]) & (one.view.fault == 0)
    return bool((one.view.price[sound] == panel.close[row][sound]).all())


def _after(found: Replayed, one: Decided) -> bool:
    panel = found.panel
    row = int(np.flatnonzero(panel.time - panel.bar_s >= one.slot.time)[0]) if one.plan.orders else 0
    for order in one.plan.orders:
        met, opened = found.shown.price(order.asset, one.slot.time), panel.open[row, panel.assets.index(order.asset)]
        if met is not None and met[0] != opened:
            return False
    return True


def recomputed(subject: Subject, found: Replayed, count: int, seed: int, advance: Advance = lambda _: None) -> Check:
    """A random sample of decisions, half of them with orders, again from candles that end with the bar they saw."""
    panel = found.panel
    chosen = _sample(found.made, count, np.random.default_rng(seed))
    if not chosen:
        return Check("recomputed decisions", "not judged", np.nan, 0.0, "the back-test made no trading decision")
    wrong: list[tuple[str, str]] = []
    for one in chosen:
        row = panels.index_of(panel, one.view.as_of)
        again = compute(panels.rows(panel, 0, row + 1), subject.brain, subject.settings, row)
        view = again.at(one.slot.time, one.view.since)
        plan = decide(view, one.book, subject.brain, subject.rules, one.slot)
        part = different(one.plan, plan)
        wrong += [(one.slot.id, part)] * bool(part)
        advance(1)
    orders = sum(len(one.plan.orders) for one in chosen)
    text = f"{len(chosen)} random decisions with {orders} orders, again from candles that end with the bar they saw"
    if wrong:
        text += f": {len(wrong)} differ, first {wrong[0][0]} in {wrong[0][1]}"
    return judged("recomputed decisions", float(len(wrong)), 0.0, text, good=not wrong)


def _sample(made: Sequence[Decided], count: int, rng: np.random.Generator) -> list[Decided]:
    """Up to `count` trading decisions, as many with orders as without where there are enough of both."""
    acting = [one for one in made if one.plan.orders]
    idle = [one for one in made if not one.plan.orders and one.slot.kind in slots.TRADING]
    few = min(len(acting), max(count // 2, count - len(idle)))
    picked = [
        group[i]
        for group, size in ((acting, few), (idle, min(len(idle), count - few)))
        for i in sorted(rng.choice(len(group), size, replace=False).tolist() if size else [])
    ]
    return sorted(picked, key=lambda one: one.slot.time)


def different(left: Any, right: Any) -> str:
    """Name of the first field in which two dataclasses differ, by bits; `` for none."""
    for field in fields(left):
        if not _equal(getattr(left, field.name), getattr(right, field.name)):
            return field.name
    return ""


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and same_bits(a, b)
    if isinstance(a, tuple) and a and isinstance(a[0], Opinion):
        return len(a) == len(b) and not any(different(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
