"""Every configuration ever tried, so that nobody forgets one: an append-only file of one JSON line per event.

`begin` writes a line before a trial runs, `finish` one when it has ended, both durable. A trial begun and not finished
is *interrupted*, and counts. A line that cannot be read counts as a trial of every family: damage never makes a result
look better. The same configuration on the same data is one trial, however often it runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evenkeel.errors import StateError
from evenkeel.metrics import paired
from evenkeel.research.significance import Verdict, sharpe_ratio, verdict
from evenkeel.types import Array, IntArray
from evenkeel.units import DAY_S, utc

FINISHED, INTERRUPTED = "finished", "interrupted"
FILE = "trials.jsonl"
"""Name of a ledger: in `data` of a home what was tried there, in the shipped `models` what was tried before."""

FIRST_LOOK = "review"
_NAMES = frozenset({
    "id", "family", "config_digest", "data_end", "command", "created", "status", "count", "first_day", "returns",
    "reference", "note",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration tried, or `count` of them of which no more is known.

    data_end   UTC s of the newest bar that it could see · created  UTC s, given by the caller
    first_day  UTC s of the day of the first return; None = no returns are kept
    returns    net daily returns of successive days from then on; None = that day is not known
    reference  where the returns lie if not here · status  `finished` or `interrupted`
    """

    id: str
    family: str
    config_digest: str
    data_end: int
    command: str
    created: int
    status: str = INTERRUPTED
    count: int = 1
    first_day: int | None = None
    returns: tuple[float | None, ...] = ()
    reference: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for what no trial can be."""
        if not (self.id and self.family) or self.count < 1 or self.status not in (FINISHED, INTERRUPTED):
            raise ValueError(f"trial {self.id!r} of family {self.family!r}: count {self.count}, status {self.status!r}")

    def daily(self) -> tuple[IntArray, Array]:
        """Days (UTC s) and returns that are known."""
        values = np.array([math.nan if value is None else value for value in self.returns], dtype=np.float64)
        days = (self.first_day or 0) + DAY_S * np.arange(len(values), dtype=np.int64)
        known = np.isfinite(values)
        return days[known], values[known]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the file holds, each trial once, in the order in which they began; `damaged` lines could not be read."""

    trials: tuple[Trial, ...]
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """What the deflated Sharpe ratio needs of one or more families.

    trials    all of them: finished, interrupted, entered by count, and every damaged line of the file
    variance  of the daily Sharpe ratios of those whose returns are kept; None below two · measured  how many those are
    """

    trials: int
    variance: float | None
    measured: int
    interrupted: int
    damaged: int


def trial_id(family: str, config_digest: str, data_end: int) -> str:
    """The same for the same configuration on the same data, so that running it again is no new trial."""
    return hashlib.sha256(f"{family}\n{config_digest}\n{data_end}".encode()).hexdigest()[:16]


def begin(path: Path, trial: Trial) -> Trial:
    """Enter a trial before it runs; until `finish` it counts as interrupted. Raises StateError if the disk refuses."""
    entered = replace(trial, status=INTERRUPTED, first_day=None, returns=())
    _append(path, entered)
    return entered


def finish(path: Path, trial: Trial, days: IntArray, returns: Array, *, reference: str = "", note: str = "") -> Trial:
    """Enter how it ended: net daily returns (D,) by day (UTC s, rising), days between them unknown."""
    slots: list[float | None] = []
    if len(days):
        offsets = (days - days[0]) // DAY_S
        slots = [None] * (int(offsets[-1]) + 1)
        for offset, value in zip(offsets.tolist(), returns.tolist(), strict=True):
            slots[offset] = value if math.isfinite(value) else None
    first = int(days[0]) if len(days) else None
    ended = replace(
        trial, status=FINISHED, first_day=first, returns=tuple(slots), reference=reference, note=note or trial.note
    )
    _append(path, ended)
    return ended


def interrupt(path: Path, trial: Trial, note: str) -> Trial:
    """Say why a trial did not finish; it counts all the same."""
    ended = replace(trial, status=INTERRUPTED, note=note)
    _append(path, ended)
    return ended


def read(*paths: Path) -> Ledger:
    """Everything in the files, a trial that stands in several once. Raises StateError if one cannot be read."""
    found: dict[str, Trial] = {}
    damaged = 0
    for line in (line for path in paths for line in _lines(path) if line.strip()):
        trial = _parsed(line)
        if trial is None:
            damaged += 1
        elif trial.id not in found or found[trial.id].status != FINISHED or trial.status == FINISHED:
            found[trial.id] = trial
    return Ledger(tuple(found.values()), damaged)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise StateError(f"cannot read the trial ledger {path}: {error.strerror}; make it readable") from error


