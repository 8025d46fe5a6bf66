"""`status`: how the home stands, from state.json, heartbeat, HALT marker and lock. Answers at once, reads only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli import executed, priced, remembered
from evenkeel.cli.output import AsJson, Context, aligned, emit, percent, say, usd
from evenkeel.errors import NotReadyError
from evenkeel.units import duration, iso, plain, utc

if TYPE_CHECKING:
    from evenkeel.store import Loaded
    from evenkeel.types import Memory

KINDS = ("risk", "score", "rebalance")
OPINIONS = ("alpha", "policy", "edge", "rule")
OUTCOMES = ("done", "skipped", "failed")
LIMIT_S = 20 * 60
DEGRADED = 5


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(status)


def status(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="For health checks: one line; exit 0 healthy, 5 degraded, 3 no state.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is held, what was decided last, what is due next, and whether all is well."""
    made: Context = context.obj
    code = answer(made.home, check=check, as_json=as_json)
    if code:
        raise typer.Exit(code)


def answer(home: Path, *, check: bool, as_json: bool) -> int:
    """Print the status of a home; -> the exit code."""
    document = status_of(home, time.time())
    if as_json:
        emit(document)
    elif check:
        said = "healthy" if document["healthy"] else "degraded: " + "; ".join(document["problems"])
        say("; ".join((said, *_silent(document["opinions"]))))
    else:
        _show(document)
    return DEGRADED if check and not document["healthy"] else 0


def status_of(home: Path, now: float) -> dict[str, Any]:
    """The document behind `status`. Raises NotReadyError where nothing has run yet, StateError for a damaged state.

    now  UTC s of the computer's clock
    """
    from evenkeel import store

    found = store.peek(home)
    if found.memory is None:
        raise NotReadyError(f"nothing has run in {home} yet: start `evenkeel run`, or give the right --home")
    memory, view, pid = found.memory, found.view, store.holder(home)
    marker = {"set": store.halted(home), "reason": store.halt_reason(home)}
    document = {
        "command": "status",
        "home": str(home),
        "running": pid is not None,
        "pid": pid,
        "mode": "dry_run" if memory.identity.venue == "paper" else "live",
        "venue": memory.identity.venue,
        "account": memory.identity.account,
        "clock": memory.identity.clock,
        "window": memory.identity.window.partition(" ")[0],
        "trading_state": memory.trading_state.value,
        "reason": memory.state_reason,
        "flatten": memory.flatten,
        "cold_until": view.get("cold_until") if memory.cold else None,
        "halt": marker,
        **_money(memory, view),
        "opinions": opinions_of(view),
        "slots": _slots(memory, now, remembered.periods(home)),
        "unresolved": _unresolved(memory),
        "executing": executed.executing(memory, int(now)),
        "prices": priced.prices(home, now),
        "breakers": executed.breakers_of(memory, view),
        "commands_waiting": waiting(home),
        "progress": _progress(store.read_heartbeat(home), now),
        "config_digest": memory.config_digest,
        "note": found.note,
    }
    problems = _problems(home, found, document, now)
    return document | {"healthy": not problems, "problems": problems}


def _money(memory: Memory, view: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "as_of": view.get("as_of"),
        "equity": view.get("equity_usd"),
        "cash": plain(memory.cash) if memory.cash is not None else None,
        "drawdown": view.get("drawdown"),
        "drawdown_scale": memory.drawdown_scale,
        "regime": {"label": memory.regime.label, "since": iso(memory.regime.since) if memory.regime.since else None},
        "positions": view.get("positions", {}),
        "quarantined": dict(memory.quarantined),
        "units_locked": view.get("units_locked", []),
    }


def opinions_of(view: Mapping[str, Any]) -> dict[str, Any]:
    """Health of every opinion as the last decision saw it."""
    silent = {"health": "missing", "reason": "nothing was decided yet"}
    said: Mapping[str, Any] = view.get("opinions", {})
    return {name: said.get(name, silent) for name in dict.fromkeys((*OPINIONS, *said))}


