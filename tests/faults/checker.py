"""Is a history lawful? The offline judge of simulated lives: what is wrong, in sentences; none = nothing.

It knows neither the protocol nor the store: only what left the computer, what the venue then had, what was durable and
how it ended. `tests/faults/test_checker.py` shows that each law, broken on purpose, is told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from evenkeel.engine.protocol import PROOF
from evenkeel.portfolio.breakers import BreakerSettings
from faults.history import Called, Committed, Crashed, Ending, Flow, History, Leg, Looked, Socket, Trade

RESOLVED = frozenset({"FILLED", "REJECTED", "NOT_PLACED", "CANCELED"})
CENT = Decimal("0.02")
"""A venue shows cash cut to cents, and so are our sums: together less than two."""
_CALLS = frozenset({"BREAKER_ERRORS", "BREAKER_LATENCY"})
_DUST = Decimal("0.000001")


def broken(history: History) -> list[str]:
    """Every law that the history breaks, one sentence each."""
    laws = (
        _sent_when_allowed, _at_limits, _wary, _one_leg_a_pair, _exactly_once, _bound, _bound_in_time,
        _left_to_a_person, _conserved, _accounted, _booked, _never_over_filled, _ended,
    )  # fmt: skip
    return [sentence for law in laws for sentence in law(history)]


def _sent_when_allowed(history: History) -> Iterator[str]:
    """Durable as SENT before the socket; nothing while HALTED; nothing bought while REDUCING."""
    state = "ACTIVE"
    for event in history.events:
        if isinstance(event, Committed):
            state = event.trading_state
        elif isinstance(event, Socket):
            if not event.durable:
                yield f"{event.id} left before SENT was durable"
            if event.marker or state == "HALTED":
                yield f"{event.id} left while halted"
            if state == "REDUCING" and event.quantity > 0:
                yield f"{event.id} bought while reducing"


def _at_limits(history: History) -> Iterator[str]:
    """What is planned for a pair at limits never goes out at market."""
    planned: dict[str, bool] = {}
    for event in history.events:
        if isinstance(event, Committed):
            for id_ in event.parents.keys() - planned.keys():
                planned[id_] = id_.split("-")[1] in event.limited
        elif isinstance(event, Socket) and planned.get(event.id.rpartition(".")[0]) and not event.limit:
            yield f"{event.id} left at market, though its pair is at limits"


def _wary(history: History) -> Iterator[str]:
    """An open breaker reduces; it is open after each decided slot at whose end the venue was too slow or too silent.

    What was measured is forgotten when the process dies; a person's resume closes none.
    """
    calls: list[Called] = []
    due: set[str] = set()
    last = Committed({}, "ACTIVE", ())
    for event in history.events:
        if isinstance(event, Crashed):
            calls, due = [], set()
        elif isinstance(event, Called):
            calls.append(event)
        elif isinstance(event, Committed):
            if event.trips and event.trading_state == "ACTIVE":
                yield f"{', '.join(event.trips)} is open, and the state ACTIVE"
            if event.done > last.done or event.trips != last.trips:
                due = _too_bad(calls, event.time, history.breakers)
                opened = _CALLS.intersection(event.trips).difference(last.trips, due)
                yield from (f"{code} opened at a venue that is well" for code in opened if _at_one_time(calls))
            last = event
        elif isinstance(event, Socket) and event.quantity > 0 and due.difference(last.trips):
            yield f"{event.id} bought, though {', '.join(sorted(due.difference(last.trips)))} had to be open"
    yield from (f"{code} is still open after the calm" for code in history.ending.trips)


def _at_one_time(calls: list[Called]) -> bool:
    """Whether our clock was not moved."""
    return len({call.skew for call in calls}) == 1


def _too_bad(calls: list[Called], time: int, limits: BreakerSettings | None) -> set[str]:
    """Breakers of calls that are at their limit, looked at all at once; none where our clock was moved."""
    if limits is None or not _at_one_time(calls):
        return set()
    recent = [call for call in calls if call.time > time - limits.window_s]
    recent = recent if len(recent) >= limits.least else calls[-limits.least :]
    if len(recent) < limits.least:
        return set()
    failed = sum(not call.answered for call in recent)
    slow = sum(call.seconds >= limits.latency_s for call in recent)
    bad = {"BREAKER_ERRORS"} if failed >= limits.errors * len(recent) else set()
    return bad | ({"BREAKER_LATENCY"} if slow > (len(recent) + 8) // 10 else set())


def _one_leg_a_pair(history: History) -> Iterator[str]:
    """At most one unresolved leg per pair at any commit."""
    for event in history.events:
        if isinstance(event, Committed):
            pairs = Counter(leg.asset for leg in event.legs.values() if leg.status not in RESOLVED)
            yield from (f"{asset} has {n} unresolved legs" for asset, n in pairs.items() if n > 1)


def _exactly_once(history: History) -> Iterator[str]:
    """The venue has no two orders of one intent, and none of an intent that never left."""
    left = {event.id for event in history.events if isinstance(event, Socket)}
    placed = Counter(trade.tag for trade in history.ending.trades if trade.tag)
    for tag, count in placed.items():
        if count > 1:
            yield f"{tag} was placed {count} times"
        if tag not in left:
            yield f"{tag} was placed but never left"


def _bound(history: History) -> Iterator[str]:
    """Every order of ours is bound to its own intent, or its pair was given to a person; nobody else's ever is."""
    bindings, notes = _bindings(history)
    trades = _told_apart(history, bindings)
    owner = {trade.number: trade for trade in trades}
    for number, ids in bindings.items():
        if len(ids) > 1:
            yield f"order {number} is bound to {', '.join(sorted(ids))}"
        for id_ in ids:
            if owner[number].tag != id_:
                yield f"order {number} of {owner[number].tag or 'a person'} is bound to {id_}"
    for trade in trades:
        if trade.tag and not bindings.get(trade.number) and not _given_up(notes.get(trade.tag)):
            yield f"order {trade.number} of {trade.tag} is lost"


