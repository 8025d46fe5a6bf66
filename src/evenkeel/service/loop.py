"""Two ways to be woken: a virtual clock that steps over the past, and APScheduler on the computer's clock.

Both call the same `Runner`; neither decides what is due: the slot ledger does (design section 3).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from evenkeel.engine import protocol, slots
from evenkeel.engine.slots import TRADING, Cadence
from evenkeel.errors import EvenkeelError, StoppedError
from evenkeel.service.runner import Runner
from evenkeel.types import Slot, SlotKind

ASK_S = 10
"""Between two looks for an order whose answer was lost."""
MOVED_S = 5.0
"""A clock that moved by more against the steady one was set, or the machine slept."""

LANES = {"risk": (SlotKind.RISK,), "trading": (SlotKind.REBALANCE, SlotKind.SCORE)}


def replay(
    runner: Runner,
    start: int,
    end: int,
    cadence: Cadence,
    *,
    stop: threading.Event,
    pace: Callable[[int], None] = lambda _: None,
    on_slot: Callable[[Slot], None] = lambda _: None,
) -> None:
    """Run every slot in [start, end) that has not begun yet, in order; return early when `stop` is set.

    pace  called with the slot's time before it runs: sleeps when the clock has a speed
    """
    for slot in slots.between(start, end, cadence):
        if stop.is_set():
            return
        if slot.time <= runner.store.memory.watermarks.get(slot.kind.value, -1):
            continue
        pace(slot.time)
        if stop.is_set():
            return
        runner.obey(slot.time)
        for left_open in runner.store.memory.open_slots:
            runner.resume(left_open.slot)
        runner.run(slot)
        on_slot(slot)


class Service:
    """The loop on a real clock: one lane for risk, one for trading, one for commands.

    A lane has one worker at a time. Whatever waits in one lane (a slow exchange, a long download) delays no other.
    """

    def __init__(
        self,
        runner: Runner,
        cadence: Cadence,
        *,
        settle_s: int,
        now: Callable[[], float],
        stop: threading.Event,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """now: UTC s of the clock · settle_s: pause after a bar's close before a trading slot · stop: ends `serve`.

        steady  s, never set: tells that `now` was
        """
        self._runner = runner
        self._cadence = cadence
        self._settle_s = settle_s
        self._now, self._steady = now, steady
        self._ahead = now() - steady()
        self._stop = stop
        self._fault: EvenkeelError | None = None
        self._began = int(now()) - 1
        self._busy_until = 0
        self._patient_until = 0.0
        self._checked = -math.inf
        self._told = False
        self._flattening = _Patience(cadence.risk)
        self._lanes = {name: threading.Lock() for name in LANES}
        self._at_work = threading.Condition()
        self._working = 0

    def serve(
        self,
        grace_s: float = 8.0,
        first: Callable[[], None] | None = None,
        training: tuple[int, Callable[[], None]] | None = None,
    ) -> bool:
        """Run until `stop` is set, then let what is at work end; False if it did not within `grace_s`.

        first     done in the trading lane before its first slot (bringing in bars)
        training  period, s, and what is then done beside the lanes, one at a time; it ends by itself once `stop` is set
        Nothing is lost then: what was not durable is done again at the next start. Raises StateError if memory was
        lost.
        """
        scheduler = self._scheduler()
        at_once = datetime.now(UTC)
        for name, kinds in LANES.items():
            scheduler.add_job(self._lane, args=[name, first if name == "trading" else None], next_run_time=at_once)
            every = min(self._cadence.of(kind) for kind in kinds)
            delay = self._settle_s if name == "trading" else 0
            scheduler.add_job(self._lane, self._trigger(every, delay), args=[name], id=name)
        scheduler.add_job(self._guarded, IntervalTrigger(seconds=1), args=[self._commands], id="commands")
        scheduler.add_job(self._ask, IntervalTrigger(seconds=ASK_S), id="answers")
        scheduler.add_job(self._go_on, IntervalTrigger(seconds=1), id="children")
        if training is not None:
            scheduler.add_job(self._guarded, self._trigger(training[0], 0), args=[training[1]], id="training")
        scheduler.start()
        while not self._stop.wait(1.0):
            catch_up(scheduler, self._now())
        scheduler.shutdown(wait=False)
        with self._at_work:
            idle = self._at_work.wait_for(lambda: self._working == 0, timeout=grace_s)
        if self._fault is not None:
            raise self._fault
        return idle

    def _scheduler(self) -> BackgroundScheduler:
        """Woken late is woken once; what APScheduler has to say goes to our log, not to stderr."""
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(2 * len(LANES) + 4)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        scheduler.add_listener(self._tell, EVENT_JOB_ERROR)
        return scheduler

    def _tell(self, event: Any) -> None:
        self._runner.log.error("lane_failed", lane=event.job_id, error=repr(event.exception), trace=event.traceback)

    def _trigger(self, every: int, delay: int) -> IntervalTrigger:
        first = self._began - self._began % every + every + delay
        return IntervalTrigger(seconds=every, start_date=datetime.fromtimestamp(first, UTC))

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """A fault of the state itself stops the service; everything else was handled inside the slot."""
        with self._at_work:
            self._working += 1
        try:
            if not self._stop.is_set():
                work(*arguments)
        except StoppedError:
            return
        except EvenkeelError as error:
            self._fault = error
            self._stop.set()
        finally:
            with self._at_work:
                self._working -= 1
                self._at_work.notify_all()

    def _commands(self) -> None:
        """Obey; a flatten goes to the risk lane at once, and again after a while until nothing is left to sell."""
        self._runner.obey(int(self._now()))
        if not self._runner.store.memory.flatten:
            self._flattening.forget()
        elif self._flattening.due(self._steady()):
            threading.Thread(target=self._guarded, args=[self._flatten], name="flatten", daemon=True).start()

    def _flatten(self) -> None:
        with self._lanes["risk"]:
            if self._runner.store.memory.flatten:
                self._work("risk", None)  # else a slot that is due now would lie before the watermark and never end
                self._check(int(self._now()))

    def _ask(self) -> None:
        """Ask again what became of legs whose answer was lost, unless their lane is at work."""
        for name, kinds in LANES.items():
            waiting = any(slot.kind in kinds for slot in protocol.unanswered(self._runner.store.memory))
            if waiting and self._lanes[name].acquire(blocking=False):
                try:
                    self._guarded(self._resume, kinds)
                finally:
                    self._lanes[name].release()

    def _go_on(self) -> None:
        """Do what is due for orders that are sent over time; what could not be done is tried again after a while."""
        if (
            self._steady() < self._patient_until
            or not self._due()
            or not self._lanes["trading"].acquire(blocking=False)
        ):
            return
        try:
            self._guarded(self._resume, LANES["trading"])
        finally:
            self._lanes["trading"].release()
        self._patient_until = self._steady() + ASK_S if self._due() else 0.0

    def _due(self) -> bool:
        return any(self._runner.due(step.slot) for step in self._runner.store.memory.open_slots)

    def _lane(self, name: str, first: Callable[[], None] | None = None) -> None:
        """Bring every slot that is due in this lane to its end, unless somebody is at it; then that one sees to it."""
        if self._lanes[name].acquire(blocking=False):
            try:
                self._guarded(self._work, name, first)
            finally:
                self._lanes[name].release()

    def _work(self, name: str, first: Callable[[], None] | None) -> None:
        if first is not None:
            first()
        kinds, settle_s = LANES[name], self._settle_s if name == "trading" else 0
        self._resume(kinds)
        now = int(self._now()) - settle_s
        due = [item for kind in kinds for item in slots.due(self._watermark(kind), kind, now, self._cadence)]
        for slot, reason in sorted(due, key=lambda item: (item[0].time, item[0].kind.value)):
            if self._stop.is_set():
                return
            if reason:
                self._runner.skip(slot, "skipped", reason)
            elif slot.kind in TRADING and (slot.time <= self._busy_until or self._unresolved()):
                self._runner.skip(slot, "skipped", "busy")
            else:
                self._runner.run(slot)
                if slot.kind in TRADING:
                    self._busy_until = int(self._now())
                else:
                    self._checked = self._steady()
        if name == "risk" and self._overdue():
            self._check(0)

    def _check(self, now: int) -> None:
        """A risk check beside the grid, named by the next second that no slot has spent."""
        self._checked = self._steady()
        self._runner.run(Slot(SlotKind.RISK, max(now, self._watermark(SlotKind.RISK) + 1)))

    def _overdue(self) -> bool:
        """Whether a clock that was ahead spent the slots of now, and by the steady one a check is due all the same."""
        spent = self._watermark(SlotKind.RISK) - self._now() > MOVED_S
        if not spent or self._steady() - self._checked < self._cadence.risk:
            self._told = self._told and spent
            return False
        if not self._told:
            until = max(self._watermark(kind) for kind in SlotKind)
            self._runner.set_back(int(self._now()), self._cadence.risk, until)
            self._told = True
        return True

    def _resume(self, kinds: tuple[SlotKind, ...]) -> None:
        self._notice_the_clock()
        for step in self._runner.store.memory.open_slots:
            if step.slot.kind in kinds:
                self._runner.resume(step.slot)

    def _notice_the_clock(self) -> None:
        """Where the clock was moved, silence about orders is counted anew: else a jump would pass for patience (T3)."""
        moved = self._now() - self._steady() - self._ahead
        if abs(moved) > MOVED_S:
            self._ahead += moved
            self._runner.log.warning("clock_moved", seconds=round(moved, 1))
            if protocol.unanswered(self._runner.store.memory):
                self._runner.store.commit(protocol.counted_anew)

    def _unresolved(self) -> bool:
        """Whether an earlier trading slot still waits for its venue."""
        return any(step.slot.kind in TRADING for step in self._runner.store.memory.open_slots)

    def _watermark(self, kind: SlotKind) -> int:
        return self._runner.store.memory.watermarks.get(kind.value, self._began)


def catch_up(scheduler: BackgroundScheduler, now: float) -> None:
    """APScheduler sleeps by the computer's clock: where that was set back, alarms are brought back on their grid."""
    for job in scheduler.get_jobs():
        if isinstance(job.trigger, IntervalTrigger):
            ahead, every = job.next_run_time.timestamp() - now, job.trigger.interval_length
            if ahead > every + MOVED_S:
                earlier = timedelta(seconds=every * (ahead // every))
                scheduler.modify_job(job.id, next_run_time=job.next_run_time - earlier)


class _Patience:
    """When to try again: at once, then after 2, 4, 8, ... s, and at last every `most` s."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.forget()

    def forget(self) -> None:
        """The next try is the first one."""
        self._at, self._wait = 0.0, 1

    def due(self, now: float) -> bool:
        """Whether it is time; if so, the next time is later."""
        if now < self._at:
            return False
        self._wait = min(2 * self._wait, self._most)
        self._at = now + self._wait
        return True
