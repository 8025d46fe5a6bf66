"""Law 11: once HALTED is durable no order goes out, whoever asked and whenever; REDUCING never adds exposure."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import planted
import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.engine import protocol
from evenkeel.errors import VenueUnknownError
from evenkeel.service import loop
from evenkeel.store import commands
from evenkeel.types import IntentStatus, TradingState


class Interrupted:
    """A venue during whose n-th call somebody acts; notes what reaches it afterwards."""

    def __init__(self, broker, at, act, lose=frozenset()):
        self._broker, self._at, self._act, self._lose = broker, at, act, lose
        self.calls = 0
        self.acted = False
        self.after = []

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def _count(self):
        self.calls += 1
        if self.calls == self._at:
            self._act()
            self.acted = True

    def holdings(self, time, *, urgent=False):
        """The account, or silence."""
        self._count()
        return self._broker.holdings(time, urgent=urgent)

    def orders(self, assets, since, time):
        """What it has, or silence."""
        self._count()
        return self._broker.orders(assets, since, time)

    def send(self, order, time, may=None):
        """Take an order, or fail as planned."""
        if self.acted:
            self.after.append(order)
        self._count()
        if self.calls in self._lose:
            raise VenueUnknownError("connection reset")
        return self._broker.send(order, time)


def by_marker(runner):
    """Anyone may create the file."""
    (runner.home / "state" / "HALT").write_text("")


def by_commit(runner):
    """The other lane, or a command, made it durable."""
    runner.store.commit(lambda m: replace(m, trading_state=TradingState.HALTED))


def by_command(runner):
    """A command file, taken by the service's command lane."""
    commands.send(runner.home, "halt", "test", wall_time=world.START)
    runner.obey(world.START)


def reduced(runner):
    runner.store.commit(lambda m: replace(m, trading_state=TradingState.REDUCING))


def orders_after(act, at, seed=7, days=0.4, lose=frozenset(), resume_every=None):
    """Orders that reach the venue after somebody acted during its `at`-th call."""
    market = world.feed(seed)
    with tempfile.TemporaryDirectory() as folder, world.service(Path(folder), market, lambda p: world.venue(market, p)) as runner:  # fmt: skip  # noqa: E501
        runner.broker = Interrupted(runner.broker, at, lambda: act(runner), lose)
        for slot in world.window(days):
            for step in runner.store.memory.open_slots:
                runner.resume(step.slot)
            loop.replay(
                runner, slot.time, slot.time + 1, world.CADENCE, stop=threading.Event()
            )  # fmt: skip
        return runner.broker.after, runner.broker.acted


HALTS = st.sampled_from([by_marker, by_commit, by_command])


@settings(max_examples=12)
@given(act=HALTS, at=st.integers(1, 60), seed=st.integers(7, 9))
def test_nothing_goes_out_after_a_halt(act, at, seed):
    """At any call of the venue, also between the legs of one plan."""
    after, acted = orders_after(act, at, seed)

    assert acted
    assert after == []


@settings(max_examples=12)
@given(act=HALTS, lost=st.sets(st.integers(2, 20), min_size=1, max_size=6), later=st.integers(1, 8))
def test_nothing_goes_out_after_a_halt_during_a_resumption(act, lost, later):
    """Answers were lost; while the venue is asked what became of them, somebody halts."""
    after, _ = orders_after(act, max(lost) + later, lose=frozenset(lost))

    assert after == []


@pytest.mark.parametrize("act", [by_marker, by_commit, by_command])
def test_without_the_last_check_a_halt_comes_too_late(monkeypatch, act):
    """The broker path without its last look before the socket is caught."""
    monkeypatch.setattr(protocol, "_refusal", planted.no_last_check)

    assert any(orders_after(act, at)[0] for at in range(2, 6))


def test_a_check_on_a_stale_memory_is_caught(monkeypatch):
    """The version that was found here: memory as it stood before the venue was asked."""

    def stale(slot, memory, broker, commit, halted, now, **words):
        return protocol_act(slot, memory, broker, lambda change: _frozen(commit, change, memory), halted, now, **words)

    def _frozen(commit, change, memory):
        return replace(commit(change), trading_state=memory.trading_state)

    protocol_act = protocol.act
    monkeypatch.setattr(protocol, "act", stale)

    assert any(orders_after(by_commit, at)[0] for at in range(2, 6))


@settings(max_examples=8)
@given(at=st.integers(1, 60), seed=st.integers(7, 9))
def test_reducing_never_adds_exposure(at, seed):
    after, acted = orders_after(reduced, at, seed)

    assert acted
    assert all(order.quantity < 0 for order in after)


def test_reducing_without_the_last_check_is_caught(monkeypatch):
    monkeypatch.setattr(protocol, "_refusal", planted.no_last_check)

    assert any(order.quantity > 0 for at in range(2, 5) for order in orders_after(reduced, at)[0])


def test_a_withheld_leg_says_so(tmp_path):
    """Legs withheld in the middle of a plan end as NOT_PLACED with their code; the slot still ends."""
    market = world.feed(7)
    with world.service(tmp_path, market, lambda p: world.venue(market, p)) as runner:
        runner.broker = Interrupted(runner.broker, 5, lambda: by_marker(runner))
        loop.replay(runner, world.START, world.START + 1, world.CADENCE, stop=threading.Event())
        rows = world.recent(tmp_path / "state" / "journal.db", "orders", limit=100)
        memory = runner.store.memory

    assert {r["note"] for r in rows if r["status"] == IntentStatus.NOT_PLACED} == {"TRADING_STATE_HALTED"}
    assert {r["status"] for r in rows} == {"FILLED", "NOT_PLACED"}
    assert memory.counts["rebalance"] == {"done": 1}


def test_decisions_while_halted_name_what_they_withhold(tmp_path):
    """Stops that fire in HALTED are dropped with a code, never silently."""
    market = world.feed(7)
    plans = []
    world.backtested(1, 7, on_plan=plans.append)
    with world.service(tmp_path, market, lambda p: world.venue(market, p)) as runner:
        seen = []
        original = runner.decider

        def decider(*arguments):
            seen.append(original(*arguments))
            return seen[-1]

        runner.decider = decider
        loop.replay(runner, world.START, world.START + 1, world.CADENCE, stop=threading.Event())
        by_marker(runner)
        loop.replay(runner, world.START, world.START + 2 * world.DAY, world.CADENCE, stop=threading.Event())

    halted = seen[2:]
    assert all(plan.orders == () for plan in halted)
    exits = [(p, r.asset) for p in halted for r in p.reasons if r.rule.endswith("_STOP")]
    assert exits
    assert all(asset in {d.asset for d in plan.dropped} for plan, asset in exits)
    assert {d.code for plan in halted for d in plan.dropped} >= {"TRADING_STATE_HALTED"}
