"""Event contracts on disk: boards as they were seen, trades, and how each market ended; joined, what training reads.

`data/kalshi/boards/<series>/<day>.parquet`, `trades/<series>/<day>.parquet`, `results/<series>.parquet`. The laws: a
row stands there once, whatever was asked twice or killed midway; a file is the old one or the new one, never a part;
what was not told is null, never a number.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from evenkeel.errors import DataError, EvenkeelError
from evenkeel.units import DAY_S, iso

Row = Mapping[str, Any]

_TIME = pa.timestamp("s", tz="UTC")
_TEXT, _NUMBER = pa.string(), pa.float64()
BOARDS: Final = pa.schema([
    ("captured_at", _TIME), ("event_ticker", _TEXT), ("ticker", _TEXT), ("open_time", _TIME), ("close_time", _TIME),
    ("strike_type", _TEXT), ("floor_strike", _NUMBER), ("cap_strike", _NUMBER), ("yes_bid", _NUMBER),
    ("yes_ask", _NUMBER), ("no_bid", _NUMBER), ("no_ask", _NUMBER), ("bid_size", _NUMBER), ("ask_size", _NUMBER),
    ("series", _TEXT), ("spot_price", _NUMBER),
])  # fmt: skip
RESULTS: Final = pa.schema([
    ("ticker", _TEXT), ("event_ticker", _TEXT), ("close_time", _TIME), ("result", _TEXT),
    ("expiration_value", _NUMBER), ("settled_at", _TIME),
])  # fmt: skip
TRADES: Final = pa.schema([
    ("trade_id", _TEXT), ("ticker", _TEXT), ("time", pa.timestamp("ms", tz="UTC")), ("yes_price", _NUMBER),
    ("count", _NUMBER), ("taker", _TEXT),
])  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9]{1,40}\Z")


def keep_board(home: Path, series: str, time: int, rows: Sequence[Row]) -> int:
    """Add one look at a series (UTC s); -> rows of that day now. Raises EvenkeelError where the disk refuses."""
    return _merged(_place(home, "boards", series, time), rows, BOARDS, ("captured_at", "ticker"))


def keep_trades(home: Path, series: str, close: int, rows: Sequence[Row]) -> int:
    """Add trades of markets that closed on the day of `close` (UTC s)."""
    return _merged(_place(home, "trades", series, close), rows, TRADES, ("trade_id",))


def keep_results(home: Path, series: str, rows: Sequence[Row]) -> int:
    """Add how markets ended; of two rows of one market the newer holds."""
    return _merged(_folder(home, "results") / f"{_plain(series)}.parquet", rows, RESULTS, ("ticker",))


def ended(home: Path, series: str) -> frozenset[str]:
    """Markets of a series whose end is known here."""
    table = _read(_folder(home, "results") / f"{_plain(series)}.parquet", RESULTS)
    return frozenset(table["ticker"].to_pylist())


def boards(home: Path, series: str, since: int, until: int) -> Iterator[Row]:
    """Rows of every look at a series in [since, until] (UTC s), by day; none where nothing was kept."""
    for day in range(since - since % DAY_S, until + 1, DAY_S):
        for row in _read(_place(home, "boards", series, day), BOARDS).to_pylist():
            if since <= row["captured_at"].timestamp() <= until:
                yield row


def joined(home: Path, series: str) -> tuple[Path, int, int]:
    """Write `data/kalshi/<series>.parquet`, every look with how its market ended; -> it, rows, rows with an end."""
    results = _read(_folder(home, "results") / f"{_plain(series)}.parquet", RESULTS)
    ends = {row["ticker"]: (row["result"], row["expiration_value"]) for row in results.to_pylist()}
    days = sorted((_folder(home, "boards") / _plain(series)).glob("*.parquet"))
    table = pa.concat_tables([_read(day, BOARDS) for day in days]) if days else BOARDS.empty_table()
    found = [ends.get(ticker, (None, None)) for ticker in table["ticker"].to_pylist()]
    table = table.append_column("result", pa.array([end for end, _ in found], _TEXT))
    table = table.append_column("expiration_value", pa.array([value for _, value in found], _NUMBER))
    path = home / "data" / "kalshi" / f"{_plain(series)}.parquet"
    with _locked(path.parent):
        _write(path, table)
    return path, len(table), sum(end is not None for end, _ in found)


def _folder(home: Path, kind: str) -> Path:
    return home / "data" / "kalshi" / kind


def _place(home: Path, kind: str, series: str, time: int) -> Path:
    return _folder(home, kind) / _plain(series) / f"{iso(time)[:10]}.parquet"


def _plain(series: str) -> str:
    if not _NAME.match(series):
        raise DataError(f"{series!r} is no name of a series: letters and digits only")
    return series


def _merged(path: Path, rows: Sequence[Row], schema: Any, key: Sequence[str]) -> int:
    """Rows added under their key, the newer of equal ones kept."""
    with _locked(path.parent):
        old = _read(path, schema)
        fresh = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        whole = pa.concat_tables([old, fresh])
        last = _last_places(whole, key)
        if len(fresh):
            _write(path, whole.take(pa.array(last)))
        return len(last)


def _last_places(table: Any, key: Sequence[str]) -> list[int]:
    """Places of the last row of each key, in order."""
    columns = [table[name].to_pylist() for name in key]
    last = {row: place for place, row in enumerate(zip(*columns, strict=True))}
    return sorted(last.values())


def _read(path: Path, schema: Any) -> Any:
    if not path.exists():
        return schema.empty_table()
    try:
        return pq.read_table(path, schema=schema)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): move it away") from error


def _write(path: Path, table: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _refused(path.parent, error) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer per folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(folder: Path, error: OSError) -> EvenkeelError:
    return EvenkeelError(f"{folder} cannot be written ({error.strerror or error}): free space or make it writable")
