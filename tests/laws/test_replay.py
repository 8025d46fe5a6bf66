"""Law 3: the service driven over past bars sends exactly the back-test's orders, twice the same."""

import threading

import planted
import pytest
import world

from evenkeel.errors import FeedError
from evenkeel.journal import journal_sha256, orders_sha256, recent, verify_audit
from evenkeel.service import loop
from evenkeel.store.document import state_sha256


def served(home, seed, days, shown=None, tape=None):
    """Replay through store, intents, journal and paper account; -> digests of orders, journal and state, and memory."""
    market = world.feed(seed)
    end = world.START + round(days * world.DAY)
    with world.service(home, shown or market, lambda path: world.venue(tape or market, path)) as runner:
        loop.replay(runner, world.START, end, world.CADENCE, stop=threading.Event())
        memory = runner.store.memory
    journal = home / "state" / "journal.db"
    orders = recent(journal, "orders", limit=100_000)
    return orders_sha256(orders), journal_sha256(journal), state_sha256(memory), memory, len(orders)


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_the_service_sends_exactly_the_orders_of_the_back_test(tmp_path, seed):
    """Through real files or bare: the same orders, counts, cash and positions."""
    sent, _, _, memory, count = served(tmp_path, seed, 3)
    tested = world.backtested(3, seed)

    assert count == len(tested.orders) > 40
    assert sent == orders_sha256(tested.orders)
    assert memory.counts == tested.memory.counts
    assert (memory.cash, memory.positions, memory.days) == (
        tested.memory.cash,
        tested.memory.positions,
        tested.memory.days,
    )
    assert verify_audit(tmp_path / "state" / "journal.db", memory.audit_hash) == (True, None)


def test_a_run_repeated_leaves_the_same_journal_and_state(tmp_path):
    """Every table of the journal but the wall clock's columns, and every field of memory."""
    first, second = (served(tmp_path / name, 7, 1.5) for name in ("first", "second"))

    assert first[:3] == second[:3]


def test_a_run_stopped_anywhere_and_taken_up_again_ends_alike(tmp_path):
    """A service that is opened anew each half day has the journal of one that never stopped."""
    market = world.feed(8)
    for part in (0.2, 0.7, 1.0, 1.5):
        with world.service(tmp_path / "parts", market, lambda path: world.venue(market, path)) as runner:
            runner.recover(fell_back=False)
            end = world.START + round(part * world.DAY)
            loop.replay(runner, world.START, end, world.CADENCE, stop=threading.Event())
            state = state_sha256(runner.store.memory)
    _, journal, whole, _, _ = served(tmp_path / "whole", 8, 1.5)

    assert (journal_sha256(tmp_path / "parts" / "state" / "journal.db"), state) == (journal, whole)


@pytest.mark.parametrize("bars", [-1, 1])
def test_a_shift_of_one_bar_in_the_service_changes_the_digest(tmp_path, bars):
    honest = orders_sha256(world.backtested(1.5, 7).orders)
    market = world.feed(7)

    assert served(tmp_path / "honest", 7, 1.5)[0] == honest
    assert served(tmp_path / "feed", 7, 1.5, shown=planted.Shifted(market, bars))[0] != honest
    assert served(tmp_path / "tape", 7, 1.5, tape=planted.ShiftedTape(market, bars))[0] != honest


@pytest.mark.parametrize("bars", [-1, 1])
def test_a_shift_of_one_bar_in_the_back_test_changes_the_digest(bars):
    market = world.feed(7)
    honest = orders_sha256(world.backtested(1.5, 7).orders)
    late_tape = world.venue(planted.ShiftedTape(market, bars))

    assert orders_sha256(world.backtested(1.5, 7, shown=planted.Shifted(market, bars)).orders) != honest
    assert orders_sha256(world.backtested(1.5, 7, broker=late_tape).orders) != honest


class Dark:
    """A feed that is down for some hours."""

    def __init__(self, feed):
        self._feed = feed

    def __getattr__(self, name):
        return getattr(self._feed, name)

    def view(self, time, since):
        """The market, or none."""
        if 20 * 3600 <= time % world.DAY < 23 * 3600:
            raise FeedError("no candles")
        return self._feed.view(time, since)


def test_a_dark_feed_skips_the_same_slots_on_both_paths(tmp_path):
    market = Dark(world.feed(7))
    sent, _, _, memory, _ = served(tmp_path, 7, 1.5, shown=market)
    tested = world.backtested(1.5, 7, shown=market)

    assert sent == orders_sha256(tested.orders)
    assert memory.counts == tested.memory.counts
    assert memory.counts["risk"]["skipped"] == 12
