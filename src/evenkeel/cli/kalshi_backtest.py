"""`kalshi backtest`: settled contracts in; every bet with its end, cash and the book out, as files and a few lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenkeel import artifacts
from evenkeel.cli import bundles
from evenkeel.cli.kalshi_training import Data, Results, Seed
from evenkeel.cli.output import AsJson, Context, emit, say
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import iso, plain

if TYPE_CHECKING:
    from evenkeel.events.fair import Model
    from evenkeel.events.fitted import Known, Part
    from evenkeel.events.pipeline import StakeSettings
    from evenkeel.events.stake import Skill
    from evenkeel.research.kalshi.evidence import Played
    from evenkeel.research.kalshi.play import Chooser
    from evenkeel.research.kalshi.source import Source

KIND = "kalshi"
FLAT = Decimal(10)
"""Stake of the rule without a model, USD, where none is given."""


def backtest(
    context: typer.Context,
    data: Data,
    results: Results = None,
    rule: Annotated[
        Literal["desk", "believe", "extremes"],
        typer.Option(
            help="desk: the model in use with its measured skill; believe: the same model taken at its word; "
            "extremes: NO at 0.20 or below, YES at 0.80 or above, no model."
        ),
    ] = "desk",
    n: Annotated[int | None, typer.Option("--n", min=1, help="Most bets; default: all.")] = None,
    bankroll: Annotated[str, typer.Option(help="USD to begin with.")] = "100",
    stake: Annotated[str | None, typer.Option(help="USD on each event; with --rule extremes 10 if not given.")] = None,
    kelly: Annotated[
        float | None, typer.Option(help="Part of Kelly's stake, above 0, at most 1; default: 0.1.")
    ] = None,
    min_edge: Annotated[float, typer.Option(min=0, max=1, help="Least edge after fee and spread, USD.")] = 0.02,
    max_edge: Annotated[float, typer.Option(min=0, max=1, help="Edge that is too good to be true, USD.")] = 0.10,
    side: Annotated[Literal["yes", "no", "both"], typer.Option(help="What is bought.")] = "both",
    version: Annotated[str | None, typer.Option("--version", help="Of the bundle; default: the one in use.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Default: data/paper of the home.")] = None,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Bet on settled contracts as they were quoted, with exact fees, and settle each at $1 or $0.

    Quotes that a model learned from are left out. Writes backtest_trades.csv, backtest_equity.csv, backtest_book.json.
    """
    from evenkeel.research.kalshi import evidence, ledger, play, source

    made: Context = context.obj
    if stake is not None and kelly is not None:
        raise UsageError("--stake and --kelly exclude each other: give one")
    cash, usd = _money("--bankroll", bankroll), None if stake is None else _money("--stake", stake)
    found = source.read(data, results)
    if rule == "extremes":
        if kelly is not None or version is not None or (min_edge, max_edge, side) != (0.02, 0.10, "both"):
            raise UsageError(
                "--rule extremes has no model: leave out --kelly, --version, --min-edge, --max-edge, --side"
            )
        part, model, choose, note = None, "no model", play.extremes(usd or FLAT), ""
    else:
        known, part, note = _part(made, found, version)
        model = f"{part.name} of {KIND} {known.version}"
        settings = _settings(kelly, min_edge, max_edge, side, flat=usd is not None)
        choose = _chooser(found.replayed(part.model), _skill(rule, part), settings, usd)
    after = None if part is None else part.train_end
    account = play.play(found.moments(after), choose, cash, n)
    folder = data_dir or made.home / "data" / "paper"
    book = ledger.write(folder, account, cash)
    told = evidence.played(rule, account, seed)
    document: dict[str, Any] = {
        "command": "kalshi backtest", "rule": rule, "model": model, "files": [path.name for path in found.files],
        "after": None if after is None else iso(after), "data_dir": folder, "book": book, **told.to_json(),
        "note": note if rule == "desk" else "",
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    say(f"{model}{'' if after is None else f', on quotes after {iso(after)}, when its training ends'}")
    say(told.words)
    if part is not None and rule == "desk":
        for line in _why(note, part, told):
            say(line)
    say(f"bankroll {plain(cash)} -> {plain(cash + book['total_pnl'])} USD, largest drawdown {book['max_drawdown']:.1%}")
    say(f"{ledger.TRADES}, {ledger.EQUITY} and {ledger.BOOK} are in {folder}")


def _why(note: str, part: Part, told: Played) -> list[str]:
    """What the desk's own rule rests on, a line each, and how to see the bets where it makes none."""
    lines = ([note] if note else []) + [f"- {words}" for words in part.words.values()]
    if not told.bets:
        lines.append("`--rule believe` takes the model at its word, to see what that would have brought")
    return lines


def _money(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UsageError(f"{option} {text} is not a number: write dollars such as 100") from None
    if not (value.is_finite() and 0 < value <= 10**9):
        raise UsageError(f"{option} {text} is not between 0 and 1,000,000,000: write dollars such as 100")
    return value


def _part(made: Context, found: Source, version: str | None) -> tuple[Known, Part, str]:
    """The part that speaks for the file, and what its evidence has to do with it.

    Raises NotReadyError where no bundle is in use or it has no such part.
    """
    from evenkeel.events import fitted

    path = bundles.find(made.home, KIND, version)
    known = fitted.load(path)
    part = next((one for one in known.parts if one.name == found.part), None)
    if part is None:
        raise NotReadyError(f"{KIND} {known.version} has no {found.part}: `evenkeel train {KIND} --model {found.part}`")
    train = artifacts.read(path, KIND).manifest["parts"][part.name]["train"]
    same = set(train["files"].values()) & set(found.digests().values())
    return known, part, "note: its skill was measured on these very quotes, which flatters" if same else ""


def _settings(kelly: float | None, min_edge: float, max_edge: float, side: Any, *, flat: bool) -> StakeSettings:
    """The desk's settings; with a flat stake its caps are out of the way, cash is not."""
    from evenkeel.events.pipeline import StakeSettings

    if max_edge <= min_edge:
        raise UsageError(f"--max-edge {max_edge} is not above --min-edge {min_edge}: nothing could be bought")
    if kelly is not None and not 0 < kelly <= 1:
        raise UsageError(f"--kelly {kelly} is not above 0 and at most 1: write 0.1 for a tenth of Kelly's stake")
    base = StakeSettings(min_edge=min_edge, max_edge=max_edge, side=side)
    if flat:
        return replace(base, kelly=1.0, market=1.0, event=1.0, cluster=1.0, category=1.0, total=1.0)
    return base if kelly is None else replace(base, kelly=kelly)


def _skill(rule: str, part: Part) -> Callable[[str], Skill]:
    from evenkeel.events.stake import UNPROVEN
    from evenkeel.research.kalshi.play import BELIEVED

    return (lambda _: BELIEVED) if rule == "believe" else lambda series: part.skill.get(series, UNPROVEN)


def _chooser(model: Model, skill: Callable[[str], Skill], settings: StakeSettings, usd: Decimal | None) -> Chooser:
    from evenkeel.research.kalshi import play

    choose = play.desk(model, skill, settings)
    return choose if usd is None else play.flat(choose, usd)
