"""The order protocol: an intent is durable before the socket is touched, sent once, and never believed without proof.

PREPARED is committed for all legs at once; each leg is checked again, sent, and its answer committed. An answer that is
lost or not understood leaves UNKNOWN, which only the venue itself can resolve, by our id. After a crash every leg that
may have been sent is asked for before it is sent (anchors: exactly-once protocol).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evenkeel.engine import step as steps
from evenkeel.engine.ports import Broker
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.types import Intent, IntentStatus, Memory, OpenSlot, Slot, TradingState

Commit = Callable[[Callable[[Memory], Memory]], Memory]
Halted = Callable[[], bool]


def act(
    slot: Slot,
    memory: Memory,
    broker: Broker,
    commit: Commit,
    halted: Halted,
    time: int,
    *,
    resumed: bool = False,
    expired: bool = False,
) -> Memory:
    """Send what the open slot still has to send, in order; returns Memory with every answer in it.

    resumed  the process may have died after sending, so the venue is asked before anything is sent again
    expired  the plan is too old: what the venue has is booked, what it has not is not sent any more
    """
    step = steps.open_slot(memory, slot)
    for intent in step.intents if step else ():
        if intent.status.resolved:
            continue
        answer = intent
        if resumed or intent.status is IntentStatus.UNKNOWN:
            answer = _resolve(intent, broker, time)
            memory = commit(lambda m: m)  # while the venue was asked somebody may have halted us
        if answer.status in (IntentStatus.PREPARED, IntentStatus.NOT_PLACED):
            late = "PLAN_EXPIRED" if expired else ""
            answer = _send(answer, broker, late or _refusal(answer, memory, halted, time), time)
        memory = commit(lambda m, a=answer: steps.update(m, slot, a))  # type: ignore[misc]
    return memory


def act_alone(step: OpenSlot, memory: Memory, broker: Broker, time: int) -> OpenSlot:
    """`act` for one who alone writes Memory and whom nobody can halt: the same checks; -> the step, answered."""
    if memory.trading_state is TradingState.ACTIVE and not memory.cooldowns:  # then nothing can be refused
        answers = [_send(intent, broker, "", time) for intent in step.intents]
    else:
        answers = [_send(intent, broker, _refusal(intent, memory, _never, time), time) for intent in step.intents]
    return OpenSlot(step.slot, step.as_of, step.plan, tuple(answers)) if answers else step


def _never() -> bool:
    return False


def _resolve(intent: Intent, broker: Broker, time: int) -> Intent:
    """Ask the venue, by our id, what became of an order that may have been sent."""
    try:
        found = broker.find(intent.order, time)
    except (VenueError, VenueUnknownError) as error:
        return replace(intent, status=IntentStatus.UNKNOWN, note=str(error))
    if found is None:
        return replace(intent, status=IntentStatus.NOT_PLACED, note="venue never saw it")
    return Intent(intent.order, found.status, intent.attempts, "", found.fills)


def _send(intent: Intent, broker: Broker, refusal: str, time: int) -> Intent:
    """The socket, unless the last check refused."""
    if refusal:
        return replace(intent, status=IntentStatus.NOT_PLACED, note=refusal)
    attempts = intent.attempts + 1
    try:
        found = broker.send(intent.order, time)
    except VenueError as error:
        return replace(intent, status=IntentStatus.REJECTED, attempts=attempts, note=str(error))
    except VenueUnknownError as error:
        return replace(intent, status=IntentStatus.UNKNOWN, attempts=attempts, note=str(error))
    return Intent(intent.order, found.status, attempts, "", found.fills)


def _refusal(intent: Intent, memory: Memory, halted: Halted, time: int) -> str:
    """Why a leg must not go out although it was planned: checked at the last line before the socket."""
    if halted() or memory.trading_state is TradingState.HALTED:
        return "TRADING_STATE_HALTED"
    order = intent.order
    if order.quantity <= 0:
        return ""
    if memory.trading_state is not TradingState.ACTIVE:
        return "TRADING_STATE_REDUCING"
    if memory.cooldowns.get(order.asset, 0) > time:
        return "COOLDOWN"  # the other lane's stop fired since the plan
    return ""
