"""`evaluate policy`: a bundle and later candles in, what its books and its portfolio are worth beside others out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from evenkeel import artifacts
from evenkeel.cli import backtests, bundles, candles, policy_portfolio, policy_verdict
from evenkeel.cli.backtests import Ask
from evenkeel.cli.candles import Candles, Data, Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, errors
from evenkeel.cli.period import held, period
from evenkeel.cli.policy_training import KIND, budgets_of, names_of, world_of
from evenkeel.cli.progress import progress
from evenkeel.errors import UsageError
from evenkeel.signals.strategies import LEARNED
from evenkeel.units import HOUR_S, iso

if TYPE_CHECKING:
    from evenkeel.artifacts import Bundle
    from evenkeel.config import Loaded
    from evenkeel.research.evaluate_policy import Cast, Wish
    from evenkeel.research.exams import Desk, Exam, Player
    from evenkeel.types import Pair

ALL = "all"
"""Key of the figures over all budgets."""

FEWEST_DAYS = 2
EVER = 2**62
SEED = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for, before any candle is read. since, until  UTC s."""

    episodes: int
    symbols: tuple[str, ...]
    budgets: tuple[float, ...]
    since: int | None
    until: int
    router: bool
    portfolio: bool
    quiet: bool


def evaluate(
    context: typer.Context,
    data: Data,
    model: Annotated[
        str | None, typer.Option("--model", help="Version under models/policy, or a bundle's folder. Default: in use.")
    ] = None,
    episodes: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Windows, at least; they lie denser where it needs to be.")
    ] = 100,
    specialist_router: Annotated[
        bool, typer.Option("--specialist-router", help="Judge the actors routed by regime beside the general one.")
    ] = False,
    symbols: Annotated[
        str | None, typer.Option(help="Coins that books are opened on, with commas between them. Default: all.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="USD of the books, with commas between them. Default: those it was taught with.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="UTC date; earlier bars are not judged.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="UTC date; later bars are not looked at.")] = None,
    portfolio: Annotated[bool, typer.Option(help="Back-test the portfolio too; without, books are judged.")] = True,
    holdout: Holdout = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Judge a policy on candles after its training: books at every budget and seed, then the portfolio.

    The same bundle, candles and ledger of tries give the same figures.
    """
    from evenkeel.research import evaluate_policy as research

    made: Context = context.obj
    ask = Ask(made, config or Path("config/replay.yaml"), tuple(overrides or ()))
    bundle = artifacts.read(bundles.find(made.home, KIND, model, "--model"), KIND)
    loaded, pairs = candles.configured(made, ask.path, overrides)
    asked = Asked(
        episodes, names_of(symbols), () if budgets is None else budgets_of(budgets),
        candles.moment("--from", since), candles.moment("--to", until) or EVER, specialist_router, portfolio, as_json,
    )  # fmt: skip
    _refuse(bundle, asked, loaded, pairs)
    leave = (made, f"evaluate {KIND} {bundle.version}") if holdout else None
    read = candles.read(data, pairs, until=asked.until if asked.until < EVER else None, leave=leave)
    cast = research.load(bundle, read.panel.bar_s)
    trained = f"{bundle.version} was trained until {iso(cast.model.train_end)}"
    candles.refuse_held_out(read, cast.model.valid_from + read.panel.bar_s, trained)
    errors().print(read.sentence(), soft_wrap=True)
    world = world_of(loaded, pairs, int(read.panel.time[-1]))
    desk = research.desk(cast, read.panel, world, _wish(cast, asked))
    document = _head(bundle, cast, read, desk) | _judged(ask, cast, read, desk, asked, [pair.asset for pair in pairs])
    document |= policy_verdict.of(document)
    if as_json:
        emit(document)
    else:
        policy_verdict.show(document)


def _refuse(bundle: Bundle, asked: Asked, loaded: Loaded, pairs: Sequence[Pair]) -> None:
    """Whatever can be refused before a held-out bar is read. Raises ArtifactError, DataError or UsageError."""
    from evenkeel.research import evaluate_policy, lessons
    from evenkeel.research.env.slots import slot_rules

    bars = bundle.manifest.get("bars") or [HOUR_S]
    cast = evaluate_policy.load(bundle, int(bars[0]))
    lessons.columns([pair.asset for pair in pairs], asked.symbols)
    config = loaded.config
    lessons.refuse_small(
        asked.budgets or cast.budgets, slot_rules(pairs, config.overlay, config.orders, config.costs, cap=lessons.CAP)
    )
    begins = cast.model.valid_from
    if asked.since is not None and asked.since < begins:
        raise UsageError(
            f"--from {iso(asked.since)} lies in what {bundle.version} was trained on: it can be judged from "
            f"{iso(begins)} on"
        )
    if asked.until <= (asked.since or begins):
        raise UsageError(f"--to {iso(asked.until)} comes before {iso(asked.since or begins)}: give a later one")


def _wish(cast: Cast, asked: Asked) -> Wish:
    from evenkeel.research.evaluate_policy import Wish

    since = max(cast.model.valid_from, asked.since or 0)
    return Wish(since, asked.until, asked.episodes, asked.symbols, asked.budgets or cast.budgets)


# ---------------------------------------------------------------- the document


def _head(bundle: Bundle, cast: Cast, read: Candles, desk: Desk) -> dict[str, Any]:
    """Which model on which bars."""
    time = desk.tape.time
    return {
        "command": f"evaluate {KIND}", "verdict": "", "version": bundle.version, "digest": bundle.digest,
        "path": bundle.path, "mode": bundle.manifest.get("mode"), "trained_until": iso(cast.model.train_end),
        "data": read.to_json(), "from": iso(int(time[desk.where.row.min()])),
        "to": iso(int(time[desk.where.row.max() + desk.lesson.bars])), "served": cast.served,
        "strength": cast.model.strength,
        "seeds": len(cast.seeds), "chosen": cast.chosen,
        "specialists": sorted(name for name in cast.model.actors if name != "general"),
    }  # fmt: skip


def _judged(ask: Ask, cast: Cast, read: Candles, desk: Desk, asked: Asked, assets: Sequence[str]) -> dict[str, Any]:
    """The portfolio, if it is asked for, then the books: its tries count in what is said of them."""
    document: dict[str, Any] = {"router": asked.router}
    if asked.portfolio:
        wish = _wish(cast, asked)
        days = period(ask, held(read.panel, assets), wish.since, wish.until, quiet=asked.quiet, days=FEWEST_DAYS)
        document["portfolio"] = policy_portfolio.judged(days, cast, router=asked.router)
    return document | {"books": _books(ask.made, desk, cast, asked)}


def _books(made: Context, desk: Desk, cast: Cast, asked: Asked) -> dict[str, Any]:
    """Every actor, and what it stands beside, at every budget and over all of them."""
    from evenkeel.research import evaluate_policy as research
    from evenkeel.research import exams, tilts

    players, others = research.players(cast, router=asked.router), research.beside()
    budgets = desk.lesson.budgets
    with progress(len(players) + len(others), "books", quiet=asked.quiet, unit="exams") as advance:
        sat = {name: _sat(desk, player, budgets, advance) for name, player in {**players, **others}.items()}
    rows = {name: _rows(exam, desk) for name, exam in sat.items()}
    tilted = tilts.tilted(
        exams.together(cast.model.actors), desk.tape, desk.market, desk.regime, int(desk.tape.time[0]),
        tilts.middle_budget(budgets),
    )  # fmt: skip
    return {
        "windows": len(desk.where.row), "bars": desk.lesson.bars, "budgets": list(budgets),
        "symbols": [desk.tape.assets[i] for i in np.unique(desk.where.asset)],
        "actors": {name: rows[name] for name in players},
        "beside": {name: rows[name] for name in others},
        "spread": {key: research.spread([rows[name][key] for name in cast.seeds]) for key in rows[cast.chosen]},
        "verdicts": _words(made, {name: sat[name] for name in players}),
        "evidence": tilted.evidence.to_json(),
    }  # fmt: skip


def _sat(desk: Desk, player: Player, budgets: tuple[float, ...], advance: Callable[[int], None]) -> Exam:
    from evenkeel.research import exams

    exam = exams.sit(desk, player, budgets)
    advance(1)
    return exam


def _rows(exam: Exam, desk: Desk) -> dict[str, dict[str, float | None]]:
    """Figures over all budgets, and of each."""
    from evenkeel.research.evaluate_policy import worth

    size = (desk.lesson.bars, desk.tape.bar_s)
    each = {f"{budget:.0f}": worth(exam, *size, budget).to_json() for budget in exam.budgets}
    return {ALL: worth(exam, *size).to_json()} | (each if len(each) > 1 else {})


def _words(made: Context, sat: Mapping[str, Exam]) -> list[dict[str, Any]]:
    """A verdict of each actor beside the risk-matched share, by the count of every try."""
    from evenkeel.research import exams, trials
    from evenkeel.research.report.judgement import item

    tries = max(1, trials.count(backtests.ledger(made.home), (LEARNED, trials.FIRST_LOOK)).trials)
    return [
        {"of": name, **item(exams.verdict(exam, np.random.default_rng(SEED), trials=tries))}
        for name, exam in sat.items()
    ]
