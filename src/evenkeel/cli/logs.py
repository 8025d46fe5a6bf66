"""`logs`: what happened, from logs/evenkeel.jsonl (rotated files too) and the journal, merged in time order.

With --kalshi from the log and the journal of the Kalshi desk. Under a virtual clock a line's time is that of its slot,
not of the computer. The journal adds what the log does not have: rows whose slot, order or alert stands in the log
already are not said twice.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
import typer

from evenkeel.cli.output import AsJson, Context, emit, say
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import iso, seconds, utc

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "page": 3}
POLL_S = 0.3
_FIRST = ("time", "level", "source", "slot", "event", "asset", "text")
_HIDDEN = frozenset({*_FIRST, "wall", "mode", "config", "order", "run"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process of a home writes what happens."""

    log: Path
    journal: Path

    @classmethod
    def of(cls, home: Path, *, kalshi: bool = False) -> Self:
        """The rebalancer's, or the Kalshi desk's."""
        name = "kalshi" if kalshi else "evenkeel"
        return cls(home / "logs" / f"{name}.jsonl", home / "state" / f"{'kalshi-' * kalshi}journal.db")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines a person asked for. slot and asset are matched whole (slot also by its beginning); since is UTC s."""

    slot: str | None = None
    asset: str | None = None
    level: int = 0
    since: int | None = None

    def has(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is one of them."""
        return (
            (self.slot is None or str(line["slot"] or "").startswith(self.slot))
            and (self.asset is None or line["asset"] == self.asset)
            and LEVELS.get(line["level"], 1) >= self.level
            and (self.since is None or line["order"] >= self.since)
        )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(logs)