def _slots(memory: Memory, now: float, periods: Mapping[str, int]) -> dict[str, Any]:
    last = {outcome.kind: outcome for outcome in memory.slots}
    virtual = memory.identity.clock == "virtual"
    end = utc(memory.identity.window.partition("..")[2].partition(" ")[0]) if virtual else None
    return {
        kind: {
            **{outcome: memory.counts.get(kind, {}).get(outcome, 0) for outcome in OUTCOMES},
            "last": _last(last[kind]) if kind in last else None,
            "next": _next(memory, kind, now, end, periods),
        }
        for kind in KINDS
    }


def _last(outcome: Any) -> dict[str, Any]:
    return {
        "slot": outcome.slot,
        "time": iso(outcome.time),
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "orders": outcome.orders,
    }


def _next(memory: Memory, kind: str, now: float, end: int | None, periods: Mapping[str, int]) -> str | None:
    """When the next slot of a kind falls due; None where a virtual run has come to its end, or periods are unknown."""
    after = int(now) if end is None else memory.watermarks.get(kind, -1)
    if after < 0 or not periods:
        return None
    period, whole = periods[kind], periods["rebalance"]
    due = after + period - after % period
    if kind == "score" and due % whole == 0:
        due += period
    return iso(due) if end is None or due < end else None


def _unresolved(memory: Memory) -> list[dict[str, Any]]:
    return [
        {
            "id": intent.order.id,
            "slot": step.slot.id,
            "asset": intent.order.asset,
            "quantity": plain(intent.order.quantity),
            "status": intent.status.value,
            "note": intent.note,
        }
        for step in memory.open_slots
        for intent in step.intents
        if not intent.status.resolved
    ]


def waiting(home: Path) -> int:
    """How many commands nobody has taken yet."""
    return sum(1 for path in (home / "state" / "commands").glob("*.json") if not path.name.startswith("."))


def _progress(beat: Mapping[str, Any] | None, now: float) -> dict[str, Any] | None:
    if beat is None:
        return None
    at = float(beat["wall_time"])
    return {"at": iso(int(at)), "age_s": round(now - at, 1), "slot": beat.get("slot"), "phase": beat.get("phase")}


def _problems(home: Path, found: Loaded, document: Mapping[str, Any], now: float) -> list[str]:
    """What makes a home degraded, one clause each."""
    problems = []
    if document["halt"]["set"]:
        problems.append("state/HALT is there: nothing is sent until `evenkeel resume`")
    elif document["trading_state"] == "HALTED":
        problems.append(f"trading is HALTED ({document['reason'] or 'no reason given'})")
    if document["unresolved"]:
        problems.append(f"{len(document['unresolved'])} orders are unresolved: the venue has not answered for them")
    if document["cold_until"]:
        problems.append(f"a cold start: nothing is bought before {document['cold_until']}, or `evenkeel resume`")
    if document["units_locked"]:
        coins = ", ".join(document["units_locked"])
        problems.append(f"{coins}: an order that is not ours holds units back that are to be sold: cancel it")
    problems += executed.breaker_lines(document["breakers"])
    problems += _without_opinion(document["opinions"]) if found.view.get("opinions") else []
    if found.fell_back:
        problems.append("state.json is damaged, an older generation is used: see `evenkeel doctor`")
    if document["clock"] == "real" and found.memory is not None:
        problems += _late(home, found.memory, now, running=document["running"])
    return problems


def _silent(opinions: Mapping[str, Any]) -> list[str]:
    """Opinions that are wanted and say nothing now, and why: no reason to be degraded as long as others speak."""
    wanted = {name: said for name, said in opinions.items() if said["health"] not in {"ok", "off"}}
    return [
        f"{name} {said['health']}" + f": {said['reason']}" * bool(said.get("reason")) for name, said in wanted.items()
    ]