def count(ledger: Ledger, families: Iterable[str], benchmark: tuple[IntArray, Array] | None = None) -> Count:
    """Trials of the families together, and how their daily Sharpe ratios vary.

    benchmark  days and daily returns: the ratios are then those of the active return, on the days of both
    """
    wanted = frozenset(families)
    chosen = [trial for trial in ledger.trials if trial.family in wanted]
    ratios = np.array([_ratio(trial, benchmark) for trial in chosen])
    known = ratios[np.isfinite(ratios)]
    return Count(
        trials=sum(trial.count for trial in chosen) + ledger.damaged,
        variance=float(np.var(known, ddof=1)) if len(known) > 1 else None,
        measured=len(known),
        interrupted=sum(trial.count for trial in chosen if trial.status == INTERRUPTED),
        damaged=ledger.damaged,
    )


def table(ledger: Ledger, families: Iterable[str]) -> tuple[IntArray, Array]:
    """Days (D,) that all finished trials of the families have, and their returns (D, N): what PBO needs."""
    wanted = frozenset(families)
    series = [trial.daily() for trial in ledger.trials if trial.family in wanted and trial.returns]
    if not series:
        return np.empty(0, dtype=np.int64), np.empty((0, 0))
    days = series[0][0]
    for other, _ in series[1:]:
        days = np.intersect1d(days, other)
    return days, np.column_stack([values[np.searchsorted(own, days)] for own, values in series])


def judge(
    ledger: Ledger,
    families: Iterable[str],
    strategy: tuple[IntArray, Array],
    baselines: Mapping[str, tuple[IntArray, Array]],
    rng: np.random.Generator,
) -> tuple[Verdict, ...]:
    """One verdict per baseline over curves (time UTC s, equity USD), by the ledger's count of everything tried.

    The run itself must be in the ledger by then. Raises DataError for families of which nothing was ever entered.
    """
    names, found = tuple(families), []
    for (name, curve), child in zip(baselines.items(), rng.spawn(len(baselines)), strict=True):
        days, ours, theirs = paired(strategy, curve)
        known = count(ledger, names, (days, theirs))
        found.append(verdict(name, ours, theirs, child, trials=known.trials, variance=known.variance))
    return tuple(found)


def first_look() -> tuple[Trial, ...]:
    """What was tried before this program existed: design section 10, the numbers stated there and nothing else."""
    common: Mapping[str, Any] = {
        "family": FIRST_LOOK,
        "config_digest": "",
        "data_end": utc("2025-10-31"),
        "command": "first look at the shared data, 2026-11-21",
        "created": utc("2026-11-21"),
        "status": FINISHED,
    }
    model = "24 h RankIC: raw labels -0.001, rank labels 0.078, wider table 0.092; low vol alone 0.079"
    portfolio = (
        "CAGR -51 % without hysteresis and bands; with them +23 % a year over inverse-vol (t 1.7), BTC is not beaten"
    )
    return (
        Trial(id="review-models", count=56, note=model, **common),
        Trial(id="review-portfolios", count=29, note=portfolio, **common),
    )


def enter_first_look(path: Path) -> None:
    """Enter `first_look` in the ledger, once."""
    known = {trial.id for trial in read(path).trials}
    for trial in first_look():
        if trial.id not in known:
            _append(path, trial)


def _ratio(trial: Trial, benchmark: tuple[IntArray, Array] | None) -> float:
    days, values = trial.daily()
    if benchmark is not None:
        _, left, right = np.intersect1d(days, benchmark[0], return_indices=True)
        values = values[left] - benchmark[1][right]
    return sharpe_ratio(values)


def _append(path: Path, trial: Trial) -> None:
    """One line, whole, flushed and synced; writers wait for each other, and a torn last line is left behind."""
    line = orjson.dumps(asdict(trial)) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(path.parent)
    except OSError as error:
        raise StateError(
            f"cannot write the trial ledger {path}: {error.strerror}; free space or make the folder writable"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(line: bytes) -> Trial | None:
    try:
        row = orjson.loads(line)
        if not isinstance(row, dict) or not row.keys() <= _NAMES:
            return None
        return Trial(**{**row, "returns": tuple(row.get("returns", ()))})
    except (ValueError, TypeError):
        return None
