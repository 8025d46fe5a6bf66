"""The files of a state folder: `state.json`, its last ten generations, the quarantine and the archive.

The Kalshi desk keeps `kalshi.json` beside it, with generations and laws of its own: `of` names whose files are meant.

`scan` looks and never touches; `keep`, `prune`, `quarantine` and `archive_run` move names, never bytes.
The law: no state file is ever deleted, but for generations older than the last ten.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evenkeel.errors import StateError
from evenkeel.store.disk import Disk, RealDisk
from evenkeel.store.document import DamagedError, Document, parse
from evenkeel.types import Memory
from evenkeel.units import iso

STATE = "state.json"
GENERATIONS = 10

_NUMBERED = re.compile(r"\A\.(\d{1,18})(?:~\d+)?\Z")
_STAYS = frozenset({"archive", "lock", "HALT", "heartbeat", ".gitkeep", STATE})
_DESK = "kalshi"
"""Beginning of the names that are the Kalshi desk's: its account outlives a virtual run of the rebalancer."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in a state folder.

    document  what the newest whole file says, and `found`, where it lies; None if there is no whole file
    bad       files newer than it that are damaged, and why
    highest   the greatest sequence that may ever have been acknowledged here
    of        name of the file
    """

    document: Document | None
    found: Path
    bad: tuple[tuple[Path, str], ...]
    highest: int
    of: str = STATE

    @property
    def fell_back(self) -> bool:
        """True if something newer than `found` may have been lost."""
        return self.document is not None and (bool(self.bad) or self.found.name != self.of)


def generation(name: str, of: str = STATE) -> int:
    """Sequence in a generation's name; -1 if it is another file."""
    match = _NUMBERED.match(name.removeprefix(of)) if name.startswith(of) else None
    return int(match[1]) if match else -1


def generations(folder: Path, disk: Disk, of: str = STATE) -> list[int]:
    """Sequences of the generations that lie in the folder, oldest first."""
    return sorted(number for name in disk.names(folder) if (number := generation(name, of)) >= 0)


def scan(folder: Path, disk: Disk, of: str = STATE, kind: type[Memory] = Memory) -> Scan:
    """Find the newest whole state file. Raises StateError for one that is whole but not ours to read."""
    numbers = generations(folder, disk, of)
    highest = max([*numbers, *(generation(name, of) for name in disk.names(folder / "quarantine")), 0])
    bad: list[tuple[Path, str]] = []
    for path in _newest_first(folder, numbers, disk, of):
        try:
            document = parse(disk.read(path), path.name, kind)
        except DamagedError as error:
            bad.append((path, str(error)))
        except OSError as error:
            bad.append((path, f"{path.name} cannot be read: {error.strerror}"))
        else:
            if path.name == of and numbers and numbers[-1] > document.memory.sequence:
                return _prefer_generation(folder, document, numbers, disk, of, kind)
            lost = bool(bad) or path.name != of
            return Scan(document, path, tuple(bad), highest + 1 if lost else document.memory.sequence, of)
    return Scan(None, folder / of, tuple(bad), highest, of)


def _newest_first(folder: Path, numbers: list[int], disk: Disk, of: str) -> Iterator[Path]:
    if of in disk.names(folder):
        yield folder / of
    for number in reversed(numbers):
        yield folder / f"{of}.{number}"


def _prefer_generation(
    folder: Path, old: Document, numbers: list[int], disk: Disk, of: str, kind: type[Memory]
) -> Scan:
    """A whole state.json that is older than a generation (a backup put back alone): the newest one counts."""
    for number in reversed(numbers):
        path = folder / f"{of}.{number}"
        if number <= old.memory.sequence:
            break
        with contextlib.suppress(DamagedError, OSError):
            return Scan(parse(disk.read(path), path.name, kind), path, (), numbers[-1] + 1, of)
    return Scan(old, folder / of, (), numbers[-1], of)


def keep(folder: Path, sequence: int, disk: Disk, of: str = STATE) -> None:
    """Give the present state.json a second name, its generation; does nothing if there is no state.json."""
    present, second = folder / of, folder / f"{of}.{sequence}"
    try:
        disk.link(present, second)
    except FileExistsError:
        disk.unlink(second)
        disk.link(present, second)
    except FileNotFoundError:
        return
    except PermissionError:  # a file system without hard links
        disk.write(second, disk.read(present))
        disk.sync(second)


def prune(folder: Path, numbers: list[int], disk: Disk, of: str = STATE) -> list[int]:
    """Remove all but the last ten generations; -> those that lie there now. A failure is tried again next time."""
    left = []
    for number in numbers[:-GENERATIONS]:
        try:
            disk.unlink(folder / f"{of}.{number}")
        except FileNotFoundError:
            continue
        except OSError:
            left.append(number)
    return left + numbers[-GENERATIONS:]


def quarantine(path: Path, folder: Path, disk: Disk) -> Path:
    """Move a damaged file to `quarantine/`, under its own name or the next free `name~n`."""
    target = folder / "quarantine"
    try:
        disk.make_folder(target)
        taken = set(disk.names(target))
        names = (f"{path.name}~{n}" if n else path.name for n in range(len(taken) + 1))
        free = target / next(name for name in names if name not in taken)
        disk.replace(path, free)
    except OSError as error:
        raise StateError(
            f"{path} is damaged and cannot be moved to {target}: {error.strerror}; make the folder writable"
        ) from error
    return free


def archive_run(home: Path, now: int, *, disk: Disk | None = None) -> Path:
    """Move a whole virtual run to `state/archive/<time>/`; -> that folder.

    Everything goes but the lock, HALT, the heartbeat and the Kalshi desk's own; state.json goes last, so that a crash
    midway is continued at the next start. No database in the folder may be open.
    """
    disk = disk or RealDisk()
    folder, stamp = home / "state", iso(now).replace(":", "")
    try:
        taken = set(disk.names(folder / "archive"))
        names = (f"{stamp}~{n}" if n else stamp for n in range(len(taken) + 1))
        target = folder / "archive" / next(name for name in names if name not in taken)
        disk.make_folder(target)
        goes = [name for name in disk.names(folder) if name not in _STAYS and not name.startswith(_DESK)]
        for name in [*goes, STATE]:
            with contextlib.suppress(FileNotFoundError):
                disk.replace(folder / name, target / name)
        disk.sync_folder(target)
        disk.sync_folder(folder)
    except OSError as error:
        raise StateError(
            f"cannot move the earlier run to {folder / 'archive'}: {error.strerror}; make the folder writable"
        ) from error
    return target
