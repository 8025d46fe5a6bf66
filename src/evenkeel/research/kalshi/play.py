"""What would bets have brought? Boards in the order of time, a chooser, outcomes -> trades, each settled at $1 or $0.

Bets are bought at the quote that was shown, with the exact fee of `events.fees`, and are held to the settlement.
Nothing is known of queues and depth: every size that the board shows is had, which flatters.

The law: a board is shown before its outcome is used, cash pays before it is paid back, and an event is one bet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import numpy as np

from evenkeel.events.bets import NO, YES, Proposal
from evenkeel.events.board import ONE, Ladders, ladders
from evenkeel.events.fair import Fair, Model, Spot
from evenkeel.events.fees import fee, rate
from evenkeel.events.pipeline import Exposure, ScreenSettings, StakeSettings, category_of, cluster_of, scan
from evenkeel.events.stake import Skill
from evenkeel.research.kalshi.ladders import DEPTH, Captures
from evenkeel.research.kalshi.settled import TERMS, Settled
from evenkeel.types import Array, Board, Contract
from evenkeel.units import DAY_S

BELIEVED: Final = Skill(10**6, 1.0, 0.0)
"""A model that is taken at its word: what a back-test asks for where no skill is proven."""

MILLS: Final = ((Decimal(0), ONE, Decimal("0.0001")),)
"""Files without strikes tell no grid: every price that they show is legal."""

ASSETS: Final[Mapping[str, str]] = {"KXNBAGAME": "NBA", "KXXRP15M": "XRP", "KXZEC15M": "ZEC"}


@dataclass(frozen=True, slots=True)
class Moment:
    """One board of one series, its spots, and the outcomes: ticker -> 1 = YES, 0 = NO; absent = never told."""

    series: str
    board: Ladders
    spots: Mapping[str, Spot]
    outcome: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trade:
    """A bet and its end. price, fee USD for one and for all · cost USD without the fee · pnl after both."""

    time: int
    settled: int
    ticker: str
    event: str
    cluster: str
    category: str
    side: str
    price: Decimal
    count: Decimal
    fee: Decimal
    outcome: int

    @property
    def cost(self) -> Decimal:
        """USD for all contracts, without the fee."""
        return self.price * self.count

    @property
    def payout(self) -> Decimal:
        """USD at the settlement."""
        return self.count if (self.outcome == 1) == (self.side == YES) else Decimal(0)

    @property
    def pnl(self) -> Decimal:
        """USD after price and fee."""
        return self.payout - self.cost - self.fee

    @property
    def won(self) -> bool:
        """Whether it was paid."""
        return self.payout > 0


@dataclass(slots=True)
class Account:
    """Cash and open bets while boards go by."""

    cash: Decimal
    held: list[Trade] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    equity: list[tuple[int, Decimal]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def settle(self, now: float) -> None:
        """Pay out what closed by `now`, in the order of closes."""
        due = sorted((one for one in self.held if one.settled <= now), key=lambda one: (one.settled, one.ticker))
        self.held = [one for one in self.held if one.settled > now]
        for one in due:
            self.cash += one.payout
            self.equity.append((one.settled, self.cash))

    def exposure(self) -> Exposure:
        """What the desk would be told: open bets at what they cost."""
        spent = [(one, float(one.cost + one.fee)) for one in self.held]
        by: dict[str, dict[str, float]] = {"event": {}, "cluster": {}, "category": {}}
        for one, usd in spent:
            for kind, of in by.items():
                name = getattr(one, kind)
                of[name] = of.get(name, 0.0) + usd
        cash = float(self.cash)
        return Exposure(cash + sum(usd for _, usd in spent), cash, by["event"], by["cluster"], by["category"])


Chooser = Callable[[Moment, Exposure], tuple[Proposal, ...]]
"""A board and what is held -> what to buy."""


def play(moments: Iterable[Moment], choose: Chooser, bankroll: Decimal, most: int | None = None) -> Account:
    """Show each board, buy what is chosen while cash lasts, settle what closes; `most` bets, None = all."""
    return side_by_side(moments, {"": choose}, bankroll, most)[""]


def side_by_side(
    moments: Iterable[Moment], choosers: Mapping[str, Chooser], bankroll: Decimal, most: int | None = None
) -> dict[str, Account]:
    """`play` for several choosers, each with an account of its own, over one pass of the boards."""
    accounts = {name: Account(bankroll) for name in choosers}
    for moment in moments:
        for name, choose in choosers.items():
            _shown(accounts[name], moment, choose, most)
    for account in accounts.values():
        account.settle(math.inf)
    return accounts


def _shown(account: Account, moment: Moment, choose: Chooser, most: int | None) -> None:
    account.settle(moment.board.time)
    for leg in choose(moment, account.exposure()):
        if most is not None and len(account.trades) >= most:
            return
        trade = _bought(moment, leg)
        if trade is not None and trade.ticker not in account.seen and trade.cost + trade.fee <= account.cash:
            account.seen.add(trade.ticker)
            account.cash -= trade.cost + trade.fee
            account.held.append(trade)
            account.trades.append(trade)


def _bought(moment: Moment, leg: Proposal) -> Trade | None:
    """The bet, which is not made where the file does not tell how it ended."""
    contract = next(c for c in moment.board.contracts if c.ticker == leg.ticker)
    if leg.ticker not in moment.outcome:
        return None
    return Trade(moment.board.time, contract.expiry, leg.ticker, leg.event, cluster_of(contract), category_of(contract),
                 leg.side, leg.price, leg.count, leg.fee, moment.outcome[leg.ticker])  # fmt: skip


# ---------------------------------------------------------------- choosers


def desk(
    model: Model, skill_of: Callable[[str], Skill], stakes: StakeSettings, screened: ScreenSettings | None = None
) -> Chooser:
    """The desk's own five steps, with skill by series; the screen lets every series pass, and two days to the close."""

    def choose(moment: Moment, exposure: Exposure) -> tuple[Proposal, ...]:
        seen = screened or ScreenSettings(max_left_s=2 * DAY_S)
        seen = replace(seen, series=(moment.series,))
        return scan(moment.board, model, moment.spots, skill_of(moment.series), exposure, seen, stakes).proposals

    return choose


