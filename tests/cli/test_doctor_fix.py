"""doctor --fix: from every damage back to a running service; what only a person can decide is said, not done."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenkeel import store
from evenkeel.store import Lock, peek
from laws import world
from service.test_damage import Life

DEAD = 2**22 + 1  # above the highest pid that there can be
HALF_DAY = world.DAY // 2


@pytest.fixture(scope="module")
def _traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has traded for half a day and stopped."""
    home = tmp_path_factory.mktemp("traded") / "home"
    Life(home).run(world.START + HALF_DAY)
    (home / "state" / "lock").unlink()  # it names this process, which lives on
    (home / "data").mkdir()
    return home


@pytest.fixture
def traded(_traded: Path, tmp_path: Path) -> Path:
    """A copy that the test may harm."""
    return Path(shutil.copytree(_traded, tmp_path / "traded"))


def _generations(home: Path) -> list[Path]:
    """state.json and its generations, newest first."""
    older = sorted((home / "state").glob("state.json.*"), key=lambda p: int(p.suffix[1:]), reverse=True)
    return [home / "state" / "state.json", *older]


def _wound(path: Path, content: bytes) -> None:
    """Another content under this name alone: generations are hard links."""
    path.unlink()
    path.write_bytes(content)


def _cut(home: Path, share: float, newest: int = 1) -> None:
    for path in _generations(home)[:newest]:
        raw = path.read_bytes()
        _wound(path, raw[: int(len(raw) * share)])


def _flip(home: Path) -> None:
    path = home / "state" / "state.json"
    raw = path.read_bytes()
    _wound(path, raw[:500] + bytes([raw[500] ^ 1]) + raw[501:])


def _journal(home: Path, content: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        (home / "state" / f"journal.db{suffix}").unlink(missing_ok=True)
    (home / "state" / "journal.db").write_bytes(content)


def _full_disk(home: Path) -> None:
    """What ENOSPC and a death in the middle of writing leave."""
    candles = home / "data" / "candles" / "binance" / "30m"
    for folder in (candles, home / "state" / "commands"):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "state" / "state.json.tmp").write_bytes(b'{"sch')
    (home / "state" / "config.tmp").write_bytes(b"{")
    (home / "state" / "commands" / f".x.json.{DEAD}.tmp").write_bytes(b'{"comm')
    (candles / f".BTCUSDT.parquet.{DEAD}.tmp").write_bytes(b"PAR1")


def _half_command(home: Path) -> None:
    (home / "state" / "commands").mkdir(exist_ok=True)
    (home / "state" / "commands" / "a.json").write_bytes(b'{"command": "ha')


def _stale_lock(home: Path) -> None:
    (home / "state" / "lock").write_text(json.dumps({"pid": os.getpid(), "boot": "an earlier one"}))


def _all(home: Path) -> None:
    for wound in (_flip, _full_disk, _half_command, _stale_lock):
        wound(home)
    _journal(home, b"no database" * 1000)


WOUNDS: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "empty-state": (lambda home: _cut(home, 0.0), {"state"}),
    "half-state": (lambda home: _cut(home, 0.5), {"state"}),
    "flipped-state": (_flip, {"state"}),
    "five-bad-generations": (lambda home: _cut(home, 0.9, newest=5), {"state"}),
    "one-generation-left": (lambda home: _cut(home, 0.9, newest=10), {"state"}),
    "journal-is-no-database": (lambda home: _journal(home, b"no database" * 1000), {"journal"}),
    "journal-is-empty": (lambda home: _journal(home, b""), {"journal"}),
    "full-disk": (_full_disk, {"leftover"}),
    "half-command": (_half_command, {"command"}),
    "stale-lock": (_stale_lock, {"lock"}),
    "no-logs": (lambda home: shutil.rmtree(home / "logs"), {"folder"}),
    "all-at-once": (_all, {"state", "journal", "leftover", "command", "lock"}),
}


@pytest.mark.parametrize("name", WOUNDS)
def test_from_every_damage_the_service_runs_again(run, traded, name):
    """The preview changes nothing, --yes repairs what it showed, and the run goes on to the venue's own quantities."""
    wound, kinds = WOUNDS[name]
    wound(traded)
    before = _bytes(traded)

    shown = run(traded, "doctor", "--fix", "--json").json
    assert _bytes(traded) == before
    assert not shown["done"]
    done = run(traded, "doctor", "--fix", "--yes", "--json").json
    memory = Life(traded).run(world.START + 2 * HALF_DAY)

    assert {one["name"] for one in shown["repairs"]} == kinds
    assert [one["text"] for one in done["repairs"]] == [one["text"] for one in shown["repairs"]]
    assert all(one["done"] for one in done["repairs"])
    assert not [path for path in _bytes(traded) if path.endswith(".tmp")]
    assert memory.trading_state.value == "ACTIVE"
    assert not memory.open_slots
    assert {one["name"] for one in run(traded, "doctor", "--fix", "--json").json["repairs"]} <= {"lock"}


def _bytes(home: Path) -> dict[str, bytes]:
    """Everything but what SQLite keeps for its readers."""
    files = (p for p in home.rglob("*") if p.is_file() and p.suffix not in (".db-shm", ".db-wal"))
    return {str(p.relative_to(home)): p.read_bytes() for p in files}


