"""Damage, full disks and sudden death: the state is never lost and never silently new."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.errors import StateError
from evenkeel.store import (
    Fate,
    FaultyDisk,
    RealDisk,
    Store,
    archive_run,
    dumps,
    examine,
    fate,
    peek,
    state_sha256,
    to_json,
)
from evenkeel.store import document as document_module
from evenkeel.types import Identity, Memory, TradingState


def text(memory: Memory | None) -> bytes:
    return b"" if memory is None else dumps(to_json(memory))


def damage(path: Path, raw: bytes) -> None:
    """Replace a file, not its content: generations are hard links."""
    path.unlink()
    path.write_bytes(raw)


# ---------------------------------------------------------------- commit and load


def test_what_was_committed_is_loaded(filled, open_store) -> None:
    """Another process sees the memory and the view of the last commit."""
    store = filled()

    loaded = open_store().load()

    assert text(loaded.memory) == text(store.memory)
    assert loaded.sequence == store.memory.sequence == 5
    assert loaded.view == {"holdings": {"BTC": {"weight": 0.1}}}
    assert not loaded.fell_back
    assert not loaded.note


def test_a_fresh_home_remembers_nothing(open_store) -> None:
    """No file at all is a beginning, not an error."""
    store = open_store()

    assert store.load().memory is None
    with pytest.raises(StateError, match="nothing is remembered"):
        store.commit(lambda memory: memory)


def test_begin_never_overwrites(filled, open_store, make_memory) -> None:
    """A state that exists is loaded or refused, never begun anew."""
    filled()

    with pytest.raises(StateError, match="exists already"):
        open_store().begin(make_memory())


def test_a_person_can_read_it(filled, tmp_path: Path, make_memory) -> None:
    """Plain JSON, head first, one row per line."""
    filled(make_memory(66, 200))

    raw = (tmp_path / "state" / "state.json").read_text()

    body = json.loads(raw)
    assert list(body) == ["schema", "sha256", "sequence", "wall_written", "memory", "view"]
    assert body["wall_written"] == "2025-07-01T00:00:00Z"
    assert '\n      "C1": {"units":"3.50",' in raw
    assert max(map(len, raw.splitlines())) < 400


def test_ten_generations_stay(filled, tmp_path: Path) -> None:
    """state.json and the ten before it; the temporary file is gone."""
    filled(commits=25)

    names = {path.name for path in (tmp_path / "state").iterdir()}

    assert names == {"state.json", *(f"state.json.{n}" for n in range(15, 25))}
    assert all(not health.problem for health in examine(tmp_path))
    assert [health.sequence for health in examine(tmp_path)] == list(range(25, 14, -1))


def test_the_view_is_made_of_the_new_memory(filled, open_store) -> None:
    """What people see belongs to what is remembered; a commit without a view leaves the last one."""
    store = filled()
    store.commit(lambda memory: replace(memory, evidence=8), lambda memory: {"evidence": memory.evidence})
    store.commit(lambda memory: replace(memory, evidence=9))

    assert open_store().load().view == {"evidence": 8}


def test_a_change_that_fails_changes_nothing(filled, open_store) -> None:
    """An exception inside the pure change leaves memory, file and section free."""
    store = filled()
    before = text(store.memory)

    with pytest.raises(ZeroDivisionError):
        store.commit(lambda memory: replace(memory, evidence=1 // 0))

    assert text(store.memory) == before == text(open_store().load().memory)
    assert store.commit(lambda memory: memory).sequence == 6


def test_lanes_do_not_lose_each_others_changes(filled) -> None:
    """Eight threads add one to the same number, many times."""
    store = filled()

    def lane() -> None:
        for _ in range(20):
            store.commit(lambda memory: replace(memory, scored=memory.scored + 1))

    lanes = [threading.Thread(target=lane) for _ in range(8)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()

    assert store.memory.scored == 160
    assert store.memory.sequence == 165


# ---------------------------------------------------------------- damage


def assert_generation_after(tmp_path: Path, open_store, raw: bytes) -> None:
    state = tmp_path / "state"
    damage(state / "state.json", raw)
    loaded = open_store().load()
    assert loaded.fell_back
    assert loaded.sequence == 4
    assert loaded.memory is not None
    assert loaded.memory.evidence == 4
    assert loaded.quarantined[0].read_bytes() == raw
    assert "damaged" in loaded.note
    assert "state.json.4" in loaded.note
    loaded.quarantined[0].rename(state / "state.json")


def test_truncated_at_every_byte(filled, tmp_path: Path, open_store, make_memory) -> None:
    """Whatever is cut off, the generation before is loaded and the rest set aside."""
    filled(make_memory(2, 3, 1))
    raw = (tmp_path / "state" / "state.json").read_bytes()
    assert 1_500 < len(raw) < 6_000

    for length in range(len(raw)):
        assert_generation_after(tmp_path, open_store, raw[:length])


def test_every_byte_flipped(filled, tmp_path: Path, open_store, make_memory) -> None:
    """One changed byte anywhere, white space included, is damage and not a newer schema."""
    filled(make_memory(2, 3, 1))
    raw = (tmp_path / "state" / "state.json").read_bytes()

    for position in range(len(raw)):
        mask = 1 << position % 8 if position % 2 else 0xFF
        assert_generation_after(
            tmp_path, open_store, raw[:position] + bytes([raw[position] ^ mask]) + raw[position + 1 :]
        )


def test_a_large_state_sampled(filled, tmp_path: Path, open_store, make_memory) -> None:
    """The same with 66 positions and 200 slots, at 150 places."""
    filled(make_memory(66, 200, 30))
    raw = (tmp_path / "state" / "state.json").read_bytes()
    assert len(raw) > 40_000

    for position in range(0, len(raw), len(raw) // 75):
        assert_generation_after(tmp_path, open_store, raw[:position])
        assert_generation_after(tmp_path, open_store, raw[:position] + bytes([raw[position] ^ 4]) + raw[position + 1 :])


def test_several_bad_generations_are_passed_over(filled, tmp_path: Path, open_store) -> None:
    """The newest whole file counts; numbers that may have been used are never used again, even after a crash."""
    filled()
    state = tmp_path / "state"
    for name in ("state.json", "state.json.4", "state.json.3"):
        damage(state / name, b"{}")
    assert open_store().load().sequence == 2

    store = open_store()
    loaded = store.load()

    assert loaded.fell_back
    assert loaded.sequence == 2
    assert store.commit(lambda memory: memory).sequence == 6
    assert sorted(path.name for path in (state / "quarantine").iterdir()) == [
        "state.json", "state.json.3", "state.json.4",
    ]  # fmt: skip
    assert not open_store().load().fell_back


def test_no_whole_file_is_refused_again_and_again(filled, tmp_path: Path, open_store) -> None:
    """Nothing whole: one sentence, nothing moved, and the next start is no fresh beginning either."""
    filled(commits=2)
    state = tmp_path / "state"
    damage(state / "state.json", b"")
    damage(state / "state.json.1", b"not json")

    for _ in range(2):
        with pytest.raises(StateError, match="evenkeel doctor") as refusal:
            open_store().load()
        assert "quarantine" in str(refusal.value)
        assert refusal.value.exit_code == 3
    assert (state / "state.json").exists()
    assert [health.sequence for health in examine(tmp_path)] == [-1, -1]


def test_a_missing_state_falls_back(filled, tmp_path: Path, open_store) -> None:
    """state.json deleted by hand: the newest generation, with a warning."""
    filled()
    (tmp_path / "state" / "state.json").unlink()

    loaded = open_store().load()

    assert loaded.fell_back
    assert loaded.sequence == 4
    assert "missing" in loaded.note


def test_an_older_state_put_back_alone_does_not_count(filled, tmp_path: Path, open_store) -> None:
    """A backup of state.json beside newer generations: the newest counts, and that is said."""
    filled()
    state = tmp_path / "state"
    damage(state / "state.json", (state / "state.json.2").read_bytes())

    loaded = open_store().load()

    assert loaded.sequence == 4
    assert loaded.fell_back
    assert "older" in loaded.note


def test_readers_move_nothing(filled, tmp_path: Path) -> None:
    """`peek` reads past the damage and leaves it where it is."""
    filled()
    damage(tmp_path / "state" / "state.json", b"{")

    assert peek(tmp_path).sequence == 4
    assert (tmp_path / "state" / "state.json").exists()
    assert not (tmp_path / "state" / "quarantine").exists()
    assert peek(tmp_path / "elsewhere").memory is None


# ---------------------------------------------------------------- schema


def test_a_newer_schema_is_refused(filled, tmp_path: Path, open_store, monkeypatch) -> None:
    """Found and known version, the file and what to do; the file stays."""
    monkeypatch.setattr(document_module, "SCHEMA", 7)
    filled()
    monkeypatch.undo()

    with pytest.raises(StateError, match=r"state.json has schema 7, this version knows up to 1: install"):
        open_store().load()
    assert (tmp_path / "state" / "state.json").exists()


def test_an_older_schema_is_migrated(filled, open_store, monkeypatch) -> None:
    """Each migration takes a document one schema further; a gap in the table is said."""
    filled()
    monkeypatch.setattr(document_module, "SCHEMA", 3)
    monkeypatch.setitem(document_module.MIGRATIONS, 1, lambda body: {**body, "view": {"one": 1}})
    with pytest.raises(StateError, match="cannot migrate"):
        open_store().load()
    monkeypatch.setitem(document_module.MIGRATIONS, 2, lambda body: {**body, "view": {**body["view"], "two": 2}})

    assert open_store().load().view == {"one": 1, "two": 2}


def test_a_whole_file_with_an_unknown_key_is_no_damage(filled, open_store, monkeypatch, tmp_path: Path) -> None:
    """Written by something else: refused by name, not quarantined and forgotten."""
    store = filled()
    genuine = store._layout.render
    monkeypatch.setattr(store._layout, "render", lambda memory: genuine(memory).replace(b'"origin"', b'"begin"', 1))
    store.commit(lambda memory: memory)

    with pytest.raises(StateError, match=r"whole but cannot be read: memory\.begin"):
        open_store().load()
    assert "memory.begin" in examine(tmp_path)[0].problem


# ---------------------------------------------------------------- identity


def test_fate_of_a_found_state() -> None:
    """All eight cases: a real-clock state is only ever continued by its own; a virtual run gives way."""
    real, other = Identity("roostoo", "a", "real", ""), Identity("roostoo", "b", "real", "")
    july, june = Identity("sim", "a", "virtual", "july"), Identity("sim", "a", "virtual", "june")

    assert fate(real, real, finished=False) is Fate.RESUME
    assert fate(real, real, finished=True) is Fate.RESUME
    assert fate(real, other, finished=True) is Fate.REFUSE
    assert fate(real, july, finished=True) is Fate.REFUSE
    assert fate(july, july, finished=False) is Fate.RESUME
    assert fate(july, july, finished=True) is Fate.ARCHIVE
    assert fate(july, june, finished=False) is Fate.ARCHIVE
    assert fate(july, real, finished=False) is Fate.ARCHIVE


def test_another_identity_is_refused_untouched(filled, open_store, tmp_path: Path) -> None:
    """A virtual run leaves a real-clock state exactly as it is, its damaged files included."""
    filled()
    state = tmp_path / "state"
    damage(state / "state.json", b"damaged")
    before = sorted((path.name, path.read_bytes()) for path in state.iterdir())

    with pytest.raises(StateError, match="--home"):
        open_store(identity=Identity("sim", "main", "virtual", "july")).load()

    assert sorted((path.name, path.read_bytes()) for path in state.iterdir()) == before


def test_a_finished_virtual_run_is_archived_whole(open_store, make_memory, tmp_path: Path) -> None:
    """State, generations, databases and commands move together; lock and HALT stay; a new run begins."""
    virtual = Identity("sim", "main", "virtual", "july")
    state = tmp_path / "state"
    store = open_store(identity=virtual, finished=lambda memory: memory.evidence == 9)
    store.load()
    store.begin(replace(make_memory(), identity=virtual))
    store.commit(lambda memory: replace(memory, evidence=9))
    (state / "commands" / "done").mkdir(parents=True)
    for name in ("journal.db", "journal.db-wal", "venue.db", "lock", "HALT"):
        (state / name).write_text(name)

    loaded = store.load()

    assert loaded.memory is None
    assert loaded.archived is not None
    assert {path.name for path in loaded.archived.iterdir()} == {
        "state.json", "state.json.1", "journal.db", "journal.db-wal", "venue.db", "commands",
    }  # fmt: skip
    assert {path.name for path in state.iterdir()} == {"archive", "lock", "HALT"}
    assert archive_run(tmp_path, 1_751_328_000).name == "2025-07-01T000000Z~1"


# ---------------------------------------------------------------- a failing disk


def _try_commit(store: Store) -> str:
    try:
        store.commit(lambda memory: replace(memory, state_reason="x", trading_state=TradingState.HALTED))
    except StateError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
def test_a_failing_disk_gives_the_old_or_the_new(tmp_path: Path, filled, open_store, error, late, stuck) -> None:
    """At every disk step of a commit: one sentence, the memory stays old, a restart finds old or new, exactly."""
    for step in range(20):
        home = tmp_path / f"{step}"
        store = filled(home=home, commits=12)
        old = text(store.memory)
        new = text(replace(store.memory, sequence=13, state_reason="x", trading_state=TradingState.HALTED))
        faulty = FaultyDisk(RealDisk(durable=False), fail_at=step, error=error, late=late, stuck=stuck, torn=0.3)
        store._disk = faulty
        refusal = _try_commit(store)
        assert text(store.memory) == (old if refusal else new)
        assert os.strerror(error) in (refusal or os.strerror(error))

        found = open_store(home=home).load()
        assert text(found.memory) in (old, new)
        assert not found.fell_back
        if text(store.memory) == new:
            assert text(found.memory) == new
        if step >= faulty.steps:
            break
        store._disk = RealDisk(durable=False)
        assert store.commit(lambda memory: memory).sequence >= 13
        again = open_store(home=home).load()
        assert text(again.memory) == text(store.memory)
        assert not again.fell_back
    assert 5 < step < 19


def test_a_disk_without_hard_links(filled, open_store, monkeypatch, tmp_path: Path) -> None:
    """Generations are copied where they cannot be linked."""

    def refuse(*_paths: Path) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    filled()
    damage(tmp_path / "state" / "state.json", b"")

    assert open_store().load().sequence == 4


def test_an_unwritable_home_is_one_sentence(open_store, tmp_path: Path) -> None:
    """A file where the folder should be, and a quarantine that cannot be made."""
    (tmp_path / "home").write_text("")

    with pytest.raises(StateError, match="cannot create"):
        open_store(home=tmp_path / "home" / "x")


def test_damage_on_a_disk_that_cannot_move_it(filled, open_store, tmp_path: Path) -> None:
    """Read-only disk and a damaged file: refused by name instead of going on with the damage in place."""
    filled()
    damage(tmp_path / "state" / "state.json", b"")
    stuck = FaultyDisk(RealDisk(), fail_at=0, error=errno.EROFS, stuck=True)

    with pytest.raises(StateError, match="cannot be moved"):
        open_store(disk=stuck).load()


# ---------------------------------------------------------------- sudden death

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from evenkeel.store import Store
from evenkeel.types import Identity, Memory
identity = Identity("sim", "main", "virtual", "july")
store = Store.open(Path(sys.argv[1]), identity, now=lambda: 0)
loaded = store.load()
assert not loaded.fell_back, loaded.note
if loaded.memory is None:
    store.begin(Memory(identity, 0))
while True:
    memory = store.commit(lambda old: replace(old, evidence=old.evidence + 1))
    print(memory.sequence, memory.evidence, flush=True)
"""


