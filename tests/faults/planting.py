"""A pytest plugin that plants one bug: a module is compiled from its source with a few words exchanged.

`EVENKEEL_PLANTED=<number of the row in planted.BUGS>` says which. Nothing is written to the source tree.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.planted import BUGS, ROOT, Bug, spoiled


class _Loader(SourceFileLoader):
    """Compiles the spoiled source; no bytecode is read or kept."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._modules = {
            path.removesuffix(".py").replace("/", "."): (str(ROOT / "src" / path), text)
            for path, text in spoiled(bug).items()
        }

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        path, text = self._modules[fullname]
        return importlib.util.spec_from_file_location(fullname, path, loader=_Loader(fullname, path, text))


def _plant() -> None:
    chosen = os.environ.get("EVENKEEL_PLANTED")
    if chosen is not None:
        assert not [name for name in sys.modules if name.startswith("evenkeel.")], "planted too late"
        sys.meta_path.insert(0, _Finder(BUGS[int(chosen)]))


_plant()