def test_damage_that_was_set_aside_is_still_known_to_the_start(run, traded):
    """The service reduces until the venue's fills are explained, as if it had moved the file itself."""
    _flip(traded)

    run(traded, "doctor", "--fix", "--yes")
    life = Life(traded)
    with life.start():
        pass

    assert [path.name for path in (traded / "state" / "quarantine").iterdir()] == ["state.json"]
    events = [line["event"] for line in life.lines]
    assert events.index("state_fell_back") < events.index("state_explained")


def test_without_a_whole_state_only_a_person_decides(run, traded):
    """One sentence, and not a byte is moved."""
    _cut(traded, 0.5, newest=99)
    before = _bytes(traded)

    said = run(traded, "doctor", "--fix", "--yes", "--json")

    assert said.code == 1
    advice = next(check["advice"] for check in said.json["checks"] if check["name"] == "state")
    assert advice.startswith("only you can decide: restore a backup of state/, or begin anew")
    assert not [one for one in said.json["repairs"] if one["name"] == "state"]
    assert {k: v for k, v in _bytes(traded).items() if "state.json" in k} == {
        k: v for k, v in before.items() if "state.json" in k
    }


def test_a_cold_start_that_a_person_decided_takes_up_journal_and_venue(run, traded):
    """No slot of the journal is run again, positions are the venue's, and trading goes on."""
    held = peek(traded).memory
    _cut(traded, 0.5, newest=99)

    assert run(traded, "doctor", "--fix", "--cold-start", "--yes", "--json").json["done"]
    memory = Life(traded).run(world.START + 2 * HALF_DAY)
    with Life(traded).start() as runner:
        assert runner.store.memory.trading_state.value == "ACTIVE"

    assert memory.watermarks["risk"] == world.START + 2 * HALF_DAY - world.CADENCE.risk
    assert sum(memory.counts["risk"].values()) == 2 * sum(held.counts["risk"].values())
    assert memory.fees >= held.fees


def test_the_home_of_a_running_service_is_left_alone(run, traded):
    """Exit 75, for the preview too."""
    _flip(traded)
    with Lock(traded):
        before = _bytes(traded)
        codes = [run(traded, "doctor", "--fix", *words).code for words in ([], ["--yes"])]

        assert codes == [75, 75]
        assert _bytes(traded) == before
        assert run(traded, "doctor").code in (1, 5)


def test_halt_and_a_living_write_are_not_touched(run, traded):
    """The marker is a person's word; a temporary file of a living process is at work."""
    store.set_halt(traded, "storm", wall_time=0.0)
    (traded / "state" / "commands").mkdir(exist_ok=True)
    at_work = traded / "state" / "commands" / f".x.json.{os.getpid()}.tmp"
    at_work.write_bytes(b"{")

    run(traded, "doctor", "--fix", "--yes")

    assert store.halted(traded)
    assert at_work.exists()


def test_secrets_that_others_may_read_are_closed(run, traded):
    """0600, or a live run would refuse them."""
    (traded / ".env").write_text("ROOSTOO_API_KEY=x\n")
    (traded / ".env").chmod(0o644)
    (traded / "state").chmod(0o500)

    run(traded, "doctor", "--fix", "--yes")

    assert stat.S_IMODE((traded / ".env").stat().st_mode) == 0o600
    assert (traded / "state").stat().st_mode & 0o700 == 0o700


def test_a_state_of_a_newer_version_is_no_damage(run, traded, monkeypatch):
    """It is whole, so it is left where it is."""
    monkeypatch.setattr("evenkeel.store.document.SCHEMA", 0)
    monkeypatch.setattr("evenkeel.store.document.MIGRATIONS", {})

    said = run(traded, "doctor", "--fix", "--json")

    assert not [one for one in said.json["repairs"] if one["name"] == "state"]


def test_what_venue_and_person_settle_is_only_shown(run, traded):
    """Quarantined pairs: a warning with what to do, no repair."""
    from dataclasses import replace

    with Life(traded).start() as runner:
        runner.store.commit(lambda m: replace(m, quarantined={"XRP": "two orders fit"}))

    said = run(traded, "doctor", "--fix", "--yes", "--json").json

    pairs = next(check for check in said["checks"] if check["name"] == "pairs")
    assert pairs["status"] == "warn"
    assert "XRP (two orders fit)" in pairs["text"]
    assert peek(traded).memory.quarantined == {"XRP": "two orders fit"}


def test_a_home_that_is_not_there_is_not_made(run, tmp_path):
    """A wrong --home is a mistake, no damage."""
    assert run(tmp_path / "none", "doctor", "--fix", "--yes").code == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("words", [["--yes"], ["--cold-start"]])
def test_words_of_fix_alone_are_refused(run, traded, words):
    """Exit 2 and one sentence."""
    said = run(traded, "doctor", *words)

    assert said.code == 2
    assert "belongs to --fix" in said.err


def test_people_read_what_would_be_done(run, traded):
    """The preview names each file and the command that does it."""
    _flip(traded)

    said = run(traded, "doctor", "--fix")

    assert f"would set {traded / 'state' / 'state.json'} aside: state.json is damaged" in said.out
    assert "nothing was changed: `evenkeel doctor --fix --yes` does it" in said.out
