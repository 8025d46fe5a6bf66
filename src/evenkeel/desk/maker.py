"""Orders that rest inside the spread instead of taking: where they stand, and when they are put anew. Pure.

A tick better than the best quote of its own side, never at or beyond the other one; put anew while it still pays, a few
times at most; what is not filled then is left. The law: a resting order never costs more than what its bet was worth
when it was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, Final

from annotated_types import Ge, Gt, Le

from evenkeel.events.bets import Proposal
from evenkeel.events.board import ONE, snapped
from evenkeel.events.fees import fee, rate
from evenkeel.types import MAKER, Contract, Intent, IntentStatus, Order, Trace
from evenkeel.units import Key, decimal_sum

NO_ROOM: Final = "NO_ROOM"
ILLIQUID: Final = "ILLIQUID"
_LESS: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class MakerSettings:
    """How an order rests inside the spread, where `kalshi.style` is maker-inside."""

    rest_s: Annotated[int, Ge(1), Le(300), Key("time after which it is taken back and put anew", "s")] = 20
    reprices: Annotated[int, Ge(0), Le(20), Key("how often at most it is put anew", "count")] = 3
    liquidity: Annotated[float, Gt(0), Key("contracts that both sides must offer", "count")] = 20.0


def inside(contract: Contract, *, yes: bool) -> Decimal | None:
    """The price of YES, USD, a tick better than the own side's best; None where the spread has no room for it.

    yes  YES is bought, so that the order is a bid; else NO is, and the order is an ask
    """
    bid, ask = contract.yes_bid, contract.yes_ask
    if bid is None or ask is None:
        return None
    found = snapped(bid + _LESS, contract.ticks, up=True) if yes else snapped(ask - _LESS, contract.ticks, up=False)
    return found if found is not None and bid < found < ask else None


def placed(leg: Proposal, contract: Contract, settings: MakerSettings) -> tuple[Decimal | None, str]:
    """Where a proposal rests, USD of YES, or the code of why it does not."""
    if min(contract.bid_size, contract.ask_size) < settings.liquidity:
        return None, ILLIQUID
    limit = inside(contract, yes=leg.side == "yes")
    return limit, "" if limit is not None else NO_ROOM


def kept(leg: Proposal, min_edge: float) -> Mapping[str, Any]:
    """What an open slot keeps of a proposal, as JSON values: the most that one contract may cost, fee included, USD."""
    return {"most": leg.p - min_edge}


def again(intent: Intent, contract: Contract, most: float, settings: MakerSettings, halted: bool) -> Intent | None:  # noqa: FBT001 - a fact
    """The order put anew after it was taken back; None where enough was tried, nothing is left, or it pays no more."""
    root, _, tries = intent.order.id.partition("~")
    number = int(tries or 0) + 1
    left = intent.order.quantity - decimal_sum(fill.quantity for fill in intent.fills)
    if halted or number > settings.reprices or not left or intent.status is not IntentStatus.CANCELED:
        return None
    limit, terms = inside(contract, yes=left > 0), rate(contract, maker=True)
    if limit is None or terms is None or contract.status != "active":
        return None
    price = limit if left > 0 else ONE - limit
    if float(price + fee(abs(left), price, terms) / abs(left)) > most:
        return None
    order = replace(intent.order, id=f"{root}~{number}", quantity=left)
    before = intent.trace.units if intent.trace is not None else Decimal(0)
    held = before + decimal_sum(fill.quantity for fill in intent.fills)
    return Intent(order, trace=Trace(None, held, limit=limit))


def styled(order: Order) -> Order:
    """The order as one that rests."""
    return replace(order, style=MAKER)
