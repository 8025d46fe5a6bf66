"""What became of an order that may have been sent: the exactly-once judgement, from what its venue shows.

Intent, account and patience in; bound, not placed, unproven or ambiguous out. Pure. Where the venue keeps our id the id
speaks; where it does not, a fingerprint does: newer than everything known before the send, same asset, side, quantity
and limit, placed while our request can have been under way, and nobody else's. The laws: no venue order is bound to two
intents; the order in which evidence is listed does not matter; more evidence never turns bound into not placed.

Whatever is not proven is ambiguous and quarantines its pair: a person looks, nothing is sent again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from annotated_types import Ge, Gt, Le

from evenkeel.engine.ports import VenueOrder
from evenkeel.types import Holdings, IntentStatus, Order
from evenkeel.units import Key, decimal_sum


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """What it takes to believe that an order was never placed."""

    polls: Annotated[int, Ge(2), Le(100), Key("looks that must find nothing of an order that may be out", "count")] = 3
    silence_s: Annotated[float, Ge(1), Le(3_600), Key("time that those looks must span", "s")] = 30.0
    timeout_s: Annotated[float, Gt(0), Le(600), Key("longest that a request can be under way", "s")] = 10.0
    skew_s: Annotated[float, Ge(0), Le(60), Key("largest difference between the venue's clock and ours", "s")] = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that may have been sent, and what was known just before.

    at       UTC ms when the socket was touched
    highest  highest order number of the account before, -1 if it had none; None where the venue keeps our id
    units    of the order's asset, before
    limit    USD per unit as sent, None = market order
    """

    order: Order
    at: int
    highest: int | None
    units: Decimal
    limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """How often the venue was asked and showed nothing, the present look included, and over how many seconds."""

    polls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The venue has it. differs: asked or filled for another quantity than was sent: book the venue's, page (O21)."""

    order: VenueOrder
    differs: bool = False


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """The venue never had it: it may be sent again under the same id if it is still wanted (O2)."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Nothing is proven yet: the pair stays frozen, look again after `wait_s` seconds (O4, O5)."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Quarantine the pair and page (O16): why, and the venue ids that a person should look at, sorted.

    SEVERAL_ORDERS  more than one order fits · SECOND_UNDER_ONE_ID  the venue has our id twice
    ID_OF_ANOTHER   an order under our id is of another asset or side
    CONTESTED       the one that fits also fits another unresolved intent
    ALIKE           none fits, but an order of this asset and side that is nobody's came after ours was sent
    UNITS_CHANGED   none is to be seen, yet the units held changed
    """

    reason: str
    orders: tuple[str, ...] = ()


Verdict = Bound | NotPlaced | Unproven | Ambiguous
Bindings = Mapping[str, str]
"""Venue order id -> id of our order that it is known to be."""


def judge(
    sent: Sent,
    orders: Iterable[VenueOrder],
    holdings: Holdings,
    bound: Bindings,
    silence: Silence,
    settings: ProofSettings,
) -> Verdict:
    """What became of one intent; `judge_all` where several are unresolved.

    orders   of the account, in any order; the same one may be listed twice (open orders and history)
    bound    also this intent's own: it stays bound whatever else is found (O3, O8)

    Units are compared exactly: dust that moves by itself (O17) costs a look by a person, never a second order.
    """
    orders = tuple(orders)
    ids = candidates(sent, orders, bound, settings)
    if len(ids) > 1:
        return Ambiguous("SECOND_UNDER_ONE_ID" if sent.highest is None else "SEVERAL_ORDERS", tuple(sorted(ids)))
    if ids:
        return _bound(sent, _newest(order for order in orders if order.id in ids))
    return _nothing_found(sent, orders, holdings, bound, silence, settings)


def judge_all(
    sents: Iterable[Sent],
    orders: Iterable[VenueOrder],
    holdings: Holdings,
    bound: Bindings,
    silence: Mapping[str, Silence],
    settings: ProofSettings,
) -> dict[str, Verdict]:
    """Verdict per id of our order. One venue order that fits two intents is neither's: both are ambiguous.

    silence  per id of our order; one that is missing was never looked for
    """
    sents, orders = tuple(sents), tuple(orders)
    claims = Counter(id_ for sent in sents for id_ in candidates(sent, orders, bound, settings))
    verdicts: dict[str, Verdict] = {}
    for sent in sents:
        verdict = judge(sent, orders, holdings, bound, silence.get(sent.order.id, Silence()), settings)
        if isinstance(verdict, Bound) and claims[verdict.order.id] > 1:
            verdict = Ambiguous("CONTESTED", (verdict.order.id,))
        verdicts[sent.order.id] = verdict
    return verdicts


