"""What people and other programs read of the desk: book.json, trades.csv and equity.csv in a folder of their own.

All three follow from the ledger. Rows are remembered with the byte at which they belong before they are written, so
that writing them again after a crash changes nothing: no row is doubled and none is lost. Prices in USD.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import orjson

from evenkeel.desk.ledger import Ledger, Tail, Trade
from evenkeel.errors import StateError
from evenkeel.units import iso, plain

BOOK: Final = "book.json"
TRADES: Final = "trades.csv"
EQUITY: Final = "equity.csv"
HEADS: Final = {
    TRADES: "timestamp,market_ticker,side,action,price,contracts,notional,cash_after,note\n",
    EQUITY: "timestamp,cash,unrealized_pnl,realized_pnl,equity,n_positions\n",
}
NOTHING: Final[Mapping[str, Tail]] = {}
_FINE: Final = Decimal("0.000001")


def noted(ledger: Ledger, folder: Path, trades: Iterable[Trade] = (), equity_at: int | None = None) -> Ledger:
    """The ledger with rows for the files of a folder; what was to be written before is on the disk.

    equity_at  UTC s of a row of equity.csv; None = no row. A folder that is new begins with the headings.
    """
    rows = {
        TRADES: "".join(map(_trade_line, trades)),
        EQUITY: "" if equity_at is None else _equity_line(ledger, equity_at),
    }
    tails = {}
    for name, text in rows.items():
        place = str(folder / name)
        before = ledger.files.get(place)
        tails[place] = Tail(0, HEADS[name] + text) if before is None else Tail(before.end, text) if text else before
    return replace(ledger, files=tails)


def written(folder: Path, ledger: Ledger, done: Mapping[str, Tail] = NOTHING) -> None:
    """Bring the files in line with the ledger; doing it again changes nothing. Raises StateError.

    done  tails that are on the disk already
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, tail in ledger.files.items():
            if done.get(name) != tail:
                _append(Path(name), tail)
        if ledger.cash is not None:
            _replace(folder / BOOK, book(ledger))
    except OSError as error:
        raise StateError(f"cannot write {folder}: {error.strerror}; free space, or give another --data-dir") from error


def book(ledger: Ledger) -> bytes:
    """The bytes of book.json."""
    positions = {
        ticker: {
            "side": stake.side,
            "contracts": float(abs(stake.count)),
            "avg_price": float((stake.cost / abs(stake.count)).quantize(_FINE)),
        }
        for ticker, stake in sorted(ledger.held.items())
    }
    at = max([slot.as_of for slot in ledger.slots[-1:]], default=ledger.origin)
    body = {
        "unit": "USD", "cash": float(ledger.money), "positions": positions,
        "realized_pnl": float(ledger.realized), "updated_at": iso(at),
    }  # fmt: skip
    return orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n"


def _append(path: Path, tail: Tail) -> None:
    """The tail at its byte, and nothing after it."""
    size = path.stat().st_size if path.exists() else 0
    if size < tail.at:
        raise StateError(
            f"{path} has {size} bytes, {tail.at} were written: restore it, or go on with another --data-dir"
        )
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(descriptor, tail.at)
        os.pwrite(descriptor, tail.text.encode(), tail.at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, raw: bytes) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(raw)
    draft.replace(path)


def _trade_line(row: Trade) -> str:
    cells = (
        iso(row.time), row.ticker, row.side, row.action, _money(row.price), plain(row.contracts),
        _money(row.notional), _money(row.cash_after), row.note.replace(",", ";").replace("\n", " "),
    )  # fmt: skip
    return ",".join(cells) + "\n"


def _equity_line(ledger: Ledger, time: int) -> str:
    gain, whole = ledger.unrealized, ledger.equity
    cells = (
        iso(time), _money(ledger.money), "" if gain is None else _money(gain), _money(ledger.realized),
        "" if whole is None else _money(whole), str(len(ledger.held)),
    )  # fmt: skip
    return ",".join(cells) + "\n"


def _money(usd: Decimal) -> str:
    """Dollars as they are, to a millionth: averages have no end."""
    return plain(usd.quantize(_FINE))
