"""A home played over a day and a half of the embedded market, once for all tests, and a way to run commands in it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evenkeel import cli

WINDOW = ["--set", "clock.from=2025-07-01", "--set", "clock.to=2025-07-02T12:00", "--set", "history.days=40"]


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `evenkeel --home HOME WORDS` in this process, through `main`."""

    def run_(home: Path, *words: str) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["evenkeel", "--home", str(home), *words])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run_


@pytest.fixture(scope="session")
def _master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("played") / "home"
    with pytest.MonkeyPatch.context() as patch:
        words = ["evenkeel", "--home", str(home), "run", "--config", "config/demo.yaml", *WINDOW, "--json"]
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    (home / "state" / "lock").unlink()  # it names this process, which lives on
    return home


@pytest.fixture
def played(_master: Path, tmp_path: Path) -> Path:
    """A copy of the played home that the test may harm."""
    return Path(shutil.copytree(_master, tmp_path / "home"))


def digest(folder: Path) -> str:
    """Names and bytes of everything under a folder."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@pytest.fixture
def fingerprint() -> Callable[[Path], str]:
    """The digest of a folder."""
    return digest