def foreign(
    orders: Iterable[VenueOrder], sents: Iterable[Sent], bound: Bindings, settings: ProofSettings
) -> tuple[VenueOrder, ...]:
    """Orders on the account that are nobody's, one row each, by time placed: not bound, and fitting no intent.

    Those that are open are listed, not touched, and count against cash (O22); one after our start is a person's (E10).
    """
    orders = tuple(orders)
    claimed = {id_ for sent in sents for id_ in candidates(sent, orders, bound, settings)}
    nobodys = {order.id for order in orders if order.id not in bound} - claimed
    rows = [_newest(order for order in orders if order.id == id_) for id_ in nobodys]
    return tuple(sorted(rows, key=lambda order: (order.placed, order.id)))


def candidates(sent: Sent, orders: Collection[VenueOrder], bound: Bindings, settings: ProofSettings) -> frozenset[str]:
    """Venue ids that may be this intent: those bound to it, those under our id, or those with its fingerprint."""
    own = frozenset(order.id for order in orders if bound.get(order.id) == sent.order.id)
    if sent.highest is None:  # a repeated id is not refused once the first order under it is filled
        return own | {o.id for o in orders if o.ours == sent.order.id and o.id not in bound}
    return own or frozenset(o.id for o in orders if o.id not in bound and _fits(sent, o, settings))


def _fits(sent: Sent, order: VenueOrder, settings: ProofSettings) -> bool:
    """The fingerprint. A number that the venue does not tell is no proof of age."""
    return (
        (order.number is None or sent.highest is None or order.number > sent.highest)
        and order.ours in ("", sent.order.id)
        and order.asset == sent.order.asset
        and order.quantity == sent.order.quantity
        and order.limit == sent.limit
        and _in_time(sent, order, settings)
    )


def _in_time(sent: Sent, order: VenueOrder, settings: ProofSettings) -> bool:
    """Placed while our request can have been under way, as the venue's clock may show it."""
    skew = settings.skew_s * 1e3
    return sent.at - skew <= order.placed <= sent.at + settings.timeout_s * 1e3 + skew


def _bound(sent: Sent, order: VenueOrder) -> Verdict:
    asked, got = sent.order.quantity, decimal_sum({fill.id: fill.quantity for fill in order.fills}.values())
    if order.asset != sent.order.asset or order.quantity * asked < 0:
        return Ambiguous("ID_OF_ANOTHER", (order.id,))
    return Bound(order, differs=order.quantity != asked or abs(got) > abs(asked))


def _nothing_found(
    sent: Sent,
    orders: tuple[VenueOrder, ...],
    holdings: Holdings,
    bound: Bindings,
    silence: Silence,
    settings: ProofSettings,
) -> Verdict:
    """Silence is proof only if it lasted, units did not move, and no order stands there that might be ours, altered."""
    polls, seconds = settings.polls - silence.polls, settings.silence_s - silence.seconds
    if polls > 0 or seconds > 0:
        return Unproven(max(1.0, seconds / max(polls, 1)))
    alike = {order.id for order in orders if order.id not in bound and _alike(sent, order, settings)}
    if alike:
        return Ambiguous("ALIKE", tuple(sorted(alike)))
    if holdings.units.get(sent.order.asset, Decimal(0)) != sent.units:
        return Ambiguous("UNITS_CHANGED")
    return NotPlaced()


def _alike(sent: Sent, order: VenueOrder, settings: ProofSettings) -> bool:
    """Ours as the venue may have altered it (O21) or dated it (T4): sent again, it would be there twice."""
    if sent.highest is None or order.ours not in ("", sent.order.id):
        return False
    if order.asset != sent.order.asset or order.quantity * sent.order.quantity < 0:
        return False
    return order.number > sent.highest if order.number is not None else _in_time(sent, order, settings)


def _newest(rows: Iterable[VenueOrder]) -> VenueOrder:
    """The row that knows most of one order: a cancel that raced with the last fill is a fill (O10)."""
    return max(rows, key=lambda o: (o.status.resolved, o.status is IntentStatus.FILLED, len(o.fills), str(o)))
