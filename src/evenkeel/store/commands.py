"""How people and other processes talk to the service: command files, the HALT marker, the heartbeat.

Only the service writes state.json; everyone else leaves a file in `state/commands/`, which it takes within a second.
A command file may be written by hand: `{"command": "halt", "reason": "..."}` is enough.
`state/HALT` is a marker that anyone may create; if it cannot be told whether it is there, it is.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evenkeel.errors import StateError, UsageError
from evenkeel.store.disk import RealDisk
from evenkeel.store.shelf import quarantine
from evenkeel.units import iso

COMMANDS = ("halt", "reduce", "resume", "flatten")

_LIMIT_BYTES = 16_384
_BEAT_BYTES = 256
_DISK = RealDisk()


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked for; `wall_time` is UTC s, `by` the user who asked."""

    id: str
    command: str
    reason: str
    wall_time: float = 0.0
    by: str = ""


class Taken(NamedTuple):
    """Commands in the order in which they were sent, and files that were none (now in quarantine)."""

    commands: tuple[Command, ...]
    quarantined: tuple[Path, ...]


# ---------------------------------------------------------------- commands


def send(home: Path, command: str, reason: str, *, wall_time: float, by: str = "") -> str:
    """Leave a command for the service; -> its id, which sorts by time. Durable when this returns."""
    if command not in COMMANDS:
        raise UsageError(f"{command!r} is no command: use one of {', '.join(COMMANDS)}")
    stamp = iso(int(wall_time)).replace(":", "").removesuffix("Z")
    name = f"{stamp}.{int(wall_time % 1 * 1e6):06d}Z-{os.urandom(3).hex()}"
    body = Command(id=name, command=command, reason=reason, wall_time=wall_time, by=by)
    folder = home / "state" / "commands"
    with _sentence(folder):
        _DISK.make_folder(folder)
        _write_atomically(folder / f"{name}.json", asdict(body))
    return name


def pending(home: Path) -> Taken:
    """Commands that wait, in order; files that are no commands are moved to quarantine."""
    folder = home / "state" / "commands"
    commands: list[Command] = []
    bad: list[Path] = []
    with _sentence(folder):
        names = [name for name in _DISK.names(folder) if name.endswith(".json") and not name.startswith(".")]
    for name in names:
        try:
            commands.append(_read(folder / name))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            bad.append(quarantine(folder / name, home / "state", _DISK))
    return Taken(tuple(commands), tuple(bad))


def finish(home: Path, command: Command) -> None:
    """Put a command aside in `commands/done/`, once what it asked for is durable."""
    folder = home / "state" / "commands"
    with _sentence(folder):
        _DISK.make_folder(folder / "done")
        with contextlib.suppress(FileNotFoundError):
            _DISK.replace(folder / f"{command.id}.json", folder / "done" / f"{command.id}.json")


def take(home: Path) -> Taken:
    """`pending` and `finish` at once: a crash afterwards forgets the commands, so prefer the two steps for a halt."""
    taken = pending(home)
    for command in taken.commands:
        finish(home, command)
    return taken


def _read(path: Path) -> Command:
    """The command in a file; its name is its id. Raises ValueError for anything else."""
    with path.open("rb") as file:
        raw = file.read(_LIMIT_BYTES + 1)
    body = json.loads(raw)
    if len(raw) > _LIMIT_BYTES or not _is_command(body):
        raise ValueError(f"{path.name} is no command")
    return Command(
        id=path.stem,
        command=body["command"],
        reason=body.get("reason", ""),
        wall_time=float(body.get("wall_time", 0)),
        by=body.get("by", ""),
    )


def _is_command(body: Any) -> bool:
    return (
        isinstance(body, dict)
        and not body.keys() - {"id", "command", "reason", "wall_time", "by"}
        and body.get("command") in COMMANDS
        and isinstance(body.get("reason", ""), str)
        and isinstance(body.get("by", ""), str)
        and isinstance(body.get("wall_time", 0), int | float)
    )


# ---------------------------------------------------------------- HALT


def halted(home: Path) -> bool:
    """Whether the HALT marker is there, or may be."""
    try:
        os.lstat(home / "state" / "HALT")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def set_halt(home: Path, reason: str, *, wall_time: float, by: str = "") -> None:
    """Create the HALT marker, durably, saying why."""
    path = home / "state" / "HALT"
    with _sentence(path):
        _DISK.make_folder(path.parent)
        _write_atomically(path, {"reason": reason, "by": by, "wall_time": iso(int(wall_time))})


def halt_reason(home: Path) -> str:
    """What the marker says; empty if there is none, or it was made by `touch`."""
    try:
        text = (home / "state" / "HALT").read_text(errors="replace")[:_LIMIT_BYTES]
        return str(json.loads(text)["reason"])
    except OSError:
        return ""
    except (ValueError, TypeError, KeyError, RecursionError):
        return text.strip()


def clear_halt(home: Path) -> None:
    """Remove the HALT marker, durably; no complaint if there is none."""
    path = home / "state" / "HALT"
    with _sentence(path), contextlib.suppress(FileNotFoundError):
        _DISK.unlink(path)
        _DISK.sync_folder(path.parent)


# ---------------------------------------------------------------- heartbeat


def beat(home: Path, *, wall_time: float, slot: str, phase: str) -> bool:
    """Say that the service lives and what it does: one write of fixed length, not synced; False if the disk refused.

    A service that cannot write must go on: whoever reads the heartbeat sees it grow old.
    """
    text = json.dumps({"wall_time": wall_time, "slot": slot[:80], "phase": phase[:80]})
    try:
        descriptor = os.open(f"{home}/state/heartbeat", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            return os.pwrite(descriptor, text.encode().ljust(_BEAT_BYTES - 1) + b"\n", 0) >= _BEAT_BYTES
        finally:
            os.close(descriptor)
    except OSError:
        return False


def read_heartbeat(home: Path) -> dict[str, Any] | None:
    """The last heartbeat: `wall_time`, `slot`, `phase`; None if there is none that can be read."""
    try:
        body = json.loads((home / "state" / "heartbeat").read_bytes())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) and isinstance(body.get("wall_time"), int | float) else None


# ---------------------------------------------------------------- files


def _write_atomically(path: Path, body: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _DISK.write(temporary, json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n")
        _DISK.sync(temporary)
        _DISK.replace(temporary, path)
        _DISK.sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            _DISK.unlink(temporary)
        raise


@contextmanager
def _sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"cannot use {path}: {error.strerror}; free space or make the folder writable") from error
