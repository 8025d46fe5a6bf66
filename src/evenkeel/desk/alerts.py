"""What a person should know of the desk: rows of the journal's `alerts`, in the rebalancer's shape and levels. Pure.

A halt and a market that is quarantined are pages; a day's loss, and what the venue holds otherwise than remembered, are
warnings. The law: what changes the desk's state or its account without an order of ours leaves a row, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from evenkeel.desk.ledger import Ledger, Trade
from evenkeel.engine.record import Row, alert_row, alerted
from evenkeel.types import Slot, SlotKind, TradingState
from evenkeel.units import plain

RECON_ADOPTED: Final = "RECON_ADOPTED"
EXTERNAL_FLOW: Final = "EXTERNAL_FLOW"
RESULT_CHANGED: Final = "RESULT_CHANGED"
QUARANTINED: Final = "QUARANTINED"
ACCESS_REFUSED: Final = "ACCESS_REFUSED"
REFUSED: Final = "access_refused"
"""Reason of a turn that the venue did not let in."""
TRIES: Final = 3
"""Turns in a row that are not let in before the desk halts: a key that was revoked does not come back by itself."""
_LEVELS: Final = {TradingState.HALTED: "page", TradingState.ACTIVE: "info"}


def of_state(slot: Slot, before: Ledger, after: Ledger) -> list[Row]:
    """A row where the trading state changed; a halt wakes a person."""
    state = after.trading_state
    if state is before.trading_state:
        return []
    level, code = _LEVELS.get(state, "warning"), after.state_reason or str(state)
    return [alert_row(slot.time, level, code, f"the desk is {state}", slot=slot.id)]


def of_lost(slot: Slot, tickers: Iterable[str]) -> list[Row]:
    """A page for each market in which nobody can say what became of an order."""
    return [
        alert_row(slot.time, "page", QUARANTINED, f"{one} is left to a person", slot=slot.id, asset=one)
        for one in tickers
    ]


def adopted(now: Ledger, found: Mapping[str, tuple[Decimal, Decimal]], time: int) -> Ledger:
    """The ledger with a warning for each market and for cash that was taken over from the venue.

    found  ticker, `` = cash -> (remembered, venue)
    """
    rows = []
    for ticker, (mine, venue) in found.items():
        text = f"{ticker or 'cash'}: remembered {plain(mine)}, venue says {plain(venue)}"
        code = RECON_ADOPTED if ticker else EXTERNAL_FLOW
        rows.append(alert_row(time, "warning", code, text, slot=_turn(time), asset=ticker))
    return alerted(now, rows, time, "reconciled")


def corrected(now: Ledger, trades: Iterable[Trade], time: int) -> Ledger:
    """The ledger with a warning for each result that the venue changed after it was booked."""
    rows = [
        alert_row(
            time, "warning", RESULT_CHANGED, f"{row.ticker}: {row.note}, {plain(row.notional)} USD", asset=row.ticker
        )
        for row in trades
        if row.action == "CORRECT"
    ]
    return alerted(now, rows, time, "settled") if rows else now


def barred(now: Ledger, why: str, time: int) -> Ledger:
    """The ledger halted, with a page, once the venue has not let in three turns in a row; else as it is.

    why  the venue's words
    """
    last = [outcome.reason for outcome in now.slots[-TRIES:]]
    if now.trading_state is TradingState.HALTED or last != [REFUSED] * TRIES:
        return now
    text = f"{ACCESS_REFUSED} by the venue, the desk is HALTED: {why}"
    halted = replace(now, trading_state=TradingState.HALTED, state_reason=f"{ACCESS_REFUSED}: {why}")
    return alerted(halted, [alert_row(time, "page", ACCESS_REFUSED, text, slot=_turn(time))], time, "access")


def _turn(time: int) -> str:
    return Slot(SlotKind.SCORE, time).id