def _bound_in_time(history: History) -> Iterator[str]:
    """Two reconciliations with an order of ours before their eyes are enough, wherever in a life they are.

    Not for what was sent by a clock that was wrong: it does not fit its time, and waits for a person.
    """
    tags = {trade.number: trade.tag for trade in _told_apart(history, _bindings(history)[0])}
    excused = {e.id for e in history.events if isinstance(e, Socket) and abs(e.skew) > PROOF.skew_s}
    bound: set[str] = set()
    looks: Counter[str] = Counter()
    shown: tuple[str, ...] = ()
    for event in history.events:
        if isinstance(event, Crashed):
            shown = ()  # what was made of it was never durable
        elif isinstance(event, Looked):
            shown += event.numbers
        elif isinstance(event, Committed):
            for id_, leg in event.legs.items():
                (bound.add if leg.venue else bound.discard)(id_)
                if leg.asset in event.quarantined or leg.note.startswith("AMBIGUOUS"):
                    excused.add(id_)
            open_ = [number for number in shown if tags[number] and tags[number] not in bound | excused]
            looks.update(open_)
            yield from (f"{tags[n]} was not understood after two reconciliations" for n in open_ if looks[n] == 2)
            shown = ()


def _bindings(history: History) -> tuple[dict[str, set[str]], dict[str, tuple[Leg, bool]]]:
    """Who was ever bound to which order; the last that was known of each leg, and whether its pair was given up."""
    bindings: dict[str, set[str]] = defaultdict(set)
    last: dict[str, tuple[Leg, bool]] = {}
    for event in history.events:
        if isinstance(event, Committed):
            for id_, leg in event.legs.items():
                last[id_] = leg, leg.asset in event.quarantined
                if leg.venue:
                    bindings[leg.venue].add(id_)
    return bindings, last


def _told_apart(history: History, bindings: dict[str, set[str]]) -> list[Trade]:
    """The venue's orders; a person's that nobody can tell from ours, and that is taken for it, changes places with it.

    What was wanted then happened once, and one more order is somebody's who is not us. That goes for a leg, too, that
    was killed between its SENT and the socket: it may have left, for all that we can know.
    """
    commits = [event for event in history.events if isinstance(event, Committed)]
    asked = {id_: (leg.asset, leg.quantity) for e in commits for id_, leg in e.legs.items() if leg.status != "PREPARED"}
    asked |= {e.id: (e.asset, e.quantity) for e in history.events if isinstance(e, Socket)}
    trades = {trade.number: trade for trade in history.ending.trades}
    for trade in history.ending.trades:
        for id_ in bindings.get(trade.number, ()) if not trade.tag else ():
            if asked.get(id_) == (trade.asset, trade.quantity):
                trades[trade.number] = replace(trade, tag=id_)
                ours = [t for t in history.ending.trades if t.tag == id_ and not bindings.get(t.number)]
                trades |= {own.number: replace(own, tag="") for own in ours}
    return list(trades.values())


