"""One turn of the desk: what is open is resolved, what has ended is booked, the venue is believed, then it may buy.

Ports in; a ledger that is durable after every step out. Killed anywhere, the next turn goes on where this one was: an
intent is durable before its socket, rows of files are remembered before they are written, and an end is booked once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol, cast

from structlog.stdlib import BoundLogger

from evenkeel.desk import alerts, files, maker, risk
from evenkeel.desk import ledger as books
from evenkeel.desk.decide import Critic, Decision, Limits, decide, known, mark_of
from evenkeel.desk.guard import survived
from evenkeel.desk.ledger import Ledger, Stake, Tail, Trade
from evenkeel.desk.record import begun, closed, skipped, with_children
from evenkeel.engine import execution, protocol, step
from evenkeel.engine.ports import Broker
from evenkeel.errors import (
    AccessRefusedError,
    DataError,
    FeedError,
    VenueError,
    VenueUnknownError,
)
from evenkeel.events.evidence import Voices
from evenkeel.events.fair import Spot
from evenkeel.journal import Journal
from evenkeel.store import Store
from evenkeel.types import MAKER, Board, Contract, Holdings, Intent, Memory, OpenSlot, Slot, SlotKind
from evenkeel.units import DAY_S, plain
from evenkeel.venues.kalshi_account_rows import Settlement

AGAIN_S: Final = 2 * DAY_S
"""So far back ends are asked for again: what the venue changed is seen."""
STALE_S: Final = 60
"""A plan older than this is not sent any more: its quotes are gone."""


class Exchange(Broker, Protocol):
    """A broker of contracts, which end."""

    def settlements(self, since: int) -> tuple[Settlement, ...]:
        """How markets that were held ended, from `since` (UTC s) on, one row for each."""


class Sight(Protocol):
    """What the desk sees of the world. Every method may raise VenueError, VenueUnknownError and FeedError."""

    def board(self, time: int) -> Board:
        """What is quoted at `time` in the series that are traded."""

    def contracts(self, tickers: Collection[str], time: int) -> tuple[Contract, ...]:
        """These markets as they are now; one that cannot be had is left out."""

    def spots(self, assets: Collection[str], time: int) -> Mapping[str, Spot]:
        """What is known of the underlyings."""


@dataclass(frozen=True)
class Desk:
    """The parts of a desk.

    voices   who speaks for each series at a time · folder  where book.json and its rows go · now  UTC s
    critic   a second opinion on bets; None = the rules alone
    """

    store: Store
    exchange: Exchange
    sight: Sight
    voices: Callable[[int], Voices]
    limits: Limits
    folder: Path
    journal: Journal
    log: BoundLogger
    halted: Callable[[], bool]
    now: Callable[[], float]
    critic: Critic | None = None

    @property
    def ledger(self) -> Ledger:
        """What is durably remembered."""
        return cast("Ledger", self.store.memory)

    @cached_property
    def _done(self) -> dict[str, Tail]:
        return {}

    @cached_property
    def _told(self) -> list[int]:
        """The record whose alerts were said last."""
        return [self.journal.last_sequence()]

    def commit(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Make a change durable, then bring files and journal in line with it."""
        self.store.commit(lambda memory: change(cast("Ledger", memory)))
        return self.flushed()

    def flushed(self) -> Ledger:
        """Files and journal as the ledger says; doing it again changes nothing."""
        files.written(self.folder, self.ledger, self._done)
        self._done.clear()
        self._done.update(self.ledger.files)
        record = step.outbox(self.ledger)
        if record is not None:
            newest = self._told[0]  # asked for before it is written: what a crash kept from the log is said now
            self.journal.write(record, self.now())
            if record.sequence != newest:
                self._told[:] = [record.sequence]
                self._tell_alerts(record.tables.get("alerts", ()))
        return self.ledger

    # ------------------------------------------------------------ a turn

    def turn(self, time: int) -> str:
        """The turn scheduled at `time` (UTC s); -> `done`, or why it bought nothing.

        Raises StateError where the disk refuses. A venue that cannot be had ends the turn, not the desk; so does an
        error that nobody foresaw: what had left is asked for by the next turn, as after a crash.
        """
        slot = Slot(SlotKind.SCORE, time)

        def failed(error: Exception) -> str:
            return self._ended(slot, "failed", type(error).__name__)

        return survived(self.log, "kalshi_turn_failed", lambda: self._tried(slot), failed, slot=slot.id)

    def _tried(self, slot: Slot) -> str:
        try:
            return self._turned(slot)
        except AccessRefusedError as error:
            return self._refused(slot, str(error))
        except (VenueError, VenueUnknownError, FeedError, DataError) as error:
            self.log.warning("kalshi_turn_failed", slot=slot.id, error=str(error))
            return self._ended(slot, "failed", "venue_unavailable")

    def _turned(self, slot: Slot) -> str:
        if not self._resolved():
            return "busy"
        if slot.time <= self.ledger.watermarks.get(str(slot.kind), -1):
            return "begun_before"
        if not self._in_line(slot.time):
            return self._ended(slot, "skipped", "venue_differs")
        return self._traded(slot)

    def resolve(self) -> None:
        """Ask again what became of orders that are open, between two turns."""

        def asked() -> None:
            try:
                self._resolved()
            except (VenueError, VenueUnknownError) as error:
                self.log.warning("kalshi_unresolved", error=str(error))

        survived(self.log, "kalshi_unresolved", asked, lambda _: None)

    def _resolved(self) -> bool:
        """Whether nothing is left open of earlier turns: what may have left is asked for, what is over is booked."""
        for opened in self.ledger.open_slots:
            old = self.now() - opened.slot.time > STALE_S
            self._sent(opened.slot, resumed=True, expired=old)
            self._reworked(opened.slot)
        return not self.ledger.open_slots

    def _reworked(self, slot: Slot) -> None:
        """Take back what has rested long enough; put it anew where that still pays, and book the slot where not."""
        settings, opened = self.limits.maker, step.open_slot(self.ledger, slot)
        found = opened.intents if opened is not None else ()
        resting = [intent for intent in found if protocol.resting(intent) and intent.order.style == MAKER]
        rested = settings.rest_s if settings is not None else 0
        over = [i for i in resting if self.halted() or self.now() - (i.trace.at if i.trace else 0) / 1e3 >= rested]
        if opened is None or not over:
            return
        answers = [execution.cancelled(intent, self.exchange, int(self.now())) for intent in over]
        children = [child for answer in answers if (child := self._again(answer, opened)) is not None]
        self.store.commit(lambda memory: with_children(protocol.noted(memory, slot, answers), slot, children))
        self._sent(slot)

    def _again(self, answer: Intent, opened: OpenSlot) -> Intent | None:
        root = answer.order.id.partition("~")[0]
        kept, settings = opened.plan["makers"].get(root), self.limits.maker
        seen = self.sight.contracts([answer.order.asset], int(self.now())) if kept and settings else ()
        if settings is None or kept is None or not seen:
            return None
        return maker.again(answer, seen[0], float(kept["most"]), settings, self.halted())

    def _sent(self, slot: Slot, *, resumed: bool = False, expired: bool = False) -> None:
        """Send what is still to be sent of an open slot, and book it if all of it is over."""
        memory: Memory = self.ledger
        memory = protocol.act(
            slot, memory, self.exchange, self.store.commit, self.halted, self.now, resumed=resumed, expired=expired
        )
        opened = step.open_slot(memory, slot)
        if opened is not None and step.answered(opened, memory):
            self.commit(lambda now: closed(now, slot, self.folder, int(self.now())))
            for intent in opened.intents:
                self._tell_order(slot, intent)

    def _ended(self, slot: Slot, outcome: str, reason: str) -> str:
        """The slot ended without orders, if it had not begun."""
        if slot.time > self.ledger.watermarks.get(str(slot.kind), -1):
            self.commit(lambda now: skipped(now, slot, outcome, reason))
        return reason

    def _refused(self, slot: Slot, why: str) -> str:
        """The venue did not let us in: again and again is a matter for a person."""
        self.log.warning("kalshi_turn_failed", slot=slot.id, error=why)
        self._ended(slot, "failed", alerts.REFUSED)
        if alerts.barred(self.ledger, why, slot.time) is not self.ledger:
            self.commit(lambda now: alerts.barred(now, why, slot.time))
        return alerts.REFUSED

    # ------------------------------------------------------------ what ended, what is held

    def _in_line(self, time: int) -> bool:
        """Book ends and believe the venue; False where it says something that we cannot explain yet."""
        self._settled(time)
        holdings = self.exchange.holdings(time)
        if self.ledger.cash is None:
            self.commit(lambda now: books.opened(now, holdings.cash))
        if books.rounded(self.ledger, holdings.cash, time)[1]:
            self.commit(lambda now: self._with(books.rounded(now, holdings.cash, time)))
        found = books.differences(self.ledger, holdings.cash, holdings.units)
        said = "; ".join(f"{name or 'cash'} {plain(a)} is {plain(b)}" for name, (a, b) in found.items())
        if said and said != self.ledger.doubt:
            self.log.warning("kalshi_differs", text=said)
            self.commit(lambda now: replace(now, doubt=said))
            return False
        if said:
            self._adopted(holdings, found, time)
        return True

    def _settled(self, time: int) -> None:
        since = min([time - AGAIN_S, *(stake.opened for stake in self.ledger.held.values())])
        for row in self.exchange.settlements(since):
            after, trades = _end(self.ledger, row, time)
            if trades:
                self.commit(lambda now, row=row: self._booked(_end(now, row, time), time))  # type: ignore[misc]
                self.log.info("kalshi_settled", asset=row.ticker, result=row.result, action=trades[0].action,
                              usd=plain(trades[0].notional), cash=plain(after.money))  # fmt: skip

    def _with(self, change: tuple[Ledger, list[Trade]]) -> Ledger:
        after, trades = change
        return files.noted(after, self.folder, trades)

    def _booked(self, change: tuple[Ledger, list[Trade]], time: int) -> Ledger:
        return alerts.corrected(self._with(change), change[1], time)

    def _adopted(self, holdings: Holdings, found: Mapping[str, tuple[Decimal, Decimal]], time: int) -> None:
        """Seen twice, so it is true: the venue's quantities are taken over, and told."""
        rows = {c.ticker: c for c in self.sight.contracts([name for name in found if name], time)}
        facts = [
            replace(known(c), mark=mark_of(c, holdings.units.get(ticker, Decimal(0))), marked=time)
            for ticker, c in rows.items()
        ]
        named = {*rows, *self.ledger.held}
        units = {name: count for name, count in holdings.units.items() if name in named}

        def change(now: Ledger) -> Ledger:
            after = self._with(books.adopted(replace(now, doubt=""), holdings.cash, units, facts, time))
            return alerts.adopted(after, found, time)

        self.commit(change)
        self.log.warning("kalshi_adopted", text="; ".join(sorted(found)))

    # ------------------------------------------------------------ what is bought

    def _traded(self, slot: Slot) -> str:
        """Mark, judge, decide, make durable, send."""
        board = self.sight.board(slot.time)
        seen = {c.ticker: c for c in board.contracts}
        missing = [ticker for ticker in self.ledger.held if ticker not in seen]
        seen |= {c.ticker: c for c in self.sight.contracts(missing, slot.time)} if missing else {}
        marks = _marked(self.ledger, seen, slot.time)
        judged = _judged(marks, self.limits, slot.time)
        decision = self._decided(slot, judged, board)
        self._tell(slot, judged, decision)
        self.commit(
            lambda now: begun(now, _judged(_marked(now, seen, slot.time), self.limits, slot.time), slot, decision)
        )
        self._sent(slot)
        return "done" if not self.ledger.open_slots else "busy"

    def _decided(self, slot: Slot, judged: Ledger, board: Board) -> Decision:
        if self.halted():
            return Decision(counts={"HALT": len(board.contracts)})
        assets = {c.asset for c in board.contracts if c.asset}
        spots = self.sight.spots(assets, board.time) if assets else {}
        return decide(slot, judged, board, spots, self.voices(board.time), self.limits, self.critic)

    def _tell(self, slot: Slot, judged: Ledger, decision: Decision) -> None:
        gain = judged.equity
        self.log.info(
            "kalshi_decided", slot=slot.id, equity=None if gain is None else plain(gain), state=judged.trading_state,
            reason=judged.state_reason, orders=len(decision.orders), counts=dict(decision.counts),
            refused=dict(decision.refused), critic={e: [said.factor, said.note] for e, said in decision.heard.items()},
        )  # fmt: skip

    def _tell_alerts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """A line for each: what is a page in the journal is an error in the log."""
        for row in rows:
            told = {"page": self.log.error, "info": self.log.info}.get(row["level"], self.log.warning)
            told(
                "kalshi_alert", slot=row["slot"] or None, asset=row["asset"] or None, code=row["code"], text=row["text"]
            )

    def _tell_order(self, slot: Slot, intent: Intent) -> None:
        filled = sum((fill.quantity for fill in intent.fills), Decimal(0))
        self.log.info("kalshi_order", slot=slot.id, asset=intent.order.asset, quantity=plain(intent.order.quantity),
                      status=intent.status, filled=plain(filled), note=intent.note)  # fmt: skip


def _end(now: Ledger, row: Settlement, time: int) -> tuple[Ledger, list[Trade]]:
    return books.settled(now, row.ticker, row.result, row.revenue, time)


def _marked(now: Ledger, seen: Mapping[str, Contract], time: int) -> Ledger:
    """The ledger with the marks of what is quoted; a position that nobody bids for keeps its last mark."""

    def fresh(stake: Stake) -> Stake:
        mark = mark_of(seen[stake.ticker], stake.count) if stake.ticker in seen else None
        return stake if mark is None else replace(stake, mark=mark, marked=time)

    return replace(now, held={ticker: fresh(stake) for ticker, stake in now.held.items()})


def _judged(now: Ledger, limits: Limits, time: int) -> Ledger:
    """The ledger in the state that its losses demand; unchanged where it cannot be valued."""
    whole = now.equity
    if whole is None:
        return now
    return risk.judged(risk.marked(now, float(whole), time), float(whole), limits.risk)
