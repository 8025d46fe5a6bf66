"""What `run` may be asked for beside a configuration: coins, cash, how long. Each becomes settings, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenkeel.cli.opening import settings
from evenkeel.cli.output import Context
from evenkeel.errors import UsageError
from evenkeel.units import DAY_S, iso, plain, seconds

if TYPE_CHECKING:
    from evenkeel.config import Config, Loaded
    from evenkeel.types import Pair

Symbols = Annotated[str | None, typer.Option(help="Coins to trade, such as BTC-USD,ETH-USD, or BTC,ETH.")]
Capital = Annotated[str | None, typer.Option(help="Cash in USD that a new paper account begins with.")]
Duration = Annotated[
    str | None,
    typer.Option(help="Stop after so long, such as 24h; 0 = never (virtual clock: at the end of its window)."),
]

LONGEST_S = 3_650 * DAY_S
_OPEN_END = "clock.to=2999-01-01"
"""Lets a virtual clock be read that has a beginning only: the duration gives the end."""


@dataclass(frozen=True, slots=True)
class Job:
    """The options as they were written; None = not given."""

    symbols: str | None
    capital: str | None
    duration: str | None


def loaded(made: Context, path: Path | None, overrides: Sequence[str], job: Job) -> tuple[Loaded, int]:
    """The configuration with the job laid over it, and s after which a real clock stops, 0 = never.

    Raises UsageError, in one sentence, for what cannot be done.
    """
    last = _duration(job.duration)
    first = settings(made, path, [*overrides, *([_OPEN_END] if last else [])]).config
    virtual = first.clock.kind == "virtual"
    window = [f"clock.to={iso((first.clock.start or 0) + last)}"] if virtual and last else []
    given = [*_symbols(job.symbols, first, made.home), *_capital(job.capital), *window]
    found = settings(made, path, [*overrides, *given])
    if job.capital is not None:
        _enough(found.config, made.home)
    return found, 0 if virtual else last


# ---------------------------------------------------------------- coins


def _symbols(text: str | None, config: Config, home: Path) -> list[str]:
    """BASE-QUOTE or BASE of pairs that are listed, each once."""
    if text is None:
        return []
    from evenkeel import wiring

    words = [word.strip().upper() for word in text.split(",")]
    listed = {pair.asset: pair for pair in _listed(config, home)}
    names = [_asset(word, listed, config) for word in words]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"--symbols {text}: {name} stands twice, name it once")
    if wiring.BENCHMARK not in names:
        raise UsageError(f"--symbols {text}: every signal needs {wiring.BENCHMARK}, name it too")
    return [f"universe.only=[{', '.join(names)}]", "universe.exclude=[]"]


def _listed(config: Config, home: Path) -> Sequence[Pair]:
    """Every pair of the file, whatever is kept of it otherwise."""
    from evenkeel import config as configs

    whole = replace(config.universe, only=(), exclude=())
    return configs.load_universe(configs.find(Path(config.universe.file), home), whole)


def _asset(word: str, listed: Mapping[str, Pair], config: Config) -> str:
    from evenkeel.config.values import did_you_mean

    base, _, quote = word.replace("/", "-").partition("-")
    if not base:
        raise UsageError("--symbols has an empty name: write coins such as BTC-USD,ETH-USD")
    if base not in listed:
        raise UsageError(f"--symbols {word}: {base} is not in {config.universe.file}: {did_you_mean(base, listed)}")
    pair = listed[base]
    if quote not in ("", pair.pair.partition("/")[2]) or word.endswith(("-", "/")):
        raise UsageError(f"--symbols {word}: {base} is traded as {pair.pair.replace('/', '-')}, write that")
    if config.feed.kind == "ccxt" and config.feed.exchange not in pair.symbols:
        raise UsageError(f"--symbols {word}: {config.universe.file} has no symbol of {base} at {config.feed.exchange}")
    return base


# ---------------------------------------------------------------- cash


def _capital(text: str | None) -> list[str]:
    if text is None:
        return []
    try:
        capital = Decimal(text)
    except InvalidOperation:
        capital = Decimal("NaN")
    if not capital.is_finite() or capital <= 0:
        raise UsageError(f"--capital {text}: give USD as a number above 0, such as 1000")
    return [f"venue.capital={plain(capital)}"]


def _enough(config: Config, home: Path) -> None:
    """Refuse cash of which not even the largest position that is allowed would be an order."""
    from evenkeel import wiring
    from evenkeel.signals.strategies import LEARNED

    pairs = wiring.universe(config, home)
    rules = wiring.rules_of(config, pairs)
    full = rules.slot if config.strategy == LEARNED else config.allocate.caps.of(rules.tiers())
    least = max(config.orders.min_order_usd, *(float(pair.min_notional) for pair in pairs))
    largest = float(config.venue.capital) * float(full.max())
    if largest < least:
        raise UsageError(
            f"--capital {config.venue.capital}: the largest position would be {largest:.2f} USD and the least order is "
            f"{least:g} USD, give {math.ceil(least / float(full.max()))} USD or more, or fewer coins"
        )


# ---------------------------------------------------------------- time


def _duration(text: str | None) -> int:
    """S, 0 = for ever."""
    if text is None or text.strip() == "0":
        return 0
    try:
        wanted = seconds(text)
    except ValueError:
        wanted = -1
    if not 0 < wanted <= LONGEST_S:
        raise UsageError(f"--duration {text}: write such as 24h, 30m or 7d, ten years at most; 0 = for ever")
    return wanted
