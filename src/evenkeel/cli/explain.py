"""`plan` and `why`: what a rebalance would do now, and how one asset came to its weight. Nothing is written or sent."""

from __future__ import annotations

from typing import Annotated

import typer

from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say

At = Annotated[
    str | None, typer.Option("--at", help="The trading slot decided at or before this UTC time, decided again.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(plan)
    app.command()(why)


def plan(
    context: typer.Context,
    at: At = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show what a rebalance would do now: targets, orders, costs, and what is left out and why. Changes nothing."""
    from evenkeel.cli import decided, planning

    made: Context = context.obj
    loaded = planning.resolved(made, config, overrides or [])
    document = decided.plan_of(planning.look(made.home, loaded, at))
    if as_json:
        emit(document)
    else:
        decided.show(document)


def why(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(help="Coin or pair of the universe, such as BTC.")],
    at: At = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show how an asset comes to its weight: features, regime, opinions, score, rank, rules, order. Changes nothing."""
    from evenkeel.cli import executed, planning, walk

    made: Context = context.obj
    loaded = planning.resolved(made, config, overrides or [])
    walk.known(made.home, loaded, asset)
    document = walk.why_of(planning.look(made.home, loaded, at), asset)
    document |= {"execution": executed.last(made.home, document["asset"])}
    if as_json:
        emit(document)
        return
    walk.show(document)
    if document["execution"]:
        say(f"\nlast execution, {document['execution']['slot']}")
        for line in executed.lines([document["execution"]]):
            say(line)
