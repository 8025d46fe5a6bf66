"""The one writer of `state/state.json`: what is remembered, and how a change of it becomes durable.

    store = Store.open(home, identity, now=wall_clock)
    loaded = store.load()                          # newest whole file; damage is quarantined, never a silent reset
    store.begin(Memory(identity, origin))          # only if nothing was loaded
    store.commit(lambda memory: replace(memory, fees=memory.fees + fee))

The law: after a crash at any step, `load` gives exactly the memory before or after the commit that was under way,
and never one older than the last commit that returned.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Self

from evenkeel.errors import StateError
from evenkeel.store.disk import Disk, RealDisk
from evenkeel.store.document import Document, compose, parse
from evenkeel.store.layout import MemoryLayout, layout
from evenkeel.store.shelf import STATE, Scan, archive_run, generations, keep, prune, quarantine, scan
from evenkeel.types import Identity, Memory

VIRTUAL = "virtual"
"""The word in `Identity.clock` that marks a run under a virtual clock."""


class Fate(Enum):
    """What becomes of a state that was found."""

    RESUME = "resume"
    ARCHIVE = "archive"
    REFUSE = "refuse"


def fate(found: Identity, wanted: Identity, *, finished: bool) -> Fate:
    """Whether a state that was found is continued, set aside, or not touched.

    A virtual run is continued if it is the wanted one and not finished, else archived; a real-clock state is continued
    if it is the wanted one, else refused.
    """
    if found.clock != VIRTUAL:
        return Fate.RESUME if found == wanted else Fate.REFUSE
    return Fate.RESUME if found == wanted and not finished else Fate.ARCHIVE


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found at the start.

    memory       None: nothing is remembered yet (a fresh home, or the earlier run was archived)
    fell_back    an older generation was taken: add no exposure before every venue order since is explained
    quarantined  where damaged files lie now
    archived     where an earlier virtual run lies now
    note         one sentence for the log and the alert; empty if all is as it should be
    """

    memory: Memory | None
    view: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0
    fell_back: bool = False
    quarantined: tuple[Path, ...] = ()
    archived: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class FileHealth:
    """One state file as `doctor` sees it; `problem` is empty if it is whole."""

    path: Path
    sequence: int
    problem: str


def _never(_memory: Memory) -> bool:
    return False


class Store:
    """The state of one home, held by one writer. Thread-safe; take the `Lock` first."""

    def __init__(
        self,
        home: Path,
        identity: Identity,
        now: Callable[[], int],
        disk: Disk,
        finished: Callable[[Memory], bool],
        of: str = STATE,
        kind: type[Memory] = Memory,
    ) -> None:
        self.home = home
        self.folder = home / "state"
        self.path, self._kind = self.folder / of, kind
        self.identity = identity
        self._now, self._disk, self._finished = now, disk, finished
        self._section = threading.Lock()
        self._memory: Memory | None = None
        self._layout = MemoryLayout(kind)
        self._view = b"{}"
        self._highest = 0
        self._on_disk: int | None = None
        self._generations: list[int] = []

    @classmethod
    def open(
        cls,
        home: Path,
        identity: Identity,
        *,
        now: Callable[[], int],
        disk: Disk | None = None,
        finished: Callable[[Memory], bool] = _never,
        of: str = STATE,
        kind: type[Memory] = Memory,
    ) -> Self:
        """The store of a home; nothing is read yet.

        now       UTC s of the wall clock; used for `wall_written` and the archive's name only
        finished  whether a virtual run that is found has come to its end
        of, kind  name of the file, and what is remembered in it
        """
        disk = disk or RealDisk()
        try:
            disk.make_folder(home / "state")
        except OSError as error:
            raise StateError(f"cannot create {home / 'state'}: {error.strerror}; make the home writable") from error
        return cls(home, identity, now, disk, finished, of, kind)

    @property
    def memory(self) -> Memory:
        """What is durably remembered. Raises StateError before `load` or `begin`."""
        if self._memory is None:
            raise StateError("nothing is remembered yet: load the state, or begin a new one")
        return self._memory

    def load(self) -> Loaded:
        """Take up the newest whole state; move damaged files to quarantine and an ended virtual run to the archive.

        Raises StateError, having changed nothing, for a state of another identity, of a newer schema, or without one
        whole file.
        """
        seen = _scan(self.path, self._disk, self._kind)
        if seen.document is None:
            return Loaded(memory=None)
        memory = seen.document.memory
        decision = fate(memory.identity, self.identity, finished=self._finished(memory))
        if decision is Fate.REFUSE:
            raise StateError(
                f"{self.path} belongs to {_words(memory.identity)}, this run is {_words(self.identity)}: "
                "give this run its own --home"
            )
        if decision is Fate.ARCHIVE:
            target = archive_run(self.home, self._now(), disk=self._disk)
            return Loaded(memory=None, archived=target, note=f"the earlier run was moved to {target}")
        return self._take_up(seen, seen.document)

    def _take_up(self, seen: Scan, document: Document) -> Loaded:
        moved = tuple(quarantine(path, self.folder, self._disk) for path, _ in seen.bad)
        loaded = _loaded(seen, document, moved)
        with contextlib.suppress(OSError):
            self._disk.unlink(self._temporary)
        with self._section:
            self._memory = loaded.memory
            self._view = layout(dict(loaded.view), 2)
            self._highest = seen.highest
            self._on_disk = loaded.sequence if seen.found == self.path else None
            self._generations = generations(self.folder, self._disk, self.path.name)
        return loaded

    @property
    def _temporary(self) -> Path:
        return self.path.with_name(f"{self.path.name}.tmp")

    def begin(self, memory: Memory, view: Mapping[str, Any] | None = None) -> Memory:
        """Write the first memory of a new home or run. Raises StateError if there is one already."""
        with self._section:
            if self._memory is not None or self.path.name in self._disk.names(self.folder):
                raise StateError(f"{self.path} exists already: load it instead of beginning anew")
            return self._write(memory, view)

    def commit(
        self, change: Callable[[Memory], Memory], view: Callable[[Memory], Mapping[str, Any]] | None = None
    ) -> Memory:
        """Make a pure change of the memory durable; -> the new memory, its sequence one higher.

        view  what people see beside it, made of the new memory; None leaves the last one

        Raises StateError if it cannot be written: the memory is then what it was before.
        """
        with self._section:
            memory = change(self.memory)
            return self._write(memory, None if view is None else view(memory))

    def _write(self, memory: Memory, view: Mapping[str, Any] | None) -> Memory:
        self._highest += 1
        memory = replace(memory, sequence=self._highest)
        laid_out = self._view if view is None else layout(dict(view), 2)
        raw = compose(self._layout.render(memory), laid_out, memory.sequence, self._now())
        try:
            self._make_durable(raw, memory.sequence)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._disk.unlink(self._temporary)
            raise StateError(
                f"cannot write {self.path}: {error.strerror}; free space or make the folder writable "
                "(nothing was changed)"
            ) from error
        self._memory, self._view = memory, laid_out
        self._generations = prune(self.folder, self._generations, self._disk, self.path.name)
        return memory

    def _make_durable(self, raw: bytes, sequence: int) -> None:
        disk, temporary = self._disk, self._temporary
        disk.write(temporary, raw)
        disk.sync(temporary)
        if self._on_disk is not None:
            keep(self.folder, self._on_disk, disk, self.path.name)
            self._generations = [n for n in self._generations if n != self._on_disk] + [self._on_disk]
        disk.replace(temporary, self.path)
        self._on_disk = sequence
        disk.sync_folder(self.folder)