def logs(
    context: typer.Context,
    slot: Annotated[
        str | None, typer.Option(help="Lines of one slot, or of a kind: risk, rebalance@2025-07-01.")
    ] = None,
    asset: Annotated[str | None, typer.Option(help="Lines about one coin, or one market of the desk.")] = None,
    level: Annotated[str, typer.Option(help="Smallest importance: debug, info, warning or error.")] = "info",
    since: Annotated[str | None, typer.Option(help="A UTC time, or 2h, 1d before the newest line.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest lines.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new log lines until stopped; --json gives one object per line.")
    ] = False,
    kalshi: Annotated[
        bool, typer.Option("--kalshi", help="Of the Kalshi desk, which writes a log of its own.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what happened: orders, slots, alerts, commands and warnings in time order."""
    made: Context = context.obj
    if level not in LEVELS:
        raise UsageError(f"--level {level}: use debug, info, warning or error")
    place = Place.of(made.home, kalshi=kalshi)
    if not place.log.exists() and not place.journal.exists():
        told = ("no desk has", "evenkeel kalshi paper") if kalshi else ("nothing has", "evenkeel run")
        raise NotReadyError(f"{told[0]} run in {made.home} yet: start `{told[1]}`, or give the right --home")
    end = end_of(place.log)
    lines = merged(place, end)
    start = None if since is None else _since(since, lines)
    wanted = Wanted(slot, asset.upper() if asset else None, LEVELS[level], start)
    shown = [line for line in lines if wanted.has(line)][-limit:]
    if as_json and not follow:
        emit({"command": "logs", "lines": [public(line) for line in shown]})
        return
    for line in shown:
        _print(line, as_json=as_json)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdout.flush()
            for line in tail(place.log, end):
                if wanted.has(line):
                    _print(line, as_json=as_json)
                    sys.stdout.flush()


def _since(text: str, lines: list[dict[str, Any]]) -> int:
    newest = lines[-1]["order"] if lines else int(time.time())
    with contextlib.suppress(ValueError):
        return int(newest) - seconds(text)
    with contextlib.suppress(ValueError):
        return utc(text)
    raise UsageError(f"--since {text}: write a UTC time such as 2025-07-01T06:00, or a duration such as 2h")


# ---------------------------------------------------------------- reading


End = tuple[int, int]
"""Inode and size of the log at one moment: what lies before is read at once, what comes after is followed."""


def end_of(path: Path) -> End:
    """Where the log ends now."""
    seen = path.stat() if path.exists() else None
    return (seen.st_ino, seen.st_size) if seen else (0, 0)


def merged(place: Place, end: End) -> list[dict[str, Any]]:
    """Every line of the log up to `end` and of the journal: earlier runs first, then by time, then as written."""
    written = list(_log_lines(place.log, end))
    told = {key for line in written for key in _keys(line)}
    run = written[-1]["run"] if written else 0
    added = [line | {"run": run} for line in _journal_lines(place.journal) if not told & set(_keys(line))]
    lines = sorted([*written, *added], key=lambda line: (line["run"], line["order"]))
    return [line | {"time": iso(line["order"]) if line["order"] else None} for line in lines]


def _keys(line: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a line tells of, so that log and journal do not say it twice."""
    slot, asset = str(line["slot"]), str(line["asset"])
    match line["event"]:
        case "order" | "kalshi_order":
            return [("order", slot, asset)]
        case "decided" | "slot_ended" | "slot_failed" | "slot" | "kalshi_decided":
            return [("slot", slot, "")]
        case "kalshi_alert":
            return [(line["code"], slot, asset)]
    return [(line["event"], slot, asset)] if line["source"] == "journal" else []


def _files(log: Path) -> list[Path]:
    """Log files, oldest first."""
    rotated = [p for p in log.parent.glob(f"{log.name}.*") if p.suffix[1:].isdigit()]
    return [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), log]


def _log_lines(log: Path, end: End) -> Iterator[dict[str, Any]]:
    """Lines as written. A line without a slot stands, under a virtual clock, where its neighbours stand."""
    stamp, run = 0, 0
    waiting: list[dict[str, Any]] = []
    for path in _files(log):
        if not path.exists():
            continue
        known = end[1] if path.stat().st_ino == end[0] else None
        for raw in path.read_bytes()[:known].splitlines():
            line = parsed(raw)
            if line["event"] == "started" and line.get("resumed") is False:
                run, stamp = run + 1, 0
            line["run"] = run
            if line["slot"]:
                stamp = line["order"]
                for earlier in waiting:
                    earlier["order"] = stamp
                yield from waiting
                waiting = []
            elif line.get("mode") == "virtual":
                line["order"] = stamp
                if not stamp:
                    waiting.append(line)
                    continue
            yield line
    yield from waiting


def parsed(raw: bytes) -> dict[str, Any]:
    """One line of the log; a torn one is shown as it is."""
    try:
        body = orjson.loads(raw)
        wall = utc(body["wall"])
    except (ValueError, TypeError, KeyError):
        body, wall = {"level": "warning", "event": "unreadable", "text": raw.decode(errors="replace")[:200]}, 0
    slot = body.get("slot")
    at = _slot_time(slot) or wall
    head = {"time": iso(at) if at else None, "order": at, "source": "log", "slot": slot, "asset": body.get("asset")}
    return {**body, **head, "level": body.get("level", "info"), "event": body.get("event", "")}


def _slot_time(slot: str | None) -> int:
    if not slot or "@" not in slot:
        return 0
    try:
        return utc(slot.partition("@")[2])
    except ValueError:
        return 0


def _journal_lines(journal: Path) -> Iterator[dict[str, Any]]:
    """Orders, alerts, and how slots ended."""
    from evenkeel.journal import recent

    everything = 2**31
    for row in recent(journal, "orders", limit=everything):
        detail = {"quantity": row["quantity"], "status": row["status"], "reason": row["reason"], "note": row["note"]}
        yield _row(row, "info", "order", f"{row['side']} {row['quantity']}") | detail
    for row in recent(journal, "alerts", limit=everything):
        yield _row(row, row["level"] or "info", row["code"], row["text"])
    for row in recent(journal, "slots", limit=everything):
        level = (
            "error"
            if row["outcome"] == "failed"
            else "info"
            if row["outcome"] == "skipped" or row["orders"]
            else "debug"
        )
        detail = {"outcome": row["outcome"], "reason": row["reason"], "orders": row["orders"]}
        yield _row(row, level, "slot", "") | detail


def _row(row: Mapping[str, Any], level: str, event: str, text: str) -> dict[str, Any]:
    return {
        "time": iso(row["time"]), "order": row["time"], "source": "journal", "level": level, "event": event,
        "slot": row["slot"], "asset": row.get("asset") or None, "text": text,
    }  # fmt: skip


def tail(path: Path, end: End) -> Iterator[dict[str, Any]]:
    """Lines of the log after `end`, for ever; a new file is taken up from its beginning."""
    (inode, offset), rest = end, b""
    while True:
        now = path.stat() if path.exists() else None
        if now is not None and (now.st_ino != inode or now.st_size < offset):
            inode, offset, rest = now.st_ino, 0, b""
        if now is not None and now.st_size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                new = file.read()
            offset += len(new)
            *whole, rest = (rest + new).split(b"\n")
            yield from (parsed(raw) for raw in whole)
        else:
            time.sleep(POLL_S)


# ---------------------------------------------------------------- writing


def public(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as a program reads it."""
    return {name: value for name, value in line.items() if name not in {"order", "run"}}


def _print(line: Mapping[str, Any], *, as_json: bool) -> None:
    say(orjson.dumps(public(line), default=str).decode() if as_json else readable(line))


def readable(line: Mapping[str, Any]) -> str:
    """A line as a person reads it: time, level, event, asset, then what is left as name=value."""
    kind = str(line["slot"] or "").partition("@")[0]
    rest = [f"{k}={v}" for k, v in line.items() if k not in _HIDDEN and v not in ("", None)]
    words = [line["time"] or "-" * 20, f"{line['level']:<7}", f"{kind:<9}", line["event"], line["asset"] or ""]
    return " ".join(str(word) for word in (*words, line.get("text") or "", *rest) if word).replace("\n", " | ")
