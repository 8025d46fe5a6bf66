"""Which contracts of an event are bought, and how many? Offers -> one bet for each event.

An offer is a side of a contract at the price it can be bought for: YES at its ask, NO at 1 - bid of YES. Of an event's
offers that pay there is either the single one that grows the bankroll fastest, or, where outcomes exclude each other,
exact Kelly over the YES of several: whichever grows faster.

The law: one event is one bet.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from evenkeel.events.board import ONE, Ladders, disjoint, members_of
from evenkeel.events.fair import Fair
from evenkeel.events.fees import fee, rate
from evenkeel.events.stake import basket_growth, counts, growth, kelly, partition, sides
from evenkeel.types import Array, BoolArray, IntArray

YES, NO = "yes", "no"
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Proposal:
    """One order that is proposed: buy `count` of `side` of a contract at `price`.

    price, fee  USD for one; USD for all, exact · count  contracts
    p           staked probability of the side: drawn to the market, 80 % lower bound
    fair, market  what the model says, and the mid, both of the side
    edge        p less price and fee, USD for one · gap  fair less price and fee: what the model alone believes
    """

    ticker: str
    event: str
    side: str
    price: Decimal
    count: Decimal
    fee: Decimal
    p: float
    fair: float
    market: float
    edge: float
    gap: float

    @property
    def cost(self) -> Decimal:
        """What it takes from cash, USD."""
        return self.count * self.price + self.fee

    @property
    def book_side(self) -> str:
        """The wire's word: `bid` buys YES, `ask` sells YES, which buys NO."""
        return "bid" if self.side == YES else "ask"

    @property
    def yes_price(self) -> Decimal:
        """The wire's price: buying NO at q is an ask at 1 - q."""
        return self.price if self.side == YES else ONE - self.price


