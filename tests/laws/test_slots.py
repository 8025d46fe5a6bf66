"""Law 12: every slot of the grid ends exactly once, whatever the clock, the process and the venue do."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.engine import slots, step
from evenkeel.engine.slots import Cadence, between, due
from evenkeel.errors import VenueUnknownError
from evenkeel.types import Slot, SlotKind, SlotOutcome

T0 = world.START
CADENCES = st.sampled_from(
    [Cadence(), Cadence(900, 3600, 14_400, 3600), Cadence(300, 900, 3600, 600), Cadence(1, 2, 6)]
)


def end(memory, slot, outcome, reason=""):
    """What the service does with a slot, without decisions."""
    return slots.ended(
        slots.begun(memory, slot), SlotOutcome(slot.id, slot.kind.value, slot.time, outcome, reason)
    )  # fmt: skip


def walk(jumps, cadence, due=due, end=end):
    """A clock that jumps forward, back, and stands; -> (memory, every ending, the latest time seen)."""
    memory, endings, now, latest = world.memory(), [], T0, T0
    began = T0 - 1
    for jump in jumps:
        now = max(T0, now + jump)
        latest = max(latest, now)
        for kinds in ((SlotKind.RISK,), (SlotKind.REBALANCE, SlotKind.SCORE)):
            todo = [item for k in kinds for item in due(memory.watermarks.get(k.value, began), k, now, cadence)]
            for slot, reason in sorted(todo, key=lambda item: (item[0].time, item[0].kind.value)):
                outcome = ("skipped", reason) if reason else ("done", "")
                memory = end(memory, slot, *outcome)
                endings.append((slot, *outcome))
    return memory, endings, latest


def faults(memory, endings, latest, cadence):
    """What is wrong with a ledger: slots without end, with two, off the grid, or miscounted."""
    times = Counter(slot for slot, _, _ in endings)
    expected = set(between(T0, latest + 1, cadence))
    wrong = [f"twice {s.id}" for s, n in times.items() if n > 1]
    wrong += [f"never {s.id}" for s in expected - set(times)] + [f"stray {s.id}" for s in set(times) - expected]
    counted = {(k, o): n for k, by in memory.counts.items() for o, n in by.items()}
    if counted != Counter((s.kind.value, o) for s, o, _ in endings):
        wrong.append("counts")
    if memory.records != len(endings):
        wrong.append("records")
    return wrong


JUMPS = st.lists(
    st.one_of(st.integers(0, 1200), st.integers(-90_000, 90_000), st.sampled_from([0, 900, 1800, 3600, 21_600, -1])),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60)
@given(jumps=JUMPS, cadence=CADENCES.filter(lambda c: c.risk > 1))
def test_every_slot_ends_exactly_once_on_any_clock(jumps, cadence):
    """Forward, back, standing still; as many slots end as the grid has, and the counts add up."""
    memory, endings, latest = walk(jumps, cadence)

    assert faults(memory, endings, latest, cadence) == []


@settings(max_examples=40)
@given(jumps=JUMPS)
def test_only_the_newest_of_each_kind_runs_and_never_too_late(jumps):
    """Coalesced risk, late scores and rebalances: at one waking at most one of a kind runs."""
    now, marks, cadence = T0, {}, Cadence()
    for jump in jumps:
        now = max(T0, now + jump)
        for kind in SlotKind:
            found = due(marks.get(kind, T0 - 1), kind, now, cadence)
            running = [s for s, reason in found if not reason]
            assert len(running) <= 1
            for slot in running:
                assert slot == found[-1][0]
                late = now - slot.time
                assert kind is not SlotKind.SCORE or late < cadence.score
                assert kind is not SlotKind.REBALANCE or late <= cadence.late
            assert all(reason == ("coalesced" if kind is SlotKind.RISK else "late") for _, reason in found[:-1])
            if found:
                marks[kind] = found[-1][0].time


def test_a_random_walk_of_a_year_loses_nothing():
    """Three thousand wakings with jumps of up to two days and restarts in between."""
    rng = world.np.random.default_rng(5)
    jumps = rng.choice([60, 900, 900, 900, 901, 1799, 4000, -3600, -86_400, 172_800], 3_000).tolist()
    memory, endings, latest = walk(jumps, Cadence())

    assert faults(memory, endings, latest, Cadence()) == []
    assert latest - T0 > 90 * world.DAY


def test_july_2025_has_its_slots():
    """Issue 2, Must 3: 2,976 risk, 1,364 score, 124 rebalance; at one instant risk first."""
    july = list(between(T0, T0 + 31 * world.DAY, Cadence()))

    assert Counter(s.kind.value for s in july) == {"risk": 2_976, "score": 1_364, "rebalance": 124}
    assert len(set(july)) == len(july)
    assert [s.time for s in july] == sorted(s.time for s in july)
    assert [s.kind for s in july[:2]] == [SlotKind.RISK, SlotKind.REBALANCE]
    assert not [s for s in july if s.kind is SlotKind.SCORE and s.time % 21_600 == 0]


@pytest.mark.parametrize("start", [1, 899, 900, 1801])
def test_a_window_holds_its_first_moment_and_not_its_last(start):
    found = list(between(T0 + start, T0 + 7_200, Cadence()))

    assert found == [s for s in between(T0, T0 + 7_200, Cadence()) if s.time >= T0 + start]
    assert all(s.time < T0 + 7_200 for s in found)


# ---------------------------------------------------------------- planted


def forgetful(watermark, kind, now, cadence):
    """A ledger that drops what it skips."""
    return [item for item in due(watermark, kind, now, cadence) if not item[1]]


def repeating(watermark, kind, now, cadence):
    """A ledger that looks one slot too far back."""
    return due(watermark - cadence.of(kind), kind, now, cadence)


def unguarded(memory, slot, outcome, reason=""):
    """An end without the question whether the slot had begun."""
    return slots.ended(
        world.replace(memory, watermarks={**memory.watermarks, slot.kind.value: slot.time}),
        SlotOutcome(slot.id, slot.kind.value, slot.time, outcome, reason),
    )


def test_a_ledger_that_forgets_a_skipped_slot_is_caught():
    memory, endings, latest = walk([0, 5_000, 100_000], Cadence(), due=forgetful)

    assert any(w.startswith("never") for w in faults(memory, endings, latest, Cadence()))


def test_a_ledger_that_runs_a_slot_twice_is_caught():
    """The checks of this file see it, and the ledger itself refuses."""
    memory, endings, latest = walk([0, 900, 900, 3_600], Cadence(), due=repeating, end=unguarded)

    assert any(w.startswith("twice") for w in faults(memory, endings, latest, Cadence()))
    with pytest.raises(ValueError, match="has begun before"):
        walk([0, 900, 900, 3_600], Cadence(), due=repeating)


# ---------------------------------------------------------------- through the service


class Unsure:
    """A venue that loses answers, before or after it did what it was told, and is deaf for a while."""

    def __init__(self, broker, rng):
        self._broker, self._rng, self.sent = broker, rng, Counter()

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def send(self, order, time, may=None):
        """Take an order, or fail as planned."""
        if self._rng.random() < 0.15:
            raise VenueUnknownError("reset before")
        self.sent[order.id] += 1
        found = self._broker.send(order, time)
        if self._rng.random() < 0.15:
            raise VenueUnknownError("reset after")
        return found

    def orders(self, assets, since, time):
        """What it has, or silence."""
        if self._rng.random() < 0.4:
            raise VenueUnknownError("timed out")
        return self._broker.orders(assets, since, time)

    def holdings(self, time, *, urgent=False):
        """The account, or silence."""
        if self._rng.random() < 0.03:
            raise VenueUnknownError("timed out")
        return self._broker.holdings(time, urgent=urgent)


class Asked(world.PaperVenue):
    """A venue that notes how urgently it was asked for the account."""

    def holdings(self, time, *, urgent=False):
        """As it is."""
        self.urgently = [*getattr(self, "urgently", []), urgent]
        return super().holdings(time, urgent=urgent)


def test_a_risk_check_looks_at_the_account_with_the_urgency_of_a_stop(tmp_path):
    market = world.feed()
    with world.service(tmp_path, market, lambda path: world.venue(market, path, kind=Asked)) as runner:
        for kind in (SlotKind.RISK, SlotKind.REBALANCE):
            runner.run(Slot(kind, T0))

        assert runner.broker.urgently == [True, False]


@settings(max_examples=5)
@given(seed=st.integers(0, 1_000))
def test_every_slot_ends_once_though_venue_and_process_fail(seed):
    """Answers lost, account unreadable, restarts, clock jumps: each slot one row, no order twice, books agree."""
    rng = world.np.random.default_rng(seed)
    market, days = world.feed(7), 0.6
    with tempfile.TemporaryDirectory() as folder:
        now, last = T0, T0 + round(days * world.DAY)
        while now < last:  # each turn is one life of the process
            with world.service(Path(folder), market, lambda p: world.venue(market, p)) as runner:
                runner.broker = Unsure(runner.broker, rng)
                runner.recover(fell_back=False)
                for _ in range(rng.integers(3, 20)):
                    wake(runner, now)
                    now = max(T0, now + int(rng.choice([0, 300, 900, 900, 900, 1_800, 5_000, -2_000])))
        with world.service(Path(folder), market, lambda p: world.venue(market, p)) as runner:
            runner.recover(fell_back=False)  # the venue can hear again
            memory, broker = runner.store.memory, runner.broker
            rows = world.recent(Path(folder) / "state" / "journal.db", "slots", limit=10_000)
            orders = world.recent(Path(folder) / "state" / "journal.db", "orders", limit=10_000)
            holdings = broker.holdings(0)

    ended = Counter(row["slot"] for row in rows)
    assert memory.open_slots == ()
    assert set(ended.values()) == {1}
    newest = {kind: memory.watermarks[kind] for kind in ("risk", "score", "rebalance")}
    assert set(ended) == {s.id for s in between(T0, last + world.DAY, Cadence()) if s.time <= newest[s.kind.value]}
    assert sum(sum(by.values()) for by in memory.counts.values()) == len(rows) == memory.records
    assert len({row["id"] for row in orders}) == len(orders)
    assert memory.cash == holdings.cash
    assert {a: p.units for a, p in memory.positions.items()} == holdings.units
    assert memory.flows == 0


def wake(runner, now):
    """What the real loop does at one waking, lanes one after another."""
    for kinds in ((SlotKind.RISK,), (SlotKind.REBALANCE, SlotKind.SCORE)):
        for open_slot in runner.store.memory.open_slots:
            if open_slot.slot.kind in kinds:
                runner.resume(open_slot.slot)
        marks = runner.store.memory.watermarks
        todo = [item for k in kinds for item in due(marks.get(k.value, T0 - 1), k, now, Cadence())]
        for slot, reason in sorted(todo, key=lambda item: (item[0].time, item[0].kind.value)):
            if reason:
                runner.skip(slot, "skipped", reason)
            else:
                runner.run(slot)


def test_an_open_slot_is_never_decided_again_and_may_end_after_newer_ones():
    """It is spent when it opens; a newer slot of its kind passes by; then it ends, once."""
    first, second = Slot(SlotKind.RISK, T0), Slot(SlotKind.RISK, T0 + 900)
    view = world.signals().at(T0, T0 - 1800)
    holdings = world.venue(world.feed()).holdings(T0)
    memory = step.prepare(world.memory(), first, view, holdings, None, world.RULES, _deciding).memory

    with pytest.raises(ValueError, match="has begun before"):
        step.prepare(memory, first, view, holdings, None, world.RULES, _deciding)
    with pytest.raises(ValueError, match="has begun before"):
        step.end(memory, first, "skipped", "late")
    memory = step.finish(step.end(memory, second, "skipped", "coalesced"), first)
    with pytest.raises(ValueError, match="cannot be finished"):
        step.finish(memory, first)

    assert memory.counts == {"risk": {"skipped": 1, "done": 1}}
    assert memory.watermarks == {"risk": T0 + 900}


def _deciding(view, book, brain, rules, slot):
    from evenkeel.decide import decide
    from evenkeel.types import Brain

    return decide(view, book, brain or Brain(), rules, slot)
