"""The program as its user meets it: a subprocess with arguments, an exit code, and two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COINS = "BTC,ETH,SOL,XRP,DOGE,BNB,LINK,UNI,LTC,ADA"
SMALL = (
    "--config", "config/demo.yaml", "--set", f"universe.only=[{COINS}]", "--set", "history.days=31",
    "--set", "clock.to=2025-02-12", "--set", "opinions.min_history_days=10",
)  # fmt: skip
"""Two days of ten coins of the embedded market: two seconds."""


def sets(*assignments: str) -> list[str]:
    """`--set` before each."""
    return [word for assignment in assignments for word in ("--set", assignment)]


def command(home: Path, *words: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "evenkeel", "--home", str(home), *words]


def environment(**more: str) -> dict[str, str]:
    """A clean environment: none of the variables that configure evenkeel."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENKEEL")}
    return kept | more


def evenkeel(home: Path, *words: str, timeout: float = 300, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(home, *words), capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False,
        env=environment(**variables),
    )  # fmt: skip


@contextmanager
def running(home: Path, *words: str, stderr: Any = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A command that runs meanwhile; killed at the end if it still does."""
    process = subprocess.Popen(
        command(home, *words), stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, env=environment()
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *said: str) -> str:
    """Check that a command ended with `code` and one sentence that says all of `said`; -> the sentence."""
    told = done.stderr.strip()
    assert done.returncode == code, f"exit {done.returncode}: {told}\n{done.stdout}"
    assert "Traceback" not in done.stderr + done.stdout
    assert told.startswith("evenkeel: "), told
    assert "\n" not in told, told
    for word in said:
        assert word in told, f"{word!r} is not in: {told}"
    return told


def until(condition: Any, timeout: float = 120.0, what: str = "") -> Any:
    """Wait until a condition holds; -> what it gave."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what}")


def state(home: Path) -> dict[str, Any]:
    """state.json as it lies there; empty while there is none."""
    try:
        found: dict[str, Any] = json.loads((home / "state" / "state.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def log(home: Path) -> list[dict[str, Any]]:
    """Lines of the log, whole ones only."""
    try:
        text = (home / "logs" / "evenkeel.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON document of a command that succeeded."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def words(*parts: str | Sequence[str]) -> list[str]:
    """One flat list."""
    return [word for part in parts for word in ([part] if isinstance(part, str) else part)]