def flat(choose: Chooser, usd: Decimal) -> Chooser:
    """The same choices, each event at the same stake, USD, in whole contracts."""

    def resized(moment: Moment, exposure: Exposure) -> tuple[Proposal, ...]:
        legs = choose(moment, exposure)
        of = {leg.event: sum(1 for one in legs if one.event == leg.event) for leg in legs}
        contracts = {c.ticker: c for c in moment.board.contracts}
        made = [_sized(leg, contracts[leg.ticker], usd / of[leg.event]) for leg in legs]
        return tuple(leg for leg in made if leg is not None)

    return resized


def extremes(usd: Decimal, low: float = 0.20, high: float = 0.80) -> Chooser:
    """The rule of the public bots: YES at `low` or below is bought as NO, at `high` or above as YES; a flat stake."""

    def choose(moment: Moment, exposure: Exposure) -> tuple[Proposal, ...]:
        taken, legs = set(exposure.events), []
        for contract, mid in zip(moment.board.contracts, moment.board.mid.tolist(), strict=True):
            side = NO if mid <= low else YES if mid >= high else None
            quote = contract.yes_ask if side == YES else contract.yes_bid
            if side is None or quote is None or contract.event in taken:
                continue
            price = quote if side == YES else ONE - quote
            market = mid if side == YES else 1 - mid
            blank = Proposal(contract.ticker, contract.event, side, price, Decimal(0), Decimal(0),
                             math.nan, math.nan, market, math.nan, math.nan)  # fmt: skip
            sized = _sized(blank, contract, usd)
            if sized is not None:
                taken.add(contract.event)
                legs.append(sized)
        return tuple(legs)

    return choose


