"""What a run or a back-test tells at its end: one document, and the table that people see."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenkeel import metrics
from evenkeel.cli.output import console, percent, table, usd
from evenkeel.journal import journal_sha256, order_lines, orders_sha256, recent
from evenkeel.signals.strategies import OPINIONATED
from evenkeel.store import peek, state_sha256
from evenkeel.types import Memory

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.research.backtest import Result

STOPS = frozenset({"ATR_STOP", "TRAILING_STOP", "MAX_LOSS"})
KINDS = ("risk", "score", "rebalance")
EVERYTHING = 2**62


def of_run(home: Path, loaded: Loaded, missing: Sequence[str]) -> dict[str, Any]:
    """What the home remembers of the run: counts and equity from state.json, orders from the journal."""
    found = peek(home)
    memory = found.memory
    if memory is None:
        raise AssertionError("a run that ended left no state")
    journal = home / "state" / "journal.db"
    orders = recent(journal, "orders", limit=EVERYTHING)
    curve = sorted((row["time"], row["equity"]) for row in recent(journal, "equity", limit=EVERYTHING))
    document = _document("run", memory, orders, curve, loaded, missing)
    document["journal_sha256"] = journal_sha256(journal)
    document["state_sha256"] = state_sha256(memory)
    document["opinions"] = found.view.get("opinions", {})
    return document


def of_backtest(result: Result, loaded: Loaded, missing: Sequence[str]) -> dict[str, Any]:
    """The same document of a back-test."""
    return _document("backtest", result.memory, result.orders, result.equity, loaded, missing)


def lines(orders: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line per order: kind,time,leg,asset,side,quantity."""
    return order_lines(orders)


def write_orders(home: Path, path: Path) -> None:
    """Every order in the journal, one line each."""
    rows = recent(home / "state" / "journal.db", "orders", limit=EVERYTHING)
    path.write_text("".join(f"{line}\n" for line in lines(rows)))


def slots(memory: Memory) -> dict[str, dict[str, int]]:
    """How many slots of each kind ended how."""
    none = dict.fromkeys(("done", "skipped", "failed"), 0)
    return {kind: none | dict(memory.counts.get(kind, {})) for kind in KINDS}


def _document(
    command: str,
    memory: Memory,
    orders: Sequence[Mapping[str, Any]],
    curve: Sequence[tuple[int, float]],
    loaded: Loaded,
    missing: Sequence[str],
) -> dict[str, Any]:
    capital = float(loaded.config.venue.capital)
    equity = curve[-1][1] if curve else capital
    return {
        "command": command,
        "strategy": loaded.config.strategy,
        "orders_sha256": orders_sha256(orders),
        "slots": slots(memory),
        "equity": equity,
        "metrics": {
            **metrics.summary([t for t, _ in curve], [e for _, e in curve]),
            "turnover": float(memory.turnover),
            "fees": float(memory.fees),
            "orders": len(orders),
            "stop_exits": sum(1 for order in orders if order["reason"] in STOPS),
        },
        "from": memory.identity.window.partition("..")[0],
        "to": memory.identity.window.partition("..")[2].partition(" ")[0],
        "config_digest": loaded.digest,
        "missing": list(missing),
    }


def show(document: Mapping[str, Any], home: Path) -> None:
    """The table of a run's end, and what to try next."""
    out, figures = console(), document["metrics"]
    out.print()
    rows: list[tuple[str, str]] = [("strategy", document["strategy"])] * (document["strategy"] != OPINIONATED)
    rows += [
        ("period", f"{document['from']} .. {document['to']}"),
        ("equity", usd(document["equity"])),
        ("return", percent(figures["total_return"])),
        ("max drawdown", percent(figures["max_drawdown"])),
        ("turnover", usd(figures["turnover"])),
        ("fees", usd(figures["fees"])),
        ("orders", f"{figures['orders']} ({figures['stop_exits']} stop exits)"),
    ]
    rows += [(f"{kind} slots", _outcomes(counts)) for kind, counts in document["slots"].items()]
    rows += [
        (f"{name} opinion", said["health"] + (f" ({said['reason']})" if "reason" in said else ""))
        for name, said in document.get("opinions", {}).items()
    ]
    out.print(table(f"evenkeel {document['command']}", ("", ""), rows))
    if document["command"] == "run":
        out.print("\nNext, try:", style="bold")
        for command in ("status", "why BTC", "logs --asset BTC"):
            out.print(f"  {_program()} --home {home} {command}")


def _program() -> str:
    """How this program was called, so that what is printed can be typed."""
    called = sys.argv[0]
    return "evenkeel" if shutil.which("evenkeel") or not called.endswith("evenkeel") else called


def _outcomes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "none"
