"""The file seam: every touch of the disk that durability depends on, as a port of nine verbs.

`RealDisk` is the disk. `FaultyDisk` is a disk that fails on purpose: at the n-th step, with a chosen errno, before or
after the step took effect, once or for ever, with a torn write. It ships with the product because the promise
"state survives" is only as good as the disk it was tried on.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """What `Store` needs of a file system. Every verb may raise OSError."""

    def write(self, path: Path, data: bytes) -> None:
        """Create or empty the file and write all of `data`; nothing is durable yet."""

    def sync(self, path: Path) -> None:
        """Make the content of a file durable."""

    def sync_folder(self, path: Path) -> None:
        """Make names in a folder durable."""

    def link(self, source: Path, target: Path) -> None:
        """A second name for the same content; FileExistsError if `target` exists."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename, atomically, over whatever is there."""

    def unlink(self, path: Path) -> None:
        """Remove a name."""

    def read(self, path: Path) -> bytes:
        """The whole content."""

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; none if the folder is not there."""

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its parents; no complaint if it is there."""


class RealDisk:
    """The disk of this machine.

    durable  False leaves out fsync: safe against the death of the process, not against the loss of power
    """

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable

    def write(self, path: Path, data: bytes) -> None:
        """Create or empty the file and write all of `data`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def sync(self, path: Path) -> None:
        """Flush the file to the platter."""
        self._sync(path, os.O_RDONLY)

    def sync_folder(self, path: Path) -> None:
        """Flush the folder's names to the platter."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def link(self, source: Path, target: Path) -> None:
        """A hard link."""
        target.hardlink_to(source)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over `target`."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def read(self, path: Path) -> bytes:
        """The whole content."""
        return path.read_bytes()

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; none if the folder is not there."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in folder.iterdir())
        return []

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its parents."""
        folder.mkdir(parents=True, exist_ok=True)

    def _sync(self, path: Path, flags: int) -> None:
        if not self.durable:
            return
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FaultyDisk:
    """A disk whose `fail_at`-th changing step (counted from 0) raises `OSError(error)`.

    torn   share of the bytes that reach the file when a write fails
    late   the step takes effect and is reported as failed all the same
    stuck  every later step fails as well (a full or read-only disk stays so)
    steps  how many changing steps were asked for: run once with `fail_at=-1` to learn it
    """

    def __init__(
        self, disk: Disk, *, fail_at: int, error: int, torn: float = 0.5, late: bool = False, stuck: bool = False
    ) -> None:
        self.disk = disk
        self.fail_at = fail_at
        self.error = error
        self.torn = torn
        self.late = late
        self.stuck = stuck
        self.steps = 0

    def write(self, path: Path, data: bytes) -> None:
        """Write, or write a part and fail."""
        failing = self._failing()
        self.disk.write(path, data[: int(len(data) * self.torn)] if failing and not self.late else data)
        if failing:
            raise self._error()

    def sync(self, path: Path) -> None:
        """Sync, or fail."""
        failing = self._failing()
        if not failing or self.late:
            self.disk.sync(path)
        if failing:
            raise self._error()

    def sync_folder(self, path: Path) -> None:
        """Sync a folder, or fail."""
        failing = self._failing()
        if not failing or self.late:
            self.disk.sync_folder(path)
        if failing:
            raise self._error()

    def link(self, source: Path, target: Path) -> None:
        """Link, or fail."""
        failing = self._failing()
        if not failing or self.late:
            self.disk.link(source, target)
        if failing:
            raise self._error()

    def replace(self, source: Path, target: Path) -> None:
        """Rename, or fail."""
        failing = self._failing()
        if not failing or self.late:
            self.disk.replace(source, target)
        if failing:
            raise self._error()

    def unlink(self, path: Path) -> None:
        """Remove, or fail."""
        failing = self._failing()
        if not failing or self.late:
            self.disk.unlink(path)
        if failing:
            raise self._error()

    def read(self, path: Path) -> bytes:
        """Reading never fails here: damage is made by changing the bytes."""
        return self.disk.read(path)

    def names(self, folder: Path) -> list[str]:
        """As the disk below."""
        return self.disk.names(folder)

    def make_folder(self, folder: Path) -> None:
        """As the disk below."""
        self.disk.make_folder(folder)

    def _failing(self) -> bool:
        step, self.steps = self.steps, self.steps + 1
        return step == self.fail_at or (self.stuck and 0 <= self.fail_at < step)

    def _error(self) -> OSError:
        return OSError(self.error, os.strerror(self.error))
