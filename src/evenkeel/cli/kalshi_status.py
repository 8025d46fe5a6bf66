"""`kalshi status`: what the desk of this home holds, how it stands, and what a person should look at. Asks nobody."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import AsJson, Context, emit, say
from evenkeel.errors import NotReadyError
from evenkeel.units import duration, iso, plain

if TYPE_CHECKING:
    from evenkeel.desk.ledger import Ledger
    from evenkeel.store import Loaded

DEGRADED = 5
TRIES = 3
"""Turns in a row that fail before a person should look."""
LIMIT_S = 20 * 60
"""A turn may be so late, or two periods of its own where they are longer."""


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(status)


def status(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="For health checks: one line; exit 0 healthy, 5 degraded, 3 no state.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What the desk of this home holds and how it stands; asks nobody."""
    made: Context = context.obj
    document = status_of(made.home, time.time())
    if as_json:
        emit(document)
    elif check:
        say("healthy" if document["healthy"] else "degraded: " + "; ".join(document["problems"]))
    else:
        show(document)
        for problem in document["problems"]:
            say(f"! {problem}")
    if check and not document["healthy"]:
        raise typer.Exit(DEGRADED)


def status_of(home: Path, now: float) -> dict[str, Any]:
    """The document behind `kalshi status`. Raises NotReadyError where no desk has run, StateError for a damaged state.

    now  UTC s of the computer's clock
    """
    from evenkeel.desk.ledger import Ledger
    from evenkeel.store import holder, peek
    from evenkeel.wiring import desk

    found = peek(home, desk.STATE, Ledger)
    memory = found.memory
    if not isinstance(memory, Ledger) or memory.cash is None:
        raise NotReadyError(f"{home / 'state' / desk.STATE} is not there: no desk has run in this home")
    pid = holder(home, desk.LOCK)
    problems = [*_around(home, found), *standing(memory), *_late(home, memory, now, running=pid is not None)]
    return account("kalshi status", memory) | {"pid": pid, "healthy": not problems, "problems": problems}


def _around(home: Path, found: Loaded) -> list[str]:
    from evenkeel.store import halted

    marker = ["state/HALT is there: nothing is bought until it is removed"] * halted(home)
    damage = ["kalshi.json is damaged, an older generation is used: see `evenkeel doctor`"] * found.fell_back
    return marker + damage


def standing(memory: Ledger) -> list[str]:
    """Why nothing is bought, and what only the venue or a person can settle; a clause each."""
    problems = []
    if memory.trading_state != "ACTIVE":
        ends = "until --resume" if memory.trading_state == "HALTED" else "until the next UTC day"
        reason = memory.state_reason or "no reason given"
        problems.append(f"trading is {memory.trading_state} ({reason}): nothing is bought {ends}")
    if memory.cash is not None and memory.equity is None:
        problems.append("equity is unknown (UNPRICED): something is held that nobody was ever seen to bid for")
    return [*problems, *_unsettled(memory)]


def _unsettled(memory: Ledger) -> list[str]:
    problems = [f"{ticker} is quarantined: {why}" for ticker, why in sorted(memory.quarantined.items())]
    intents = [intent for opened in memory.open_slots for intent in opened.intents]
    open_ = [one for one in intents if not one.status.resolved and one.status != "ACKED"]
    if open_:
        problems.append(f"{len(open_)} orders are unresolved: the venue has not answered for them")
    if memory.doubt:
        problems.append(f"the venue differs ({memory.doubt}): taken over if it is seen again")
    last = memory.slots[-TRIES:]
    if len(last) == TRIES and all(turn.outcome == "failed" for turn in last):
        problems.append(f"the last {TRIES} turns failed ({last[-1].reason})")
    return problems


def _late(home: Path, memory: Ledger, now: float, *, running: bool) -> list[str]:
    """Without progress. A desk that just started has as long as one that just had a turn."""
    from evenkeel.wiring import desk

    times = sorted(outcome.time for outcome in memory.slots)
    period = min((later - earlier for earlier, later in pairwise(times) if later > earlier), default=0)
    last = times[-1] if times else memory.origin
    started = (home / "state" / desk.LOCK).stat().st_mtime if running else 0.0
    if now - max(last, started) <= max(LIMIT_S, 2 * period):
        return []
    age = duration(int(now - last) // 60 * 60)
    return [f"the last turn was {age} ago{'' if running else ' and no desk is running'}"]


def account(command: str, ledger: Ledger) -> dict[str, Any]:
    """What a desk holds and how it stands, as one document; amounts USD."""
    whole, gain = ledger.equity, ledger.unrealized
    cash = plain(ledger.money) if ledger.cash is not None else None
    last = ledger.slots[-1] if ledger.slots else None
    return {
        "command": command, "venue": ledger.identity.venue, "url": ledger.identity.window, "unit": "USD", "cash": cash,
        "equity": None if ledger.cash is None or whole is None else plain(whole),
        "bankroll": plain(ledger.bankroll), "realized_pnl": plain(ledger.realized),
        "unrealized_pnl": None if gain is None else plain(gain), "fees": plain(ledger.fees),
        "flows": plain(ledger.flows), "state": ledger.trading_state.value, "reason": ledger.state_reason,
        "quarantined": dict(ledger.quarantined), "open_orders": sum(len(s.intents) for s in ledger.open_slots),
        "turns": ledger.counts.get("score", {}), "last_turn": None if last is None else iso(last.time),
        "last_outcome": None if last is None else f"{last.outcome} {last.reason}".strip(),
        "positions": [
            {"ticker": one.ticker, "side": one.side, "contracts": plain(abs(one.count)), "cost": plain(one.cost),
             "mark": None if one.mark is None else plain(one.mark), "closes": iso(one.closes)}
            for one in sorted(ledger.held.values(), key=lambda one: (one.closes, one.ticker))
        ],
    }  # fmt: skip


def show(document: Mapping[str, Any]) -> None:
    """The document for people."""
    say(f"{document['venue']} at {document['url']}: {document['state']} {document['reason']}".rstrip())
    say(f"cash {document['cash']}, equity {document['equity'] or 'unknown'}, realized {document['realized_pnl']}, "
        f"fees {document['fees']} USD; bankroll {document['bankroll']}")  # fmt: skip
    say(f"last turn {document['last_turn'] or 'never'} {document['last_outcome'] or ''}".rstrip())
    for row in document["positions"]:
        say(f"  {row['contracts']} {row['side']} of {row['ticker']}, cost {row['cost']}, mark {row['mark'] or '-'}, "
            f"closes {row['closes']}")  # fmt: skip
    for ticker, why in document["quarantined"].items():
        say(f"  {ticker} is quarantined: {why}; look at the account, then --resume")
