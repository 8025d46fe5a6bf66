"""`doctor`: what is wrong with an installation and its home, and what to do; `--fix` repairs what is safe to repair."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from evenkeel.cli import doctor_desk
from evenkeel.cli import doctor_repairs as repairs
from evenkeel.cli.doctor_checks import FAIL, FIX, OK, WARN, Check, examine
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say
from evenkeel.errors import UsageError

FAILED, DEGRADED = 1, 5

Fix = Annotated[
    bool, typer.Option("--fix", help="Show what can be repaired safely; done once confirmed, or with --yes.")
]
Yes = Annotated[bool, typer.Option("--yes", help="With --fix: do it, do not ask.")]
Cold = Annotated[
    bool, typer.Option("--cold-start", help="With --fix: where no state file is whole, let the next start begin anew.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    fix: Fix = False,
    yes: Yes = False,
    cold_start: Cold = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong: exit 0 all well, 5 with warnings, 1 where a check fails. Repairs with --fix alone."""
    made: Context = context.obj
    if not fix and (yes or cold_start):
        raise UsageError(f"{'--yes' if yes else '--cold-start'} belongs to --fix: `{FIX}` shows what would be done")
    told = _fixed(made, cold=cold_start, yes=yes, quiet=as_json) if fix else {}
    checks = examine(made, config, overrides or [], doctor_desk.LOOKS)
    worst = max((check.status for check in checks), key=(OK, WARN, FAIL).index)
    if as_json:
        emit({"command": "doctor", "status": worst, "checks": [asdict(check) for check in checks], **told})
    else:
        _show(checks)
    if worst != OK:
        raise typer.Exit(FAILED if worst == FAIL else DEGRADED)


def _fixed(made: Context, *, cold: bool, yes: bool, quiet: bool) -> dict[str, Any]:
    """Repair what is found, or only show it; -> what the JSON document says of it. Raises LockedError."""
    found = repairs.found(made.home, cold=cold)
    if not quiet:
        for one in found:
            say(f"{'would ' if not yes else ''}{one.text}")
    agreed = yes or (not quiet and bool(found) and sys.stdin.isatty() and typer.confirm("Do this?"))
    done: Sequence[repairs.Done] = ()
    if agreed and found:
        done = repairs.repair(made.home, cold=cold, agreed=None if yes else frozenset(one.text for one in found))
    if not quiet:
        _say_done(found, done, agreed=agreed)
    rows = [{"name": d.name, "text": d.text, "done": not d.problem, "problem": d.problem} for d in done]
    planned = [{"name": one.name, "text": one.text, "done": False, "problem": ""} for one in found]
    return {"done": agreed, "repairs": rows if agreed else planned}


def _say_done(found: Sequence[repairs.Repair], done: Sequence[repairs.Done], *, agreed: bool) -> None:
    for one in done:
        if one.problem:
            say(f"! not done: {one.text}: {one.problem}")
    if agreed:
        say(f"{sum(not one.problem for one in done)} of {len(done)} repairs done\n")
    else:
        say(f"nothing was changed: `{FIX} --yes` does it\n" if found else "nothing to repair\n")


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        say(f"{check.status:<5} {check.name:<11} {check.text}" + (f": {check.advice}" if check.advice else ""))
