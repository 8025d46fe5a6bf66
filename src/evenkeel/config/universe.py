"""`universe.yaml` -> the pairs that may be held, in the file's order (tier, then traded value).

The law: nothing is guessed. A name in `only` or `exclude` that the file does not have is an error, as is an empty rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from evenkeel.config.files import read_yaml
from evenkeel.config.sections import Universe
from evenkeel.config.values import build, did_you_mean
from evenkeel.errors import ConfigError, NotReadyError
from evenkeel.types import Pair
from evenkeel.units import Key


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol at a venue that counts in lots of `factor` coins."""

    symbol: Annotated[str, MinLen(1), Key("the venue's name")] = "?"
    factor: Annotated[int, Ge(1), Key("coins that one quoted price is for", "coins")] = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One pair as the file lists it."""

    asset: Annotated[str, MinLen(1), Key("the coin")] = "?"
    pair: Annotated[str, MinLen(3), Key("the pair's name at the trading venue")] = "?/?"
    kind: Annotated[Literal["crypto", "stock"], Key("coin or tokenised stock")] = "crypto"
    tier: Annotated[int, Ge(1), Le(3), Key("1 = most traded; sets the caps")] = 3
    median_daily_usd: Annotated[float | None, Ge(0), Key("median value traded in a day; null = unknown", "USD")] = None
    source: Annotated[str, Key("data that the median was taken from")] = ""
    price_decimals: Annotated[int, Ge(0), Le(18), Key("decimals of a price")] = 2
    amount_decimals: Annotated[int, Ge(0), Le(18), Key("decimals of a quantity")] = 2
    min_notional: Annotated[Decimal, Gt(0), Key("smallest order", "USD")] = Decimal(1)
    symbols: Mapping[str, Any] = field(default_factory=dict)


_NEEDED = ("asset", "pair", "tier", "price_decimals", "amount_decimals", "min_notional")


def load_universe(path: Path, settings: Universe) -> tuple[Pair, ...]:
    """The pairs of a file that the settings keep.

    Raises ConfigError for a malformed row, a pair that stands twice, a name in `only` or `exclude` that is not
    listed; NotReadyError if nothing is left.
    """
    content = read_yaml(path)
    rows = content.get("pairs") if isinstance(content, Mapping) else None
    if not isinstance(rows, list):
        raise ConfigError(f"{path}: no list of pairs: write `pairs:` and one line per pair")
    listed = [_row(raw, f"pairs.{number}", path) for number, raw in enumerate(rows)]
    _once([row.asset for row in listed], path)
    _once([row.pair for row in listed], path)
    _known(settings, {row.asset: row.kind for row in listed}, path)
    kept = [row for row in listed if _keeps(row, settings)]
    if not kept:
        raise NotReadyError(f"{path}: the universe is empty: list pairs, or loosen universe.only and universe.exclude")
    return tuple(_pair(row, path) for row in kept)


def _keeps(row: Row, settings: Universe) -> bool:
    if row.asset in settings.exclude or (row.kind == "stock" and not settings.stocks):
        return False
    return not settings.only or row.asset in settings.only


def _row(raw: Any, place: str, path: Path) -> Row:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path}: {place} is not a pair: write keys such as asset, pair and tier")
    name = f"{place} ({raw['asset']})" if "asset" in raw else place
    for key in _NEEDED:
        if raw.get(key) is None:
            raise ConfigError(f"{path}: {name}.{key} is missing: add it")
    return build(Row(), raw, {"": str(path)}, f"{name}.")


def _pair(row: Row, path: Path) -> Pair:
    symbols = {venue: _listing(value, f"{row.asset}.symbols.{venue}", path) for venue, value in row.symbols.items()}
    return Pair(
        asset=row.asset,
        pair=row.pair,
        tier=row.tier,
        price_decimals=row.price_decimals,
        amount_decimals=row.amount_decimals,
        min_notional=row.min_notional,
        kind=row.kind,
        symbols=symbols,
    )


def _listing(value: Any, place: str, path: Path) -> tuple[str, int]:
    """`BTCUSDT`, or `{symbol: 1000PEPEUSDT, factor: 1000}`."""
    raw = value if isinstance(value, Mapping) else {"symbol": value}
    listing = build(Listing(), raw, {"": str(path)}, f"{place}.")
    return listing.symbol, listing.factor


def _once(names: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{path}: {name} stands twice: keep one of the rows")
        seen.add(name)


def _known(settings: Universe, kinds: Mapping[str, str], path: Path) -> None:
    for key, wanted in (("only", settings.only), ("exclude", settings.exclude)):
        for name in wanted:
            if name not in kinds:
                raise ConfigError(f"universe.{key}: {name} is not listed in {path}: {did_you_mean(name, kinds)}")
            if key == "only" and kinds[name] == "stock" and not settings.stocks:
                raise ConfigError(f"universe.only: {name} is a tokenised stock: set universe.stocks to true to hold it")