def _given_up(known: tuple[Leg, bool] | None) -> bool:
    """Unknown to the end, and a person was told of its pair."""
    return known is not None and known[0].status == "UNKNOWN" and known[1]


def _left_to_a_person(history: History) -> Iterator[str]:
    """A pair waits for a person only where somebody else traded it, or our clock was wrong: else it is understood."""
    traded = {trade.asset for trade in history.ending.trades if not trade.tag}
    wrong = any(isinstance(event, Socket | Called) and event.skew for event in history.events)
    told = {pair for event in history.events if isinstance(event, Committed) for pair in event.quarantined}
    yield from (f"{pair} was left to a person without a cause" for pair in told - traded if not wrong)


def _conserved(history: History) -> Iterator[str]:
    """The venue's wealth is the opening, what came from outside, and its trades; memory says the same, to a cent."""
    end = history.ending
    wealth: dict[str, Decimal] = defaultdict(Decimal, {"USD": end.opening})
    wealth["USD"] += sum((event.cash for event in history.events if isinstance(event, Flow)), Decimal(0))
    for trade in end.trades:
        wealth["USD"] += trade.cash
        wealth[trade.asset] += trade.units
    for coin in sorted({*wealth, *end.venue, *end.remembered}):
        true, has, knows = (book.get(coin, Decimal(0)) for book in (wealth, end.venue, end.remembered))
        if true != has:
            yield f"the venue has {has} {coin}, its trades make {true}"
        if abs(has - knows) > (CENT if coin == "USD" else 0):
            yield f"memory knows {knows} {coin}, the venue has {has}"
    if end.venue.get("USD", Decimal(0)) < 0:
        yield "cash is negative"


def _accounted(history: History) -> Iterator[str]:
    """Memory's cash is what it first saw, what it took for flows, and what its fills took: nothing counts twice."""
    end, seen = history.ending, [e.cash for e in history.events if isinstance(e, Committed)]
    known = [cash for cash in seen if cash is not None]
    if not known or None in seen[seen.index(known[0]) :]:
        return  # nobody ever looked, or the first look was lost with the disk
    made = known[0] + end.flows - sum(end.paid.values(), Decimal(0))
    if abs(made - end.remembered["USD"]) > _DUST:
        yield f"memory has {end.remembered['USD']} USD, its flows and fills make {made}"


def _booked(history: History) -> Iterator[str]:
    """The journal's fills are the venue's: never more than was placed, and all of it unless a person has to look."""
    bindings, notes = _bindings(history)
    moved: dict[str, Decimal] = defaultdict(Decimal)
    cash: dict[str, Decimal] = defaultdict(Decimal)
    for trade in _told_apart(history, bindings):
        moved[trade.tag] += trade.units
        cash[trade.tag] += trade.cash
    for id_ in sorted({*history.ending.fills, *moved} - {""}):
        booked, true = history.ending.fills.get(id_, Decimal(0)), moved.get(id_, Decimal(0))
        if booked != true and not (booked == 0 and _given_up(notes.get(id_))):
            yield f"{id_} is booked with {booked}, the venue moved {true}"
        elif booked and abs(history.ending.paid.get(id_, Decimal(0)) + cash[id_]) > _DUST:
            yield f"{id_} is booked for {history.ending.paid.get(id_)} USD, the venue moved {cash[id_]}"


def _never_over_filled(history: History) -> Iterator[str]:
    """All children of an order together never move more than it asked for."""
    asked = {
        id_: units for event in history.events if isinstance(event, Committed) for id_, units in event.parents.items()
    }
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for trade in history.ending.trades:
        moved[trade.tag.rpartition(".")[0]] += trade.units
    for id_, units in asked.items():
        if abs(moved[id_]) > abs(units):
            yield f"{id_} asked for {units} and got {moved[id_]}"


def _ended(history: History) -> Iterator[str]:
    """It trades again; each slot ended once, no leg is open for ever, the audit chain is whole."""
    end: Ending = history.ending
    if end.trading_state != "ACTIVE" or end.last not in ("", "done", "skipped busy"):
        yield f"it is {end.trading_state} in the end, and the last rebalance was {end.last}"
    yield from (f"{slot} ended twice" for slot in end.seconds)
    yield from (f"{slot} never ended" for slot in end.missing)
    yield from (f"{id_} is still open" for id_ in end.open)
    if not end.chain:
        yield "the audit chain is broken"


__all__ = ["RESOLVED", "Trade", "broken"]
