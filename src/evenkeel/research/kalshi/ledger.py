"""A back-test as files: every bet with its end, cash after each settlement, and the book; prices and money in USD."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson

from evenkeel.errors import EvenkeelError
from evenkeel.research.kalshi.play import Account, Trade
from evenkeel.units import iso, plain

TRADES: Final = "backtest_trades.csv"
EQUITY: Final = "backtest_equity.csv"
BOOK: Final = "backtest_book.json"
COLUMNS: Final = (
    "timestamp", "market_ticker", "action", "side", "price", "qty", "cost", "fee", "result", "payout", "pnl",
)  # fmt: skip


def write(folder: Path, account: Account, bankroll: Decimal) -> dict[str, Any]:
    """Write all three afresh and give back the book. Raises EvenkeelError where the folder cannot be written."""
    told = book(account, bankroll)
    files = {
        TRADES: _csv(COLUMNS, (_row(one) for one in account.trades)),
        EQUITY: _csv(("timestamp", "cash"), ((iso(time), plain(cash)) for time, cash in account.equity)),
        BOOK: orjson.dumps(told, default=float, option=orjson.OPT_INDENT_2) + b"\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            draft = folder / f".{name}"
            draft.write_bytes(data)
            draft.replace(folder / name)
    except OSError as error:
        raise EvenkeelError(f"{folder} cannot be written ({error.strerror}): give another --data-dir") from error
    return told


def book(account: Account, bankroll: Decimal) -> dict[str, Any]:
    """The result: money in USD, rates as fractions; what nothing was bet on is null.

    roi           total_pnl / bankroll · return_on_stakes  total_pnl / what was paid for bets, fees included
    max_drawdown  largest fall of settled wealth (bankroll and the profit of what settled) below its peak, a fraction
    """
    trades = account.trades
    pnl = sum((one.pnl for one in trades), Decimal(0))
    staked = sum((one.cost + one.fee for one in trades), Decimal(0))
    return {
        "unit": "USD",
        "bankroll": bankroll,
        "total_pnl": pnl,
        "win_rate": sum(one.won for one in trades) / len(trades) if trades else None,
        "roi": float(pnl / bankroll),
        "max_drawdown": _drawdown(trades, bankroll),
        "bets": len(trades),
        "staked": staked,
        "fees": sum((one.fee for one in trades), Decimal(0)),
        "return_on_stakes": float(pnl / staked) if staked else None,
    }


def _drawdown(trades: Sequence[Trade], bankroll: Decimal) -> float:
    wealth = peak = bankroll
    deepest = Decimal(0)
    for one in sorted(trades, key=lambda trade: (trade.settled, trade.ticker)):
        wealth += one.pnl
        peak = max(peak, wealth)
        deepest = max(deepest, (peak - wealth) / peak)
    return float(deepest)


def _row(one: Trade) -> Sequence[str]:
    outcome = "yes" if one.outcome == 1 else "no"
    money = [plain(value) for value in (one.price, one.count, one.cost, one.fee)]
    head = [iso(one.time), one.ticker, f"BET_{one.side.upper()}", one.side]
    return [*head, *money, outcome, plain(one.payout), plain(one.pnl)]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    made = csv.writer(text, lineterminator="\n")
    made.writerow(columns)
    made.writerows(rows)
    return text.getvalue().encode()
