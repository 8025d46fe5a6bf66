"""May the desk trade at all, and what of its bets has room? Rules beside the pipeline's caps, each with its code.

Ledger, equity and limits in; a trading state with its reason, and refusals by ticker out. Pure. The laws: no rule
enlarges a bet; a drawdown halts until a person resumes; a day's loss ends with its UTC day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Ge, Gt, Le

from evenkeel.desk.ledger import Ledger
from evenkeel.events.bets import Bet
from evenkeel.events.board import Ladders
from evenkeel.types import DayMark, TradingState
from evenkeel.units import DAY_S, Key

Share = Annotated[float, Gt(0), Le(1)]

DAILY_LOSS: Final = "DAILY_LOSS"
DRAWDOWN: Final = "DRAWDOWN"
CONCENTRATED: Final = "CONCENTRATED"
TOO_MANY: Final = "TOO_MANY"
QUARANTINED: Final = "QUARANTINED"
_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """When the desk stops, and how much may hang on one thing."""

    daily_loss: Annotated[Share, Key("loss of a UTC day after which nothing is bought", "fraction of equity")] = 0.05
    drawdown: Annotated[Share, Key("loss from the 90-day peak that halts until resumed", "fraction of equity")] = 0.20
    asset: Annotated[Share, Key("most in contracts on one underlying", "fraction of equity")] = 0.12
    positions: Annotated[int, Ge(1), Le(10_000), Key("most markets held at a time", "count")] = 40


def marked(ledger: Ledger, equity: float, time: int) -> Ledger:
    """The ledger with the day's opening and highest equity, without what came or went from outside."""
    own, day = equity - float(ledger.flows), time // DAY_S * DAY_S
    today = next((mark for mark in ledger.days if mark.day == day), DayMark(day, own, own))
    rest = tuple(mark for mark in ledger.days if mark.day != day and mark.day > day - _DAYS * DAY_S)
    return replace(ledger, days=(*rest, replace(today, high=max(today.high, own))))


def judged(ledger: Ledger, equity: float, settings: RiskSettings) -> Ledger:
    """The ledger in the trading state that its losses demand; `marked` first. What a person halted stays halted."""
    if ledger.trading_state is TradingState.HALTED or not ledger.days:
        return ledger
    own, today = equity - float(ledger.flows), ledger.days[-1]
    peak = max(mark.high for mark in ledger.days)
    if own < peak * (1 - settings.drawdown):
        return replace(ledger, trading_state=TradingState.HALTED, state_reason=DRAWDOWN)
    if own < today.open * (1 - settings.daily_loss):
        return replace(ledger, trading_state=TradingState.REDUCING, state_reason=DAILY_LOSS, loss_day=today.day)
    if ledger.state_reason == DAILY_LOSS and ledger.loss_day < today.day:
        return replace(ledger, trading_state=TradingState.ACTIVE, state_reason="")
    return ledger


def resumed(ledger: Ledger) -> Ledger:
    """The ledger after a person looked: active, its peak begins anew, nothing is quarantined."""
    return replace(ledger, trading_state=TradingState.ACTIVE, state_reason="", quarantined={}, days=())


def room(
    bets: Iterable[Bet], board: Ladders, ledger: Ledger, equity: float, settings: RiskSettings
) -> tuple[tuple[Bet, ...], Mapping[str, str]]:
    """The bets that have room, in their order, and the code of each ticker that was refused."""
    spent: dict[str, float] = {}
    for stake in ledger.held.values():
        spent[stake.asset] = spent.get(stake.asset, 0.0) + float(stake.cost)
    held, kept, refused = len(ledger.held), [], dict[str, str]()
    for bet in bets:
        asset, cost = board.contracts[bet.rows[0]].asset, float(bet.cost)
        code = _refusal(bet, ledger, spent.get(asset, 0.0) + cost, equity, held, settings)
        if code:
            refused |= {leg.ticker: code for leg in bet.legs}
        else:
            spent[asset], held = spent.get(asset, 0.0) + cost, held + len(bet.legs)
            kept.append(bet)
    return tuple(kept), refused


def _refusal(bet: Bet, ledger: Ledger, on_asset: float, equity: float, held: int, settings: RiskSettings) -> str:
    if any(leg.ticker in ledger.quarantined for leg in bet.legs):
        return QUARANTINED
    if held + len(bet.legs) > settings.positions:
        return TOO_MANY
    return CONCENTRATED if on_asset > settings.asset * equity else ""
