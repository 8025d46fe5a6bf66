"""What `doctor --fix` repairs: only what loses nothing and asks nobody.

`found` looks and changes nothing; `repair` does the same list, one after the other. The law: a file that was ever
believed is moved to `state/quarantine/`, never deleted, and by the same names as the service would at its start, so
that the start still knows what was lost; HALT, unresolved orders and quarantined pairs are a person's and a venue's.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from evenkeel.errors import EvenkeelError, LockedError, StateError
from evenkeel.units import DAY_S

if TYPE_CHECKING:
    from evenkeel.types import Memory

FOLDERS = ("state", "logs", "data")
_TEMPORARY = re.compile(r"\A\..+\.(\d+)\.tmp\Z")
SERVICE, DESK = "lock", "kalshi.lock"
"""Locks of a home: the rebalancer's, and the Kalshi desk's."""
_ALONE = {"state.json.tmp": SERVICE, "config.tmp": SERVICE, "kalshi.json.tmp": DESK}
"""Temporary files without a process in their name: nobody writes them while that lock is ours."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing to do: what it is about, one clause that says it, and how."""

    name: str
    text: str
    act: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a repair; `problem` is empty where it worked."""

    name: str
    text: str
    problem: str


def free(home: Path) -> None:
    """Raise LockedError (exit 75) while a service or a desk runs on the home. Nothing is written."""
    for of in (SERVICE, DESK):
        _free(home, of)


def _free(home: Path, of: str) -> None:
    from evenkeel import store

    try:
        descriptor = os.open(home / "state" / of, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # there is none, or its mode is wrong: whoever takes the lock will know
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = store.holder(home, of) or "unknown"
        raise LockedError(f"another evenkeel (pid {pid}) is running on {home}: stop it first, then repair") from None
    finally:
        os.close(descriptor)


def found(home: Path, *, cold: bool) -> tuple[Repair, ...]:
    """What would be done now. Raises LockedError while a service or a desk runs on the home."""
    free(home)
    return tuple(one for look in (*_BEFORE, *_locked(cold=cold), _lock) for one in _seen(look, home))


def repair(home: Path, *, cold: bool, agreed: frozenset[str] | None = None) -> tuple[Done, ...]:
    """Do what is found, holding the lock; `agreed` = texts that a person has seen, None = everything.

    Each look follows the repairs before it: a file whose mode was wrong is judged once it can be read.
    Raises LockedError while a service or a desk runs on the home.
    """
    from evenkeel.store import Lock

    free(home)
    done = list(_act(home, _BEFORE, agreed))
    cleared = _seen(_lock, home)
    with ExitStack() as held:
        wanted = [of for of in (SERVICE, DESK) if of == SERVICE or (home / "state" / of).exists()]
        locks = [held.enter_context(Lock(home, of)) for of in wanted]
        done += _act(home, _locked(cold=cold), agreed)
        for lock in locks:  # emptied and never removed: two files of one name could be locked by two services
            lock.path.write_bytes(b"")
    return (*done, *(_done(one) for one in cleared))


def _act(home: Path, looks: tuple[Look, ...], agreed: frozenset[str] | None) -> Iterator[Done]:
    for look in looks:
        for one in _seen(look, home):
            if agreed is None or one.text in agreed:
                yield _done(one)


def _seen(look: Look, home: Path) -> list[Repair]:
    """What a look finds; nothing where the disk does not let it look, which is a finding of the checks."""
    try:
        return list(look(home))
    except OSError:
        return []


def _done(one: Repair) -> Done:
    try:
        one.act()
    except OSError as error:
        return Done(one.name, one.text, f"{error.strerror}; change it by hand, then ask again")
    except EvenkeelError as error:
        return Done(one.name, one.text, str(error))
    return Done(one.name, one.text, "")


# ---------------------------------------------------------------- folders and modes


def _folders(home: Path) -> Iterator[Repair]:
    for name in FOLDERS:
        path = home / name
        if home.is_dir() and not path.exists():
            yield Repair("folder", f"create {path}", partial(path.mkdir, exist_ok=True))


def _modes(home: Path) -> Iterator[Repair]:
    secret = home / ".env"
    if secret.is_file() and stat.S_IMODE(secret.stat().st_mode) != 0o600:
        yield Repair("mode", f"make {secret} readable by its owner only (0600)", partial(secret.chmod, 0o600))
    folders = [path for name in FOLDERS if (path := home / name).is_dir()]
    for path in [*folders, *_files(home / "state")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (0o700 if path.is_dir() else 0o600)
        if mode != wanted:
            yield Repair("mode", f"let its owner read and write {path} ({wanted:04o})", partial(path.chmod, wanted))


def _files(folder: Path) -> list[Path]:
    """Files of a folder, but HALT and what cannot be listed yet."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if path.is_file() and path.name != "HALT")
    return []


# ---------------------------------------------------------------- what a crash left


def leftovers(home: Path, now: float, served: Collection[str] = ()) -> list[Path]:
    """Temporary files of writes that a crash or a full disk cut off; none that a living process may still write.

    now     UTC s; a file whose process lives under the same number counts once it is a day old
    served  locks whose owners run here: their own temporary files are at work
    """
    state = home / "state"
    places = [state.glob("*.tmp"), state.glob(".*.tmp"), (state / "commands").glob(".*.tmp")]
    places += [(home / "data" / "candles").glob("*/*/.*.tmp")]
    return sorted(path for place in places for path in place if not _in_use(path, now, served))


