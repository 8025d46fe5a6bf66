"""The journal: written once, replayed at will, digested alike, and nobody changes it unseen."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from evenkeel.errors import StateError
from evenkeel.journal import (
    TABLES,
    Journal,
    audit_row,
    chain,
    journal_sha256,
    order_lines,
    orders_sha256,
    recent,
    verify_audit,
)
from evenkeel.store import dumps, from_json, to_json
from evenkeel.types import Record


def record(sequence: int, previous: str = "", wall: float = 1.5) -> Record:
    slot = f"risk@{sequence}"
    return Record(
        sequence,
        {
            "slots": ({"slot": slot, "kind": "risk", "time": sequence, "outcome": "done", "wall_finished": wall},),
            "plans": ({"slot": slot, "plan": {"b": [0.1, float("nan")], "a": Decimal("1.50")}, "book": {}},),
            "orders": tuple(
                {"id": f"{slot}-{leg}", "slot": slot, "leg": leg, "quantity": Decimal("0.10"), "stop": None}
                for leg in range(2)
            ),
            "equity": ({"time": sequence, "equity": 1000.1 + sequence, "cash": Decimal("5E+2"), "gross": 1},),
            "audit": (audit_row(previous, sequence, "resume", {"by": "ann", "n": sequence}),),
        },
    )


def filled(path: Path, count: int = 5, wall: float = 1.5, first: int = 1) -> str:
    head = ""
    with closing(Journal.open(path, durable=False)) as journal:
        for sequence in range(first, first + count):
            rows = record(sequence, head, wall)
            journal.write(rows)
            head = rows.tables["audit"][0]["hash"]
    return head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_replaying_the_outbox_changes_nothing(path: Path) -> None:
    """Written twice, and once more as it comes back out of state.json: the same digest, one row each."""
    filled(path)
    before = journal_sha256(path)

    filled(path)
    with closing(Journal.open(path)) as journal:
        journal.write(from_json(Record, json.loads(dumps(to_json(record(5))))))
        assert journal.last_sequence() == 5

    assert journal_sha256(path) == before
    assert len(recent(path, "orders", limit=99)) == 10


def test_of_large_rows_only_the_columns_asked_for_are_read(path: Path) -> None:
    """A column that does not exist is refused, as everywhere."""
    filled(path)

    assert [set(row) for row in recent(path, "orders", limit=2, columns=("id", "asset"))] == [{"id", "asset"}] * 2
    with pytest.raises(StateError, match="no column 'gaga'"):
        recent(path, "orders", columns=("gaga",))


def test_the_echo_of_a_record_is_the_record(tmp_path: Path) -> None:
    """A record written from memory and one written from the outbox after a crash give equal digests."""
    for name, rows in (("a", record(1)), ("b", from_json(Record, json.loads(dumps(to_json(record(1))))))):
        with closing(Journal.open(tmp_path / name)) as journal:
            journal.write(rows)

    assert journal_sha256(tmp_path / "a") == journal_sha256(tmp_path / "b")


def test_digest_leaves_out_wall_clock_and_sequence(tmp_path: Path) -> None:
    """Equal runs digest alike whatever the wall clock was and wherever a restart spent a sequence number."""
    filled(tmp_path / "a")
    filled(tmp_path / "b", wall=99.0)
    filled(tmp_path / "c", count=4)
    with closing(Journal.open(tmp_path / "d", durable=False)) as journal:
        for number, sequence in enumerate((1, 2, 40), start=1):
            journal.write(Record(sequence, {"equity": ({"time": number},)}))
    with closing(Journal.open(tmp_path / "e", durable=False)) as journal:
        for sequence in (3, 1, 2):
            journal.write(Record(sequence, {"equity": ({"time": sequence},)}))

    assert journal_sha256(tmp_path / "a") == journal_sha256(tmp_path / "b")
    assert journal_sha256(tmp_path / "a") != journal_sha256(tmp_path / "c")
    assert journal_sha256(tmp_path / "d") == journal_sha256(tmp_path / "e")


def test_values_keep_their_digits(path: Path) -> None:
    """Decimals are plain text, JSON has sorted keys, NaN is NULL, floats in REAL columns keep their bits."""
    filled(path, count=1)

    assert recent(path, "orders")[0]["quantity"] == "0.1"
    assert recent(path, "equity")[0] == {
        "sequence": 1, "row": 0, "time": 1, "slot": None, "equity": 1001.1, "cash": "500", "gross": 1.0,
        "drawdown": None, "scale": None, "flows": None, "fees": None, "turnover": None,
    }  # fmt: skip
    assert recent(path, "plans")[0]["plan"] == '{"a":"1.5","b":[0.1,null]}'


@pytest.mark.parametrize(
    ("tables", "word"), [({"trades": ({},)}, "no table 'trades'"), ({"slots": ({"colour": 1},)}, "no column 'colour'")]
)
def test_unknown_names_are_refused(path: Path, tables, word: str) -> None:
    """A misspelt column is an error, and nothing of its record is written."""
    with closing(Journal.open(path)) as journal:
        with pytest.raises(StateError, match=word):
            journal.write(Record(1, {"equity": ({"time": 1},), **tables}))
        assert journal.last_sequence() == 0
    with pytest.raises(StateError, match="no"):
        recent(path, "slots", where={"colour": 1})
    with pytest.raises(StateError, match="no table"):
        recent(path, "trades")


def test_recent_rows(path: Path) -> None:
    """The last rows, oldest first, by any column; nothing without a journal."""
    assert recent(path, "slots") == []
    filled(path)

    assert [row["time"] for row in recent(path, "slots", limit=2)] == [4, 5]
    assert [row["leg"] for row in recent(path, "orders", where={"slot": "risk@3"})] == [0, 1]
    assert recent(path, "orders", where={"slot": "risk@3", "leg": 1})[0]["id"] == "risk@3-1"


def test_readers_beside_the_writer(path: Path) -> None:
    """The CLI and the dashboard read while the service writes from two lanes."""
    with closing(Journal.open(path, durable=False)) as journal:
        lanes = [
            threading.Thread(target=lambda first=first: [journal.write(record(first + 2 * i)) for i in range(40)])
            for first in (1, 2)
        ]
        for lane in lanes:
            lane.start()
        while any(lane.is_alive() for lane in lanes):
            recent(path, "slots")
        for lane in lanes:
            lane.join()

        assert len(recent(path, "slots", limit=999)) == 80


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("place", [0, 20, 100, 4096, 9000])
def test_a_damaged_journal_is_set_aside(path: Path, place: int) -> None:
    """Quarantined with its content, a new one begins, and it is said; the service goes on."""
    filled(path)
    raw = bytearray(path.read_bytes())
    raw[place : place + 2_000] = b"\xff" * len(raw[place : place + 2_000])
    path.write_bytes(raw)

    with closing(Journal.open(path)) as journal:
        if journal.warning:
            assert "is damaged" in journal.warning
            assert (path.parent / "quarantine" / "journal.db~0").read_bytes() == raw
            assert journal.last_sequence() == 0
        journal.write(record(6))
        assert journal.last_sequence() == 6
        assert journal.warning or place not in (0, 4096)


def test_garbage_and_truncation_at_many_places(path: Path) -> None:
    """Cut anywhere: the journal opens, whole or anew, and never raises anything but a sentence."""
    filled(path)
    raw = path.read_bytes()
    for length in range(0, len(raw), 997):
        path.write_bytes(raw[:length])
        with closing(Journal.open(path, durable=False)) as journal:
            journal.write(record(9))
            assert journal.last_sequence() == 9


def test_damage_that_shows_while_writing(path: Path) -> None:
    """A page that goes bad under the open journal: set aside, begun anew, the record is written."""
    filled(path, count=400)
    with closing(Journal.open(path, durable=False)) as journal:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xee" * (path.stat().st_size - 4096))
        journal._connection.execute("PRAGMA shrink_memory")
        journal.write(record(401))

        assert "is damaged" in journal.warning
        assert journal.last_sequence() == 401


def test_a_newer_schema_is_refused(path: Path) -> None:
    """Found and known version, and what to do."""
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")

    with pytest.raises(StateError, match="schema 9, this version knows up to 1"):
        Journal.open(path)


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    """A file where a folder should be; a folder where the file should be."""
    (tmp_path / "file").write_text("")
    (tmp_path / "journal.db").mkdir()

    for bad in (tmp_path / "file" / "journal.db", tmp_path / "journal.db"):
        with pytest.raises(StateError, match="cannot use"):
            Journal.open(bad)


WRITER = """
import sys
from pathlib import Path
from evenkeel.journal import Journal
from evenkeel.types import Record
journal = Journal.open(Path(sys.argv[1]))
assert not journal.warning, journal.warning
sequence = journal.last_sequence()
while True:
    sequence += 1
    journal.write(Record(sequence, {"equity": tuple({"time": sequence} for _ in range(3)), "slots": ({"slot": "x"},)}))
    print(sequence, flush=True)