def peek(home: Path, of: str = STATE, kind: type[Memory] = Memory) -> Loaded:
    """What a reader may know: the newest whole state, and nothing is moved. Raises StateError as `load` does."""
    seen = _scan(home / "state" / of, RealDisk(), kind)
    return Loaded(memory=None) if seen.document is None else _loaded(seen, seen.document, ())


def examine(home: Path, of: str = STATE, kind: type[Memory] = Memory) -> tuple[FileHealth, ...]:
    """Every state file, whole or not, newest first; for `evenkeel doctor`."""
    folder, disk = home / "state", RealDisk()
    names = [of] if of in disk.names(folder) else []
    names += [f"{of}.{number}" for number in reversed(generations(folder, disk, of))]
    return tuple(_health(folder / name, disk, kind) for name in names)


def _health(path: Path, disk: Disk, kind: type[Memory]) -> FileHealth:
    try:
        return FileHealth(path, parse(disk.read(path), path.name, kind).memory.sequence, "")
    except StateError as error:
        return FileHealth(path, -1, str(error))
    except OSError as error:
        return FileHealth(path, -1, f"{path.name} cannot be read: {error.strerror}")


def _scan(path: Path, disk: Disk, kind: type[Memory]) -> Scan:
    folder = path.parent
    try:
        seen = scan(folder, disk, path.name, kind)
    except OSError as error:
        raise StateError(f"cannot read {folder}: {error.strerror}; make the folder readable") from error
    if seen.document is None and seen.bad:
        raise StateError(
            f"none of the {len(seen.bad)} state files in {folder} is whole, and nothing was changed: run "
            f"`evenkeel doctor`, then restore a backup, or move them to {folder / 'quarantine'} to begin anew"
        )
    return seen


def _loaded(seen: Scan, document: Document, moved: tuple[Path, ...]) -> Loaded:
    memory = document.memory
    note = ""
    if seen.fell_back:
        reasons = "; ".join(reason for _, reason in seen.bad) or f"{seen.of} is missing or older than its generations"
        note = f"{reasons}: went back to {seen.found.name} (sequence {memory.sequence})"
        note += f"; moved to {moved[0].parent}" if moved else ""
    return Loaded(memory, document.view, memory.sequence, seen.fell_back, moved, None, note)


def _words(identity: Identity) -> str:
    window = f", {identity.window}" if identity.window else ""
    return f"{identity.venue}/{identity.account} ({identity.clock} clock{window})"
