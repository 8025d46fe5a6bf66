"""What `kalshi` commands share: options as overrides of the configuration, and who may speak for which series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import Context
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import seconds

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.events.evidence import Voices

Series = Annotated[
    str | None, typer.Option("--series", help="Series such as KXBTCD,KXETHD; default: kalshi.screen.series.")
]
Tickers = Annotated[
    str | None, typer.Option("--tickers", help="Only these markets, such as KXBTCD-26AUG1317-T73249.99.")
]
MinEdge = Annotated[float | None, typer.Option("--min-edge", help="Least edge after fee and spread, USD per contract.")]
MaxEdge = Annotated[
    float | None, typer.Option("--max-edge", help="Edge that is too good to be true, USD per contract.")
]
Side = Annotated[str | None, typer.Option("--side", help="What is bought: yes, no or both.")]
MaxContracts = Annotated[int | None, typer.Option("--max-contracts", help="Most contracts of one market.")]
Bankroll = Annotated[float | None, typer.Option("--bankroll", help="USD that the desk starts with on paper.")]


def loaded(
    made: Context,
    config: Path | None,
    overrides: Sequence[str] | None,
    *,
    series: str | None = None,
    tickers: str | None = None,
    **given: Any,
) -> tuple[Loaded, tuple[str, ...]]:
    """The configuration with the options laid over it, and the tickers that are asked for.

    given  key below `kalshi` -> value, None = not given. Raises ConfigError, UsageError.
    """
    from evenkeel import config as configs

    names = _names("--tickers", tickers)
    wanted = _names("--series", series) or tuple(dict.fromkeys(name.partition("-")[0] for name in names))
    own = [f"kalshi.{key.replace('__', '.')}={value}" for key, value in given.items() if value is not None]
    own += [f"kalshi.screen.series=[{', '.join(wanted)}]"] if wanted else []
    found = configs.load(config, environ=made.environ, overrides=[*(overrides or []), *own], home=made.home)
    strangers = [name for name in names if name.partition("-")[0] not in found.config.kalshi.screen.series]
    if strangers:
        raise UsageError(f"--tickers {strangers[0]} is of none of the series in --series: name its series too")
    return found, names


def _names(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or any(not name.replace("-", "").replace(".", "").isalnum() for name in names):
        raise UsageError(f"{option} {text}: give names as Kalshi writes them, separated by commas")
    return names


def spoken_for(voices: Voices, series: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The series that a model speaks for, and why each other one is refused."""
    from evenkeel.venues.kalshi_board import asset_of

    kept = tuple(name for name in series if name in voices.parts or asset_of(name))
    return kept, {name: "no fitted model speaks for it" for name in series if name not in kept}


def admitted(voices: Voices, series: Sequence[str]) -> None:
    """Refuse a desk for series that no model speaks for. Raises NotReadyError."""
    _, refused = spoken_for(voices, series)
    if refused:
        raise NotReadyError(
            f"{', '.join(refused)}: no fitted model speaks for it, so that it cannot be traded: train one with "
            "`evenkeel train kalshi`, or leave it out of --series"
        )


def standing(voices: Voices, series: Sequence[str]) -> list[dict[str, Any]]:
    """How far the model of each series is believed, for people and programs."""
    from evenkeel.events.evidence import interval
    from evenkeel.events.stake import LEAST_EVENTS

    rows = []
    for name in series:
        skill, part = voices.of(name), voices.parts.get(name)
        low, high = interval(skill)
        if not skill.proven:
            said = f"not traded: {skill.events} of {LEAST_EVENTS} settled events were measured"
        else:
            said = "traded where the edge is enough" if skill.k > 0 else "not traded: its model has shown no skill"
        rows.append({
            "series": name, "model": part.model.name if part else voices.otherwise.name, "events": skill.events,
            "k": skill.k, "k_low": low if low == low else None, "k_high": high if high == high else None,  # noqa: PLR0124
            "said": said, "words": part.words.get(name, "") if part else "",
        })  # fmt: skip
    return rows


def period(option: str, text: str | None) -> int | None:
    """Seconds of an option such as 300 or 5m; None where it was not given. Raises UsageError."""
    if text is None:
        return None
    try:
        value = int(text) if text.isdecimal() else seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None
    if value < 1:
        raise UsageError(f"{option} {text}: give at least a second")
    return value
