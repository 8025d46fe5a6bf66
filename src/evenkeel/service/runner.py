"""One slot through store, intents, venue and journal: the same step as the back-test, made durable.

The law: every slot ends exactly once. A slot with durable intents that a crash interrupted is resumed, never decided
again; an error ends it as failed and the loop goes on; only a state that cannot be written stops the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from structlog.stdlib import BoundLogger

from evenkeel.decide import Rules, decide
from evenkeel.engine import execution, listing, parents, protocol, step
from evenkeel.engine.listing import Lister, Rulebook
from evenkeel.engine.parents import Desk
from evenkeel.engine.ports import Broker, Feed
from evenkeel.engine.slots import TRADING
from evenkeel.engine.step import Decider, Prepared
from evenkeel.errors import EvenkeelError, FeedError, StateError, StoppedError, VenueError, VenueUnknownError
from evenkeel.journal import Journal, recent
from evenkeel.portfolio.book import Difference
from evenkeel.service import control, people, recovery
from evenkeel.service.watch import Watched
from evenkeel.store import Store, beat, commands, halted
from evenkeel.types import Book, Brain, Holdings, Intent, IntentStatus, Memory, Plan, Slot, SlotKind, TradingState, View
from evenkeel.units import HOUR_S, iso, plain

EVERYTHING = 2**62


class _MovedError(Exception):
    """Holdings were asked for before the other lane settled its fills."""


@dataclass(slots=True)
class Runner:
    """Everything a slot needs.

    wall     the computer's clock, used for heartbeat and logs only
    expired  whether what an interrupted slot planned is too old to be sent
    clock    the present moment, UTC s, while a slot of this time is at work: under a virtual clock the slot's own
    desk     how orders of trading slots are sent over time; None = all at once, at market
    watch    the broker where it is watched by circuit breakers
    lister   who tells what the venue allows; None = everything is as configured · rulebook  what it told
    """

    home: Path
    store: Store
    journal: Journal
    feed: Feed
    broker: Broker
    brain: Brain
    rules: Rules
    log: BoundLogger
    wall: Callable[[], float]
    decider: Decider = decide
    expired: Callable[[Slot], bool] = lambda _: False
    clock: Callable[[int], float] = float
    desk: Desk | None = None
    watch: Watched | None = None
    lister: Lister | None = None
    rulebook: Rulebook | None = None
    scored: dict[str, Any] = field(default_factory=dict)
    _pen: threading.Lock = field(default_factory=threading.Lock)

    def recover(self, *, fell_back: bool) -> None:
        """Start = recovery: finish the journal's row, explain the venue's orders if memory was lost, end open slots."""
        memory = self.store.memory
        if fell_back or recovery.recovering(memory) or self.journal.last_sequence() > memory.records:
            self._explain()
        self._write(self.store.memory)
        for open_slot in self.store.memory.open_slots:
            self.log.warning("slot_resumed", slot=open_slot.slot.id)
            self.resume(open_slot.slot)

    def _explain(self) -> None:
        """An older generation was taken: nothing is added until every fill since then is bound or shown foreign."""
        ahead, cooldown = self._ahead(), round(self.rules.overlay.cooldown_h * HOUR_S)
        memory = self.store.commit(lambda m: recovery.reduced(recovery.caught_up(m, ahead, cooldown)))
        self.log.warning("state_fell_back", state=memory.trading_state.value, slots_from_journal=len(ahead.slots))
        self._write(memory)
        fills = self.broker.fills(recovery.since(memory))
        for slot, lost in recovery.unknown(memory, fills).items():
            self._record(lambda m, s=slot, f=lost: recovery.bound(m, s, f))  # type: ignore[misc]
            self.log.warning("slot_lost", slot=slot.id, fills=len(lost), reason=recovery.LOST)
        for fill in fills:
            word = "bound" if recovery.slot_of(fill) else "foreign"
            self.log.warning("venue_fill_explained", order=fill.order_id, asset=fill.asset, verdict=word)
        holdings = self.broker.holdings(max((fill.time for fill in fills), default=recovery.since(memory)))
        box: list[Difference] = []

        def change(memory: Memory) -> Memory:
            memory, found = recovery.restored(memory, holdings)
            box.extend(found)
            return memory

        memory = self.store.commit(change)
        for difference in box:
            self.log.warning("reconciled", **people.difference(difference))
        self.log.warning("state_explained", fills=len(fills), state=memory.trading_state.value)

    def _ahead(self) -> recovery.Ahead:
        """What the journal has beyond memory."""
        known, path = self.store.memory.records, self.journal.path

        def newer(table: str) -> list[dict[str, Any]]:
            return [row for row in recent(path, table, limit=EVERYTHING) if row["sequence"] > known]

        return recovery.Ahead(newer("audit"), newer("slots"), newer("fills"), newer("orders"))

    def resume(self, slot: Slot) -> None:
        """Carry on with a slot whose intents are durable: the venue is asked before anything is sent."""
        self._beat(slot, "resume")
        found = step.open_slot(self.store.memory, slot)
        late = self.expired(slot) and (found is None or parents.at_an_end(found, int(self.clock(slot.time))))
        memory = protocol.act(
            slot, self.store.memory, self.broker, self.store.commit, self._halted, lambda: self.clock(slot.time),
            resumed=True, expired=late,
        )  # fmt: skip
        self._finish(slot, self._advanced(slot, memory), None)

    def due(self, slot: Slot) -> bool:
        """Whether an open slot that sends over time has something to do now."""
        found = step.open_slot(self.store.memory, slot)
        if self.desk is None or found is None or "schedules" not in found.plan:
            return False
        return parents.due(found, self.store.memory, int(self.clock(slot.time)), halted=self._halted())

    def _advanced(self, slot: Slot, memory: Memory) -> Memory:
        """Memory after what is due of orders that are sent over time."""
        found = step.open_slot(memory, slot)
        if self.desk is None or found is None or "schedules" not in found.plan:
            return memory
        now = lambda: self.clock(slot.time)  # noqa: E731 - as the others take it
        return execution.advance(slot, memory, self.broker, self.store.commit, self._halted, now, self.desk)

    def run(self, slot: Slot) -> None:
        """Bring one slot to its end; one that has begun before is left alone.

        Raises StateError when the end cannot be remembered, StoppedError when asked to.
        """
        if slot.time <= self.store.memory.watermarks.get(slot.kind.value, -1):
            self.log.warning("slot_begun_before", slot=slot.id)
            return
        try:
            self._run(slot)
            self._judge()
        except (StateError, StoppedError):
            raise
        except Exception as error:
            known = isinstance(error, EvenkeelError)
            trace = None if known else error
            self.log.error("slot_failed", slot=slot.id, error=str(error), exc_info=trace)  # noqa: TRY400 - trace or none
            if step.open_slot(self.store.memory, slot) is None:
                self.skip(slot, "failed", type(error).__name__)

    def relist(self) -> None:
        """Ask what the venue allows of each pair; plans keep to it from now on. Where it is silent nothing changes."""
        if self.lister is None:
            return
        try:
            found = self.lister.rulebook(int(self.wall()))
        except (VenueError, VenueUnknownError) as error:
            self.log.warning("rules_unreadable", error=str(error))
            return
        if news := listing.news(self.rulebook, found, self.rules.pairs):
            self.log.warning("venue_rules", **news)
        self.rulebook, pairs = found, listing.laid_over(self.rules.pairs, found)
        if pairs != self.rules.pairs:
            self.rules = replace(self.rules, pairs=pairs)
            self.desk = self.desk and replace(self.desk, pairs={pair.asset: pair for pair in pairs})

    def set_back(self, now: int, period: int, until: int) -> None:
        """Say, and remember, that the slots of now were spent by a clock that was ahead."""
        with self._pen:
            self._write(self.store.commit(lambda m: control.set_back(m, now, period, until)))
        self.log.error("clock_was_ahead", until=iso(until))

    def obey(self, time: int) -> None:
        """Take the commands that wait; each is durable before it is put aside. `time` is the service's own clock."""
        waiting = commands.pending(self.home)
        for path in waiting.quarantined:
            self.log.warning("command_refused", file=path.name, reason="not a command; see docs/reference/commands.md")
        for command in waiting.commands:
            if command.command == "resume":
                commands.clear_halt(self.home)
            with self._pen:
                self._write(self.store.commit(lambda m, c=command: control.obey(m, c, time)))  # type: ignore[misc]
            commands.finish(self.home, command)
            self.log.warning("command", command=command.command, reason=command.reason, by=command.by)

    def skip(self, slot: Slot, outcome: str, reason: str, as_of: int = 0) -> None:
        """End a slot without a decision."""
        self._record(lambda m: step.end(m, slot, outcome, reason, as_of))
        self.log.info("slot_ended", slot=slot.id, outcome=outcome, reason=reason)

    def _run(self, slot: Slot) -> None:
        self._beat(slot, "view")
        memory = self.store.memory
        if halted(self.home) and memory.trading_state is not TradingState.HALTED:
            reason = "marker state/HALT"
            memory = self.store.commit(
                lambda m: replace(m, trading_state=TradingState.HALTED, state_reason=reason, flatten=False)
            )
        try:
            if slot.kind in TRADING:
                self.relist()
                self.feed.refresh(slot.time)
            present = min(slot.time, int(self.clock(slot.time)))
            view = self.feed.view(present, memory.evidence)
        except FeedError as error:
            self.log.warning("feed_unavailable", slot=slot.id, error=str(error))
            self.skip(slot, "skipped", "feed_unavailable")
            return
        reason = step.skip_reason(slot, view, memory, self.rules)
        if reason:
            self.skip(slot, "skipped", reason, view.as_of)
            return
        self._decide(slot, listing.shown(view, self.rulebook))

    def _decide(self, slot: Slot, view: View) -> None:
        self._beat(slot, "decide")
        prepared = None
        while prepared is None:
            settled = self.store.memory.turnover
            try:
                holdings = self.broker.holdings(slot.time, urgent=slot.kind is SlotKind.RISK)
            except (VenueError, VenueUnknownError) as error:
                self.log.error("account_unreadable", slot=slot.id, error=str(error))  # noqa: TRY400 - no bug, no trace
                self._unread(slot, view)
                return
            if self._made_way(slot, view, holdings):
                continue
            prepared = self._prepare(slot, view, holdings, settled)
        self._tell(prepared)
        if prepared.plan.orders:
            self._beat(slot, "send")
            memory = protocol.act(
                slot, self.store.memory, self.broker, self.store.commit, self._halted, lambda: self.clock(slot.time)
            )
            self._finish(slot, self._advanced(slot, memory), prepared.plan)

    def _unread(self, slot: Slot, view: View) -> None:
        """End a slot whose account cannot be read: nothing is sent; what was last held is valued all the same."""
        memory, shown = self.store.memory, None
        if memory.cash is not None:
            held = Holdings(slot.time, memory.cash, {asset: p.units for asset, p in memory.positions.items()})
            plan = self.decider(view, Book(held, memory), self.brain, self.rules, slot)
            shown = lambda m: people.portfolio(plan, m, self.rules.overlay, self.scored)  # noqa: E731 - a view, as others
        self._record(lambda m: step.end(m, slot, "failed", "account_unreadable", view.as_of), shown)
        self.log.info("slot_ended", slot=slot.id, outcome="failed", reason="account_unreadable")

    def _made_way(self, slot: Slot, view: View, holdings: Holdings) -> bool:
        """Whether resting orders were taken back because this risk slot wants to reduce their pairs."""
        memory = self.store.memory
        out = [i.order.asset for s in memory.open_slots for i in s.intents if protocol.resting(i)]
        if slot.kind in TRADING or not out:
            return False
        plan = step.prepare(memory, slot, view, holdings, self.brain, self.rules, self.decider).plan
        blocked = {d.asset for d in plan.dropped if d.code == "PAIR_BUSY" and d.weight < d.held}.intersection(out)
        if not blocked:
            return False
        self.log.warning("resting_withdrawn", slot=slot.id, assets=sorted(blocked))
        now = lambda: self.clock(slot.time)  # noqa: E731 - as the others take it
        after = execution.withdraw(frozenset(blocked), memory, self.broker, self.store.commit, now)
        return not any(protocol.resting(i) for s in after.open_slots for i in s.intents if i.order.asset in blocked)

    def _prepare(self, slot: Slot, view: View, holdings: Holdings, settled: Decimal) -> Prepared | None:
        """Decide inside the critical section, on the newest Memory; a step that sends nothing ends in the same commit.

        settled  turnover that Memory knew before `holdings` were asked for; None comes back where the other lane has
                 settled fills since, which these holdings may lack: ask again
        """
        box: list[Prepared] = []

        def change(memory: Memory) -> Memory:
            if memory.turnover != settled:
                raise _MovedError
            box.append(
                step.prepare(
                    memory, slot, view, holdings, self.brain, self.rules, self.decider, scheduler=self._scheduler(slot)
                )
            )
            return box[-1].memory if box[-1].plan.orders else step.finish(box[-1].memory, slot)

        try:
            with self._pen:
                memory = self.store.commit(change, lambda m: self._view(box[-1].plan, m))
                self._write(memory)
        except _MovedError:
            return None
        return box[-1]

    def _finish(self, slot: Slot, memory: Memory, plan: Plan | None) -> None:
        """Settle and record, unless an order is still unresolved: then the slot stays open and is resumed later."""
        current, now = step.open_slot(memory, slot), int(self.clock(slot.time))
        if self.watch is not None and current is not None:
            self.watch.saw(current.intents)
            self._judge()
        if current is None or not step.answered(current, memory):
            resting = current is not None and all(i.status.resolved or protocol.resting(i) for i in current.intents)
            told = self.log.debug if resting else self.log.warning
            told("slot_left_open", slot=slot.id)
            return
        if self.desk is not None and not parents.over(current, memory, now, halted=self._halted()):
            self.log.debug("slot_goes_on", slot=slot.id)
            return
        self._beat(slot, "finish")
        for intent in current.intents:
            self._tell_order(slot, intent)
        view = None if plan is None else lambda m: self._view(plan, m)
        self._record(lambda m: step.finish(parents.recorded(m, slot, now, halted=self._halted()), slot), view)
        if any(intent.status is IntentStatus.REJECTED for intent in current.intents):
            self.relist()  # what was refused may be refused by rules that are new

    def _scheduler(self, slot: Slot) -> step.Scheduler | None:
        desk = self.desk
        return None if desk is None else lambda plan, m: parents.planned(plan, m, desk, int(self.clock(slot.time)))

    def _judge(self) -> None:
        """Let the circuit breakers speak; a change is durable, journaled and said."""
        watch = self.watch
        if watch is None:
            return
        with self._pen:
            before = self.store.memory
            after = watch.judged(before)
            if after is before:
                return
            memory = self.store.commit(watch.judged)
            self._write(memory)
        told = self.log.error if memory.trading_state is TradingState.HALTED else self.log.warning
        told(
            "breakers", open=sorted(memory.trips), limit_only=sorted(memory.limit_only),
            state=memory.trading_state.value, reason=memory.state_reason,
        )  # fmt: skip

    def _record(
        self, change: Callable[[Memory], Memory], view: Callable[[Memory], Mapping[str, Any]] | None = None
    ) -> None:
        """Commit the end of a slot and write its journal row, one at a time, so that the outbox is never overtaken."""
        with self._pen:
            self._write(self.store.commit(change, view))

    def _write(self, memory: Memory) -> None:
        record = step.outbox(memory)
        if record is not None:
            self.journal.write(record, self.wall())

    def _view(self, plan: Plan, memory: Memory) -> Mapping[str, Any]:
        if plan.slot.kind in TRADING:
            self.scored = people.scores(plan)
        shown = people.portfolio(plan, memory, self.rules.overlay, self.scored)
        return shown if self.watch is None else {**shown, "breakers": self.watch.readings()}

    def _tell(self, prepared: Prepared) -> None:
        """One line a slot: what was seen and decided."""
        plan = prepared.plan
        for difference in prepared.differences:
            self.log.warning("reconciled", slot=plan.slot.id, **people.difference(difference))
        if locked := people.units_locked(plan):
            self.log.warning("units_locked", slot=plan.slot.id, assets=locked)
        told = self.log.info if plan.slot.kind in TRADING or plan.orders else self.log.debug
        told("decided", slot=plan.slot.id, equity=round(plan.equity, 2), drawdown=round(plan.drawdown, 4),
             regime=plan.carry.regime.label, orders=len(plan.orders), dropped=len(plan.dropped))  # fmt: skip

    def _tell_order(self, slot: Slot, intent: Intent) -> None:
        order = intent.order
        price = plain(intent.fills[0].price) if intent.fills else None
        self.log.info("order", slot=slot.id, asset=order.asset, quantity=plain(order.quantity), reason=order.reason,
                      status=intent.status.value, price=price, note=intent.note)  # fmt: skip

    def _halted(self) -> bool:
        return halted(self.home)

    def _beat(self, slot: Slot, phase: str) -> None:
        beat(self.home, wall_time=self.wall(), slot=slot.id, phase=phase)
