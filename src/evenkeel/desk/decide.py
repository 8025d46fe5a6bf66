"""What does the desk buy now? Board, prices, models and ledger -> orders, and a code for everything that is not bought.

Pure: it never asks which venue takes the orders. The five steps of the pipeline, then the desk's own limits, then
whatever another mind makes of a bet, which can only shrink it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from evenkeel.desk import maker, risk
from evenkeel.desk.ledger import Ledger, Stake, exposure
from evenkeel.desk.maker import MakerSettings
from evenkeel.desk.risk import RiskSettings
from evenkeel.events.bets import YES, Bet, Judgement, Proposal
from evenkeel.events.board import ONE, Ladders, ladders, series_of
from evenkeel.events.evidence import Voices
from evenkeel.events.fair import Spot
from evenkeel.events.pipeline import (
    Scan,
    ScreenSettings,
    StakeSettings,
    Why,
    category_of,
    cluster_of,
    judged,
    scan,
    trade,
)
from evenkeel.types import Board, Contract, Order, Slot, TradingState

VETOED = "VETOED"
_LOOKED_AT = frozenset({Why.UNPROVEN, Why.TOO_SMALL, Why.NOT_BEST})
Critic = Callable[[Bet, Ladders], Judgement]
"""A second opinion on a bet that the rules let pass."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the desk may do: which contracts, how much of each, and when it stops.

    maker  orders rest inside the spread; None = they take what is quoted
    """

    screen: ScreenSettings
    stake: StakeSettings
    risk: RiskSettings
    maker: MakerSettings | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one turn decided.

    orders   quantity in YES contracts · limits  USD of YES, by order id · stakes  what is known of their markets
    refused  ticker -> code, of everything that had a fair value and was not bought · counts  code -> contracts
    heard    event -> what the second critic said of its bet
    makers   order id -> what is needed to put a resting order anew
    """

    orders: tuple[Order, ...] = ()
    limits: Mapping[str, Decimal] = field(default_factory=dict)
    stakes: Mapping[str, Stake] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    heard: Mapping[str, Judgement] = field(default_factory=dict)
    makers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def decide(
    slot: Slot,
    ledger: Ledger,
    board: Board,
    spots: Mapping[str, Spot],
    voices: Voices,
    limits: Limits,
    critic: Critic | None = None,
) -> Decision:
    """The orders of one slot; none where the ledger cannot be valued or the trading state forbids purchases."""
    equity = ledger.equity
    rows = ladders(board)
    if equity is None or ledger.trading_state is not TradingState.ACTIVE:
        code = "UNPRICED" if equity is None else ledger.state_reason.partition(":")[0] or str(ledger.trading_state)
        return Decision(counts={code: len(board.contracts)})
    found = scan(rows, voices, spots, voices, exposure(ledger, equity), limits.screen, limits.stake)
    kept, refused = risk.room(found.bets, rows, ledger, float(equity), limits.risk)
    heard: dict[str, Judgement] = {}
    if critic is not None:
        heard = {bet.legs[0].event: critic(bet, rows) for bet in kept}
        kept, vetoed = _criticised(kept, rows, heard, limits.stake)
        refused = {**refused, **vetoed}
    return replace(_decided(slot, found, kept, refused, limits), heard=heard)


def _criticised(
    kept: tuple[Bet, ...], rows: Ladders, heard: Mapping[str, Judgement], settings: StakeSettings
) -> tuple[tuple[Bet, ...], Mapping[str, str]]:
    left, vetoed = [], dict[str, str]()
    for bet in kept:
        smaller = judged(bet, heard[bet.legs[0].event].factor, rows, settings)
        stays = {leg.ticker for leg in smaller.legs} if smaller is not None else set()
        vetoed |= {leg.ticker: VETOED for leg in bet.legs if leg.ticker not in stays}
        left += [] if smaller is None else [smaller]
    return tuple(left), vetoed


def _decided(slot: Slot, found: Scan, kept: tuple[Bet, ...], refused: Mapping[str, str], limits: Limits) -> Decision:
    contracts = {c.ticker: c for c in found.board.contracts}
    legs, prices, refused = _priced(trade(kept), contracts, refused, limits.maker)
    orders = tuple(_order(slot, number, leg) for number, leg in enumerate(legs))
    resting = limits.maker is not None
    codes = [Why(code) for code in found.why.tolist()]
    told = {
        c.ticker: code.name
        for c, code in zip(found.board.contracts, codes, strict=True)
        if code in _LOOKED_AT or code > Why.NOT_BEST
    }
    stopped = Counter(code.name for code in codes if code is not Why.GOOD)
    return Decision(
        orders=tuple(maker.styled(order) for order in orders) if resting else orders,
        limits=dict(zip((order.id for order in orders), prices, strict=True)),
        stakes={order.asset: _entered(contracts[order.asset], order, slot.time) for order in orders},
        refused={**told, **refused},
        counts={**stopped, **Counter(refused.values())},
        makers={
            order.id: maker.kept(leg, limits.stake.min_edge) for order, leg in zip(orders, legs, strict=True) if resting
        },
    )


def _priced(
    legs: tuple[Proposal, ...],
    contracts: Mapping[str, Contract],
    refused: Mapping[str, str],
    settings: MakerSettings | None,
) -> tuple[list[Proposal], list[Decimal], Mapping[str, str]]:
    """The legs with their prices, USD of YES; those that find no place to rest are refused."""
    if settings is None:
        return list(legs), [leg.yes_price for leg in legs], refused
    kept, prices, left = [], [], dict(refused)
    for leg in legs:
        price, code = maker.placed(leg, contracts[leg.ticker], settings)
        if price is None:
            left[leg.ticker] = code
        else:
            kept.append(leg)
            prices.append(price)
    return kept, prices, left


def _order(slot: Slot, number: int, leg: Proposal) -> Order:
    quantity = leg.count if leg.side == YES else -leg.count
    return Order(f"k{slot.time:x}-{number}-{leg.ticker}", slot.id, number, leg.ticker, quantity, "EDGE", style="limit")


def _entered(contract: Contract, order: Order, time: int) -> Stake:
    """What is known of a market that is about to be bought: its mark is what it could be sold at again."""
    return replace(known(contract), mark=mark_of(contract, order.quantity), marked=time)


def known(contract: Contract) -> Stake:
    """What is known of a market before anything is held of it."""
    return Stake(
        ticker=contract.ticker,
        event=contract.event,
        series=series_of(contract.ticker),
        asset=contract.asset,
        category=category_of(contract),
        cluster=cluster_of(contract),
        closes=contract.expiry,
    )


def mark_of(contract: Contract, count: Decimal) -> Decimal | None:
    """USD at which a contract of the side that is held could be sold now; None where nobody bids for it."""
    if count > 0:
        return contract.yes_bid
    return None if contract.yes_ask is None else ONE - contract.yes_ask
