"""One small played home for all pages, and the sandbox in which their commands run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COINS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "BNB", "LINK", "LTC")
PLAY = ["run", "--config", "config/demo.yaml", "--set", "clock.to=2025-02-12"]


def _load(name: str, path: Path) -> ModuleType:
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


pages: Any = _load("evenkeel_test_pages", Path(__file__).with_name("pages.py"))


@dataclass(frozen=True)
class World:
    """A machine in a folder."""

    root: Path

    @property
    def work(self) -> Path:
        """A checkout that is also the default home."""
        return self.root / "work"

    @property
    def srv(self) -> Path:
        """The home of a service."""
        return self.root / "srv"

    def environ(self, **more: str) -> dict[str, str]:
        """The environment without anybody's settings."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EVENKEEL")}
        return {**clean, "PATH": f"{BIN}{os.pathsep}{clean['PATH']}", "COLUMNS": "200", **more}

    def run(self, words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout."""
        return subprocess.run(
            words, cwd=self.work, env=self.environ(**more), capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """The template of every sandbox, and what its run printed."""
    world = World(tmp_path_factory.mktemp("docs"))
    world.work.mkdir()
    for name in ("config", "deploy", "requirements-base.txt"):
        (world.work / name).symlink_to(ROOT / name)
    _candles(world.work / "perp_30m.parquet")
    told = world.run([str(BIN / "evenkeel"), *PLAY])
    assert told.returncode == 0, told.stderr
    imported = world.run([str(BIN / "evenkeel"), "data", "import", "perp_30m.parquet", "--bar", "30m"])
    assert imported.returncode == 0, imported.stderr
    for home in (world.srv, world.work / ".demo"):
        shutil.copytree(world.work / "state", home / "state")
        shutil.copytree(world.work / "logs", home / "logs")
    for folder in ("backups", "systemd", "drill", "srv/config"):
        (world.root / folder).mkdir()
    with tarfile.open(world.root / "backups" / "evenkeel-state.tar.gz", "w:gz") as archive:
        archive.add(world.srv / "state", "state")
    return world, told.stdout


@pytest.fixture
def world(played: tuple[World, str], tmp_path: Path) -> World:
    """A fresh copy of the template."""
    shutil.copytree(played[0].root, tmp_path / "w", symlinks=True)
    return World(tmp_path / "w")


def _candles(path: Path) -> None:
    """A tidy file of four months of embedded-market bars, in the shape that people import."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evenkeel.config import load, load_universe
    from evenkeel.market import synthetic
    from evenkeel.units import utc

    config = load(None, environ={}, overrides=[f"universe.only=[{', '.join(COINS)}]"], home=path.parent).config
    pairs = load_universe(ROOT / "config" / "universe.yaml", config.universe)
    panel = synthetic.market(pairs, utc("2025-04-25"), utc("2025-08-02"), 1800, config.synthetic)
    columns: dict[str, list[Any]] = {n: [] for n in ("timestamp", "symbol", "open", "high", "low", "close", "volume")}
    for n, asset in enumerate(panel.assets):
        columns["timestamp"] += (panel.time - panel.bar_s).tolist()
        columns["symbol"] += [f"{asset}USDT"] * len(panel.time)
        for field in ("open", "high", "low", "close", "volume"):
            columns[field] += getattr(panel, field)[:, n].tolist()
    table = pa.table(columns)
    stamps = table.column("timestamp").cast(pa.timestamp("s", tz="UTC"))
    pq.write_table(table.set_column(0, "timestamp", stamps), path)
