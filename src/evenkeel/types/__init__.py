"""The nouns that travel through the house: frozen, slotted dataclasses.

T bars, N assets, F features, M contracts. float64 arrays, read-only. NaN = unknown, 0 = none. Log returns.
Volatility is annualised with 365.25 days. Money in USD; quantities, prices and cash of the ledger are Decimal.
Quantities are signed (+ buys).
"""

from __future__ import annotations

from evenkeel.types.arrays import Array, BoolArray, IntArray, frozen, places, unknown
from evenkeel.types.market import Board, Contract, Pair, Panel, Quotes, Reading
from evenkeel.types.memory import Book, DayMark, Holdings, Identity, Memory, OpenSlot, Position, Regime
from evenkeel.types.orders import (
    MAKER,
    Dropped,
    Fill,
    Health,
    Intent,
    IntentStatus,
    Order,
    Slot,
    SlotKind,
    SlotOutcome,
    Trace,
    TradingState,
)
from evenkeel.types.plans import Brain, Carry, Opinion, Plan, Reason, Record, View

__all__ = [
    "MAKER",
    "Array",
    "Board",
    "Book",
    "BoolArray",
    "Brain",
    "Carry",
    "Contract",
    "DayMark",
    "Dropped",
    "Fill",
    "Health",
    "Holdings",
    "Identity",
    "IntArray",
    "Intent",
    "IntentStatus",
    "Memory",
    "OpenSlot",
    "Opinion",
    "Order",
    "Pair",
    "Panel",
    "Plan",
    "Position",
    "Quotes",
    "Reading",
    "Reason",
    "Record",
    "Regime",
    "Slot",
    "SlotKind",
    "SlotOutcome",
    "Trace",
    "TradingState",
    "View",
    "frozen",
    "places",
    "unknown",
]