def test_kill_9_thirty_times(tmp_path: Path) -> None:
    """A process is killed while it commits in a loop: no acknowledged commit is ever lost, no file ever damaged."""
    acknowledged = (0, 0)
    for number in range(30):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(1 + number % 7)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        whole = [line for line in lines if line.endswith("\n")]
        before, acknowledged = acknowledged, tuple(map(int, whole[-1].split()))

        loaded = peek(tmp_path)
        assert loaded.memory is not None
        assert not loaded.fell_back
        assert before < acknowledged <= (loaded.memory.sequence, loaded.memory.evidence)
        assert loaded.memory.evidence - acknowledged[1] <= 1


# ---------------------------------------------------------------- digest


def test_state_sha256_sees_what_matters(make_memory) -> None:
    """Sequence and attempts are not digested; everything else is."""
    memory = make_memory()
    open_slot = memory.open_slots[0]
    tried = replace(open_slot, intents=tuple(replace(intent, attempts=3) for intent in open_slot.intents))

    assert state_sha256(replace(memory, sequence=99)) == state_sha256(memory)
    assert state_sha256(replace(memory, open_slots=(tried,))) == state_sha256(memory)
    assert state_sha256(replace(memory, outbox={"wall_x": 1})) == state_sha256(replace(memory, outbox={"boot": 2}))
    assert state_sha256(replace(memory, evidence=1)) != state_sha256(memory)
    assert state_sha256(replace(memory, positions={})) != state_sha256(memory)


def test_two_states_of_one_folder_do_not_touch_each_other(tmp_path):
    """The desk's file has its own generations, and stays where a virtual run is moved away."""
    ours, theirs = Identity("roostoo", "main", "real", ""), Identity("kalshi", "main", "real", "")
    mine = Store.open(tmp_path, ours, now=lambda: 9)
    desks = Store.open(tmp_path, theirs, now=lambda: 9, of="kalshi.json")
    mine.begin(Memory(ours, 1))
    desks.begin(Memory(theirs, 2))
    for _ in range(12):
        desks.commit(lambda m: replace(m, fees=m.fees + 1))

    assert mine.load().memory.origin == 1
    assert desks.load().sequence == 13
    archive_run(tmp_path, 9)
    assert peek(tmp_path).memory is None
    assert peek(tmp_path, "kalshi.json").memory.fees == 12
    damage(tmp_path / "state" / "kalshi.json", b"torn")
    found = Store.open(tmp_path, theirs, now=lambda: 9, of="kalshi.json").load()
    assert (found.fell_back, found.memory.fees) == (True, 11)