def _in_use(path: Path, now: float, served: Collection[str]) -> bool:
    if path.name in _ALONE:
        return _ALONE[path.name] in served
    match = _TEMPORARY.match(path.name)
    return match is None or (_alive(int(match[1])) and now - path.stat().st_mtime < DAY_S)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _leftovers(home: Path) -> Iterator[Repair]:
    for path in leftovers(home, time.time()):
        yield Repair("leftover", f"remove {path}, a write that was cut off", partial(path.unlink, missing_ok=True))


def _commands(home: Path) -> Iterator[Repair]:
    """Files that are no commands, told by the code that takes commands, on a copy."""
    from evenkeel import store

    folder = home / "state" / "commands"
    if not folder.is_dir():
        return
    with TemporaryDirectory(prefix="evenkeel-doctor-") as place:
        copy = Path(place) / "state" / "commands"
        copy.mkdir(parents=True)
        for path in folder.glob("*.json"):
            with suppress(OSError):
                shutil.copyfile(path, copy / path.name)
        bad = sorted(path.name for path in store.pending(Path(place)).quarantined)
    for name in bad:
        yield Repair("command", f"set {folder / name} aside, which is no command", partial(_aside, folder / name, home))


# ---------------------------------------------------------------- memory and journal


def _state(home: Path, *, cold: bool) -> Iterator[Repair]:
    from evenkeel.store.shelf import STATE
    from evenkeel.types import Memory

    yield from _damaged(home, STATE, Memory, "state", cold=cold)


def _desk_state(home: Path, *, cold: bool) -> Iterator[Repair]:
    from evenkeel.desk.ledger import Ledger
    from evenkeel.wiring import desk

    yield from _damaged(home, desk.STATE, Ledger, "kalshi", cold=cold)


def _damaged(home: Path, of: str, kind: type[Memory], name: str, *, cold: bool) -> Iterator[Repair]:
    """Damaged state files, as long as one is whole or a person has decided to go on without."""
    from evenkeel.store import DamagedError, RealDisk, examine
    from evenkeel.store.document import parse

    damaged, paths = [], [one.path for one in examine(home, of, kind)]
    for path in paths:
        try:
            parse(RealDisk().read(path), path.name, kind)
        except DamagedError as error:
            damaged.append((path, str(error)))
        except (StateError, OSError):
            return  # of a newer version, or unreadable: nothing is known of it, so nothing is moved
    if len(damaged) < len(paths) or cold:
        for path, why in damaged:
            yield Repair(name, f"set {path} aside: {why}", partial(_aside, path, home))


def _journal(home: Path) -> Iterator[Repair]:
    """Journals are never needed to recover."""
    for file, name, whose in (("journal.db", "journal", "service"), ("kalshi-journal.db", "kalshi", "desk")):
        path = home / "state" / file
        problem, damaged = database(path)
        if damaged:
            text = f"set {path} aside ({problem}): the {whose} begins a new one"
            yield Repair(name, text, partial(_aside_database, path, home))


def database(path: Path) -> tuple[str, bool]:
    """What is wrong with a SQLite file (empty = nothing), and whether its bytes are to blame."""
    if not path.is_file():
        return "", False
    if path.stat().st_size == 0:
        return "it is empty", True
    verdict = _checked(path, "mode=ro&immutable=1")  # leaves no log behind
    return _checked(path, "mode=ro") if verdict[0] and path.with_name(f"{path.name}-wal").exists() else verdict


def _checked(path: Path, how: str) -> tuple[str, bool]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=5)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]).splitlines()[0]
    except sqlite3.Error as error:
        return str(error), getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    return ("", False) if said == "ok" else (said, True)


def _aside(path: Path, home: Path) -> None:
    """Move a file to quarantine, durably, under the name that the service would give it."""
    from evenkeel.store import RealDisk
    from evenkeel.store.shelf import quarantine

    disk = RealDisk()
    quarantine(path, home / "state", disk)
    disk.sync_folder(home / "state" / "quarantine")
    disk.sync_folder(path.parent)


def _aside_database(path: Path, home: Path) -> None:
    """A database and its companions: without its log a later look at the damaged file would tell less."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            if (path.parent / name).exists():
                _aside(path.parent / name, home)


# ---------------------------------------------------------------- the lock


def _lock(home: Path) -> Iterator[Repair]:
    """A lock file that names a process which no longer holds it: `status` would take a later one for the service."""
    for of in (SERVICE, DESK):
        path = home / "state" / of
        with suppress(OSError):
            if path.stat().st_size:
                yield Repair("lock", f"clear {path}: {_named(path)}", lambda: None)


def _named(path: Path) -> str:
    from evenkeel.store.lock import boot_id

    try:
        content = json.loads(path.read_text())
        pid, boot = int(content["pid"]), content["boot"]
    except (OSError, ValueError, TypeError, KeyError):
        return "it cannot be read"
    return f"pid {pid} of an earlier boot" if boot != boot_id() else f"pid {pid} no longer holds it"


# ---------------------------------------------------------------- in which order

Look = Callable[[Path], Iterator[Repair]]
_BEFORE: tuple[Look, ...] = (_folders, _modes)  # without them the lock cannot be taken


def _locked(*, cold: bool) -> tuple[Look, ...]:
    return (_leftovers, partial(_state, cold=cold), partial(_desk_state, cold=cold), _journal, _commands)
