"""What does the desk hold, and what became of it? Fills, settlements and corrections as pure changes of its memory.

Kept in `state/kalshi.json` under the laws of state.json. Amounts USD, Decimal; contracts signed (- = NO).

The laws: cash + cost of what is held = bankroll + flows + realized, to the last digit; a market is settled once, by the
venue's record; where the venue changes its record, a correction is entered and nothing is edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from evenkeel.events.board import ONE
from evenkeel.events.pipeline import Exposure
from evenkeel.types import Fill, Memory
from evenkeel.units import DAY_S, decimal_sum

ZERO: Final = Decimal(0)
CENT: Final = Decimal("0.01")
KEEP_S: Final = 7 * DAY_S
"""So long an outcome is kept beside the venue's record: what it changes later is a matter for people."""


@dataclass(frozen=True, slots=True)
class Stake:
    """What is held of one market, or what is known of it before the first fill (count 0).

    event, series, asset, category, cluster  what it shares caps with · closes  UTC s
    count  contracts, - = NO · cost  USD paid for them, fees not included · opened  UTC s
    mark   USD at which one could be sold when it was last quoted, None = never seen · marked  UTC s
    """

    ticker: str
    event: str
    series: str
    asset: str
    category: str
    cluster: str
    closes: int
    count: Decimal = ZERO
    cost: Decimal = ZERO
    opened: int = 0
    mark: Decimal | None = None
    marked: int = 0

    @property
    def side(self) -> str:
        """`yes` or `no`."""
        return "no" if self.count < 0 else "yes"

    @property
    def value(self) -> Decimal | None:
        """USD at the mark; None where nobody was ever seen to bid."""
        return None if self.mark is None else abs(self.count) * self.mark


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a market ended for us by the venue's record: result, contracts, what they had cost and what was paid out."""

    result: str
    count: Decimal
    cost: Decimal
    payout: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file that may not be on the disk yet: it belongs at byte `at`, and nothing comes after it."""

    at: int
    text: str = ""

    @property
    def end(self) -> int:
        """Bytes of the file once it is written."""
        return self.at + len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Trade:
    """A row of trades.csv. action BUY, SELL, SETTLE, CORRECT, ROUND or FLOW · price USD of the side · notional USD."""

    time: int
    ticker: str
    side: str
    action: str
    price: Decimal
    contracts: Decimal
    notional: Decimal
    cash_after: Decimal
    note: str


@dataclass(frozen=True, slots=True)
class Ledger(Memory):
    """The desk's memory: the protocol's own (intents, slots, state), and its account.

    bankroll, realized  USD; realized is net of all fees · held  by ticker · outcomes  by ticker, of the last week
    files    what belongs at the end of trades.csv and equity.csv · doubt  a difference to the venue that was seen once
    unrounded  fills since cash last agreed with the venue: it may round each of them by a cent
    """

    bankroll: Decimal = ZERO
    realized: Decimal = ZERO
    held: Mapping[str, Stake] = field(default_factory=dict)
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    files: Mapping[str, Tail] = field(default_factory=dict)
    doubt: str = ""
    unrounded: int = 0

    @property
    def money(self) -> Decimal:
        """Cash, USD. Raises ValueError before the ledger was opened."""
        if self.cash is None:
            raise ValueError("cash is unknown before the ledger was opened")
        return self.cash

    @property
    def unrealized(self) -> Decimal | None:
        """USD at the marks less cost; None while a position has none."""
        values = [stake.value for stake in self.held.values()]
        known = [value for value in values if value is not None]
        return decimal_sum(known) - self.at_risk if len(known) == len(values) else None

    @property
    def at_risk(self) -> Decimal:
        """What is held has cost, USD."""
        return decimal_sum(stake.cost for stake in self.held.values())

    @property
    def equity(self) -> Decimal | None:
        """Cash and positions at their marks, USD; None while one has no mark."""
        gain = self.unrealized
        return None if gain is None else self.money + self.at_risk + gain


def opened(ledger: Ledger, cash: Decimal) -> Ledger:
    """The ledger at its first look at the account: what is there is the bankroll."""
    return ledger if ledger.cash is not None else replace(ledger, cash=cash, bankroll=cash)


def exposure(ledger: Ledger, equity: Decimal) -> Exposure:
    """What the desk has and has at risk, as the pipeline's caps want it."""
    stakes = ledger.held.values()

    def summed(name: str) -> dict[str, float]:
        out: dict[str, float] = {}
        for stake in stakes:
            key = str(getattr(stake, name))
            out[key] = out.get(key, 0.0) + float(stake.cost)
        return out

    return Exposure(float(equity), float(ledger.money), summed("event"), summed("cluster"), summed("category"))


# ---------------------------------------------------------------- fills


def booked(ledger: Ledger, fill: Fill, known: Stake) -> tuple[Ledger, list[Trade]]:
    """The ledger after a fill of a market that is known: what it closes is realized, what it opens is held.

    fill  quantity signed YES contracts, price USD of YES, fee USD
    """
    have = ledger.held.get(fill.asset, replace(known, count=ZERO, cost=ZERO, opened=fill.time))
    closing = min(abs(fill.quantity), abs(have.count)) if fill.quantity * have.count < 0 else ZERO
    opening = abs(fill.quantity) - closing
    own = fill.price if have.count > 0 else ONE - fill.price
    new = fill.price if fill.quantity > 0 else ONE - fill.price
    released = have.cost * closing / abs(have.count) if closing else ZERO
    after = replace(have, count=have.count + fill.quantity, cost=have.cost - released + opening * new)
    cash, rows = ledger.money, []
    for action, count, price in (("SELL", closing, own), ("BUY", opening, new)):
        if count:
            cash += count * price if action == "SELL" else -count * price
            side = have.side if action == "SELL" else after.side
            rows.append(Trade(fill.time, fill.asset, side, action, price, count, count * price, cash, fill.order_id))
    cash -= fill.fee
    rows[-1] = replace(rows[-1], cash_after=cash, note=f"{rows[-1].note} fee {fill.fee}")
    done = replace(
        ledger,
        cash=cash,
        held=_with(ledger.held, after),
        realized=ledger.realized + closing * own - released - fill.fee,
        fees=ledger.fees + fill.fee,
        turnover=ledger.turnover + abs(fill.quantity) * fill.price,
        unrounded=ledger.unrounded + 1,
    )
    return done, rows


