"""A file system in memory that loses what was never synced: the disk of the simulation.

Content and names are separate, as on a real disk. `sync` makes a file's content durable, `sync_folder` the names of a
folder. `lose_power` keeps what is durable; of the rest it keeps blocks of 512 bytes and changes of names as the dice
fall, in any order. The law: after `lose_power` nothing that was synced is gone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512


@dataclass(eq=False, slots=True)
class Inode:
    """One file's bytes as programs read them, and as they survive."""

    data: bytes = b""
    durable: bytes = b""


Names = dict[str, Inode]
Change = tuple[str, Inode | None, str | None]
"""Name, what it then stands for (None = removed), and the name that the same rename removes."""


def _calm(_verb: str, _path: Path) -> None:
    return


class MemoryDisk:
    """The port `store.Disk`. `around(verb, path)` is called before and after each change and may raise."""

    def __init__(self, around: Callable[[str, Path], None] = _calm) -> None:
        self.around = around
        self._now: dict[Path, Names] = {}
        self._durable: dict[Path, Names] = {}
        self._pending: dict[Path, list[Change]] = {}

    # ---------------------------------------------------------------- the port

    def write(self, path: Path, data: bytes) -> None:
        """Create or empty the file, then write; whoever interrupts between the two halves leaves a torn file."""
        inode = self._folder(path).get(path.name)
        if inode is None:
            inode = Inode()
            self._change(path, inode)
        inode.data = b""
        self.around("write begin", path)
        inode.data = data[: len(data) // 2]
        self.around("write half", path)
        inode.data = data
        self.around("write end", path)

    def sync(self, path: Path) -> None:
        """Make a file's content durable."""
        self.around("sync begin", path)
        inode = self._inode(path)
        inode.durable = inode.data
        self.around("sync end", path)

    def sync_folder(self, path: Path) -> None:
        """Make a folder's names durable."""
        self.around("sync_folder begin", path)
        self._durable[path] = dict(self._now.get(path, {}))
        self._pending[path] = []
        self.around("sync_folder end", path)

    def link(self, source: Path, target: Path) -> None:
        """A second name for the same bytes."""
        inode = self._inode(source)
        self.around("link begin", target)
        if target.name in self._folder(target):
            raise FileExistsError(17, "File exists", str(target))
        self._change(target, inode)
        self.around("link end", target)

    def replace(self, source: Path, target: Path) -> None:
        """Rename within or between folders."""
        self.around("replace begin", target)
        inode = self._inode(source)
        if self._folder(target).get(target.name) is inode:
            return  # POSIX: two names of one file stay
        if source.parent == target.parent:
            self._change(target, inode, source.name)
        else:
            self._change(target, inode)
            self._change(source, None)
        self.around("replace end", target)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        self._inode(path)
        self.around("unlink begin", path)
        self._change(path, None)
        self.around("unlink end", path)

    def read(self, path: Path) -> bytes:
        """The content as programs see it."""
        return self._inode(path).data

    def names(self, folder: Path) -> list[str]:
        """Names in a folder; a folder inside is one of them."""
        inner = {path.name for path in self._now if path.parent == folder}
        return sorted({*self._now.get(folder, {}), *inner})

    def make_folder(self, folder: Path) -> None:
        """Folders are durable at once: that is not what is tried here."""
        for path in (folder, *folder.parents):
            self._now.setdefault(path, {})
            self._durable.setdefault(path, {})
            self._pending.setdefault(path, [])

    # ---------------------------------------------------------------- what a disk does to you

    def lose_power(self, rng: random.Random) -> None:
        """Only what is durable stays, and of the rest what the dice leave."""
        for folder, changes in self._pending.items():
            names = dict(self._durable[folder])
            for name, inode, removed in changes:
                if rng.random() < 0.5:
                    continue
                if inode is None:
                    names.pop(name, None)
                else:
                    names[name] = inode
                if removed is not None and names.get(removed) is inode:
                    names.pop(removed)
            self._now[folder], self._durable[folder], self._pending[folder] = names, dict(names), []
        for inode in {id(i): i for names in self._now.values() for i in names.values()}.values():
            inode.data = inode.durable = _torn(inode, rng)

    def damage(self, path: Path, at: int) -> None:
        """One bit of a file is not what was written."""
        inode = self._inode(path)
        at %= max(1, len(inode.data))
        inode.data = inode.durable = inode.data[:at] + bytes([inode.data[at] ^ 1]) + inode.data[at + 1 :]

    def durable(self, path: Path) -> bytes:
        """What a file would say if the power failed now and nothing unsynced were kept."""
        inode = self._durable.get(path.parent, {}).get(path.name)
        return b"" if inode is None else inode.durable

    def _folder(self, path: Path) -> Names:
        if path.parent not in self._now:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self._now[path.parent]

    def _inode(self, path: Path) -> Inode:
        inode = self._folder(path).get(path.name)
        if inode is None:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return inode

    def _change(self, path: Path, inode: Inode | None, removed: str | None = None) -> None:
        names = self._now[path.parent]
        if inode is None:
            names.pop(path.name, None)
        else:
            names[path.name] = inode
        if removed is not None:
            names.pop(removed, None)
        self._pending[path.parent].append((path.name, inode, removed))


def _torn(inode: Inode, rng: random.Random) -> bytes:
    """Each block as it was durable or as it was written last, in any mixture; the length of either."""
    new, old = inode.data, inode.durable
    if new == old:
        return old
    length = rng.choice((len(new), len(old)))
    made = bytearray()
    for at in range(0, length, BLOCK):
        source = new if rng.random() < 0.5 else old
        made += source[at : at + BLOCK].ljust(min(BLOCK, length - at), b"\0")
    return bytes(made[:length])
