"""What happened, row by row: `state/journal.db`, and the digests that prove two runs alike.

One record is written in one transaction under its sequence number; writing it again changes nothing, so the outbox in
state.json can be replayed after any crash. Never needed for recovery: a damaged journal is set aside and begun anew.
Decimals are TEXT, plain digits; JSON columns are TEXT with sorted keys; NaN and infinities are NULL.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import orjson

from evenkeel.errors import StateError
from evenkeel.types import Record
from evenkeel.units import plain

SCHEMA = 1

TABLES: Mapping[str, Mapping[str, str]] = {
    "alerts": {"time": "INTEGER", "level": "TEXT", "code": "TEXT", "slot": "TEXT", "asset": "TEXT", "text": "TEXT"},
    "audit": {"time": "INTEGER", "event": "TEXT", "detail": "TEXT", "previous": "TEXT", "hash": "TEXT"},
    "edge": {
        "slot": "TEXT", "as_of": "INTEGER", "asset": "TEXT", "time": "INTEGER", "event": "TEXT", "close": "INTEGER",
        "mu": "REAL", "mean": "REAL", "past": "INTEGER", "sd": "REAL", "drift": "REAL", "error": "REAL", "vol": "REAL",
        "reason": "TEXT", "contracts": "TEXT",
    },
    "equity": {
        "time": "INTEGER", "slot": "TEXT", "equity": "REAL", "cash": "TEXT", "gross": "REAL", "drawdown": "REAL",
        "scale": "REAL", "flows": "TEXT", "fees": "TEXT", "turnover": "TEXT",
    },
    "fills": {
        "id": "TEXT", "order_id": "TEXT", "slot": "TEXT", "asset": "TEXT", "quantity": "TEXT", "price": "TEXT",
        "fee": "TEXT", "time": "INTEGER",
    },
    "orders": {
        "id": "TEXT", "slot": "TEXT", "kind": "TEXT", "time": "INTEGER", "leg": "INTEGER", "asset": "TEXT",
        "side": "TEXT", "quantity": "TEXT", "reason": "TEXT", "style": "TEXT", "stop": "TEXT", "status": "TEXT",
        "note": "TEXT",
    },
    "plans": {
        "slot": "TEXT", "as_of": "INTEGER", "config_digest": "TEXT", "book": "TEXT",
        "inputs": "TEXT", "plan": "TEXT",
    },
    "slots": {
        "slot": "TEXT", "kind": "TEXT", "time": "INTEGER", "outcome": "TEXT", "reason": "TEXT", "as_of": "INTEGER",
        "orders": "INTEGER", "wall_finished": "REAL",
    },
    "targets": {
        "slot": "TEXT", "asset": "TEXT", "price": "REAL", "held": "REAL", "score": "REAL", "expected": "REAL",
        "raw": "REAL", "weight": "REAL", "reasons": "TEXT", "code": "TEXT",
    },
}  # fmt: skip
"""Table -> column -> SQLite type, besides `sequence` and `row`.

alerts   what a person was told: level `info|warning|page`, a code, one sentence
audit    what changed who may trade and with what; `hash` chains over `previous`, time, event and detail (JSON)
edge     what event contracts implied of each coin at a trading slot, see `types.Reading`; `vol` is implied volatility
equity   USD at `time`; gross, drawdown and scale are fractions; cash, flows, fees and turnover are running totals
fills    what a venue executed; quantity signed, price USD per unit, fee USD
orders   what was sent; quantity as sent (unsigned), side `buy|sell`, stop = the level whose touch sent it
plans    inputs and outcome of a decision (JSON: models, book, inputs, plan), enough to decide it again
slots    how each slot ended; `wall_*` UTC s, in no digest
targets  weights as share of equity: held, raw (allocated), weight (after all rules); rule and factor that cut it most,
         all `reasons` (JSON), and the `code` with which a wanted leg was dropped