def _with(held: Mapping[str, Stake], stake: Stake) -> dict[str, Stake]:
    rest = {ticker: one for ticker, one in held.items() if ticker != stake.ticker}
    return {**rest, stake.ticker: stake} if stake.count else rest


# ---------------------------------------------------------------- ends


def settled(ledger: Ledger, ticker: str, result: str, payout: Decimal, time: int) -> tuple[Ledger, list[Trade]]:
    """The ledger after the venue's record of an end was seen, for the first time or again.

    payout  USD that the venue paid for all contracts · time  UTC s of its record
    """
    if (stake := ledger.held.get(ticker)) is not None:
        return _ended(ledger, stake, result, payout, time)
    known = ledger.outcomes.get(ticker)
    if known is None or (known.payout, known.result) == (payout, result):
        return ledger, []
    return _corrected(ledger, ticker, known, replace(known, result=result, payout=payout), time)


def _ended(ledger: Ledger, stake: Stake, result: str, payout: Decimal, time: int) -> tuple[Ledger, list[Trade]]:
    cash, count = ledger.money + payout, abs(stake.count)
    row = Trade(time, stake.ticker, stake.side, "SETTLE", payout / count, count, payout, cash, f"result {result}")
    outcome = Outcome(result, stake.count, stake.cost, payout, time)
    recent = {name: one for name, one in ledger.outcomes.items() if one.time > time - KEEP_S}
    done = replace(
        ledger,
        cash=cash,
        realized=ledger.realized + payout - stake.cost,
        held={name: one for name, one in ledger.held.items() if name != stake.ticker},
        outcomes={**recent, stake.ticker: outcome},
    )
    return done, [row]


def _corrected(ledger: Ledger, ticker: str, was: Outcome, now: Outcome, time: int) -> tuple[Ledger, list[Trade]]:
    """The venue thinks otherwise than before: the difference is entered, the old row stays."""
    more, side = now.payout - was.payout, "no" if was.count < 0 else "yes"
    cash, count = ledger.money + more, abs(was.count)
    note = f"result {now.result}, was {was.result}"
    row = Trade(time, ticker, side, "CORRECT", more / count, count, more, cash, note)
    outcomes = {**ledger.outcomes, ticker: now}
    return replace(ledger, cash=cash, realized=ledger.realized + more, outcomes=outcomes), [row]


# ---------------------------------------------------------------- what the venue says


def differences(ledger: Ledger, cash: Decimal, units: Mapping[str, Decimal]) -> dict[str, tuple[Decimal, Decimal]]:
    """What the venue holds otherwise than we remember, `` = cash: (remembered, venue)."""
    held = {ticker: stake.count for ticker, stake in ledger.held.items()}
    names = sorted({*held, *units})
    found = {name: (held.get(name, ZERO), units.get(name, ZERO)) for name in names}
    return {name: pair for name, pair in {"": (ledger.money, cash), **found}.items() if pair[0] != pair[1]}


def rounded(ledger: Ledger, cash: Decimal, time: int) -> tuple[Ledger, list[Trade]]:
    """The ledger with the venue's cash where that is off by no more than a cent for each fill since it last agreed.

    The venue floors a change of the balance to the cent and gives whole cents back later: a fee, or less of one.
    """
    off = cash - ledger.money
    if not off or abs(off) > CENT * ledger.unrounded:
        return replace(ledger, unrounded=0 if not off else ledger.unrounded), []
    row = Trade(time, "", "", "ROUND", ZERO, ZERO, off, cash, "the venue's rounding of fees")
    done = replace(ledger, cash=cash, realized=ledger.realized + off, fees=ledger.fees - off, unrounded=0)
    return done, [row]


def adopted(
    ledger: Ledger, cash: Decimal, units: Mapping[str, Decimal], known: Iterable[Stake], time: int
) -> tuple[Ledger, list[Trade]]:
    """The venue's cash and contracts, taken over: what we cannot explain is an external flow, never a gain or a loss.

    known  what is known of markets whose contracts differ, with the marks that new ones are entered at
    """
    facts = {stake.ticker: stake for stake in known}
    held = {name: stake for name, stake in ledger.held.items() if units.get(name)}
    for name, count in units.items():
        stake = ledger.held.get(name) or facts[name]
        if stake.count != count:
            held[name] = replace(stake, count=count, cost=_cost(stake, count, facts.get(name)), opened=time)
    after = replace(ledger, cash=cash, held=held)
    flow = after.money + after.at_risk - ledger.money - ledger.at_risk
    row = Trade(time, "", "", "FLOW", ZERO, ZERO, cash - ledger.money, cash, f"adopted from the venue, flow {flow}")
    return replace(after, flows=ledger.flows + flow), [row]


def _cost(stake: Stake, count: Decimal, facts: Stake | None) -> Decimal:
    """What contracts are entered at: their own average where there is one, else the mark, else nothing."""
    if stake.count * count > 0:
        return stake.cost * count / stake.count
    mark = facts.mark if facts is not None else None
    return abs(count) * (mark or ZERO)
