"""The order protocol: an intent is durable before the socket is touched, sent once, and never believed without proof.

PREPARED is committed for all legs at once: such a leg never left this computer. SENT is committed before each socket;
its answer is committed with the next leg's SENT. An answer that is lost or not understood leaves UNKNOWN. What SENT
and UNKNOWN came to is judged by what the venue itself shows (`verdict`, anchors: exactly-once protocol); until then the
pair is frozen, and where nothing can be proven it is quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from math import inf

from evenkeel.engine import step as steps
from evenkeel.engine import verdict
from evenkeel.engine.ports import Broker, VenueOrder
from evenkeel.engine.verdict import Ambiguous, Bound, ProofSettings, Sent, Silence, Unproven, Verdict
from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.lean import changed
from evenkeel.types import Fill, Intent, IntentStatus, Memory, OpenSlot, Slot, Trace, TradingState

Commit = Callable[[Callable[[Memory], Memory]], Memory]
Halted = Callable[[], bool]
Clock = Callable[[], float]

DIFFERS = "QUANTITY_DIFFERS"
"""The venue took an order for another quantity than was sent: what it says is booked, the pair is quarantined (O21)."""

PROOF = ProofSettings(silence_s=90.0, timeout_s=240.0, skew_s=25.0)
"""A request may wait two minutes for its turn, and a venue that takes stamps of the last minute may take it late."""
_EARLIER_S = 86_400
"""How far back an order under our id is looked for: its time is our clock's, which may have been wrong."""
_SURE = Silence(polls=10**9, seconds=inf)
_OUT = frozenset({IntentStatus.SENT, IntentStatus.UNKNOWN, IntentStatus.ACKED})


def _never() -> bool:
    return False


def _always() -> bool:
    return True


def act(
    slot: Slot,
    memory: Memory,
    broker: Broker,
    commit: Commit,
    halted: Halted,
    now: Clock,
    *,
    proof: ProofSettings = PROOF,
    resumed: bool = False,
    expired: bool = False,
) -> Memory:
    """Send what the open slot still has to send, in order; returns Memory with every answer in it.

    now      UTC s · resumed  first ask the venue what became of the legs that may have left
    expired  the plan is too old: what has not left is not sent any more
    """
    if resumed:
        memory = _look(slot, memory, broker, commit, now, proof)
    step = steps.open_slot(memory, slot)
    answer: Intent | None = None
    for intent in step.intents if step else ():
        if intent.status is not IntentStatus.PREPARED:
            continue
        going = _not_placed(intent, "PLAN_EXPIRED") if expired else _going(intent, now())
        news = [going] if answer is None else [answer, going]
        memory = commit(lambda m, n=tuple(news): noted(m, slot, n))  # type: ignore[misc]
        if expired:
            continue
        may = partial(_may, going, commit, halted, now)
        answer = _send(going, broker, _refusal(going, memory, halted, int(now())), int(now()), may)
    return commit(lambda m: noted(m, slot, [answer])) if answer else memory


def act_alone(step: OpenSlot, memory: Memory, broker: Broker, time: int) -> OpenSlot:
    """`act` for one who alone writes Memory and whom nobody can halt: the same checks; -> the step, answered."""
    if memory.trading_state is TradingState.ACTIVE and not memory.cooldowns:  # then nothing can be refused
        answers = [_send(intent, broker, "", time) for intent in step.intents]
    else:
        answers = [_send(intent, broker, _refusal(intent, memory, _never, time), time) for intent in step.intents]
    return OpenSlot(step.slot, step.as_of, step.plan, tuple(answers)) if answers else step


def unanswered(memory: Memory) -> tuple[Slot, ...]:
    """Open slots with a leg whose fate only the venue can tell."""
    return tuple(
        s.slot
        for s in memory.open_slots
        if not steps.answered(s, memory) and any(_is_out(i) and not resting(i) for i in s.intents)
    )


def counted_anew(memory: Memory) -> Memory:
    """Memory in which the silence about every leg begins again: by a clock that was moved nobody can say how long."""

    def anew(step: OpenSlot) -> OpenSlot:
        return replace(step, intents=tuple(_unasked(intent) for intent in step.intents))

    return replace(memory, open_slots=tuple(anew(step) for step in memory.open_slots))


def _unasked(intent: Intent) -> Intent:
    return intent if intent.trace is None else changed(intent, trace=changed(intent.trace, polls=0, asked=0))


def resting(intent: Intent) -> bool:
    """Whether an order lies in the venue's book at its limit: its deadline is what is waited for, not its fate."""
    return intent.status is IntentStatus.ACKED and intent.trace is not None and intent.trace.limit is not None


def _is_out(intent: Intent) -> bool:
    return intent.status in _OUT


# ---------------------------------------------------------------- sending


def _going(intent: Intent, now: float) -> Intent:
    """The intent as it is durable before its socket: from here on only the venue knows."""
    trace = replace(_trace(intent), at=round(now * 1000), polls=0, asked=0)
    return replace(intent, status=IntentStatus.SENT, note="", trace=trace)


def _may(intent: Intent, commit: Commit, halted: Halted, now: Clock) -> bool:
    """The same check for a venue where an order has to wait for its turn: asked when the turn has come."""
    return not _refusal(intent, commit(lambda m: m), halted, int(now()))