"""


def test_kill_9_keeps_whole_records(path: Path) -> None:
    """A record is there with all its rows or not at all; what was acknowledged is there."""
    for number in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(2 + number)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        last = int([line for line in lines if line.endswith("\n")][-1])

        rows = recent(path, "equity", limit=10**6)
        assert len(rows) == 3 * len(recent(path, "slots", limit=10**6))
        assert rows[-1]["sequence"] - last in (0, 1)


# ---------------------------------------------------------------- audit


def test_the_chain_is_whole(path: Path) -> None:
    """An untouched chain verifies, with and without its head; an empty one too."""
    assert verify_audit(path) == (True, None)
    head = filled(path, count=6)

    assert verify_audit(path) == (True, None)
    assert verify_audit(path, head) == (True, None)


@pytest.mark.parametrize("sequence", range(1, 7))
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET detail = replace(detail, 'ann', 'bob')",
        "UPDATE audit SET event = 'halt'",
        "UPDATE audit SET time = time + 1",
        "UPDATE audit SET time = 'then'",
        "UPDATE audit SET detail = x'00ff'",
        "UPDATE audit SET detail = NULL",
        "UPDATE audit SET previous = 'f' || previous",
        "UPDATE audit SET hash = upper(hash) || '0'",
        "DELETE FROM audit",
    ],
)
def test_tampering_is_detected_at_any_row(path: Path, sequence: int, change: str) -> None:
    """Changed or removed anywhere, the first bad sequence is named; the head finds a shortened end."""
    head = filled(path, count=6)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"{change} WHERE sequence = {sequence}")

    ok, first = verify_audit(path, head)

    assert not ok
    assert first == (sequence if "DELETE" not in change else min(sequence + 1, 6) if sequence < 6 else 5)


def test_rows_that_change_places_are_detected(path: Path) -> None:
    """Reordering is tampering as well."""
    filled(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE audit SET sequence = CASE sequence WHEN 2 THEN 103 ELSE 102 END WHERE sequence < 4 "
                           "AND sequence > 1")  # fmt: skip

    assert not verify_audit(path)[0]


def test_a_hash_says_what_it_covers() -> None:
    """Every part counts, and no two splits of the same text are alike."""
    assert chain("", 1, "halt", {"a": 1, "b": 2}) == chain("", 1, "halt", {"b": 2, "a": 1})
    assert len({chain("", 1, "halt", {}), chain("", 2, "halt", {}), chain("x", 1, "halt", {}),
                chain("", 1, "halt\n{}", ""), chain("", 1, "halt", {"a": 0})}) == 5  # fmt: skip


# ---------------------------------------------------------------- orders


def test_orders_digest_is_of_sorted_lines() -> None:
    """Sorted by time, kind and leg (as a number); the quantity is the string that was sent."""
    rows = [
        {"kind": "score", "time": 60, "leg": 10, "asset": "ETH", "side": "buy", "quantity": "1.50", "id": "x"},
        {"kind": "score", "time": 60, "leg": 2, "asset": "BTC", "side": "sell", "quantity": Decimal("0.10")},
        {"kind": "risk", "time": 60, "leg": 0, "asset": "BTC", "side": "sell", "quantity": "1"},
    ]

    assert order_lines(rows) == ["risk,60,0,BTC,sell,1", "score,60,2,BTC,sell,0.1", "score,60,10,ETH,buy,1.50"]
    assert orders_sha256(rows) == orders_sha256(rows[::-1])
    assert orders_sha256(rows) != orders_sha256(rows[:2])
    assert orders_sha256([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_tables_are_in_name_order_and_documented() -> None:
    """The digest's order is the table's order here; every table has a sentence."""
    source = Path(sys.modules["evenkeel.journal"].__file__ or os.devnull).read_text()

    assert list(TABLES) == sorted(TABLES)
    for table in TABLES:
        assert f"\n{table} " in source