def _sized(leg: Proposal, contract: Contract, usd: Decimal) -> Proposal | None:
    """The leg with as many whole contracts as `usd` pays for, fee included; None for not even one."""
    rate_ = rate(contract)
    if rate_ is None:
        return None
    count = usd // leg.price
    while count > 0 and count * leg.price + fee(count, leg.price, rate_) > usd:
        count -= 1
    return replace(leg, count=count, fee=fee(count, leg.price, rate_)) if count > 0 else None


# ---------------------------------------------------------------- boards of files


def of_captures(captures: Captures) -> Iterator[Moment]:
    """Every capture of the hourly ladders."""
    quotes = captures.quotes
    for rows, board, spots in captures.boards():
        known = {
            str(quotes.ticker[i]): int(quotes.outcome[i])
            for i in range(rows.start, rows.stop)
            if math.isfinite(quotes.outcome[i])
        }
        yield Moment(str(quotes.series[rows.start]), board, spots, known)


def of_quotes(quotes: Settled) -> Iterator[Moment]:
    """Judged quotes without strikes as boards, one for each time and series."""
    rows = quotes.pick(quotes.judged)
    if not len(rows.time):
        return
    order = np.lexsort((rows.ticker, rows.series, rows.time))
    rows = rows.pick(order)
    new = np.flatnonzero((np.diff(rows.time) != 0) | (rows.series[1:] != rows.series[:-1])) + 1
    for group in np.split(np.arange(len(rows.time)), new):
        series = str(rows.series[group[0]])
        contracts = tuple(_contract(rows, int(i), int(rows.close[i])) for i in group)
        known = {str(rows.ticker[i]): int(rows.outcome[i]) for i in group}
        yield Moment(series, ladders(Board(int(rows.time[group[0]]), contracts)), {}, known)


def said(model: Model, quotes: Settled) -> tuple[Array, Array]:
    """(n,) what a model says of every quote without strikes, as served, and its error; NaN = it does not know.

    All rows are one board at time 0, whose contracts close when as much time has gone by as each row had left.
    """
    contracts = tuple(_contract(quotes, i, int(left)) for i, left in enumerate(quotes.left.tolist()))
    found = model(ladders(Board(0, contracts)), {})
    return found.p, found.error


@dataclass(frozen=True, slots=True)
class Said:
    """A model whose answers are known: (ticker, s to the close) -> probability and error. It makes a replay quick."""

    name: str
    answers: Mapping[tuple[str, float], tuple[float, float]]

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:  # noqa: ARG002 - one signature for all models
        """The answers; NaN for a contract that was not asked about."""
        none = (math.nan, math.nan)
        keys = [(c.ticker, left) for c, left in zip(board.contracts, board.left.tolist(), strict=True)]
        rows = np.array([self.answers.get(key, none) for key in keys]).reshape(len(keys), 2)
        return Fair(rows[:, 0], rows[:, 1])


def remembered(model: Model, quotes: Settled) -> Said:
    """What a model says of quotes, to be asked again."""
    p, error = said(model, quotes)
    keys = zip(quotes.ticker.tolist(), quotes.left.tolist(), strict=True)
    return Said(model.name, dict(zip(keys, zip(p.tolist(), error.tolist(), strict=True), strict=True)))


def _contract(rows: Settled, i: int, expiry: int) -> Contract:
    series = str(rows.series[i])
    kind, multiplier = TERMS[series]
    bid, ask = (_decimal(float(side[i])) for side in (rows.bid, rows.ask))
    return Contract(
        ticker=str(rows.ticker[i]), event=str(rows.event[i]), asset=ASSETS[series], kind="structured", floor=None,
        cap=None, expiry=expiry, yes_bid=bid, yes_ask=ask, bid_size=DEPTH if bid else Decimal(0),
        ask_size=DEPTH if ask else Decimal(0), ticks=MILLS, fee_type=kind, fee_multiplier=multiplier, status="active",
    )  # fmt: skip


def _decimal(price: float) -> Decimal | None:
    return None if math.isnan(price) else Decimal(str(round(price, 6)))
