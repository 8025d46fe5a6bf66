"""Which process owns a home: one writer, and the kernel is the judge.

The rebalancer's is `state/lock`, the Kalshi desk's `state/kalshi.lock`: each is held by flock, so a killed process
frees it at once; the pid and boot id inside are only for people.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from evenkeel.errors import LockedError, StateError

LOCK = "lock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Name of this boot of the machine; empty where the kernel does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def holder(home: Path, of: str = LOCK) -> int | None:
    """Pid that wrote itself into the lock and still runs, for display only; None if there is none."""
    try:
        content = json.loads((home / "state" / of).read_text())
        pid = int(content["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pid if content.get("boot") == boot_id() else None


class Lock:
    """Exclusive right to write a home, until `release`, the end of a `with`, or the end of the process.

    Raises LockedError (exit 75) at once, naming the holder's pid, if another instance has it.
    """

    def __init__(self, home: Path, of: str = LOCK) -> None:
        self.path = home / "state" / of
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateError(f"cannot open {self.path}: {error.strerror}; make the folder writable") from error
        self._seize()

    def _seize(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "boot": boot_id()}).encode() + b"\n", 0)
        except BlockingIOError:
            pid = self._written_pid()
            self.release()
            raise LockedError(
                f"another evenkeel (pid {pid}) is running on {self.path.parent.parent}: "
                "stop it first, or give this one its own --home"
            ) from None
        except OSError as error:
            self.release()
            raise StateError(f"cannot lock {self.path}: {error.strerror}; use a local, writable disk") from error

    def _written_pid(self) -> str:
        try:
            return str(json.loads(os.pread(self._descriptor, 200, 0))["pid"])
        except (OSError, ValueError, TypeError, KeyError):
            return "unknown"

    def release(self) -> None:
        """Give the home free; twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