def _without_opinion(opinions: Mapping[str, Any]) -> list[str]:
    """Where every opinion that is switched on is silent or too old, nothing new is bought for a reason."""
    wanted = {name: said for name, said in opinions.items() if said["health"] != "off"}
    if not wanted or any(said["health"] == "ok" for said in wanted.values()):
        return []
    silent = "; ".join(
        f"{name} {said['health']}: {said.get('reason') or 'no reason given'}" for name, said in wanted.items()
    )
    return [f"no opinion is ok ({silent})"]


def _late(home: Path, memory: Memory, now: float, *, running: bool) -> list[str]:
    """A service that just started has 20 minutes for its first risk slot."""
    last = memory.watermarks.get("risk", 0)
    started = _modified(home / "state" / "lock") if running else 0.0
    if now - max(last, started) <= LIMIT_S:
        return []
    age = f"{duration(int(now - last) // 60 * 60)} ago" if last else "never"
    return [f"the last risk slot ended {age}{'' if running else ' and no service is running'}"]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


# ---------------------------------------------------------------- for people


def _show(document: Mapping[str, Any]) -> None:
    for name, value in _facts(document):
        say(f"{name:<16}{value}")
    say()
    if document["positions"]:
        for line in aligned(
            ("asset", "weight", "value", "return", "stop"),
            sorted(
                (
                    (asset, percent(p["weight"]), usd(p["value_usd"]), percent(p["return"]), _price(p["stop_usd"]))
                    for asset, p in document["positions"].items()
                ),
                key=lambda row: -document["positions"][row[0]]["weight"],
            ),
            right=(1, 2, 3, 4),
        ):
            say(line)
        say()
    for line in aligned(("slots", *OUTCOMES, "last", "next"), _slot_rows(document["slots"]), right=(1, 2, 3)):
        say(line)
    for intent in document["unresolved"]:
        say(f"unresolved: {intent['asset']} {intent['quantity']} {intent['status']} ({intent['slot']})")
    for line in executed.lines(document["executing"]):
        say(line)
    for problem in document["problems"]:
        say(f"! {problem}")


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    running = f"running (pid {document['pid']})" if document["running"] else "not running"
    clock = f"{document['clock']} clock" + (f" {document['window']}" if document["window"] else "")
    state = document["trading_state"] + (f" ({document['reason']})" if document["reason"] else "")
    regime, progress = document["regime"], document["progress"]
    facts = [
        ("service", f"{running}, {document['mode'].replace('_', ' ')}, {clock}"),
        ("trading", state + (", flattening" if document["flatten"] else "")),
        ("equity", f"{usd(document['equity'])} as of {document['as_of'] or '-'}"),
        ("cash", usd(float(document["cash"])) if document["cash"] is not None else "-"),
        ("drawdown", f"{percent(document['drawdown'])}, exposure scaled by {document['drawdown_scale']:g}"),
        ("regime", regime["label"] + (f" since {regime['since']}" if regime["since"] else "")),
        *([("prices", priced.sentence(document["prices"]))] if document["prices"] else []),
        *([("venue", measured)] if (measured := executed.readings(document["breakers"])) else []),
        ("progress", f"{progress['slot']} {progress['phase']}, {progress['age_s']:.0f} s ago" if progress else "-"),
    ]
    return facts + [(f"{name} opinion", _opinion(said)) for name, said in document["opinions"].items()]


def _opinion(said: Mapping[str, Any]) -> str:
    detail = said.get("version") or said.get("reason")
    return str(said["health"]) + (f" ({detail})" if detail else "")


def _slot_rows(slots: Mapping[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for kind, known in slots.items():
        last = known["last"]
        said = "-"
        if last:
            said = f"{last['time']} {last['outcome']}" + (f" ({last['reason']})" if last["reason"] else "")
        rows.append((kind, *(known[outcome] for outcome in OUTCOMES), said, known["next"] or "-"))
    return rows


def _price(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