def _send(intent: Intent, broker: Broker, refusal: str, time: int, may: Callable[[], bool] = _always) -> Intent:
    """The socket, unless the last check refused."""
    if refusal:
        return _not_placed(intent, refusal)
    attempts = intent.attempts + 1
    limit = intent.trace.limit if intent.trace is not None else None
    try:
        found = (
            broker.send(intent.order, time, may) if limit is None else broker.send(intent.order, time, may, limit=limit)
        )
    except VenueError as error:
        return Intent(intent.order, IntentStatus.REJECTED, attempts, str(error), (), intent.trace)
    except VenueUnknownError as error:
        return Intent(intent.order, IntentStatus.UNKNOWN, attempts, str(error), (), intent.trace)
    return answered(intent, found, attempts, differs=found.quantity != intent.order.quantity)


def answered(intent: Intent, found: VenueOrder, attempts: int, *, differs: bool) -> Intent:
    """The intent as the venue shows it; fills stand under our id."""
    order, trace = intent.order, intent.trace
    fills = found.fills if not found.fills or found.fills[0].order_id == order.id else _ours(found.fills, order.id)
    trace = trace and changed(trace, venue=found.id)
    return Intent(order, found.status, attempts, DIFFERS if differs else "", fills, trace)


def _ours(fills: Iterable[Fill], order_id: str) -> tuple[Fill, ...]:
    return tuple(changed(fill, order_id=order_id) for fill in fills)


def _not_placed(intent: Intent, why: str) -> Intent:
    return Intent(intent.order, IntentStatus.NOT_PLACED, intent.attempts, why, (), intent.trace)


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


# ---------------------------------------------------------------- finding out


def _look(slot: Slot, memory: Memory, broker: Broker, commit: Commit, now: Clock, proof: ProofSettings) -> Memory:
    """Ask the venue once what became of every leg that may have left, and note what that proves."""
    step = steps.open_slot(memory, slot)
    out = [intent for intent in step.intents if _is_out(intent)] if step else []
    if not out:
        return commit(lambda m: m)  # somebody may have halted us meanwhile
    time = now()
    try:
        verdicts = _verdicts(out, memory, broker, int(time), proof)
    except (VenueError, VenueUnknownError) as error:
        deaf = [changed(intent, status=IntentStatus.UNKNOWN, note=str(error)) for intent in out]
        return commit(lambda m: noted(m, slot, deaf))
    news = [_concluded(intent, verdicts[intent.order.id], int(time)) for intent in out]
    return commit(lambda m: noted(m, slot, news))


def _verdicts(
    out: list[Intent], memory: Memory, broker: Broker, time: int, proof: ProofSettings
) -> Mapping[str, Verdict]:
    sents = [_sent(intent) for intent in out]
    since = min(sent.at // 1000 - _EARLIER_S if sent.highest is None else sent.highest for sent in sents)
    orders = broker.orders(frozenset(sent.order.asset for sent in sents), since, time)
    holdings = broker.holdings(time)
    bound = {i.trace.venue: i.order.id for s in memory.open_slots for i in s.intents if i.trace and i.trace.venue}
    silence = {intent.order.id: _SURE if broker.again else _silence(intent, time) for intent in out}
    return verdict.judge_all(sents, orders, holdings, bound, silence, proof)


def _sent(intent: Intent) -> Sent:
    trace = _trace(intent)
    return Sent(intent.order, trace.at, trace.highest, trace.units, trace.limit)


def _silence(intent: Intent, time: int) -> Silence:
    trace = _trace(intent)
    return Silence(trace.polls + 1, float(time - trace.asked) if trace.polls else 0.0)


def _concluded(intent: Intent, said: Verdict, time: int) -> Intent:
    """The intent after a verdict; what was never placed has not left, and may be sent again if it is still wanted."""
    if isinstance(said, Bound):
        return answered(intent, said.order, intent.attempts, differs=said.differs)
    trace = _trace(intent)
    asked = trace.asked if 0 < trace.asked <= time else time  # a clock that was set back counts anew
    trace = changed(trace, polls=trace.polls + 1, asked=asked)
    if isinstance(said, Unproven):
        return changed(intent, status=IntentStatus.UNKNOWN, note="the venue does not show it yet", trace=trace)
    if isinstance(said, Ambiguous):
        named = f" ({', '.join(said.orders)})" if said.orders else ""
        return changed(intent, status=IntentStatus.UNKNOWN, note=f"AMBIGUOUS: {said.reason}{named}", trace=trace)
    return changed(intent, status=IntentStatus.PREPARED, note="the venue never had it", trace=trace)


def noted(memory: Memory, slot: Slot, news: Iterable[Intent]) -> Memory:
    """Memory with what was learned of some legs; a pair that cannot be understood is quarantined."""
    for intent in news:
        memory = steps.update(memory, slot, intent)
        if intent.note == DIFFERS or intent.note.startswith("AMBIGUOUS"):
            memory = replace(memory, quarantined={**memory.quarantined, intent.order.asset: intent.note})
    return memory


def _trace(intent: Intent) -> Trace:
    """Raises ValueError where there is none: such an intent must not meet a venue that can lose an answer."""
    if intent.trace is None:
        raise ValueError(f"order {intent.order.id} has no trace: it cannot be proven")
    return intent.trace