"""

_CHECKED_BYTES = 32 * 2**20
_LOST = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Journal:
    """The open journal; thread-safe. `warning` says in one sentence what was wrong with the file, if anything was."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self.warning = ""
        self._durable = durable
        self._section = threading.Lock()
        self._connection = self._connect()

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> Self:
        """Open or create; a damaged file goes to `quarantine/` beside it.

        durable  False leaves out fsync: safe against the death of the process, not against the loss of power

        Raises StateError if the folder cannot be written or the journal's schema is newer.
        """
        with _sentence(path):
            return cls(path, durable=durable)

    def close(self) -> None:
        """Close; twice does no harm."""
        self._connection.close()

    def write(self, record: Record, wall: float | None = None) -> None:
        """One record, in one transaction; a record that is there already stays as it is.

        wall  UTC s of the computer's clock, noted with the slot and left out of every digest
        Raises StateError for an unknown table or column, and if the disk refuses.
        """
        statements = [
            (table, _statement(table, row), _values(table, row, record.sequence, number))
            for table, rows in record.tables.items()
            for number, row in enumerate(_noted(table, rows, wall))
        ]
        with self._section, _sentence(self.path):
            try:
                self._insert(statements)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) not in _LOST:
                    raise
                self._connection.close()
                self._connection = self._renew(str(error))
                self._insert(statements)

    def last_sequence(self) -> int:
        """Greatest sequence in any table; 0 if there is none."""
        query = " UNION ALL ".join(f"SELECT max(sequence) FROM {table}" for table in TABLES)  # noqa: S608
        with self._section, _sentence(self.path):
            return max(row[0] or 0 for row in self._connection.execute(query))

    def _insert(self, statements: list[tuple[str, str, list[Any]]]) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            for _, statement, values in statements:
                self._connection.execute(statement, values)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._prepare()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _LOST:
                raise
            return self._renew(str(error))

    def _prepare(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
        with ExitStack() as unless_ready:
            unless_ready.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
            _check(connection, self.path)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for table, columns in TABLES.items():
                    connection.execute(_creation(table, columns))
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            unless_ready.pop_all()
        return connection

    def _renew(self, problem: str) -> sqlite3.Connection:
        """Set the damaged file and its companions aside, and begin anew."""
        folder = self.path.parent / "quarantine"
        folder.mkdir(exist_ok=True)
        number = sum(1 for name in folder.iterdir() if name.name.startswith(self.path.name))
        for suffix in ("", "-wal", "-shm"):
            source = self.path.with_name(self.path.name + suffix)
            with suppress(FileNotFoundError):
                source.rename(folder / f"{self.path.name}~{number}{suffix}")
        aside = folder / f"{self.path.name}~{number}"
        self.warning = f"{self.path} is damaged ({problem}): it was moved to {aside} and a new journal begins"
        return self._prepare()


def _creation(table: str, columns: Mapping[str, str]) -> str:
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return (
        f"CREATE TABLE IF NOT EXISTS {table} "
        f'(sequence INTEGER NOT NULL, "row" INTEGER NOT NULL, {listed}, PRIMARY KEY (sequence, "row"))'
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateError for a newer schema, and the error of a damaged file for what a quick check finds."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise StateError(f"{path} has schema {version}, this version knows up to {SCHEMA}: install the newer evenkeel")
    if path.stat().st_size > _CHECKED_BYTES:
        connection.execute("SELECT count(*) FROM sqlite_master")
        return
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        damage = sqlite3.DatabaseError(finding)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _statement(table: str, row: Mapping[str, Any]) -> str:
    _check_names(table, row)
    names = "".join(f', "{name}"' for name in row)
    marks = ", ?" * len(row)
    return f'INSERT INTO {table} (sequence, "row"{names}) VALUES (?, ?{marks}) ON CONFLICT DO NOTHING'  # noqa: S608


def _noted(table: str, rows: Iterable[Mapping[str, Any]], wall: float | None) -> Iterable[Mapping[str, Any]]:
    return rows if table != "slots" or wall is None else [{**row, "wall_finished": wall} for row in rows]


def _check_names(table: str, names: Iterable[str]) -> None:
    columns = TABLES.get(table)
    if columns is None:
        raise StateError(f"the journal has no table {table!r}; it has {', '.join(TABLES)}")
    for name in names:
        if name not in columns:
            raise StateError(f"journal table {table} has no column {name!r}; it has {', '.join(columns)}")


def _values(table: str, row: Mapping[str, Any], sequence: int, number: int) -> list[Any]:
    return [sequence, number, *(_value(item, TABLES[table][name]) for name, item in row.items())]


def _value(item: Any, kind: str) -> Any:
    """What SQLite stores: the same for a value of this run and for its echo out of the outbox."""
    if item is None or (isinstance(item, float) and not math.isfinite(item)):
        return None
    if isinstance(item, str):
        return str(item)
    if isinstance(item, Decimal):
        return plain(item)
    if isinstance(item, Mapping | list | tuple):
        return canonical(item)
    return float(item) if kind == "REAL" else str(item) if kind == "TEXT" else int(item)


def canonical(value: Any) -> str:
    """JSON text with sorted keys and no spaces: equal values give equal text."""
    return orjson.dumps(value, _foreign, orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()


def _foreign(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in the journal")


# ---------------------------------------------------------------- reading


def recent(
    path: Path, table: str, *, limit: int = 20, where: Mapping[str, Any] | None = None, columns: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The last `limit` rows of a table, oldest first, whose columns equal those of `where`; none without a journal.

    columns  only these, for tables whose rows are large; `` = all
    """
    _check_names(table, [name for name in (*(where or {}), *columns) if name not in ("sequence", "row")])
    picked = ", ".join(f'"{name}"' for name in columns) or "*"
    condition = " AND ".join(f'"{name}" = ?' for name in where) if where else "1"
    query = f'SELECT {picked} FROM {table} WHERE {condition} ORDER BY sequence DESC, "row" DESC LIMIT ?'  # noqa: S608
    with _reader(path) as connection:
        if connection is None:
            return []
        cursor = connection.execute(query, [*(where or {}).values(), limit])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor][::-1]


def journal_sha256(path: Path) -> str:
    """SHA-256 over all tables in name order, rows by (sequence, row), without `sequence` and `wall_*`.

    The sequence orders the rows but is not digested: a restart may spend numbers.
    """
    digest = hashlib.sha256()
    with _reader(path) as connection:
        for table in sorted(TABLES) if connection is not None else ():
            digest.update(f"{table}\n".encode())
            for row in _rows(connection, table, [name for name in TABLES[table] if not name.startswith("wall_")]):
                digest.update(orjson.dumps(row[1:]) + b"\n")
    return digest.hexdigest()


def _rows(connection: sqlite3.Connection | None, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """(sequence, row, columns...) in order."""
    if connection is None:
        return
    names = "".join(f', "{name}"' for name in columns)
    yield from connection.execute(f'SELECT sequence, "row"{names} FROM {table} ORDER BY sequence, "row"')  # noqa: S608


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection that cannot write; None if there is no journal."""
    with _sentence(path):
        if not path.exists():
            yield None
            return
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            yield connection


@contextmanager
def _sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"cannot use {path}: {error.strerror}; free space or make the folder writable") from error
    except sqlite3.Error as error:
        raise StateError(f"cannot use {path}: {error}; see `evenkeel doctor`") from error


# ---------------------------------------------------------------- audit chain


def chain(previous: str, time: int, event: str, detail: Any) -> str:
    """Hash of an audit row: SHA-256 over the JSON list of previous hash, time (no wall clock), event and detail."""
    text = detail if isinstance(detail, str) else canonical(detail)
    return hashlib.sha256(canonical([previous, time, event, text]).encode()).hexdigest()


def audit_row(previous: str, time: int, event: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """A row for table `audit`; its `hash` is what `Memory.audit_hash` becomes."""
    text = canonical(detail)
    return {"time": time, "event": event, "detail": text, "previous": previous,
            "hash": chain(previous, time, event, text)}  # fmt: skip


def verify_audit(path: Path, head: str | None = None) -> tuple[bool, int | None]:
    """Whether the audit chain is whole, and the sequence of the first row that is not.

    head  hash that the last row must have (`Memory.audit_hash`): without it, rows cut off at the end go unseen
    """
    previous, sequence = "", 0
    with _reader(path) as connection:
        for row in _rows(connection, "audit", list(TABLES["audit"])):
            sequence = row[0]
            time, event, detail, claimed, digest = row[2:]
            genuine = isinstance(time, int) and isinstance(event, str) and isinstance(detail, str)
            if not genuine or claimed != previous or digest != chain(previous, time, event, detail):
                return False, sequence
            previous = digest
    return (True, None) if head in (None, previous) else (False, sequence)


# ---------------------------------------------------------------- orders


def order_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """`kind,time,leg,asset,side,quantity` per order sent, sorted by time, kind, leg; quantity as it was sent."""
    ordered = sorted(rows, key=lambda row: (int(row["time"]), str(row["kind"]), int(row["leg"])))
    return [
        f"{row['kind']},{int(row['time'])},{int(row['leg'])},{row['asset']},{row['side']},{_digits(row['quantity'])}"
        for row in ordered
    ]


def orders_sha256(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over `order_lines`, each ended by a newline: equal for a run and for its replay."""
    return hashlib.sha256("".join(f"{line}\n" for line in order_lines(rows)).encode()).hexdigest()


def _digits(quantity: Decimal | str) -> str:
    return plain(quantity) if isinstance(quantity, Decimal) else str(quantity)