@dataclass(frozen=True, slots=True)
class Bet:
    """What is bought of one event: rows of the board, one proposal for each, and the log growth that is expected."""

    rows: tuple[int, ...]
    legs: tuple[Proposal, ...]
    growth: float

    @property
    def cost(self) -> Decimal:
        """What all legs take from cash, USD."""
        return sum((leg.cost for leg in self.legs), Decimal(0))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What another critic says of a bet: the part of it that may stay, and why. Above 1 is 1, NaN is a veto."""

    factor: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Offers:
    """Both sides of every contract, YES in row 0 and NO in row 1 of each (2, M) array.

    price  USD, NaN = nobody sells · p, fair, market  probabilities of the side · rate, step  of the fee, of the count
    most   contracts that depth and caps allow · count, cost  what would be staked alone, USD for one of it with its fee
    """

    price: Array
    p: Array
    fair: Array
    market: Array
    rate: Array
    step: Array
    most: Array
    count: Array
    cost: Array

    @property
    def edge(self) -> Array:
        """(2, M) p less cost, USD for one contract; NaN = unknown."""
        return self.p - self.cost

    @property
    def gap(self) -> Array:
        """(2, M) what the model alone believes, less cost."""
        return self.fair - self.cost


@dataclass(frozen=True, slots=True)
class Limits:
    """bankroll USD · fraction of Kelly · most in one market and in one event, USD · least edge, USD each."""

    bankroll: float
    fraction: float
    market: float
    event: float
    min_edge: float


def offers(board: Ladders, fair: Fair, staked: Fair, limits: Limits, max_count: float) -> Offers:
    """Every side of every contract, sized as if it were the only one: a fraction of Kelly under the caps."""
    price, size = np.stack([board.ask, 1 - board.bid]), np.stack([board.ask_size, board.bid_size])
    rate_ = np.tile(board.rate, (2, 1))
    step = np.tile([0.01 if c.fractional else 1.0 for c in board.contracts], (2, 1))
    cap = min(limits.market, limits.event)

    def budget(p: Array, cost: Array) -> Array:
        return np.minimum(limits.bankroll * limits.fraction * kelly(p, cost), cap)

    p, most = sides(staked), np.minimum(size, max_count)
    count, cost = counts(p, price, rate_, most, step, budget=budget)
    said, mid = np.stack([fair.p, 1 - fair.p]), np.stack([board.mid, 1 - board.mid])
    return Offers(price, p, said, mid, rate_, step, most, count, cost)


def bets(board: Ladders, of: Offers, wanted: BoolArray, limits: Limits) -> tuple[Bet, ...]:
    """The bet of each event that has a `wanted` (2, M) offer, every leg with the least edge."""
    found = []
    for members in members_of(board.event):
        if wanted[:, members].any():
            single = _single(board, of, members, wanted, limits)
            basket = _basket(board, of, members[wanted[0, members]], limits)
            found.append(basket if basket is not None and basket.growth > single.growth else single)
    return tuple(found)


def _single(board: Ladders, of: Offers, members: IntArray, wanted: BoolArray, limits: Limits) -> Bet:
    """The one wanted offer that grows fastest at its own size."""
    p, cost, count = of.p[:, members], of.cost[:, members], of.count[:, members]
    value = np.where(wanted[:, members], growth(p, cost, count * cost / limits.bankroll), -np.inf)
    side, column = np.unravel_index(int(np.argmax(value)), value.shape)
    return _bet(board, of, members[[column]], int(side), count[side, [column]], float(value[side, column]))


def _basket(board: Ladders, of: Offers, rows: IntArray, limits: Limits) -> Bet | None:
    """Kelly over the YES of outcomes that exclude each other; None with fewer than two of them."""

    def budget(p: Array, cost: Array) -> Array:
        usd = limits.bankroll * limits.fraction * partition(p, cost)
        return np.minimum(usd * min(1.0, limits.event / max(float(usd.sum()), _NOTHING)), limits.market)

    while len(rows) >= 2 and _exclusive(board, rows):
        p = of.p[0, rows] / max(float(of.p[0, rows].sum()), 1.0)
        price, rate_, most, step = (x[0, rows] for x in (of.price, of.rate, of.most, of.step))
        count, cost = counts(p, price, rate_, most, step, budget=budget)
        kept = (count > 0) & (p - cost >= limits.min_edge)
        if kept.all():
            return _bet(board, of, rows, 0, count, basket_growth(p, cost, count * cost / limits.bankroll))
        rows = rows[kept]
    return None


def _exclusive(board: Ladders, rows: IntArray) -> bool:
    return all(board.contracts[i].exclusive for i in rows) or disjoint(board.low[rows], board.high[rows])


def _bet(board: Ladders, of: Offers, rows: IntArray, side: int, count: Array, value: float) -> Bet:
    at = rows.tolist()
    legs = [_proposal(board, of, row, side, n) for row, n in zip(at, count.tolist(), strict=True)]
    return Bet(tuple(at), tuple(legs), value)


def _proposal(board: Ladders, of: Offers, row: int, side: int, count: float) -> Proposal:
    """The leg in decimals: price as quoted, count in whole steps, fee exact. Raises ValueError without quote or fee."""
    one = board.contracts[row]
    quote, rate_ = one.yes_ask if side == 0 else one.yes_bid, rate(one)
    if quote is None or rate_ is None:
        raise ValueError(f"{one.ticker} has no quote or no fee terms: it cannot be proposed")
    price = quote if side == 0 else ONE - quote
    number = Decimal(str(round(count, 2)))
    paid = fee(number, price, rate_)
    each = float(price + paid / number)
    p, said, mid = (float(x[side, row]) for x in (of.p, of.fair, of.market))
    name = YES if side == 0 else NO
    return Proposal(one.ticker, one.event, name, price, number, paid, p, said, mid, p - each, said - each)


def scaled(bet: Bet, factor: float, board: Ladders, min_edge: float) -> Bet | None:
    """The bet with `factor` of its contracts, rounded down; None where nothing is left or the fee eats the edge.

    A factor above 1 is 1: nothing that judges a bet can enlarge it.
    """
    if not factor > 0:
        return None
    if factor >= 1:
        return bet
    rows, legs = [], []
    for row, leg in zip(bet.rows, bet.legs, strict=True):
        smaller = _smaller(leg, factor, board, row)
        if smaller is not None and smaller.edge >= min_edge:
            rows.append(row)
            legs.append(smaller)
    return Bet(tuple(rows), tuple(legs), bet.growth * factor) if legs else None


def _smaller(leg: Proposal, factor: float, board: Ladders, row: int) -> Proposal | None:
    one = board.contracts[row]
    rate_, step = rate(one), Decimal("0.01") if one.fractional else ONE
    count = leg.count * Decimal(factor) // step * step
    if count <= 0 or rate_ is None:
        return None
    paid = fee(count, leg.price, rate_)
    dearer = float(paid / count - leg.fee / leg.count)
    return Proposal(leg.ticker, leg.event, leg.side, leg.price, count, paid, leg.p, leg.fair, leg.market,
                    leg.edge - dearer, leg.gap - dearer)  # fmt: skip
