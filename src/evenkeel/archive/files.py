"""Where do candles lie, and how do they get there whole? One Parquet file per (source, bar, symbol).

Every file is replaced by temporary file, fsync and rename under a lock of its folder: a reader sees the old file or
the new one, two writers never lose each other's rows. Only footers are read to list what there is.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenkeel.archive.integrity import TIME, Rows, screen
from evenkeel.errors import DataError, EvenkeelError
from evenkeel.units import duration, iso, seconds

COLUMNS = ("time", "open", "high", "low", "close", "volume")
CHUNK_BARS = 20_000
_SOURCE = re.compile(r"^[a-z0-9][a-z0-9_-]*$")
_SCHEMA = pa.schema([("time", pa.int64())] + [(name, pa.float64()) for name in COLUMNS[1:]])


@dataclass(frozen=True, slots=True)
class Span:
    """Rows, first and last open time (UTC s) and bytes of one stored symbol."""

    rows: int
    first: int
    last: int
    size: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """All stored symbols of one source and bar: what `data ls` shows."""

    source: str
    bar: str
    symbols: tuple[str, ...]
    rows: int
    first: int
    last: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """Names of docs/reference; times as ISO text, `bytes` on disk."""
        times = {"from": iso(self.first), "to": iso(self.last)}
        return {"source": self.source, "bar": self.bar, "symbols": list(self.symbols), "assets": len(self.symbols),
                "rows": self.rows, **times, "bytes": self.size}  # fmt: skip


def candle_folder(home: Path, source: str, bar_s: int) -> Path:
    """Folder of one source and bar. Raises DataError for a source that is no plain word or a bar that is no length."""
    if not _SOURCE.match(source):
        raise DataError(f"{source!r} is no name for a source: use small letters, digits, - and _, such as binance_perp")
    if bar_s <= 0:
        raise DataError(f"a bar of {bar_s} s cannot be: give a positive length, such as 30m")
    return home / "data" / "candles" / source / duration(bar_s)


def spans(home: Path, source: str, bar_s: int) -> dict[str, Span]:
    """Every stored symbol of a source and bar, by name; empty if there is none. Reads footers only."""
    found = {}
    for path in sorted(candle_folder(home, source, bar_s).glob("*.parquet")):
        span = _span(path)
        if span.rows:
            found[unquote(path.stem)] = span
    return found


def datasets(home: Path) -> tuple[Dataset, ...]:
    """Everything that is stored under `<home>/data/candles`, by source and bar length."""
    folders = [path for path in (home / "data" / "candles").glob("*/*") if path.is_dir()]
    keys = []
    for folder in folders:
        try:
            keys.append((folder.parent.name, seconds(folder.name)))
        except ValueError:
            continue
    listed = ((source, bar_s, spans(home, source, bar_s)) for source, bar_s in sorted(keys) if _SOURCE.match(source))
    return tuple(_dataset(source, bar_s, found) for source, bar_s, found in listed if found)


def read(home: Path, source: str, bar_s: int, symbol: str) -> Rows:
    """(n, 6) rows of one stored symbol, sorted, unique; n = 0 if it is not stored. Raises DataError if damaged."""
    path = _path(candle_folder(home, source, bar_s), symbol)
    return _read(path) if path.exists() else np.empty((0, 6))


def append(home: Path, source: str, bar_s: int, symbol: str, rows: Rows) -> int:
    """Add downloaded rows `(n, 6)` to what is stored and return how many rows the symbol now has.

    Rows with a defect (`integrity.ROW_DEFECTS`) are left out; of equal times the newest wins. Raises DataError for a
    damaged file, EvenkeelError where the disk refuses.
    """
    sane = rows[screen(rows, bar_s) == 0]
    return merge(home, source, bar_s, {symbol: sane})[symbol].rows


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of one symbol's merge: rows now stored, stored rows contradicted, the first of those (UTC s)."""

    rows: int
    replaced: int
    example: int


def merge(home: Path, source: str, bar_s: int, series: Mapping[str, Rows]) -> dict[str, Merged]:
    """Add sane rows of many symbols; files that would not change are not written. New rows win over stored ones."""
    folder = candle_folder(home, source, bar_s)
    with _locked(folder):
        return {symbol: _merge_one(_path(folder, symbol), rows) for symbol, rows in series.items()}


