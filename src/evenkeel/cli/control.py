"""`halt`, `reduce`, `resume`, `flatten`: asked of the service by a file that it takes within a second, and audited."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import AsJson, Context, aligned, emit, say, usd
from evenkeel.errors import EvenkeelError, NotReadyError, UsageError

if TYPE_CHECKING:
    from evenkeel.types import Memory

Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; it is remembered and audited.")]

_DOES = {
    "halt": "nothing is sent from now on, only cancels",
    "reduce": "only sales are sent, until you resume",
    "resume": "trading goes on",
    "flatten": "everything is sold, then trading is halted",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(halt)
    app.command()(reduce)
    app.command()(resume)
    app.command()(flatten)


def halt(context: typer.Context, reason: Reason, as_json: AsJson = False) -> None:
    """Stop trading at once: writes state/HALT, which wins over everything at every send."""
    from evenkeel import store

    made: Context = context.obj
    _in_use(made.home)
    store.set_halt(made.home, _given(reason), wall_time=time.time(), by=_who(made))
    _ask(made, "halt", reason, as_json=as_json)


def reduce(context: typer.Context, reason: Reason, as_json: AsJson = False) -> None:
    """Let only sales through, until you resume."""
    _ask(context.obj, "reduce", reason, as_json=as_json)


def resume(context: typer.Context, reason: Reason, as_json: AsJson = False) -> None:
    """Trade again after halt, reduce or flatten; the service removes state/HALT."""
    _ask(context.obj, "resume", reason, as_json=as_json)


def flatten(
    context: typer.Context,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this only a preview is shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sell everything, then halt. Shows what would be sold, and does it only with --yes."""
    from evenkeel import store

    made: Context = context.obj
    _in_use(made.home)
    if yes and store.halted(made.home):
        raise NotReadyError(f"{made.home}/state/HALT wins over everything: remove it first, then flatten")
    if yes:
        _ask(made, "flatten", reason, as_json=as_json)
        return
    _given(reason)
    document = preview(made)
    if as_json:
        emit(document)
    else:
        _show(document)


def preview(made: Context) -> dict[str, Any]:
    """The document of `flatten` without --yes: what would be sold, its value and the expected cost (USD)."""
    from evenkeel import store

    found = store.peek(made.home)
    positions = found.view.get("positions", {})
    costs = _costs(made, found.memory, {a: float(p["value_usd"]) for a, p in positions.items()})
    rows = [
        {"asset": a, "units": p["units"], "value": p["value_usd"], "expected_cost": costs[a]}
        for a, p in sorted(positions.items(), key=lambda item: -float(item[1]["value_usd"]))
    ]
    return {
        "command": "flatten",
        "done": False,
        "as_of": found.view.get("as_of"),
        "positions": rows,
        "value": sum(float(row["value"]) for row in rows),
        "expected_cost": sum(row["expected_cost"] for row in rows),
        "halt": store.halted(made.home),
        "next": "the same command with --yes does it",
    }


def _costs(made: Context, memory: Memory | None, value: dict[str, float]) -> dict[str, float]:
    """Fee, half spread and impact of selling each, USD; the volume of a day is not asked, so the worst is assumed."""
    import numpy as np

    from evenkeel.cli import planning
    from evenkeel.portfolio.costs import BPS, CostSettings, slippage

    tiers: dict[str, int] = {}
    settings = CostSettings()
    if memory is not None and value:
        try:
            from evenkeel import wiring

            config = planning.resolved(made, None, []).config
            settings, tiers = config.costs, {p.asset: p.tier for p in wiring.universe(config, made.home)}
        except EvenkeelError:
            pass  # the preview of an emergency exit must not depend on a whole configuration
    notional = np.array(list(value.values()))
    tier = np.array([tiers.get(asset, 3) for asset in value], dtype=np.int64)
    if not len(notional):
        return {}
    share = settings.taker * BPS + slippage(notional, np.full(len(notional), np.nan), tier, settings)
    return dict(zip(value, (notional * share).tolist(), strict=True))


def _ask(made: Context, command: str, reason: str, *, as_json: bool) -> None:
    """Leave the command for the service, and say when it will be taken."""
    from evenkeel import store

    _in_use(made.home)
    name = store.send(made.home, command, _given(reason), wall_time=time.time(), by=_who(made))
    pid = store.holder(made.home)
    taken = (
        f"the service (pid {pid}) takes it within a second" if pid else "no service is running: taken at the next start"
    )
    document = {
        "command": command, "done": True, "id": name, "reason": reason, "running": pid is not None,
        "effect": _DOES[command], "note": taken, "halt": store.halted(made.home),
    }  # fmt: skip
    if as_json:
        emit(document)
    else:
        say(f"{command}: {_DOES[command]}; {taken}")


def _in_use(home: Path) -> None:
    """Refuse a home where nothing runs or ran: a HALT in the wrong folder would stop nothing."""
    from evenkeel import store

    if not (home / "state" / "state.json").exists() and store.holder(home) is None:
        raise NotReadyError(f"nothing has run in {home}: give the --home of the service")


def _given(reason: str) -> str:
    if not reason.strip():
        raise UsageError("--reason is empty: say why in a few words")
    return reason.strip()


def _who(made: Context) -> str:
    return made.environ.get("SUDO_USER") or made.environ.get("USER") or made.environ.get("LOGNAME") or ""


def _show(document: dict[str, Any]) -> None:
    rows = [(p["asset"], p["units"], usd(p["value"]), usd(p["expected_cost"])) for p in document["positions"]]
    for line in aligned(("asset", "units", "value", "cost"), rows, right=(1, 2, 3)):
        say(line)
    say(f"\nwould sell {len(rows)} positions worth {usd(document['value'])} as of {document['as_of'] or '-'}, "
        f"expected cost {usd(document['expected_cost'])}, then halt")  # fmt: skip
    if document["halt"]:
        say("! state/HALT is there and wins: remove it first")
    say(document["next"])