def plan_ranges(
    have: Mapping[str, Span], symbols: Sequence[str], bar_s: int, since: int, until: int
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Which open times are to be downloaded: per symbol, half-open ranges [from, to) in the order to fetch them.

    Before the oldest stored bar backward, after the newest forward, in chunks that are to be stored whole: so what is
    stored stays one stretch however often a download is interrupted. Gaps inside the stretch are the venue's and stay.
    since, until  UTC s; since is rounded up to a bar, until down
    """
    start, end = -(-since // bar_s) * bar_s, until // bar_s * bar_s
    plan = {}
    for symbol in symbols:
        span = have.get(symbol)
        if span is None:
            plan[symbol] = tuple(_chunks(start, end, bar_s))
        else:
            later = _chunks(span.last + bar_s, end, bar_s)
            plan[symbol] = (*_earlier(start, span.first, bar_s), *later)
    return plan


def _earlier(start: int, end: int, bar_s: int) -> tuple[tuple[int, int], ...]:
    size = CHUNK_BARS * bar_s
    return tuple((max(start, at - size), at) for at in range(end, start, -size))


def _chunks(start: int, end: int, bar_s: int) -> Iterator[tuple[int, int]]:
    size = CHUNK_BARS * bar_s
    return ((at, min(at + size, end)) for at in range(start, end, size))


def _dataset(source: str, bar_s: int, found: Mapping[str, Span]) -> Dataset:
    values = found.values()
    return Dataset(
        source,
        duration(bar_s),
        tuple(found),
        sum(span.rows for span in values),
        min(span.first for span in values),
        max(span.last for span in values),
        sum(span.size for span in values),
    )


def _path(folder: Path, symbol: str) -> Path:
    return folder / f"{quote(symbol, safe='')}.parquet"


def _span(path: Path) -> Span:
    try:
        footer = pq.read_metadata(path)
        groups = [footer.row_group(i).column(0).statistics for i in range(footer.num_row_groups)]
        first, last = [g.min for g in groups if g is not None], [g.max for g in groups if g is not None]
        return Span(footer.num_rows, min(first, default=0), max(last, default=0), path.stat().st_size)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> Rows:
    """Neither read_table nor to_numpy: both import pandas (half a second and 60 MB that the service does not need)."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(COLUMNS), use_threads=False)
        if tuple(table.column_names) != COLUMNS:
            raise pa.ArrowInvalid(f"columns {', '.join(table.column_names)}")
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    rows: Rows = np.empty((table.num_rows, len(COLUMNS)))
    for i, name in enumerate(COLUMNS):
        rows[:, i] = np.from_dlpack(table.column(name).combine_chunks())
    return rows


def _damaged(path: Path, error: Exception) -> DataError:
    first_line = str(error).splitlines()[0]
    return DataError(
        f"{path} cannot be read as stored candles ({first_line}): remove it and import or download it again"
    )


def _merge_one(path: Path, rows: Rows) -> Merged:
    old = _read(path) if path.exists() else np.empty((0, 6))
    if len(old) and len(rows) and rows[0, TIME] > old[-1, TIME]:
        _write(path, _unique(np.concatenate([old, _unique(rows)])))
        return Merged(len(old) + len(_unique(rows)), 0, 0)
    rows = _unique(rows)
    same, here, there = np.intersect1d(old[:, TIME], rows[:, TIME], assume_unique=True, return_indices=True)
    clash = same[(old[here] != rows[there]).any(axis=1)]
    merged = _unique(np.concatenate([old, rows]))
    if len(merged) and (len(merged) > len(old) or len(clash)):
        _write(path, merged)
    return Merged(len(merged), len(clash), int(clash[0]) if len(clash) else 0)


def _unique(rows: Rows) -> Rows:
    """Sorted by time, the last of equal times kept."""
    if (np.diff(rows[:, TIME]) > 0).all():
        return rows
    ordered: Rows = rows[np.argsort(rows[:, TIME], kind="stable")]
    last: Rows = ordered[np.append(ordered[1:, TIME] != ordered[:-1, TIME], True)]
    return last


def _write(path: Path, rows: Rows) -> None:
    columns = [rows[:, TIME].astype(np.int64)] + [np.ascontiguousarray(rows[:, i]) for i in range(1, 6)]
    arrays = [
        pa.Array.from_buffers(kind, len(rows), [None, pa.py_buffer(column)])  # pa.array would import pandas
        for kind, column in zip(_SCHEMA.types, columns, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _refused(path.parent, error) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer per folder; the folder itself is synced before the lock is given back."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        _sync(folder)
    finally:
        os.close(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(folder: Path, error: OSError) -> EvenkeelError:
    return EvenkeelError(
        f"candles cannot be written to {folder} ({error.strerror or error}): free space or make the folder writable"
    )
